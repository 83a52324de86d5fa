/* SPDX-License-Identifier: Apache-2.0 */
/* Where an NMI came from cannot be read anywhere, and two that come together are one. So at each NMI exit every source that Shoji knows is looked at: requests
 * of other CPUs, queues of mediated devices. An NMI that none of them explains is the guest's, unless it may be the echo of completions that an earlier
 * sweep took before their message arrived. */
#include "guest/nmi.h"

#include "core/apic.h"
#include "core/log.h"
#include "core/panic.h"
#include "guest/destination.h"
#include "guest/exit.h"
#include "guest/startup.h"
#include "guest/step.h"
#include "guest/trap.h"

#define CLAIMS_MAX 16

/* An echo that has not come after this many TSC ticks will not come: some ten milliseconds on any machine. */
#define ECHO_TICKS 40000000ull

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

/* An NMI that was sent for what has just been taken may still be on its way. */
static void expect_echo(struct vcpu *vcpu)
{
    vcpu->stale_nmi_possible = true;
    vcpu->stale_nmi_since = tsc_read();
}

static bool echo_expected(const struct vcpu *vcpu)
{
    return vcpu->stale_nmi_possible && tsc_read() - vcpu->stale_nmi_since < ECHO_TICKS;
}

unsigned nmi_sweep(struct vcpu *vcpu)
{
    unsigned taken = 0;
    for (unsigned i = 0; i < claim_count; i++)
        taken += claims[i]->sweep(claims[i]->owner, vcpu->cpu->index);
    if (taken)
        expect_echo(vcpu);
    return taken;
}

bool requests_take(struct vcpu *vcpu)
{
    uint32_t requests = __atomic_exchange_n(&vcpu->requests, 0, __ATOMIC_ACQ_REL);
    if (!requests)
        return false;
    expect_echo(vcpu);
    if (requests & REQUEST_NMI)
        nmi_deliver(vcpu);
    if (requests & REQUEST_INIT)
        startup_take_init(vcpu);
    return true;
}

void exit_nmi(struct vcpu *vcpu)
{
    vcpu_consume_nmi();
    if (panicking())
        halt_forever();
    count_exit(vcpu, EXIT_NMI);
    destination_note(vcpu);
    bool asked = requests_take(vcpu);
    if (nmi_sweep(vcpu)) {
        count_exit(vcpu, EXIT_NMI_COMPLETION);
        vcpu->nmis_claimed++;
        return;
    }
    if (asked)
        return;
    if (echo_expected(vcpu)) {
        vcpu->stale_nmi_possible = false;
        vcpu->nmis_swallowed++;
        return;
    }
    nmi_deliver(vcpu);
}

void vcpu_request(struct vcpu *vcpu, uint32_t requests)
{
    __atomic_fetch_or(&vcpu->requests, requests, __ATOMIC_ACQ_REL);
    if (vcpu != this_vcpu())
        apic_send(vcpu->cpu->apic_id, ICR_MODE_NMI);
}
