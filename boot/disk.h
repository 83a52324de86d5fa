/* SPDX-License-Identifier: Apache-2.0 */
/* Where a volume lies: its disk, its range, and the controller that must be mediated. */
#ifndef SHOJI_BOOT_DISK_H
#define SHOJI_BOOT_DISK_H

#include "boot/files.h"
#include "include/handoff.h"
#include "lib/policy.h"

/* Looks on every whole disk for the policy's partition, checks the pinned range, and fills all of the volume
 * but name, UUID and key. `controller`: the handle whose drivers have to let go. False with a sentence when
 * it is not found, has moved, or cannot be mediated. */
bool disk_find(const struct policy_volume *policy, const struct esp *esp, EFI_HANDLE *controller,
               struct handoff_volume *out, struct report *problem) must_check;

#endif
