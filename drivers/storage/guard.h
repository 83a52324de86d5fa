/* SPDX-License-Identifier: Apache-2.0 */
/* The pinned fields of the partition table: bytes of a disk that no write may change. */
#ifndef SHOJI_DRIVERS_STORAGE_GUARD_H
#define SHOJI_DRIVERS_STORAGE_GUARD_H

#include "include/handoff.h"
#include "lib/base.h"

#define GUARD_FIELD_MAX         16
#define GUARD_FIELDS_PER_VOLUME 6

/* One field: where it lies on the disk, in bytes, and what it must hold. Written once at start. */
struct guard_field {
    uint64_t offset;
    uint32_t length;
    uint8_t expect[GUARD_FIELD_MAX];
};

struct guard {
    struct guard_field fields[GUARD_FIELDS_PER_VOLUME];
    unsigned count;
};

/* Derives the fields from the volume's pinned partition-table positions. False when a position overflows. */
bool guard_set(struct guard *guard, const struct handoff_volume *volume) must_check;

/* True when a byte range of the disk shares a byte with a field. */
bool guard_touches(const struct guard *guard, uint64_t offset, uint64_t length);

/* True when the bytes, to be written at this offset of the disk, leave every field as it is. */
bool guard_allows(const struct guard *guard, uint64_t offset, const void *bytes, size_t length);

#endif
