/* SPDX-License-Identifier: Apache-2.0 */
/* Why a VM entry failed: the checks that the CPU makes, made again in software, where they have names (SDM
 * volume 3C, sections 26.2 and 26.3). The CPU itself says only that there was a fault. */
#ifndef SHOJI_GUEST_VMX_ENTRY_CHECK_H
#define SHOJI_GUEST_VMX_ENTRY_CHECK_H

#include "guest/vmx/controls.h"
#include "guest/vmx/vmcs.h"

/* What is to be entered, and what the CPU allows. */
struct entry_state {
    uint64_t (*read)(const void *context, enum vmcs_field field);
    const void *context;
    unsigned physical_bits;
    /* The capability MSRs: bits that must be set, bits that may be set. PE and PG are optional in the guest.
     */
    uint64_t controls[CONTROL_GROUPS]; /* the first in the lower, the second in the upper half */
    uint64_t cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
};

/* The first rule that is broken, in words; NULL when all hold. */
const char *entry_check(const struct entry_state *state);

#endif
