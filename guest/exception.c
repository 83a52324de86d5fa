/* SPDX-License-Identifier: Apache-2.0 */
/* Exceptions of the guest that exit: those of a step, and those that hide the CPU's virtualization. */
#include "core/log.h"
#include "guest/exit.h"
#include "guest/step.h"

/* Whether an exception on the way to an event's handler makes both of them a double fault (APM 2 table 8-3,
 * SDM 3A table 6-5). */
static bool makes_double_fault(unsigned first, unsigned second)
{
    const uint32_t contributory =
        BIT(EXCEPTION_DE) | BIT(EXCEPTION_TS) | BIT(EXCEPTION_NP) | BIT(EXCEPTION_SS) | BIT(EXCEPTION_GP);
    if (first == EXCEPTION_PF)
        return second == EXCEPTION_PF || (contributory >> second & 1);
    return (contributory >> first & 1) && (contributory >> second & 1);
}

/* Hands an exception that was looked at on to the guest. */
static void pass_exception(struct vcpu *vcpu, const struct exception_exit *e)
{
    if (e->vector == EXCEPTION_PF)
        vcpu_set_cr2(vcpu, e->address);
    if (e->during_exception && e->first_vector == EXCEPTION_DF)
        exit_shutdown(vcpu);
    else if (e->during_exception && makes_double_fault(e->first_vector, e->vector))
        vcpu_inject(vcpu, EXCEPTION_DF, 0);
    else
        vcpu_inject(vcpu, e->vector, e->error_code);
}

void exit_exception(struct vcpu *vcpu, const struct exception_exit *e)
{
    if (vcpu->stepping && e->vector == EXCEPTION_DB) {
        exit_step(vcpu);
        return;
    }
    if (!vcpu->stepping && !e->always_exits)
        panic("Exception %u of the guest exits, and nobody asked for it", e->vector);
    if (vcpu->stepping)
        exit_step_fault(vcpu);
    if (e->hides_virtualization) {
        exit_undefined(vcpu);
        return;
    }
    count_exit(vcpu, EXIT_OTHER);
    pass_exception(vcpu, e);
}

/* INVD would throw away what the hypervisor's caches hold; written back, the guest's lines are as gone as it
 * wanted. */
void exit_invd(struct vcpu *vcpu)
{
    static const uint8_t opcode[] = {0x0f, 0x08};
    count_exit(vcpu, EXIT_OTHER);
    __asm__ volatile("wbinvd" : : : "memory");
    skip_known(vcpu, opcode, sizeof opcode);
}
