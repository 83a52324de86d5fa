/* SPDX-License-Identifier: Apache-2.0 */
/* INIT and start-up IPIs, emulated: a CPU that the guest restarts stays in the hypervisor's hands. */
#ifndef SHOJI_GUEST_STARTUP_H
#define SHOJI_GUEST_STARTUP_H

#include "guest/vcpu.h"

/* An interrupt command that the guest wrote. `destination` is the ICR's destination field (8 bits on xAPIC,
 * 32 on x2APIC). INIT, start-up and NMI commands are done in software. Returns true when it was done here;
 * any other command the caller gives to the APIC. */
bool startup_command(struct vcpu *vcpu, uint32_t command, uint32_t destination);

/* Puts this CPU into its INIT state, where it waits for a start-up IPI: as a guest, or in the hypervisor
 * where such an IPI does not exit. */
void startup_take_init(struct vcpu *vcpu);

#endif
