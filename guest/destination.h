/* SPDX-License-Identifier: Apache-2.0 */
/* Which CPU an interrupt message or command means (AMD APM 2 sections 16.6 and 16.11). */
#ifndef SHOJI_GUEST_DESTINATION_H
#define SHOJI_GUEST_DESTINATION_H

#include "guest/vcpu.h"

#define DESTINATION_BROADCAST_8 0xffu

/* True when the destination field names this CPU: its APIC ID, or (logical) a bit or cluster of its logical
 * ID. */
bool destination_matches(const struct vcpu *vcpu, uint32_t destination, bool logical);

/* Notes the logical ID that this CPU's APIC has now. */
void destination_note(struct vcpu *vcpu);

#endif
