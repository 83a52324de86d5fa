/* SPDX-License-Identifier: Apache-2.0 */
/* The algorithms that Shoji's IPsec speaks (RFC 8221, RFC 8247): one const table, used by IKE and ESP alike.
 * What does not stand in it cannot be negotiated: SHA-1, 3DES, groups below 2048 bits and truncated ICVs of
 * the AEADs. */
#ifndef SHOJI_CRYPTO_IPSEC_SUITE_H
#define SHOJI_CRYPTO_IPSEC_SUITE_H

#include "lib/base.h"

#define CIPHER_KEY_MAX    36 /* AES-256 and its 4-byte salt */
#define INTEGRITY_KEY_MAX 64
#define PRF_BYTES_MAX     64
#define KE_PUBLIC_MAX     384 /* group 15 */
#define KE_SHARED_MAX     384

/* The kinds, by their numbers (RFC 7296 section 3.3.2). */
enum transform_type {
    TRANSFORM_ENCRYPTION = 1,
    TRANSFORM_PRF = 2,
    TRANSFORM_INTEGRITY = 3,
    TRANSFORM_KE = 4,
    TRANSFORM_ESN = 5,
    TRANSFORM_TYPES
};

struct algorithm {
    uint8_t type;
    uint16_t id, key_bits; /* key_bits is the Key Length attribute, 0 where there is none */
    const char *name;      /* as in the policy and in sentences: "aes256gcm16", "modp2048" */
    uint16_t key_bytes; /* of a cipher without its salt, of an integrity algorithm, of a PRF (and output) */
    uint8_t salt_bytes, iv_bytes, block_bytes;
    uint8_t icv_bytes;                        /* of a cipher, 0: it needs an integrity algorithm beside it */
    const struct evp_cipher_st *(*evp)(void); /* libcrypto's */
    const char *digest;                       /* libcrypto's name */
    uint16_t public_bytes, shared_bytes;      /* of a group */
    const char *key_type, *key_group;         /* libcrypto's names for them */
};

/* By IANA number, and by name; NULL: not spoken. */
const struct algorithm *algorithm_find(enum transform_type type, uint16_t id, uint16_t key_bits);
const struct algorithm *algorithm_named(const char *name, size_t length);

/* Of one direction of a CHILD SA or an IKE SA. */
struct child_keys {
    uint8_t cipher[CIPHER_KEY_MAX]; /* key, then salt (RFC 4106 section 8.1, RFC 7634 section 2) */
    uint8_t integrity[INTEGRITY_KEY_MAX];
};

#endif
