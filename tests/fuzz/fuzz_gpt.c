/* SPDX-License-Identifier: Apache-2.0 */
/* The GPT reader on arbitrary blocks. Input: a byte of choices, a header block, the entry array. What is
 * found lies where the header allows. */
#include <stdlib.h>
#include <string.h>

#include "lib/crc32.h"
#include "lib/gpt.h"

#define BLOCK       512u
#define DISK_BLOCKS 4096u
#define ENTRIES_MAX 16384u

/* Bits of the first byte. */
#define MEND_SUMS BIT(0) /* so that the checks behind the CRCs are reached */
#define AT_BACKUP BIT(1) /* the block is the disk's last */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static uint32_t get32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof(value));
    return value;
}

static void put32(uint8_t *at, uint32_t value)
{
    memcpy(at, &value, sizeof(value));
}

static void mend_sums(uint8_t header[BLOCK], const uint8_t *entries, size_t size)
{
    uint64_t array = (uint64_t)get32(header + 80) * get32(header + 84);
    uint32_t length = get32(header + 12);
    if (array <= size)
        put32(header + 88, crc32_update(0, entries, (size_t)array));
    put32(header + 16, 0);
    put32(header + 16, crc32_update(0, header, MIN(length, BLOCK)));
}

static void check_found(const struct gpt_header *header, const struct guid *wanted,
                        const struct gpt_partition *found)
{
    require(guid_equal(&found->unique, wanted));
    require(found->index < header->entry_count);
    require(found->lba_count > 0 && range_fits(found->first_lba, found->lba_count, DISK_BLOCKS));
    require(found->first_lba >= header->first_usable_lba);
    require(found->first_lba + found->lba_count - 1 <= header->last_usable_lba);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 + BLOCK)
        return 0;
    uint8_t choices = data[0], block[BLOCK];
    size_t entries_size = MIN(size - 1 - BLOCK, (size_t)ENTRIES_MAX);
    uint8_t *entries = malloc(entries_size + 1);
    require(entries);
    memcpy(block, data + 1, BLOCK);
    memcpy(entries, data + 1 + BLOCK, entries_size);
    if (choices & MEND_SUMS)
        mend_sums(block, entries, entries_size);

    struct gpt_header header;
    struct report problem = {""};
    uint64_t lba = choices & AT_BACKUP ? DISK_BLOCKS - 1 : 1;
    if (gpt_read_header(block, BLOCK, lba, DISK_BLOCKS, &header, &problem)) {
        require(problem.text[0] == '\0' && header.this_lba == lba);
        require(header.first_usable_lba <= header.last_usable_lba && header.last_usable_lba < DISK_BLOCKS);
        require(range_fits(header.entries_lba, 1, DISK_BLOCKS));
        struct guid wanted = {{0}};
        struct gpt_partition found;
        if (entries_size >= 32)
            memcpy(&wanted, entries + 16, sizeof(wanted)); /* the first entry's */
        if (gpt_find(&header, entries, entries_size, &wanted, &found, &problem))
            check_found(&header, &wanted, &found);
        else
            require(problem.text[0] != '\0');
    } else {
        require(problem.text[0] != '\0');
    }
    free(entries);
    return 0;
}
