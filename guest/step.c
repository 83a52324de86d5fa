/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/step.h"

#include "guest/exit.h"
#include "guest/nested.h"
#include "guest/nmi.h"

#define STEP_FLAGS (RFLAGS_TF | RFLAGS_IF)

static void begin(struct vcpu *vcpu)
{
    vcpu->stepping = true;
    vcpu->step_saved_dr6 = vcpu_dr6(vcpu);
    vcpu->step_saved_flags = vcpu->rflags & STEP_FLAGS;
    vcpu_set_dr6(vcpu, vcpu->step_saved_dr6 & ~(DR6_TRAPS | DR6_BS));
    vcpu_trap_step(vcpu, true);
}

bool step_over_page(struct vcpu *vcpu, uint64_t page, uint64_t target)
{
    if (vcpu_injection_due(vcpu) || vcpu->step_pages == STEP_PAGES_MAX)
        return false;
    if (!nested_set(vcpu, page, target, NESTED_ALL))
        return false;
    vcpu->step_page[vcpu->step_pages++] = page;
    if (!vcpu->stepping)
        begin(vcpu);
    return true;
}

void step_over_iret(struct vcpu *vcpu)
{
    if (!vcpu->stepping)
        begin(vcpu);
    vcpu->step_is_iret = true;
}

/* Puts back everything but RFLAGS. */
static void end(struct vcpu *vcpu)
{
    for (unsigned i = 0; i < vcpu->step_pages; i++)
        mmio_page_restore(vcpu, vcpu->step_page[i]);
    vcpu->step_pages = 0;
    vcpu->stepping = vcpu->step_is_iret = false;
    vcpu_set_dr6(vcpu, vcpu->step_saved_dr6);
    vcpu_trap_step(vcpu, false);
}

static void restore_flags(struct vcpu *vcpu)
{
    vcpu->rflags = (vcpu->rflags & ~STEP_FLAGS) | vcpu->step_saved_flags;
}

void step_abandon(struct vcpu *vcpu)
{
    if (!vcpu->stepping)
        return;
    if (vcpu->step_is_iret)
        vcpu_trap_iret(vcpu, true);
    restore_flags(vcpu);
    end(vcpu);
}

void exit_step(struct vcpu *vcpu)
{
    uint64_t found = vcpu_dr6(vcpu) & DR6_TRAPS;
    bool was_iret = vcpu->step_is_iret, done = vcpu_dr6(vcpu) & DR6_BS;
    count_exit(vcpu, EXIT_STEP);
    if (was_iret && !done) {
        step_abandon(vcpu); /* a breakpoint of the guest stands on the IRET itself */
    } else {
        /* IRET has brought its own IF and TF; any other instruction has kept those of the step. */
        if (!was_iret)
            restore_flags(vcpu);
        end(vcpu);
    }
    /* The guest's own breakpoints, and its own single-stepping, trap as if nothing had been between. */
    if (done && (vcpu->step_saved_flags & RFLAGS_TF))
        found |= DR6_BS;
    if (found) {
        vcpu_set_dr6(vcpu, (vcpu->step_saved_dr6 & ~DR6_TRAPS) | found);
        vcpu_inject(vcpu, EXCEPTION_DB, 0);
    }
    if (was_iret && done)
        nmi_unblocked(vcpu);
}

void exit_step_fault(struct vcpu *vcpu)
{
    count_exit(vcpu, EXIT_STEP);
    step_abandon(vcpu);
}
