/* SPDX-License-Identifier: Apache-2.0 */
/* The GUID partition table (UEFI 2.10 section 5.3): every field is checked before it is used, since the disk
 * is the guest's to write. */
#include "lib/gpt.h"
#include "lib/crc32.h"
#include "lib/reader.h"
#include "lib/strings.h"

#define SIGNATURE         0x5452415020494645ull /* "EFI PART" */
#define REVISION          0x00010000u
#define HEADER_BYTES_MIN  92u
#define HEADER_CRC_OFFSET 16u
#define ENTRY_BYTES_MIN   128u
#define BLOCK_BYTES_MIN   512u

#define MEND "; mend the partition table (gdisk's commands r and w, say) or restore it from a backup."

/* The CRC over the header with its own field taken as zero. */
static uint32_t header_crc(const uint8_t *block, uint32_t header_bytes)
{
    static const uint8_t zero[sizeof(uint32_t)];
    const uint32_t after = HEADER_CRC_OFFSET + sizeof(zero);
    uint32_t crc = crc32_update(0, block, HEADER_CRC_OFFSET);
    crc = crc32_update(crc, zero, sizeof(zero));
    return crc32_update(crc, block + after, header_bytes - after);
}

static struct guid read_guid(struct reader *r)
{
    struct guid guid = {{0}};
    const uint8_t *bytes = reader_bytes(r, sizeof(guid));
    if (bytes)
        memcpy(&guid, bytes, sizeof(guid));
    return guid;
}

/* The fixed part up to the fields that gpt_header holds. False when signature, revision, size or CRC are
 * wrong. */
static bool read_checked(const void *block, size_t size, struct gpt_header *out)
{
    struct reader r = reader_of(block, size);
    uint64_t signature = reader_le64(&r);
    uint32_t revision = reader_le32(&r), bytes = reader_le32(&r), crc = reader_le32(&r);
    if (r.failed || signature != SIGNATURE || revision != REVISION || bytes < HEADER_BYTES_MIN ||
        bytes > size)
        return false;
    if (header_crc(block, bytes) != crc)
        return false;
    (void)reader_le32(&r); /* reserved */
    out->this_lba = reader_le64(&r);
    out->backup_lba = reader_le64(&r);
    out->first_usable_lba = reader_le64(&r);
    out->last_usable_lba = reader_le64(&r);
    out->disk = read_guid(&r);
    out->entries_lba = reader_le64(&r);
    out->entry_count = reader_le32(&r);
    out->entry_bytes = reader_le32(&r);
    out->entries_crc32 = reader_le32(&r);
    return !r.failed;
}

/* True when both copies, the entries and the usable blocks lie on the disk, apart from one another. */
static bool layout_is_good(const struct gpt_header *h, size_t block_bytes, uint64_t disk_blocks)
{
    uint32_t bytes = h->entry_bytes;
    if (h->entry_count == 0 || h->entry_count > GPT_ENTRIES_MAX || bytes < ENTRY_BYTES_MIN ||
        bytes > GPT_ENTRY_BYTES_MAX || (bytes & (bytes - 1)) != 0)
        return false;
    if (h->backup_lba == 0 || h->backup_lba >= disk_blocks || h->backup_lba == h->this_lba)
        return false;
    if (h->first_usable_lba < 2 || h->first_usable_lba > h->last_usable_lba ||
        h->last_usable_lba >= disk_blocks)
        return false;
    uint64_t usable = h->last_usable_lba - h->first_usable_lba + 1;
    uint64_t array = ((uint64_t)h->entry_count * bytes + block_bytes - 1) / block_bytes;
    if (h->entries_lba < 2 || !range_fits(h->entries_lba, array, disk_blocks))
        return false;
    return !ranges_overlap(h->entries_lba, array, h->first_usable_lba, usable) &&
           !ranges_overlap(h->entries_lba, array, h->this_lba, 1) &&
           !ranges_overlap(h->first_usable_lba, usable, h->this_lba, 1);
}

bool gpt_read_header(const void *block, size_t size, uint64_t lba, uint64_t disk_blocks,
                     struct gpt_header *out, struct report *problem)
{
    *out = (struct gpt_header){0};
    if (size < BLOCK_BYTES_MIN || !read_checked(block, size, out))
        return report(problem, "The disk's block %llu holds no valid GPT header" MEND,
                      (unsigned long long)lba);
    if (out->this_lba != lba)
        return report(problem,
                      "The GPT header in the disk's block %llu says that it belongs in block %llu" MEND,
                      (unsigned long long)lba, (unsigned long long)out->this_lba);
    if (lba == 0 || lba >= disk_blocks || !layout_is_good(out, size, disk_blocks))
        return report(problem, "The GPT header in the disk's block %llu describes an impossible layout" MEND,
                      (unsigned long long)lba);
    return true;
}

/* An entry as it lies in the array. False when it is not in use (a nil type). */
static bool read_entry(const struct gpt_header *header, const void *entries, uint32_t index,
                       struct gpt_partition *out, uint64_t *last_lba)
{
    static const struct guid unused;
    struct reader r =
        reader_of((const uint8_t *)entries + (size_t)index * header->entry_bytes, header->entry_bytes);
    *out = (struct gpt_partition){.index = index};
    out->type = read_guid(&r);
    out->unique = read_guid(&r);
    out->first_lba = reader_le64(&r);
    *last_lba = reader_le64(&r);
    out->attributes = reader_le64(&r);
    if (*last_lba >= out->first_lba && *last_lba - out->first_lba < UINT64_MAX)
        out->lba_count = *last_lba - out->first_lba + 1;
    return !guid_equal(&out->type, &unused);
}

/* True when no other entry in use claims a block of this one. */
static bool stands_alone(const struct gpt_header *header, const void *entries, const struct gpt_partition *it)
{
    uint64_t it_last = it->first_lba + it->lba_count - 1;
    for (uint32_t i = 0; i < header->entry_count; i++) {
        struct gpt_partition other;
        uint64_t last;
        if (i != it->index && read_entry(header, entries, i, &other, &last) && other.first_lba <= it_last &&
            last >= it->first_lba)
            return false;
    }
    return true;
}

bool gpt_find(const struct gpt_header *header, const void *entries, size_t size, const struct guid *unique,
              struct gpt_partition *out, struct report *problem)
{
    char name[GUID_TEXT_SIZE];
    guid_text(unique, name);
    *out = (struct gpt_partition){0};

    uint64_t array = (uint64_t)header->entry_count * header->entry_bytes;
    if (header->entry_bytes < ENTRY_BYTES_MIN || array > size ||
        crc32_update(0, entries, (size_t)array) != header->entries_crc32)
        return report(problem, "The disk's partition entries are damaged (their CRC is wrong)" MEND);

    unsigned found = 0;
    for (uint32_t i = 0; i < header->entry_count; i++) {
        struct gpt_partition entry;
        uint64_t last;
        if (read_entry(header, entries, i, &entry, &last) && guid_equal(&entry.unique, unique)) {
            *out = entry;
            found++;
        }
    }
    if (found == 0)
        return report(
            problem, "No partition of the disk has the PARTUUID %s; correct \"match\" in policy.conf.", name);
    if (found > 1)
        return report(
            problem,
            "More than one partition of the disk has the PARTUUID %s; give each its own (sgdisk -u).", name);
    if (out->lba_count == 0 || out->first_lba < header->first_usable_lba ||
        out->first_lba + out->lba_count - 1 > header->last_usable_lba)
        return report(problem, "The partition %s is empty or reaches beyond the disk's usable blocks" MEND,
                      name);
    if (!stands_alone(header, entries, out))
        return report(problem, "The partition %s overlaps another" MEND, name);
    return true;
}
