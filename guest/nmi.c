/* SPDX-License-Identifier: Apache-2.0 */
/* Where an NMI came from cannot be read anywhere, and two that come together are one. So at each NMI exit
 * every source that Shoji knows is looked at: requests of other CPUs, queues of mediated devices, the guest's
 * performance counters. An NMI that none of them explains is the guest's, unless it may be the echo of
 * something that was taken before its own NMI arrived. */
#include "guest/nmi.h"

#include "core/apic.h"
#include "core/log.h"
#include "core/panic.h"
#include "guest/destination.h"
#include "guest/exit.h"
#include "guest/pmu.h"
#include "guest/startup.h"
#include "guest/step.h"
#include "guest/trap.h"

#define CLAIMS_MAX 16

/* An echo that has not come after this many TSC ticks will not come: some ten milliseconds on any machine. */
#define ECHO_TICKS 40000000ull
#define ECHOES_MAX 64u /* far more than can be on their way at a time */

static struct nmi_claim *claims[CLAIMS_MAX]; /* written by probes, before the first CPU runs */
static unsigned claim_count;

bool nmi_claim(struct nmi_claim *claim)
{
    if (claim_count == CLAIMS_MAX)
        return false;
    claims[claim_count++] = claim;
    return true;
}

void nmi_deliver(struct vcpu *vcpu)
{
    if (vcpu->nmi_blocked || vcpu_injection_due(vcpu)) {
        vcpu->nmi_pending = true;
        vcpu_trap_iret(vcpu, true);
        return;
    }
    vcpu->nmi_pending = false;
    vcpu->nmi_blocked = true;
    vcpu->nmis_injected++;
    vcpu_inject_nmi(vcpu);
    vcpu_trap_iret(vcpu, true);
}

void nmi_unblocked(struct vcpu *vcpu)
{
    vcpu->nmi_blocked = false;
    vcpu_trap_iret(vcpu, false);
    if (vcpu->nmi_pending)
        nmi_deliver(vcpu);
}

void exit_iret(struct vcpu *vcpu)
{
    count_exit(vcpu, EXIT_IRET);
    if (!vcpu->nmi_pending) {
        nmi_unblocked(vcpu);
        return;
    }
    /* Another NMI waits: it may come after this IRET, not before. */
    vcpu_trap_iret(vcpu, false);
    step_over_iret(vcpu);
}

static bool echo_expected(const struct vcpu *vcpu)
{
    if (!vcpu->stale_nmis)
        return false;
    if (__atomic_load_n(&vcpu->kicks_in_flight, __ATOMIC_ACQUIRE))
        return true;
    uint64_t now = tsc_read();
    return now - vcpu->stale_nmi_since < ECHO_TICKS ||
           now - __atomic_load_n(&vcpu->last_kick, __ATOMIC_RELAXED) < ECHO_TICKS;
}

/* The NMIs that were sent for what has just been taken may still be on their way, each by itself. */
static void expect_echoes(struct vcpu *vcpu, unsigned count)
{
    unsigned before = echo_expected(vcpu) ? vcpu->stale_nmis : 0;
    vcpu->stale_nmis = MIN(before + count, ECHOES_MAX);
    vcpu->stale_nmi_since = tsc_read();
}

unsigned nmi_sweep(struct vcpu *vcpu)
{
    unsigned taken = 0;
    for (unsigned i = 0; i < claim_count; i++)
        taken += claims[i]->sweep(claims[i]->owner, vcpu->cpu->index);
    if (taken)
        expect_echoes(vcpu, taken);
    return taken;
}

/* Each CPU that asked something sends an NMI of its own, also when what it asked is taken with the request of
 * another. */
static void note_kicks(struct vcpu *vcpu)
{
    uint32_t kicks = __atomic_load_n(&vcpu->kicks, __ATOMIC_ACQUIRE);
    if (kicks != vcpu->kicks_seen)
        expect_echoes(vcpu, kicks - vcpu->kicks_seen);
    vcpu->kicks_seen = kicks;
}

bool requests_take(struct vcpu *vcpu)
{
    uint32_t requests = __atomic_exchange_n(&vcpu->requests, 0, __ATOMIC_ACQ_REL);
    bool physical_init = vcpu->cpu->init_arrived;
    note_kicks(vcpu);
    if (!requests && !physical_init)
        return false;
    vcpu->cpu->init_arrived = false;
    if (requests & REQUEST_NMI)
        nmi_deliver(vcpu);
    if (physical_init)
        exit_init(vcpu);
    else if (requests & REQUEST_INIT)
        startup_take_init(vcpu);
    return true;
}

void requests_settle(struct vcpu *vcpu)
{
    for (;;) {
        if (vcpu->nmi_pending && !vcpu->nmi_blocked && !vcpu_injection_due(vcpu))
            nmi_deliver(vcpu);
        __atomic_store_n(&vcpu->in_guest, true, __ATOMIC_SEQ_CST);
        if (!__atomic_load_n(&vcpu->requests, __ATOMIC_SEQ_CST) && !vcpu->cpu->init_arrived)
            return;
        __atomic_store_n(&vcpu->in_guest, false, __ATOMIC_SEQ_CST);
        (void)requests_take(vcpu);
    }
}

void exit_nmi(struct vcpu *vcpu)
{
    vcpu_consume_nmi();
    if (panicking())
        halt_forever();
    count_exit(vcpu, EXIT_NMI);
    destination_note(vcpu);
    bool asked = requests_take(vcpu);
    bool claimed = nmi_sweep(vcpu);
    bool counter = pmu_overflowed();
    if (claimed) {
        count_exit(vcpu, EXIT_NMI_COMPLETION);
        vcpu->nmis_claimed++;
    }
    if (!counter && !asked && !claimed && echo_expected(vcpu)) {
        vcpu->stale_nmis--;
        vcpu->nmis_swallowed++;
    } else if (counter || (!asked && !claimed)) {
        nmi_deliver(vcpu);
    }
}

void vcpu_request(struct vcpu *vcpu, uint32_t requests)
{
    if (vcpu == this_vcpu()) {
        __atomic_fetch_or(&vcpu->requests, requests, __ATOMIC_SEQ_CST);
        return;
    }
    __atomic_fetch_add(&vcpu->kicks_in_flight, 1, __ATOMIC_ACQ_REL);
    __atomic_fetch_add(&vcpu->kicks, 1, __ATOMIC_ACQ_REL);
    __atomic_fetch_or(&vcpu->requests, requests, __ATOMIC_SEQ_CST);
    apic_send(vcpu->cpu->apic_id, ICR_MODE_NMI);
    __atomic_store_n(&vcpu->last_kick, tsc_read(), __ATOMIC_RELAXED);
    __atomic_fetch_sub(&vcpu->kicks_in_flight, 1, __ATOMIC_ACQ_REL);
}
