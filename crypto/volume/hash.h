/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-1 and SHA-2 of libcrypto's low level, and HMAC and PBKDF2 over them. Links no EVP: a few KiB of
 * assembly. */
#ifndef SHOJI_CRYPTO_HASH_H
#define SHOJI_CRYPTO_HASH_H

#include "crypto/volume/luks2.h"

#ifndef OPENSSL_SUPPRESS_DEPRECATED
#define OPENSSL_SUPPRESS_DEPRECATED    /* the low level is deprecated for applications; there is no other    \
                                          without EVP */
#endif
#include <openssl/sha.h>

#define HASH_DIGEST_MAX 64
#define HASH_BLOCK_MAX  128

/* libcrypto's own contexts; each begins with its chaining words. Holds secrets when what is hashed is secret.
 */
union hash_state {
    SHA_CTX sha1;
    SHA256_CTX sha256; /* and SHA-224 */
    SHA512_CTX sha512; /* and SHA-384 */
};

struct hash {
    const struct hash_kind *kind;
    union hash_state state;
};

/* The hash of this name ("sha256") as LUKS2 spells it; the name need not end in NUL. False when it is not
 * known. */
bool hash_by_name(const char *name, size_t length, enum luks2_hash *out) must_check;
uint32_t hash_digest_bytes(enum luks2_hash hash);

void hash_start(struct hash *h, enum luks2_hash hash);
void hash_add(struct hash *h, const void *data, size_t bytes);
void hash_finish(struct hash *h, uint8_t out[HASH_DIGEST_MAX]); /* wipes h */

/* Counts steps of a long computation and tells the user's function each time a whole percent is done. */
struct progress_meter {
    const struct luks2_progress *to; /* NULL: nobody asks */
    uint64_t done, total;
    unsigned shown;
};
#define PROGRESS_TOTAL 100
void progress_advance(struct progress_meter *meter, uint64_t steps);

struct pbkdf2 {
    enum luks2_hash hash;
    const void *secret;
    size_t secret_bytes;
    const void *salt;
    size_t salt_bytes;
    uint64_t iterations; /* at least 1 */
    const struct luks2_progress *progress;
};

/* PBKDF2 with HMAC (RFC 8018 section 5.2). Leaves nothing secret behind but out. */
void pbkdf2(const struct pbkdf2 *p, uint8_t *out, size_t out_bytes);

#endif
