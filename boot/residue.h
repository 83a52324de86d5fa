/* SPDX-License-Identifier: Apache-2.0 */
/* What the firmware remembers of a passphrase: its keyboard drivers keep the keys in ring buffers, which
 * later become the guest's memory. */
#ifndef SHOJI_BOOT_RESIDUE_H
#define SHOJI_BOOT_RESIDUE_H

#include "lib/base.h"

/* Overwrites every copy of these keys, in the order in which they were typed, that lies in the firmware's own
 * data: as text of 8 or 16 bits and in the key structures of UEFI. A best effort: a ring buffer that wrapped
 * amid the keys holds them in two parts and is not found. Fewer keys than six are left alone, since they
 * could be anything. */
void residue_wipe(const uint16_t *keys, size_t count);

#endif
