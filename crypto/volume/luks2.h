/* SPDX-License-Identifier: Apache-2.0 */
/* A LUKS2 header (LUKS2 On-Disk Format Specification 1.1.x): the binary header in two copies, the JSON area,
 * key slots and digests. Read only. */
#ifndef SHOJI_CRYPTO_LUKS2_H
#define SHOJI_CRYPTO_LUKS2_H

#include "lib/base.h"
#include "lib/guid.h"
#include "lib/json.h"
#include "lib/report.h"

#define LUKS2_HEADER_MAX MIB(4) /* the largest hdr_size of the specification; one copy */
#define LUKS2_FILE_MAX   MIB(32)
#define LUKS2_TOKENS_MAX 4096 /* JSON tokens */
#define LUKS2_SLOTS_MAX  32
#define LUKS2_KEY_MAX    64
#define LUKS2_SALT_MAX   64

enum luks2_kdf { LUKS2_PBKDF2, LUKS2_ARGON2I, LUKS2_ARGON2ID };
enum luks2_hash { LUKS2_SHA1, LUKS2_SHA224, LUKS2_SHA256, LUKS2_SHA384, LUKS2_SHA512 };

struct luks2_slot {
    bool present;
    bool unsupported; /* present, but with a cipher, hash or derivation that this version does not know */
    uint32_t number;
    uint32_t key_bytes;
    enum luks2_kdf kdf;
    enum luks2_hash kdf_hash;         /* PBKDF2 */
    uint64_t iterations;              /* PBKDF2 */
    uint32_t time, memory_kib, lanes; /* argon2 */
    uint8_t salt[LUKS2_SALT_MAX];
    uint32_t salt_bytes;
    uint32_t stripes; /* anti-forensic splitter */
    enum luks2_hash af_hash;
    uint64_t area_offset,
        area_bytes; /* in the header file; encrypted with aes-xts-plain64, 512-byte sectors */
    uint32_t area_key_bytes;
    int32_t priority; /* 0 ignored unless asked for, 1 normal, 2 high */
};

struct luks2_digest {
    enum luks2_hash hash;
    uint64_t iterations;
    uint8_t salt[LUKS2_SALT_MAX], value[64];
    uint32_t salt_bytes, value_bytes;
    uint32_t slots; /* a bit for each key slot that it judges */
};

/* What a valid header says. Refers to nothing outside itself. */
struct luks2 {
    struct guid uuid;
    uint64_t seqid;
    uint64_t segment_offset; /* bytes; 0 for a detached header of Shoji's form */
    uint64_t segment_bytes;  /* 0: dynamic, to the end of the device           */
    uint32_t sector_bytes;   /* encryption sector: 512, 1024, 2048, 4096       */
    uint64_t iv_tweak;       /* added to the sector number, in 512-byte units  */
    uint32_t key_bytes;      /* of the volume key: 32 or 64                    */
    bool secondary_used;     /* the first copy was damaged or older            */
    unsigned slot_count;
    struct luks2_slot slots[LUKS2_SLOTS_MAX];
    struct luks2_digest digest; /* the one that judges the segment's key          */
};

/* Scratch that luks2_read needs; large, so the caller allocates it. */
struct luks2_scratch {
    struct json_token tokens[LUKS2_TOKENS_MAX];
};

/* Reads the header from the whole file. Both copies are checked (magic, version, sizes, SHA-256 checksum,
 * offset); the valid one with the higher seqid wins. False with one sentence for: no valid copy, a truncated
 * file, an unknown requirement (named), a reencryption under way, an unsupported cipher, anything out of
 * bounds. */
bool luks2_read(const void *file, size_t size, struct luks2 *out, struct luks2_scratch *scratch,
                struct report *problem) must_check;

/* Called with done <= total while a slow slot is computed; may be NULL. */
struct luks2_progress {
    void (*step)(void *context, unsigned done, unsigned total);
    void *context;
};

/* Memory for argon2 and the key material; freed memory is wiped by the caller of free where it matters. */
struct luks2_allocator {
    void *(*allocate)(void *context, size_t size);
    void (*release)(void *context, void *memory, size_t size);
    uint64_t (*largest)(void *context); /* bytes that an argon2 slot may use now */
    void *context;
};

struct luks2_bytes {
    const void *data; /* the whole header file: both headers and the key slot areas */
    size_t size;
};

enum luks2_verdict { LUKS2_UNLOCKED, LUKS2_WRONG_PASSPHRASE, LUKS2_SLOT_FAILED };

struct luks2_help {
    struct luks2_progress progress;
    struct luks2_allocator memory;
    struct report *problem;
};

/* Tries the passphrase on every slot that its digest judges (high priority first, then by number) and leaves
 * the volume key in key[0..key_bytes). LUKS2_SLOT_FAILED with a sentence when no slot opened and at least one
 * could not be tried (more argon2 memory than there is, named in MiB with the slot's number). Every
 * intermediate secret is wiped. */
enum luks2_verdict luks2_unlock(const struct luks2 *luks, const struct luks2_bytes *file,
                                const void *passphrase, size_t passphrase_bytes,
                                const struct luks2_help *help, uint8_t key[LUKS2_KEY_MAX]) must_check;

#endif
