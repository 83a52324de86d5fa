/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/step.h"

#include "core/log.h"
#include "guest/exit.h"
#include "guest/nested.h"
#include "guest/nmi.h"

static void begin(struct vcpu *vcpu)
{
    vcpu->stepping = true;
    vcpu->step_saved_dr6 = vcpu_dr6(vcpu);
    vcpu->step_saved_if = vcpu->rflags & RFLAGS_IF;
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

void step_end(struct vcpu *vcpu)
{
    for (unsigned i = 0; i < vcpu->step_pages; i++) {
        uint64_t page = vcpu->step_page[i];
        enum nested_access access = mmio_page_is_closed(page) ? NESTED_NONE : NESTED_ALL;
        if (!nested_set(vcpu, page, page, access))
            panic("A stepped page has no table"); /* its path stands since step_over_page */
    }
    vcpu->step_pages = 0;
    vcpu->stepping = false;
    /* An instruction that loads RFLAGS has brought its own IF and TF; any other has kept those of the step. */
    if (!vcpu->step_is_iret) {
        vcpu->rflags &= ~RFLAGS_TF;
        if (vcpu->step_saved_if)
            vcpu->rflags |= RFLAGS_IF;
    }
    vcpu_set_dr6(vcpu, vcpu->step_saved_dr6);
    vcpu_trap_step(vcpu, false);
}

void exit_step(struct vcpu *vcpu, bool is_debug)
{
    bool was_iret = vcpu->step_is_iret;
    count_exit(vcpu, EXIT_STEP);
    if (was_iret && !is_debug)
        vcpu->step_is_iret = false; /* it faulted: RFLAGS are still the step's */
    step_end(vcpu);
    vcpu->step_is_iret = false;
    if (was_iret && is_debug)
        nmi_unblocked(vcpu);
}
