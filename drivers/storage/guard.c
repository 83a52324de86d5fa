/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps a pinned partition where it is: the fields of both GPT headers that lead to its entry, and the
 * entry's first and last block (UEFI 2.10 section 5.3). */
#include "drivers/storage/guard.h"

#include "lib/strings.h"

#define GPT_SIGNATURE       "EFI PART"
#define GPT_SIGNATURE_BYTES 8
#define GPT_HEADER_ENTRIES  72 /* PartitionEntryLBA, NumberOfPartitionEntries, SizeOfPartitionEntry */
#define GPT_ENTRY_RANGE     32 /* StartingLBA, EndingLBA */
#define GPT_ENTRY_MIN_BYTES 128

static void put_le(uint8_t *to, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        to[i] = (uint8_t)(value >> (8 * i));
}

static struct guard_field *field_add(struct guard *guard, uint64_t offset, uint32_t length)
{
    struct guard_field *field = &guard->fields[guard->count++];
    field->offset = offset;
    field->length = length;
    return field;
}

bool guard_set(struct guard *guard, const struct handoff_volume *volume)
{
    memset(guard, 0, sizeof(*guard));
    for (unsigned copy = 0; copy < ARRAY_COUNT(volume->gpt); copy++) {
        uint64_t header = 0, entries = 0, entry = 0;
        if (!volume->gpt[copy].header_lba)
            continue; /* this copy is not pinned */
        if (__builtin_mul_overflow(volume->gpt[copy].header_lba, (uint64_t)volume->block_bytes, &header) ||
            __builtin_mul_overflow(volume->gpt[copy].entries_lba, (uint64_t)volume->block_bytes, &entries))
            return false;
        uint64_t skip = (uint64_t)volume->gpt[copy].entry_index * volume->gpt[copy].entry_bytes;
        if (volume->gpt[copy].entry_bytes < GPT_ENTRY_MIN_BYTES ||
            __builtin_add_overflow(entries, skip, &entry) ||
            !range_fits(entry, volume->gpt[copy].entry_bytes, UINT64_MAX) ||
            !range_fits(header, volume->block_bytes, UINT64_MAX))
            return false;

        memcpy(field_add(guard, header, GPT_SIGNATURE_BYTES)->expect, GPT_SIGNATURE, GPT_SIGNATURE_BYTES);
        uint8_t *where = field_add(guard, header + GPT_HEADER_ENTRIES, 16)->expect;
        put_le(where, volume->gpt[copy].entries_lba, 8);
        put_le(where + 8, volume->gpt[copy].entry_count, 4);
        put_le(where + 12, volume->gpt[copy].entry_bytes, 4);
        uint8_t *range = field_add(guard, entry + GPT_ENTRY_RANGE, 16)->expect;
        put_le(range, volume->first_lba, 8);
        put_le(range + 8, volume->first_lba + volume->lba_count - 1, 8);
    }
    return true;
}

bool guard_touches(const struct guard *guard, uint64_t offset, uint64_t length)
{
    for (unsigned i = 0; i < guard->count; i++)
        if (ranges_overlap(guard->fields[i].offset, guard->fields[i].length, offset, length))
            return true;
    return false;
}

bool guard_allows(const struct guard *guard, uint64_t offset, const void *bytes, size_t length)
{
    for (unsigned i = 0; i < guard->count; i++) {
        const struct guard_field *field = &guard->fields[i];
        uint64_t first = MAX(field->offset, offset);
        uint64_t end = MIN(field->offset + field->length, offset + length);
        if (first < end && memcmp((const uint8_t *)bytes + (first - offset),
                                  field->expect + (first - field->offset), end - first))
            return false;
    }
    return true;
}
