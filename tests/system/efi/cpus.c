/* SPDX-License-Identifier: Apache-2.0 */
/* Starts the other CPUs by INIT and start-up IPIs, past the firmware. */
#include "core/apic.h"
#include "lib/strings.h"
#include "tests/system/efi/runtime.h"

#define PATIENCE  3000000000ull /* TSC ticks: a second or so under QEMU, a minute under Bochs */
#define EFER_KEPT (EFER_SCE | EFER_LME | EFER_NXE)

/* The variables at the end of start.S. */
struct start_values {
    uint32_t cr0, cr4, cr3, efer;
    uint16_t gdt_limit;
    uint32_t gdt_base;
    uint16_t unused;
    uint32_t entry;
    uint16_t selector;
} packed;
static_assert(offsetof(struct start_values, gdt_limit) == 16 && offsetof(struct start_values, entry) == 24,
              "start.S");
static_assert(sizeof(struct start_record) == 56 && offsetof(struct start_record, cs) == 40, "start.S");

extern const uint8_t start_code[], start_code_end[], start_values[];
extern const char start_long[];
void start_arrived(void);
uint64_t start_stack;
struct start_record start_record;

static struct test_cpu *starting;
static void (*starting_work)(struct test_cpu *cpu);
static volatile uint64_t arrived; /* how often a CPU has come */

static volatile uint32_t *apic_register(unsigned offset)
{
    return (volatile uint32_t *)(APIC_DEFAULT_BASE + offset);
}

void apic_command(uint32_t apic_id, uint32_t command)
{
    *apic_register(APIC_ICR_HIGH) = apic_id << 24;
    *apic_register(APIC_ICR_LOW) = command;
    while (*apic_register(APIC_ICR_LOW) & ICR_PENDING)
        relax();
}

void apic_end_of_interrupt(void)
{
    *apic_register(APIC_EOI) = 0;
}

bool wait_for(const volatile uint64_t *word, uint64_t value)
{
    uint64_t start = tsc_read();
    while (*word != value)
        if (tsc_read() - start > PATIENCE)
            return false;
        else
            relax();
    return true;
}

/* On the CPU that has come. */
void start_arrived(void)
{
    struct test_cpu *cpu = starting;
    void (*work)(struct test_cpu *) = starting_work;
    machine_load_tables(cpu);
    arrived = arrived + 1;
    work(cpu);
}

static void prepare(struct test_cpu *cpu)
{
    uint8_t *low = (uint8_t *)(low_memory + LOW_START);
    memcpy(low, start_code, (size_t)(start_code_end - start_code));
    struct start_values values = {
        .cr0 = (uint32_t)cr0_read(),
        .cr4 = (uint32_t)cr4_read(),
        .cr3 = (uint32_t)machine_cr3(),
        .efer = (uint32_t)(msr_read(MSR_EFER) & EFER_KEPT),
        .gdt_limit = sizeof(cpu->gdt) - 1,
        .gdt_base = (uint32_t)(uint64_t)cpu->gdt,
        .entry = (uint32_t)(uint64_t)start_long,
        .selector = SELECTOR_CODE64,
    };
    memcpy(low + (start_values - start_code), &values, sizeof(values));
    start_stack = (uint64_t)cpu + CPU_BYTES;
}

void cpu_init_only(struct test_cpu *cpu)
{
    apic_command(cpu->apic_id, ICR_MODE_INIT | ICR_ASSERT | ICR_LEVEL);
    apic_command(cpu->apic_id, ICR_MODE_INIT | ICR_LEVEL);
}

bool cpu_start(struct test_cpu *cpu, void (*work)(struct test_cpu *cpu))
{
    const uint32_t startup = ICR_MODE_STARTUP | (uint32_t)((low_memory + LOW_START) >> PAGE_SHIFT);
    uint64_t before = arrived;
    starting = cpu;
    starting_work = work;
    prepare(cpu);
    cpu_init_only(cpu);
    apic_command(cpu->apic_id, startup);
    if (!wait_for(&arrived, before + 1))
        return false;
    memcpy(&start_record,
           (uint8_t *)(low_memory + LOW_START) + (start_values - start_code) - sizeof(start_record),
           sizeof(start_record));
    return true;
}
