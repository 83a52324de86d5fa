/* SPDX-License-Identifier: Apache-2.0 */
/* Every mode that x86 has, and hardware task switches: what modes.S found on its way down from long mode and
 * up again. */
#include "lib/format.h"
#include "lib/strings.h"
#include "tests/system/efi/device.h"
#include "tests/system/efi/runtime.h"

#define VARIABLES_AT     0x1800u
#define IDT_AT           0x2000u /* from the copy's start: legacy gates, then the real mode's vectors */
#define IVT_AT           0x2600u
#define STACK_B          0x2e00u
#define HANDLER_32_BYTES 32u
#define IDT_VECTORS      0x41u
#define GATE_32          0x8e00u
#define GATE_TASK        0x8500u
#define TASK_32          0x0000890000000000ull
#define DATA_64K         0x0000930000000000ull | 0xffff
#define MODES            7u
#define REAL             5u

/* What modes.S reads and writes, by the numbers at its top. */
struct modes {
    uint32_t device, resume, last, linear, cr3_long, cr3_32, cr3_pae, tasks;
    uint64_t rsp;
    uint8_t idt64[16], idt32[8], ivt[8];
    uint16_t real_offset, real_segment;
    uint32_t reserved;
    uint32_t long_offset;
    uint16_t long_selector, reserved2;
    uint32_t task_at;
    uint8_t gap[0x100 - 92];
    uint32_t results[8][8];
    uint8_t faults[16][16];
    uint32_t task_results[2][16];
};
static_assert(offsetof(struct modes, idt64) == 40 && offsetof(struct modes, real_offset) == 72 &&
                  offsetof(struct modes, task_at) == 88 && offsetof(struct modes, results) == 0x100 &&
                  offsetof(struct modes, faults) == 0x200 && offsetof(struct modes, task_results) == 0x300,
              "modes.S");

/* The 32-bit task state segment (SDM 3A, 8.2.1). */
struct task_32 {
    uint32_t backlink, stacks[6], cr3, eip, eflags, gpr[8], es, cs, ss, ds, fs, gs, ldt, io_map;
};
static_assert(sizeof(struct task_32) == 104, "32-bit TSS");

extern const uint8_t modes_start[], modes_end[], modes_handlers_32[], modes_handlers_16[], modes_real[],
    modes_long[], modes_task_b[];

static uint8_t *copy;
static struct modes *modes;

static uint32_t offset_of(const uint8_t *label)
{
    return (uint32_t)(label - modes_start);
}

static void put_table(uint8_t out[8], uint32_t limit, uint32_t base)
{
    memcpy(out, &limit, 2);
    memcpy(out + 2, &base, 4);
}

static void build_gates(void)
{
    uint64_t *idt = (uint64_t *)(copy + IDT_AT);
    uint32_t *ivt = (uint32_t *)(copy + IVT_AT);
    const uint32_t segment = (uint32_t)(uint64_t)copy >> 4 << 16;
    for (unsigned vector = 0; vector < EXCEPTION_COUNT; vector++) {
        uint64_t entry = offset_of(modes_handlers_32) + HANDLER_32_BYTES * vector;
        idt[vector] = entry | (uint64_t)SELECTOR_CODE32_LOW << 16 | (uint64_t)GATE_32 << 32;
        ivt[vector] = (offset_of(modes_handlers_16) + 16 * vector) | segment;
    }
    idt[0x40] = (uint64_t)SELECTOR_TASK_B << 16 | (uint64_t)GATE_TASK << 32;
    ivt[0x60] = (offset_of(modes_handlers_16) + 16 * EXCEPTION_COUNT) | segment;
    put_table(modes->idt32, IDT_VECTORS * 8 - 1, (uint32_t)(uint64_t)idt);
    put_table(modes->ivt, 0x3ff, (uint32_t)(uint64_t)ivt);
}

/* Two levels of 4 MiB pages; three of 2 MiB pages. All of 4 GiB as itself. */
static void build_paging(void)
{
    uint32_t *directory = pages(1);
    uint64_t *pointers = pages(1);
    for (uint32_t i = 0; i < 1024; i++)
        directory[i] = i << 22 | (uint32_t)(PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_LARGE);
    for (unsigned i = 0; i < 4; i++)
        pointers[i] = machine_directory(i) | PTE_PRESENT;
    modes->cr3_long = (uint32_t)machine_cr3();
    modes->cr3_32 = (uint32_t)(uint64_t)directory;
    modes->cr3_pae = (uint32_t)(uint64_t)pointers;
}

static uint64_t descriptor(uint64_t attributes, uint64_t base)
{
    return attributes | (base & 0xffffff) << 16 | (base >> 24 & 0xff) << 56;
}

static void build_tasks(void)
{
    struct task_32 *task = pages(1);
    struct test_cpu *cpu = me();
    task[0] = (struct task_32){.cr3 = modes->cr3_32, .io_map = sizeof(*task)};
    task[1] = (struct task_32){.cr3 = modes->cr3_32,
                               .eip = offset_of(modes_task_b),
                               .eflags = RFLAGS_ONE,
                               .gpr = {[RSP] = STACK_B},
                               .es = SELECTOR_DATA_LOW,
                               .cs = SELECTOR_CODE32_LOW,
                               .ss = SELECTOR_DATA_LOW,
                               .ds = SELECTOR_DATA_LOW,
                               .fs = SELECTOR_FLAT,
                               .gs = SELECTOR_FLAT,
                               .io_map = sizeof(*task)};
    cpu->gdt[SELECTOR_TASK_A / 8] = descriptor(TASK_32 | (sizeof(*task) - 1), (uint64_t)&task[0]);
    cpu->gdt[SELECTOR_TASK_B / 8] = descriptor(TASK_32 | (sizeof(*task) - 1), (uint64_t)&task[1]);
}

/* In compatibility mode exceptions come by the long mode's table. */
static bool on_fault(struct test_cpu *cpu, struct frame *f)
{
    (void)cpu;
    if (f->cs != SELECTOR_CODE32_LOW)
        return false;
    modes->last = (uint32_t)f->vector;
    f->rip = modes->resume;
    return true;
}

static void go(bool with_tasks)
{
    static const unsigned faults[] = {EXCEPTION_DE, EXCEPTION_UD, EXCEPTION_GP};
    struct test_cpu *cpu = me();
    uint64_t cr4 = cr4_read();
    copy = (uint8_t *)(low_memory + LOW_MODES);
    modes = (struct modes *)(copy + VARIABLES_AT);
    memset(copy, 0, LOW_BYTES - LOW_MODES);
    memcpy(copy, modes_start, (size_t)(modes_end - modes_start));
    modes->device = (uint32_t)device_page;
    modes->tasks = with_tasks;
    modes->real_offset = (uint16_t)offset_of(modes_real);
    modes->real_segment = (uint16_t)((uint64_t)copy >> 4);
    modes->long_offset = (uint32_t)(uint64_t)copy + offset_of(modes_long);
    modes->long_selector = SELECTOR_CODE64;
    build_gates();
    build_paging();
    build_tasks();
    cpu->gdt[SELECTOR_DEVICE / 8] = descriptor(DATA_64K, device_page);
    for (unsigned i = 0; i < ARRAY_COUNT(faults); i++)
        cpu->hooks[faults[i]] = on_fault;
    ((void (*)(void))copy)();
    for (unsigned i = 0; i < ARRAY_COUNT(faults); i++)
        cpu->hooks[faults[i]] = NULL;
    cr4_write(cr4);
    machine_load_tables(cpu);
}

static void tell_mode(unsigned n, const char *mode)
{
    const uint32_t *r = modes->results[n];
    const struct cpuid id = cpuid(0, 0);
    char name[48];
    port_write(0xcf8, 4, 0x80000000);
    uint32_t bridge = port_read(0xcfc, 4);
    uint64_t lme = n == 0 ? EFER_LME | EFER_LMA : 0;
    format(name, sizeof(name), "modes.%s", mode);
    verdict(name, "cpuid %d efer %d port %d device %x %x %s",
            r[0] == id.ebx && r[1] == id.ecx && r[2] == id.edx, (r[3] & (EFER_LME | EFER_LMA)) == lme,
            r[4] == bridge, r[5], r[6], r[7] == 0x600d ? "through" : "stopped");
    if (n == MODES - 1)
        return;
    const uint8_t *f = modes->faults[n];
    format(name, sizeof(name), "modes.%s.faults", mode);
    verdict(name, "ud2 %x vmcall %x vmmcall %x div %x lldt %x cr5 %x clgi %x xsetbv %x", f[0], f[1], f[2],
            f[3], f[4], f[5], f[6], f[7]);
}

void test_modes(void)
{
    static const char *const names[MODES] = {"compatibility",      "protected",    "protected-paging-2",
                                             "protected-paging-3", "protected-16", "real",
                                             "protected-again"};
    go(false);
    for (unsigned i = 0; i < MODES; i++)
        tell_mode(i, names[i]);
    verdict("modes.real.interrupt", "%x", modes->faults[REAL][8]);
}

void test_tasks(void)
{
    static const char *const names[] = {"tasks.without-paging", "tasks.with-paging"};
    go(true);
    for (unsigned i = 0; i < ARRAY_COUNT(names); i++) {
        const uint32_t *t = modes->task_results[i];
        verdict(names[i],
                "ebx %x ts %x tr %x nested %x through %x; b: tr %x nested %x esp %x cr3 %s, called %x, by "
                "gate %x",
                t[0], t[1] >> 3 & 1, t[2], t[3], t[4], t[5], t[6], t[7],
                i == 0 || t[8] == modes->cr3_32 ? "own" : "else", t[9], t[10]);
    }
}
