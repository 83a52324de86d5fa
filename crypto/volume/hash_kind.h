/* SPDX-License-Identifier: Apache-2.0 */
/* One hash as hash.c and pbkdf2.c see it: sizes and libcrypto's functions. */
#ifndef SHOJI_CRYPTO_HASH_KIND_H
#define SHOJI_CRYPTO_HASH_KIND_H

#include "crypto/volume/hash.h"

struct hash_kind {
    const char *name;
    uint8_t digest_bytes, block_bytes;
    uint8_t word_bytes; /* of the chaining words and, twice, of the length that ends a padded message */
    void (*start)(union hash_state *s);
    void (*add)(union hash_state *s, const void *data, size_t bytes);
    void (*finish)(union hash_state *s, uint8_t *out);
    /* One block into the chaining words; the context's length and buffer stay as they are. */
    void (*compress)(union hash_state *s, const uint8_t *block);
};

#endif
