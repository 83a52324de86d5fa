/* SPDX-License-Identifier: Apache-2.0 */
/* The binary header of LUKS2: finds both copies, checks them, and takes the newer one that is whole. */
#include "crypto/volume/luks2.h"
#include "crypto/volume/hash.h"
#include "crypto/volume/metadata.h"
#include "lib/reader.h"
#include "lib/strings.h"

#define HEADER_BYTES_MIN KIB(16)
#define BINARY_BYTES     4096 /* the binary header; the JSON area follows */
#define MAGIC_BYTES      6
#define LUKS1_VERSION    1
#define LUKS2_VERSION    2
#define CHECKSUM_BYTES   64 /* of the field; SHA-256 fills the first 32 */
#define UUID_FIELD_BYTES 40

/* On disk, all numbers big-endian; read field by field in read_binary. */
struct binary_layout {
    uint8_t magic[MAGIC_BYTES];
    uint8_t version[2];
    uint8_t header_size[8];
    uint8_t sequence[8];
    uint8_t label[48];
    uint8_t checksum_algorithm[32];
    uint8_t salt[64];
    uint8_t uuid[UUID_FIELD_BYTES];
    uint8_t subsystem[48];
    uint8_t header_offset[8];
    uint8_t padding[184];
    uint8_t checksum[CHECKSUM_BYTES];
    uint8_t padding_to_end[7 * 512];
};
static_assert(sizeof(struct binary_layout) == BINARY_BYTES, "LUKS2 specification, binary header");
static_assert(offsetof(struct binary_layout, header_offset) == 256, "LUKS2 specification, binary header");
static_assert(offsetof(struct binary_layout, checksum) == 448, "LUKS2 specification, binary header");

enum copy_state {
    COPY_ABSENT,      /* no magic there              */
    COPY_OLD_VERSION, /* LUKS1                       */
    COPY_DAMAGED,     /* magic, but fields or checksum are wrong */
    COPY_CUT,         /* the file ends before the copy does */
    COPY_VALID,
};

struct copy {
    enum copy_state state;
    uint64_t at, header_bytes, sequence;
    struct guid uuid;
};

static const uint8_t magic_primary[MAGIC_BYTES] = {'L', 'U', 'K', 'S', 0xba, 0xbe};
static const uint8_t magic_secondary[MAGIC_BYTES] = {'S', 'K', 'U', 'L', 0xba, 0xbe};

static bool header_size_allowed(uint64_t bytes)
{
    return bytes >= HEADER_BYTES_MIN && bytes <= LUKS2_HEADER_MAX && (bytes & (bytes - 1)) == 0;
}

static bool checksum_right(const uint8_t *header, uint64_t bytes)
{
    static const uint8_t zeroes[CHECKSUM_BYTES];
    const size_t before = offsetof(struct binary_layout, checksum), after = before + CHECKSUM_BYTES;
    uint8_t digest[HASH_DIGEST_MAX];
    struct hash h;
    hash_start(&h, LUKS2_SHA256);
    hash_add(&h, header, before);
    hash_add(&h, zeroes, sizeof(zeroes));
    hash_add(&h, header + after, bytes - after);
    hash_finish(&h, digest);
    return memcmp(digest, header + before, hash_digest_bytes(LUKS2_SHA256)) == 0;
}

static bool read_uuid(const uint8_t *field, struct guid *out)
{
    const uint8_t *end = memchr(field, 0, UUID_FIELD_BYTES);
    return end && guid_parse((const char *)field, (size_t)(end - field), out);
}

/* Reads the fields after the magic. */
static enum copy_state read_binary(const uint8_t *file, size_t size, struct copy *copy)
{
    static const char algorithm[sizeof(((struct binary_layout *)0)->checksum_algorithm)] = "sha256";
    struct reader r = reader_of(file + copy->at, BINARY_BYTES);
    reader_seek(&r, offsetof(struct binary_layout, version));
    uint64_t version = reader_be(&r, 2);
    copy->header_bytes = reader_be(&r, 8);
    copy->sequence = reader_be(&r, 8);
    reader_seek(&r, offsetof(struct binary_layout, checksum_algorithm));
    const uint8_t *checksum_algorithm = reader_bytes(&r, sizeof(algorithm));
    reader_seek(&r, offsetof(struct binary_layout, uuid));
    const uint8_t *uuid = reader_bytes(&r, UUID_FIELD_BYTES);
    reader_seek(&r, offsetof(struct binary_layout, header_offset));
    uint64_t offset = reader_be(&r, 8);
    if (r.failed)
        return COPY_DAMAGED;
    if (version == LUKS1_VERSION)
        return COPY_OLD_VERSION;
    if (version != LUKS2_VERSION || !header_size_allowed(copy->header_bytes) || offset != copy->at)
        return COPY_DAMAGED;
    if (copy->at != 0 && copy->at != copy->header_bytes)
        return COPY_DAMAGED;
    if (!range_fits(copy->at, copy->header_bytes, size))
        return COPY_CUT;
    if (strncmp((const char *)checksum_algorithm, algorithm, sizeof(algorithm)) != 0 ||
        !checksum_right(file + copy->at, copy->header_bytes) || !read_uuid(uuid, &copy->uuid))
        return COPY_DAMAGED;
    return COPY_VALID;
}

static struct copy read_copy(const struct luks2_bytes *file, uint64_t at, const uint8_t magic[MAGIC_BYTES])
{
    struct copy copy = {.state = COPY_ABSENT, .at = at};
    if (!range_fits(at, BINARY_BYTES, file->size) ||
        memcmp((const uint8_t *)file->data + at, magic, MAGIC_BYTES) != 0)
        return copy;
    copy.state = read_binary(file->data, file->size, &copy);
    return copy;
}

/* The second copy follows the first one; where that is cannot be known when the first is damaged, so every
 * allowed size is tried. */
static struct copy find_secondary(const struct luks2_bytes *file, const struct copy *primary)
{
    if (primary->state == COPY_VALID)
        return read_copy(file, primary->header_bytes, magic_secondary);
    struct copy best = {.state = COPY_ABSENT};
    for (uint64_t at = HEADER_BYTES_MIN; at <= LUKS2_HEADER_MAX; at *= 2) {
        struct copy found = read_copy(file, at, magic_secondary);
        if (found.state == COPY_VALID)
            return found;
        if (found.state > best.state)
            best = found;
    }
    return best;
}

static bool no_copy(const struct luks2_bytes *file, const struct copy *primary, const struct copy *secondary,
                    struct report *problem)
{
    if (primary->state == COPY_OLD_VERSION)
        return report(problem,
                      "The header is of LUKS version 1; make it LUKS2 with cryptsetup convert --type luks2.");
    if (file->size < BINARY_BYTES || primary->state == COPY_CUT)
        return report(problem,
                      "The LUKS2 header is cut short (%llu bytes are there); restore it from a backup, "
                      "with cryptsetup luksHeaderRestore.",
                      (unsigned long long)file->size);
    if (primary->state == COPY_ABSENT && secondary->state == COPY_ABSENT)
        return report(
            problem,
            "There is no LUKS2 header in it; name the right file, or restore the header from a backup.");
    return report(problem, "Both copies of the LUKS2 header are damaged; restore the header from a backup, "
                           "with cryptsetup luksHeaderRestore.");
}

bool luks2_read(const void *file, size_t size, struct luks2 *out, struct luks2_scratch *scratch,
                struct report *problem)
{
    const struct luks2_bytes bytes = {file, size};
    *out = (struct luks2){0};
    struct copy primary = read_copy(&bytes, 0, magic_primary);
    struct copy secondary = find_secondary(&bytes, &primary);
    if (primary.state != COPY_VALID && secondary.state != COPY_VALID)
        return no_copy(&bytes, &primary, &secondary, problem);

    out->secondary_used = primary.state != COPY_VALID ||
                          (secondary.state == COPY_VALID && secondary.sequence > primary.sequence);
    const struct copy *copy = out->secondary_used ? &secondary : &primary;
    out->uuid = copy->uuid;
    out->seqid = copy->sequence;
    struct metadata metadata = {
        .header_bytes = copy->header_bytes,
        .file_bytes = size,
        .out = out,
        .problem = problem,
    };
    const char *json_area = (const char *)file + copy->at + BINARY_BYTES;
    return metadata_read(&metadata, json_area, copy->header_bytes - BINARY_BYTES, scratch);
}
