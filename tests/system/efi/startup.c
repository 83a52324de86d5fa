/* SPDX-License-Identifier: Apache-2.0 */
/* INIT and start-up IPIs: the state that a CPU starts with, and storms of them, whatever the CPU is doing. */
#include "core/apic.h"
#include "lib/format.h"
#include "tests/system/efi/runtime.h"

#define STORM_ROUNDS 100u
#define INITS        300u

static volatile uint64_t rounds;

static void spin(struct test_cpu *cpu)
{
    (void)cpu;
    for (;;) {
        rounds = rounds + 1;
        relax();
    }
}

static void sleep(struct test_cpu *cpu)
{
    (void)cpu;
    for (;;)
        __asm__ volatile("cli; hlt");
}

static void exit_often(struct test_cpu *cpu)
{
    (void)cpu;
    for (;;) {
        (void)cpuid(0, 0);
        relax();
    }
}

static bool on_nmi_stay(struct test_cpu *cpu, struct frame *f)
{
    (void)f;
    cpu->nmis++;
    while (cpu->nmis)
        relax();
    return true;
}

static void change_much(struct test_cpu *cpu)
{
    cpu->hooks[EXCEPTION_NMI] = on_nmi_stay;
    cpu->nmis = 0;
    uint64_t dr7 = DR7_RESET | 1;
    __asm__ volatile("mov %0, %%dr7; mov %0, %%dr0" : : "r"(dr7));
    msr_write(MSR_EFER, msr_read(MSR_EFER) | EFER_SCE);
    apic_command(cpu->apic_id, ICR_MODE_NMI | ICR_ASSERT);
    spin(cpu);
}

static void tell_state(const char *name)
{
    const struct start_record *s = &start_record;
    uint32_t page = (uint32_t)(low_memory + LOW_START);
    verdict(name, "cs %s ds %x ss %x sp %x flags %x eax %x", s->cs == page >> 4 ? "vector" : "else", s->ds,
            s->ss, s->sp, s->flags & ~0x44u, s->eax);
    char more[48];
    format(more, sizeof(more), "%s-control", name);
    model(more, "cr0 %x cr2 %x cr3 %x cr4 %x efer %x", s->cr0, s->cr2, s->cr3, s->cr4, s->efer);
    format(more, sizeof(more), "%s-edx", name);
    model(more, "%s", s->edx == cpuid(1, 0).eax ? "signature" : "else");
    format(more, sizeof(more), "%s-other", name);
    model(more, "dr6 %x dr7 %x gdt %x idt %x", s->dr6, s->dr7, s->gdt_limit, s->idt_limit);
}

static void storm(const char *name, void (*work)(struct test_cpu *))
{
    unsigned came = 0;
    for (unsigned i = 0; i < STORM_ROUNDS; i++)
        came += cpu_start(test_cpus[1], work);
    verdict(name, "%u of %u", came, STORM_ROUNDS);
}

void test_startup(void)
{
    struct test_cpu *other = test_cpus[1];
    verdict("startup.first", "%s", cpu_start(other, spin) ? "came" : "lost");
    tell_state("startup.state-first");
    rounds = 0;
    for (unsigned i = 0; i < 100000 && !rounds; i++)
        relax();
    verdict("startup.runs", "%s", rounds ? "yes" : "no");
    /* A start-up IPI to a CPU that runs means nothing. */
    apic_command(other->apic_id, ICR_MODE_STARTUP | (uint32_t)((low_memory + LOW_START) >> PAGE_SHIFT));
    uint64_t before = rounds;
    for (unsigned i = 0; i < 100000 && rounds == before; i++)
        relax();
    verdict("startup.second-ipi-ignored", "%s", rounds != before ? "runs on" : "stopped");
    cpu_init_only(other);
    before = rounds;
    for (unsigned i = 0; i < 10000; i++)
        relax();
    verdict("startup.init-stops", "%s", rounds == before ? "stopped" : "runs on");
    for (unsigned i = 0; i < INITS; i++)
        cpu_init_only(other);
    verdict("startup.after-many-inits", "%s", cpu_start(other, change_much) ? "came" : "lost");
    (void)wait_for(&other->nmis, 1);
    verdict("startup.inside-an-nmi", "%s", cpu_start(other, spin) ? "came" : "lost");
    tell_state("startup.state-after-change");
    storm("startup.storm-at-work", spin);
    storm("startup.storm-at-rest", sleep);
    storm("startup.storm-that-exits", exit_often);
    cpu_init_only(other);
}
