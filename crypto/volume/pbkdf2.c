/* SPDX-License-Identifier: Apache-2.0 */
/* PBKDF2 with progress. libcrypto's own computes in one call; this is its loop around libcrypto's compression
 * functions, with HMAC's two padded keys absorbed once, so that an iteration costs two compressions and
 * little else. */
#include "crypto/volume/hash.h"
#include "crypto/volume/hash_kind.h"
#include "lib/strings.h"

#define HMAC_INNER        0x36
#define HMAC_OUTER        0x5c
#define CHAIN_BYTES_MAX   64
#define PADDING_FIRST     0x80
#define ITERATIONS_A_STEP 1024 /* between two looks at the progress */

static_assert(offsetof(SHA_CTX, h0) == 0 && offsetof(SHA_CTX, h4) == 16, "chaining words come first");
static_assert(offsetof(SHA256_CTX, h) == 0 && offsetof(SHA512_CTX, h) == 0, "chaining words come first");

/* A keyed HMAC that can be used many times, and the message block of a digest: the digest, then the padding
 * of a message that is one block (the key's) and one digest long. */
struct hmac {
    const struct hash_kind *kind;
    struct hash inner, outer;
    uint8_t block[HASH_BLOCK_MAX] aligned_to(16);
};

static void hmac_key(struct hmac *m, enum luks2_hash hash, const void *secret, size_t bytes)
{
    uint8_t key[HASH_BLOCK_MAX] = {0}, digest[HASH_DIGEST_MAX];
    hash_start(&m->inner, hash);
    hash_start(&m->outer, hash);
    m->kind = m->inner.kind;
    const size_t block_bytes = m->kind->block_bytes;
    if (bytes > block_bytes) {
        struct hash h;
        hash_start(&h, hash);
        hash_add(&h, secret, bytes);
        hash_finish(&h, digest);
        memcpy(key, digest, m->kind->digest_bytes);
    } else if (bytes) {
        memcpy(key, secret, bytes);
    }
    for (size_t i = 0; i < block_bytes; i++)
        key[i] ^= HMAC_INNER;
    hash_add(&m->inner, key, block_bytes);
    for (size_t i = 0; i < block_bytes; i++)
        key[i] ^= HMAC_INNER ^ HMAC_OUTER;
    hash_add(&m->outer, key, block_bytes);

    memset(m->block, 0, sizeof(m->block));
    m->block[m->kind->digest_bytes] = PADDING_FIRST;
    const unsigned message_bits = (unsigned)(block_bytes + m->kind->digest_bytes) * 8;
    m->block[block_bytes - 2] = (uint8_t)(message_bits >> 8);
    m->block[block_bytes - 1] = (uint8_t)message_bits;
    wipe(key, sizeof(key));
    wipe(digest, sizeof(digest));
}

/* The first U of an output block: HMAC(secret, salt || index), into the message block. */
static void hmac_first(struct hmac *m, const struct pbkdf2 *p, uint32_t index)
{
    const uint8_t suffix[4] = {(uint8_t)(index >> 24), (uint8_t)(index >> 16), (uint8_t)(index >> 8),
                               (uint8_t)index};
    uint8_t digest[HASH_DIGEST_MAX];
    struct hash h = m->inner;
    hash_add(&h, p->salt, p->salt_bytes);
    hash_add(&h, suffix, sizeof(suffix));
    hash_finish(&h, digest);
    h = m->outer;
    hash_add(&h, digest, m->kind->digest_bytes);
    hash_finish(&h, digest);
    memcpy(m->block, digest, m->kind->digest_bytes);
    wipe(digest, sizeof(digest));
}

/* The chaining words, big-endian, over the digest in the message block. */
static inline void store_chain(const struct hash_kind *kind, const union hash_state *s, uint8_t *to)
{
    const uint8_t *words = (const uint8_t *)s;
    if (kind->word_bytes == 8) {
        for (unsigned i = 0; i < kind->digest_bytes; i += 8) {
            uint64_t word;
            memcpy(&word, words + i, 8);
            word = __builtin_bswap64(word);
            memcpy(to + i, &word, 8);
        }
        return;
    }
    for (unsigned i = 0; i < kind->digest_bytes; i += 4) {
        uint32_t word;
        memcpy(&word, words + i, 4);
        word = __builtin_bswap32(word);
        memcpy(to + i, &word, 4);
    }
}

/* U(n+1) = HMAC(secret, U(n)) in place, `count` times, each added to sum. */
static void iterate(struct hmac *m, uint64_t count, uint8_t sum[HASH_DIGEST_MAX])
{
    const struct hash_kind *kind = m->kind;
    union hash_state s = m->inner.state;
    for (; count; count--) {
        memcpy(&s, &m->inner.state, CHAIN_BYTES_MAX);
        kind->compress(&s, m->block);
        store_chain(kind, &s, m->block);
        memcpy(&s, &m->outer.state, CHAIN_BYTES_MAX);
        kind->compress(&s, m->block);
        store_chain(kind, &s, m->block);
        for (unsigned i = 0; i < kind->digest_bytes; i += 4) {
            uint32_t a, b;
            memcpy(&a, sum + i, 4);
            memcpy(&b, m->block + i, 4);
            a ^= b;
            memcpy(sum + i, &a, 4);
        }
    }
    wipe(&s, sizeof(s));
}

void pbkdf2(const struct pbkdf2 *p, uint8_t *out, size_t out_bytes)
{
    struct hmac m;
    uint8_t sum[HASH_DIGEST_MAX];
    hmac_key(&m, p->hash, p->secret, p->secret_bytes);
    const size_t digest_bytes = m.kind->digest_bytes;
    const size_t blocks = (out_bytes + digest_bytes - 1) / digest_bytes;
    struct progress_meter meter = {.to = p->progress, .total = p->iterations * blocks};

    for (size_t block = 0; block < blocks; block++) {
        hmac_first(&m, p, (uint32_t)block + 1);
        memcpy(sum, m.block, digest_bytes);
        progress_advance(&meter, 1);
        for (uint64_t left = p->iterations - 1; left;) {
            const uint64_t count = MIN(left, (uint64_t)ITERATIONS_A_STEP);
            iterate(&m, count, sum);
            progress_advance(&meter, count);
            left -= count;
        }
        const size_t at = block * digest_bytes;
        memcpy(out + at, sum, MIN(digest_bytes, out_bytes - at));
    }
    wipe(&m, sizeof(m));
    wipe(sum, sizeof(sum));
}
