/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/startup.h"

#include "core/apic.h"
#include "core/log.h"
#include "core/panic.h"
#include "guest/apic_page.h"
#include "guest/destination.h"
#include "guest/exit.h"
#include "guest/nmi.h"
#include "guest/power.h"
#include "guest/step.h"

#define ISR_WORDS 8u

/* The local APIC as INIT leaves it (APM 2 section 16.3.6): nothing in service, all local vectors masked. */
static void reset_local_apic(void)
{
    for (unsigned lvt = APIC_LVT_TIMER; lvt <= APIC_LVT_LAST; lvt += APIC_REGISTER_STEP)
        apic_write(lvt, LVT_MASKED);
    apic_write(APIC_TPR, 0);
    apic_write(APIC_TIMER_COUNT, 0);
    if (!apic_is_x2()) { /* read-only, or not there, in x2APIC mode */
        apic_write(APIC_LDR, 0);
        apic_write(APIC_DFR, DFR_RESET);
    }
    for (unsigned vector = 0; vector < 256; vector++) {
        uint32_t in_service = 0;
        for (unsigned word = 0; word < ISR_WORDS; word++)
            in_service |= apic_read(APIC_ISR + word * APIC_REGISTER_STEP);
        if (!in_service)
            break;
        apic_write(APIC_EOI, 0);
    }
    apic_write(APIC_SVR, SVR_RESET);
}

/* While a CPU waits it still answers the others, and takes completions that are aimed at it. */
static uint32_t wait_for_sipi(struct vcpu *vcpu)
{
    for (;;) {
        uint32_t vector = __atomic_load_n(&vcpu->sipi_vector, __ATOMIC_ACQUIRE);
        if (vector != SIPI_NONE)
            return vector;
        if (panicking())
            halt_forever();
        if (__atomic_exchange_n(&vcpu->requests, 0, __ATOMIC_ACQ_REL) & REQUEST_INIT)
            __atomic_fetch_add(&vcpu->inits_taken, 1, __ATOMIC_ACQ_REL);
        for (unsigned i = 0; i < 1000; i++)
            __builtin_ia32_pause();
        vcpu_consume_nmi(); /* system management interrupts too: firmware waits for all CPUs in them */
        vcpu->cpu->init_arrived = false;
        nmi_sweep(vcpu);
    }
}

void startup_take_init(struct vcpu *vcpu)
{
    count_exit(vcpu, EXIT_INIT);
    if (msr_read(MSR_APIC_BASE) & APIC_BASE_BSP)
        power_reset("INIT of the boot CPU"); /* which does not wait, but starts the firmware anew */
    step_abandon(vcpu);
    reset_local_apic();
    destination_note(vcpu);
    __atomic_store_n(&vcpu->sipi_vector, SIPI_NONE, __ATOMIC_RELEASE);
    __atomic_store_n(&vcpu->state, VCPU_WAIT_FOR_SIPI, __ATOMIC_RELEASE);
    __atomic_fetch_add(&vcpu->inits_taken, 1, __ATOMIC_ACQ_REL);
    if (!vcpu_starts_natively())
        exit_startup(vcpu, (uint8_t)wait_for_sipi(vcpu));
}

void exit_startup(struct vcpu *vcpu, uint8_t vector)
{
    if (vcpu_starts_natively())
        count_exit(vcpu, EXIT_STARTUP);
    vcpu_consume_nmi();
    vcpu->nmi_blocked = vcpu->nmi_pending = false;
    vcpu_trap_iret(vcpu, false);
    vcpu_reset_to_vector(vcpu, vector);
    apic_page_close(APIC_CLOSED_STARTED);
    __atomic_store_n(&vcpu->state, VCPU_RUNNING, __ATOMIC_RELEASE);
    log_limited("cpu %u: started at vector %02x", vcpu->cpu->index, vector);
}

/* INIT: the sender goes on once the target has taken it, as start-up code that follows expects. It does not
 * wait when it is to take an INIT itself: two CPUs that send each other one would wait for ever. */
static void send_init(struct vcpu *sender, struct vcpu *target)
{
    uint32_t before = __atomic_load_n(&target->inits_taken, __ATOMIC_ACQUIRE);
    if (__atomic_load_n(&target->state, __ATOMIC_ACQUIRE) != VCPU_RUNNING)
        return;
    vcpu_request(target, REQUEST_INIT);
    while (target != sender && __atomic_load_n(&target->inits_taken, __ATOMIC_ACQUIRE) == before &&
           !(__atomic_load_n(&sender->requests, __ATOMIC_ACQUIRE) & REQUEST_INIT)) {
        if (panicking())
            halt_forever();
        __builtin_ia32_pause();
    }
}

static void send_startup(struct vcpu *target, uint8_t vector)
{
    uint32_t none = SIPI_NONE;
    if (__atomic_load_n(&target->state, __ATOMIC_ACQUIRE) != VCPU_WAIT_FOR_SIPI)
        return;
    __atomic_compare_exchange_n(&target->sipi_vector, &none, vector, false, __ATOMIC_ACQ_REL,
                                __ATOMIC_ACQUIRE);
}

static bool is_target(const struct vcpu *sender, const struct vcpu *vcpu, uint32_t command,
                      uint32_t destination)
{
    switch (command & ICR_SHORTHAND) {
    case ICR_SELF:
        return vcpu == sender;
    case ICR_ALL:
        return true;
    case ICR_ALL_BUT_SELF:
        return vcpu != sender;
    default:
        return destination_matches(vcpu, destination, command & ICR_LOGICAL);
    }
}

bool startup_command(struct vcpu *vcpu, uint32_t command, uint32_t destination)
{
    uint32_t mode = command & ICR_MODE;
    if (mode != ICR_MODE_INIT && mode != ICR_MODE_STARTUP && mode != ICR_MODE_NMI)
        return false;
    if (mode == ICR_MODE_INIT && (command & ICR_LEVEL) && !(command & ICR_ASSERT))
        return true; /* INIT level de-assert: nothing on any CPU with nested paging */
    for (unsigned i = 0; i < ARRAY_COUNT(vcpus); i++) {
        struct vcpu *target = vcpus[i];
        if (!target || target->state == VCPU_ABSENT || !is_target(vcpu, target, command, destination))
            continue;
        if (mode == ICR_MODE_INIT)
            send_init(vcpu, target);
        else if (mode == ICR_MODE_STARTUP)
            send_startup(target, command & ICR_VECTOR);
        else
            vcpu_request(target, REQUEST_NMI);
    }
    (void)requests_take(vcpu); /* what it sent to itself; nothing is an answer too */
    return true;
}

void exit_init(struct vcpu *vcpu)
{
    if (!apic_page_close_all()) /* a real INIT announces a start-up IPI, and that one must be seen */
        panic("No memory to trap the APIC page");
    startup_take_init(vcpu);
}
