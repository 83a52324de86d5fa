/* SPDX-License-Identifier: Apache-2.0 */
/* Completions of the test core's device: its messages are NMIs, which the hypervisor claims; the guest gets
 * the device's vector and no NMI. On the bare machine an interrupt command stands for the device. */
#include "core/apic.h"
#include "tests/system/efi/device.h"
#include "tests/system/efi/runtime.h"

#define ROUNDS 500u
#define LINE   0x34u

static volatile uint64_t vectors;

static bool on_vector(struct test_cpu *cpu, struct frame *f)
{
    (void)cpu, (void)f;
    vectors = vectors + 1;
    apic_end_of_interrupt();
    return true;
}

static bool on_nmi(struct test_cpu *cpu, struct frame *f)
{
    (void)f;
    cpu->nmis++;
    return true;
}

static void spin(struct test_cpu *cpu)
{
    (void)cpu;
    __asm__ volatile("sti");
    for (;;)
        relax();
}

static void sleep(struct test_cpu *cpu)
{
    (void)cpu;
    for (;;)
        __asm__ volatile("sti; hlt");
}

static void complete(const struct test_cpu *cpu, unsigned count)
{
    if (device_is_trapped)
        *(volatile uint32_t *)(TEST_DEVICE + TEST_DEVICE_COMPLETE) = cpu->index | LINE << 8 | count << 16;
    else
        apic_command(cpu->apic_id, ICR_MODE_FIXED | ICR_ASSERT | LINE);
}

/* The APIC must be switched on for fixed interrupts after INIT. */
static void start(struct test_cpu *cpu)
{
    *(volatile uint32_t *)(APIC_DEFAULT_BASE + APIC_SVR) = 0x13f;
    cpu->hooks[LINE] = on_vector;
    cpu->hooks[EXCEPTION_NMI] = on_nmi;
}

static void start_spin(struct test_cpu *cpu)
{
    start(cpu);
    spin(cpu);
}

static void start_sleep(struct test_cpu *cpu)
{
    start(cpu);
    sleep(cpu);
}

static void rounds_on(const char *name, void (*work)(struct test_cpu *), bool with_own_nmis)
{
    struct test_cpu *other = test_cpus[1];
    unsigned came = 0, own = 0;
    vectors = other->nmis = 0;
    if (!cpu_start(other, work)) {
        verdict(name, "the CPU does not start");
        return;
    }
    for (volatile unsigned i = 0; i < 1000; i++)
        relax();
    for (unsigned i = 0; i < ROUNDS; i++) {
        complete(other, 1);
        if (!wait_for(&vectors, i + 1))
            break;
        came++;
        if (!with_own_nmis)
            continue;
        apic_command(other->apic_id, ICR_MODE_NMI | ICR_ASSERT);
        own += wait_for(&other->nmis, i + 1);
    }
    for (unsigned i = 0; i < 1000; i++)
        relax();
    verdict(name, "%u vectors, %u own NMIs, %u others", came, own, (unsigned)(other->nmis - own));
    cpu_init_only(other);
}

void test_claim(void)
{
    uint32_t before = *(volatile uint32_t *)(device_page + TEST_DEVICE_CLAIMED);
    rounds_on("claim.at-work", start_spin, false);
    rounds_on("claim.at-rest", start_sleep, false);
    rounds_on("claim.beside-own-nmis", start_spin, true);
    if (device_is_trapped)
        verdict("claim.claimed", "%u", *(volatile uint32_t *)(device_page + TEST_DEVICE_CLAIMED) - before);
}
