/* SPDX-License-Identifier: Apache-2.0 */
/* One guest instruction runs natively while a page that is otherwise absent is mapped for this CPU; then the
 * page goes away again. Nothing is decoded, so nearly any instruction will do: one that pushes or pops RFLAGS
 * on such a page would see the step's. */
#ifndef SHOJI_GUEST_STEP_H
#define SHOJI_GUEST_STEP_H

#include "guest/vcpu.h"

/* Shows `target` at `page` for the next instruction. Several pages add up. False when it cannot be done (too
 * many pages, or an event is under way). */
bool step_over_page(struct vcpu *vcpu, uint64_t page, uint64_t target) must_check;

/* Lets the IRET that the CPU stands at complete, to know when NMIs are open again. */
void step_over_iret(struct vcpu *vcpu);

/* Ends a step, if one is under way, whose instruction has not completed: it faulted, or will run anew. */
void step_abandon(struct vcpu *vcpu);

#endif
