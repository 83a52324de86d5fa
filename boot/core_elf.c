/* SPDX-License-Identifier: Apache-2.0 */
/* The part of ELF64 (System V gABI, chapters 4 and 5) that a static executable needs. */
#include "boot/core_elf.h"

#include "include/handoff.h"
#include "lib/reader.h"
#include "lib/strings.h"

#define ELF_IDENT_BYTES     16
#define ELF_TYPE_EXECUTABLE 2
#define ELF_MACHINE_X86_64  62
#define ELF_HEADER_BYTES    64
#define ELF_SEGMENT_BYTES   56
#define ELF_SEGMENTS_MAX    32
#define SEGMENT_LOAD        1u
#define SEGMENT_EXECUTE     BIT(0)

/* 64-bit, little-endian, ELF version 1. */
static const uint8_t ident[] = {0x7f, 'E', 'L', 'F', 2, 1, 1};

struct segment {
    uint32_t type, flags;
    uint64_t offset, address, file_bytes, memory_bytes;
};

struct elf_header {
    uint16_t type, machine, segment_bytes, segment_count;
    uint64_t entry, segments_at;
};

static bool read_header(const void *image, size_t size, struct elf_header *out)
{
    struct reader r = reader_of(image, size);
    const uint8_t *found = reader_bytes(&r, ELF_IDENT_BYTES);
    if (!found || memcmp(found, ident, sizeof(ident)) != 0)
        return false;
    out->type = reader_le16(&r);
    out->machine = reader_le16(&r);
    (void)reader_le32(&r); /* version */
    out->entry = reader_le64(&r);
    out->segments_at = reader_le64(&r);
    (void)reader_bytes(&r, 8 + 4 + 2); /* section headers, flags, size of this header */
    out->segment_bytes = reader_le16(&r);
    out->segment_count = reader_le16(&r);
    return !r.failed && out->type == ELF_TYPE_EXECUTABLE && out->machine == ELF_MACHINE_X86_64 &&
           out->segment_bytes == ELF_SEGMENT_BYTES && out->segment_count <= ELF_SEGMENTS_MAX;
}

static bool read_segment(const void *image, size_t size, uint64_t at, struct segment *out)
{
    struct reader r = reader_of(image, size);
    reader_seek(&r, at);
    out->type = reader_le32(&r);
    out->flags = reader_le32(&r);
    out->offset = reader_le64(&r);
    out->address = reader_le64(&r);
    (void)reader_le64(&r); /* physical address: the block decides */
    out->file_bytes = reader_le64(&r);
    out->memory_bytes = reader_le64(&r);
    return !r.failed;
}

/* Copies one segment. False when it lies outside the file or the block. */
static bool load_segment(const struct segment *s, const void *image, size_t size, void *block,
                         size_t capacity)
{
    if (s->address < CORE_VIRTUAL_BASE || s->file_bytes > s->memory_bytes ||
        !range_fits(s->offset, s->file_bytes, size) ||
        !range_fits(s->address - CORE_VIRTUAL_BASE, s->memory_bytes, capacity))
        return false;
    memcpy((uint8_t *)block + (s->address - CORE_VIRTUAL_BASE), (const uint8_t *)image + s->offset,
           s->file_bytes);
    return true;
}

bool core_elf_load(const void *image, size_t size, void *block, size_t capacity, struct core_layout *out,
                   struct report *problem)
{
    struct elf_header header;
    bool good = read_header(image, size, &header);
    bool entry_is_code = false;
    uint64_t end = 0;
    for (unsigned i = 0; good && i < header.segment_count; i++) {
        struct segment s;
        /* segments_at may be anything, but not so large that the sum wraps. */
        good = header.segments_at <= size &&
               read_segment(image, size, header.segments_at + (uint64_t)i * ELF_SEGMENT_BYTES, &s);
        if (!good || s.type != SEGMENT_LOAD || !s.memory_bytes)
            continue;
        good = load_segment(&s, image, size, block, capacity);
        if (!good)
            break;
        end = MAX(end, s.address - CORE_VIRTUAL_BASE + s.memory_bytes);
        if (s.flags & SEGMENT_EXECUTE && header.entry >= s.address && header.entry - s.address < s.file_bytes)
            entry_is_code = true;
    }
    if (!good || !entry_is_code)
        return report(problem, "The hypervisor's image inside shoji.efi is damaged; install Shoji again.");
    *out = (struct core_layout){.image_bytes = ROUND_UP(end, PAGE_SIZE), .entry = header.entry};
    return true;
}
