/* SPDX-License-Identifier: Apache-2.0 */
/* Non-maskable interrupts: completions of mediated devices, wishes of other CPUs, and the guest's own. */
#ifndef SHOJI_GUEST_NMI_H
#define SHOJI_GUEST_NMI_H

#include "guest/vcpu.h"

/* Delivers an NMI to the guest as soon as it takes one. */
void nmi_deliver(struct vcpu *vcpu);

/* The guest's NMI handler has returned. */
void nmi_unblocked(struct vcpu *vcpu);

/* Takes the completions that are aimed at this CPU; returns how many. */
unsigned nmi_sweep(struct vcpu *vcpu);

/* Takes what other CPUs asked of this one; false when nothing was asked. */
bool requests_take(struct vcpu *vcpu);

/* The last thing before the guest is entered: takes what is still asked, and marks the CPU as in the guest. A
 * request that comes later finds it so, and its NMI brings the CPU back. */
void requests_settle(struct vcpu *vcpu);

#endif
