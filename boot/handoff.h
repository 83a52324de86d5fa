/* SPDX-License-Identifier: Apache-2.0 */
/* Fills the hand-off to the core. */
#ifndef SHOJI_BOOT_HANDOFF_H
#define SHOJI_BOOT_HANDOFF_H

#include "boot/volume.h"
#include "include/handoff.h"

/* Completes what block_load began: CPUs, RAM, ACPI, screen, and the volumes with their keys. False with a
 * sentence. */
bool handoff_fill(struct handoff *handoff, const struct policy *policy, const struct volume *volumes,
                  uint32_t cpu_count, struct report *problem) must_check;

#endif
