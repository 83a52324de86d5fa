/* SPDX-License-Identifier: Apache-2.0 */
/* Non-maskable interrupts of the guest's own: to itself, to another CPU at work and at rest, and while one is
 * being handled. */
#include "core/apic.h"
#include "tests/system/efi/runtime.h"

#define SELF_ROUNDS 100u
#define WORK_ROUNDS 1000u
#define EXIT_ROUNDS 200u /* an emulator's CPUs take turns, and this one's turns are short */
#define REST_ROUNDS 500u
#define STORM       2000u

static bool count_nmi(struct test_cpu *cpu, struct frame *f)
{
    (void)f;
    cpu->nmis++;
    return true;
}

/* Three more while the first is handled: they wait until its IRET, and are one. */
static bool count_and_send(struct test_cpu *cpu, struct frame *f)
{
    (void)f;
    uint64_t before = cpu->nmis++;
    if (!before) {
        for (unsigned i = 0; i < 3; i++)
            apic_command(cpu->apic_id, ICR_MODE_NMI | ICR_ASSERT);
        for (unsigned i = 0; i < 1000; i++)
            relax();
        say("while the first is handled: %u", (unsigned)(cpu->nmis - 1));
        verdict("nmi.blocked-while-handled", "%s", cpu->nmis == 1 ? "yes" : "no");
    }
    return true;
}

void test_nmi(void)
{
    struct test_cpu *cpu = me();
    cpu->hooks[EXCEPTION_NMI] = count_nmi;
    cpu->nmis = 0;
    unsigned acknowledged = 0;
    for (unsigned i = 0; i < SELF_ROUNDS; i++) {
        apic_command(cpu->apic_id, ICR_MODE_NMI | ICR_ASSERT);
        acknowledged += wait_for(&cpu->nmis, i + 1);
    }
    verdict("nmi.to-itself", "%u of %u", acknowledged, SELF_ROUNDS);
    cpu->hooks[EXCEPTION_NMI] = count_and_send;
    cpu->nmis = 0;
    apic_command(cpu->apic_id, ICR_MODE_NMI | ICR_ASSERT);
    verdict("nmi.after-the-handler", "%s", wait_for(&cpu->nmis, 2) ? "one more" : "lost");
    for (unsigned i = 0; i < 1000; i++)
        relax();
    verdict("nmi.then", "%u", (unsigned)cpu->nmis);
    cpu->hooks[EXCEPTION_NMI] = NULL;
}

static volatile uint64_t rounds; /* of the other CPU's loop */

static void spin(struct test_cpu *cpu)
{
    cpu->hooks[EXCEPTION_NMI] = count_nmi;
    for (;;) {
        rounds = rounds + 1;
        relax();
    }
}

static void sleep(struct test_cpu *cpu)
{
    cpu->hooks[EXCEPTION_NMI] = count_nmi;
    for (;;) {
        rounds = rounds + 1;
        __asm__ volatile("cli; hlt");
    }
}

/* Leaves the guest again and again, so that NMIs find the CPU in the hypervisor too. */
static void exit_often(struct test_cpu *cpu)
{
    cpu->hooks[EXCEPTION_NMI] = count_nmi;
    for (;;) {
        (void)cpuid(0, 0);
        relax();
    }
}

static void one_by_one(const char *name, void (*work)(struct test_cpu *), unsigned count)
{
    struct test_cpu *other = test_cpus[1];
    unsigned acknowledged = 0;
    other->nmis = 0;
    if (!cpu_start(other, work)) {
        verdict(name, "the CPU does not start");
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        apic_command(other->apic_id, ICR_MODE_NMI | ICR_ASSERT);
        if (!wait_for(&other->nmis, i + 1))
            break;
        acknowledged++;
    }
    for (unsigned i = 0; i < 1000; i++)
        relax();
    verdict(name, "%u of %u, %s", acknowledged, count, other->nmis == acknowledged ? "no more" : "more");
}

void test_nmi_other(void)
{
    struct test_cpu *other = test_cpus[1];
    one_by_one("nmi.to-one-at-work", spin, WORK_ROUNDS);
    one_by_one("nmi.to-one-that-exits", exit_often, EXIT_ROUNDS);
    one_by_one("nmi.to-one-at-rest", sleep, REST_ROUNDS);
    /* As fast as can be: some are one, none gets lost at the end. */
    uint64_t before = other->nmis;
    for (unsigned i = 0; i < STORM; i++)
        apic_command(other->apic_id, ICR_MODE_NMI | ICR_ASSERT);
    uint64_t after_storm = other->nmis;
    for (unsigned i = 0; i < 100000 && other->nmis == after_storm; i++)
        relax();
    uint64_t came = other->nmis - before;
    verdict("nmi.storm", "%s",
            came > 0 && came <= STORM ? "between one and all came" : "too few or too many");
    uint64_t quiet = other->nmis;
    apic_command(other->apic_id, ICR_MODE_NMI | ICR_ASSERT);
    verdict("nmi.after-the-storm", "%s", wait_for(&other->nmis, quiet + 1) ? "one" : "lost, or more");
    cpu_init_only(other);
}
