/* SPDX-License-Identifier: Apache-2.0 */
/* How the guest's side brings up the CPU's virtualization; what a running vCPU needs of it is in
 * guest/vcpu.h. */
#ifndef SHOJI_GUEST_BACKEND_H
#define SHOJI_GUEST_BACKEND_H

#include "guest/nested.h"

/* Checks the boot CPU, chooses the defence against trained predictions, and allocates what all CPUs share
 * (permission maps). Returns a core_status. */
uint64_t backend_start(void);

const struct nested_format *backend_nested_format(void);
unsigned backend_physical_bits(void);

/* On the CPU itself: turns virtualization on and describes the firmware's present state as the guest's.
 * Returns a core_status; it fails for want of memory alone, before anything has changed. */
uint64_t backend_prepare(struct vcpu *vcpu);

/* Keeps INITs from taking this CPU away, where it can, leaves the firmware's environment for the host's and
 * enters the guest. */
no_return void backend_run(struct vcpu *vcpu);

#endif
