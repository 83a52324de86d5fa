/* SPDX-License-Identifier: Apache-2.0 */
/* A partition of a disk, found by its GUID in the disk's own GPT, which the loader reads itself. */
#ifndef SHOJI_BOOT_PARTITION_H
#define SHOJI_BOOT_PARTITION_H

#include "boot/firmware.h"
#include "include/handoff.h"
#include "lib/gpt.h"

enum partition_search {
    PARTITION_FOUND,
    PARTITION_NO_TABLE, /* the disk has no GPT that can be read; no sentence */
    PARTITION_BAD,      /* not in the table, or not usable; with a sentence  */
};

/* Looks in the primary table, or in the backup where the primary is damaged. Fills first_lba, lba_count,
 * block_bytes and gpt[] of the volume. A copy of the table that is damaged or says something else is left
 * zero in gpt[]. */
enum partition_search partition_find(EFI_BLOCK_IO_PROTOCOL *disk, const struct guid *unique,
                                     struct handoff_volume *out, struct report *problem) must_check;

#endif
