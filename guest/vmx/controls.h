/* SPDX-License-Identifier: Apache-2.0 */
/* VM-execution controls, brought into agreement with what the CPU allows (SDM volume 3D, appendix A.2 to
 * A.5). */
#ifndef SHOJI_GUEST_VMX_CONTROLS_H
#define SHOJI_GUEST_VMX_CONTROLS_H

#include "lib/base.h"

enum control_group {
    CONTROLS_PIN,
    CONTROLS_PROCESSOR,
    CONTROLS_SECONDARY,
    CONTROLS_EXIT,
    CONTROLS_ENTRY,
    CONTROL_GROUPS
};

/* Chooses one group by its capability MSR: bits that must be set are in the lower half, bits that may be set
 * in the upper. False when the CPU lacks a control that Shoji needs, or forces an exit that it cannot have.
 */
bool controls_choose(enum control_group group, uint64_t capability, uint32_t *chosen) must_check;

#endif
