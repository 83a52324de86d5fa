/* SPDX-License-Identifier: Apache-2.0 */
/* The firmware's memory map, and what of it is RAM. */
#ifndef SHOJI_BOOT_MEMORY_MAP_H
#define SHOJI_BOOT_MEMORY_MAP_H

#include "boot/firmware.h"
#include "include/handoff.h"
#include "lib/report.h"

/* A copy of the map as it was when it was taken. Owned by the caller, given back with memory_map_release. */
struct memory_map {
    uint8_t *bytes;
    size_t size; /* of what was allocated */
    size_t count, step;
};

bool memory_map_take(struct memory_map *map) must_check;
void memory_map_release(struct memory_map *map);
const EFI_MEMORY_DESCRIPTOR *memory_map_at(const struct memory_map *map, size_t index);

/* Fills handoff->ram with what the firmware calls memory of any kind, sorted and joined, less the handoff's
 * own block. False with a sentence when the map is too ragged for the hand-off. */
bool memory_map_fill(struct handoff *handoff, struct report *problem) must_check;

#endif
