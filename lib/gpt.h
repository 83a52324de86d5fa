/* SPDX-License-Identifier: Apache-2.0 */
/* The GUID partition table (UEFI 2.10 section 5.3), read and checked; never written. */
#ifndef SHOJI_LIB_GPT_H
#define SHOJI_LIB_GPT_H

#include "lib/base.h"
#include "lib/guid.h"
#include "lib/report.h"

#define GPT_ENTRY_BYTES_MAX 4096
#define GPT_ENTRIES_MAX     1024

struct gpt_header {
    uint64_t this_lba, backup_lba, first_usable_lba, last_usable_lba;
    struct guid disk;
    uint64_t entries_lba;
    uint32_t entry_count, entry_bytes, entries_crc32;
};

struct gpt_partition {
    struct guid type, unique;
    uint64_t first_lba, lba_count;
    uint64_t attributes;
    uint32_t index; /* of its entry in the table */
};

/* Checks signature, revision, size, CRC, own LBA and bounds of the header block that was read from `lba`: LBA
 * 1, or the disk's last (or where LBA 1 says) for the backup. `size` is the disk's logical block, all of
 * which was read. False with a sentence that names the block. */
bool gpt_read_header(const void *block, size_t size, uint64_t lba, uint64_t disk_blocks,
                     struct gpt_header *out, struct report *problem) must_check;

/* Checks the entry array's CRC (`entries` holds at least entry_count * entry_bytes) and finds the partition
 * with this unique GUID. False with a sentence when the array is damaged, the partition is absent or appears
 * twice, is empty, out of bounds, or overlaps another. */
bool gpt_find(const struct gpt_header *header, const void *entries, size_t size, const struct guid *unique,
              struct gpt_partition *out, struct report *problem) must_check;

#endif
