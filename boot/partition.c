/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the GPT through EFI_BLOCK_IO_PROTOCOL. */
#include "boot/partition.h"

#include "boot/heap.h"
#include "lib/crc32.h"

#define PRIMARY_LBA 1

/* One copy of the table. `entries` is from heap_pages. */
struct table {
    struct gpt_header header;
    void *entries;
    size_t room; /* bytes at entries, whole blocks */
};

static void table_release(struct table *table)
{
    heap_pages_release(NULL, table->entries, table->room);
    *table = (struct table){0};
}

/* Reads whole blocks into new pages, which any device can reach with its alignment. NULL when that fails. */
static void *read_blocks(EFI_BLOCK_IO_PROTOCOL *disk, uint64_t lba, size_t bytes)
{
    void *blocks = heap_pages(NULL, bytes);
    if (blocks && EFI_ERROR(disk->ReadBlocks(disk, disk->Media->MediaId, lba, bytes, blocks))) {
        heap_pages_release(NULL, blocks, bytes);
        return NULL;
    }
    return blocks;
}

/* Reads one copy. False when it is damaged or absent. */
static bool table_read(EFI_BLOCK_IO_PROTOCOL *disk, uint64_t lba, struct table *out)
{
    const uint32_t block_bytes = disk->Media->BlockSize;
    struct report quiet = {""}; /* a disk without a table is no fault */
    *out = (struct table){0};
    void *block = read_blocks(disk, lba, block_bytes);
    if (!block)
        return false;
    bool good = gpt_read_header(block, block_bytes, lba, disk->Media->LastBlock + 1, &out->header, &quiet);
    heap_pages_release(NULL, block, block_bytes);
    if (!good)
        return false;

    size_t bytes = (size_t)out->header.entry_count * out->header.entry_bytes;
    out->room = ROUND_UP(bytes, block_bytes);
    out->entries = read_blocks(disk, out->header.entries_lba, out->room);
    if (!out->entries)
        return false;
    if (crc32_update(0, out->entries, bytes) == out->header.entries_crc32)
        return true;
    table_release(out);
    return false;
}

/* Fills gpt[copy] when this copy of the table agrees about the partition. */
static void pin_copy(const struct table *table, const struct guid *unique, struct handoff_volume *volume,
                     unsigned copy)
{
    struct gpt_partition found;
    struct report quiet = {""};
    if (!table->entries || !gpt_find(&table->header, table->entries, table->room, unique, &found, &quiet) ||
        found.first_lba != volume->first_lba || found.lba_count != volume->lba_count)
        return;
    volume->gpt[copy].header_lba = table->header.this_lba;
    volume->gpt[copy].entries_lba = table->header.entries_lba;
    volume->gpt[copy].entry_index = found.index;
    volume->gpt[copy].entry_bytes = table->header.entry_bytes;
    volume->gpt[copy].entry_count = table->header.entry_count;
}

enum partition_search partition_find(EFI_BLOCK_IO_PROTOCOL *disk, const struct guid *unique,
                                     struct handoff_volume *out, struct report *problem)
{
    struct table primary, backup;
    bool primary_good = table_read(disk, PRIMARY_LBA, &primary);
    uint64_t backup_lba = primary_good ? primary.header.backup_lba : disk->Media->LastBlock;
    bool backup_good = table_read(disk, backup_lba, &backup);
    const struct table *judge = primary_good ? &primary : &backup;

    enum partition_search result = PARTITION_NO_TABLE;
    struct gpt_partition found;
    if (primary_good || backup_good) {
        result = PARTITION_BAD;
        if (gpt_find(&judge->header, judge->entries, judge->room, unique, &found, problem)) {
            result = PARTITION_FOUND;
            out->first_lba = found.first_lba;
            out->lba_count = found.lba_count;
            out->block_bytes = disk->Media->BlockSize;
            pin_copy(&primary, unique, out, 0);
            pin_copy(&backup, unique, out, 1);
        }
    }
    table_release(&primary);
    table_release(&backup);
    return result;
}
