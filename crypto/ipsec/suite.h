/* SPDX-License-Identifier: Apache-2.0 */
/* The algorithms that Shoji's IPsec speaks (RFC 8221, RFC 8247): one const table a kind, used by IKE and ESP
 * alike. What stands in no table cannot be negotiated: SHA-1, 3DES, groups below 2048 bits and truncated ICVs
 * of the AEADs. */
#ifndef SHOJI_CRYPTO_IPSEC_SUITE_H
#define SHOJI_CRYPTO_IPSEC_SUITE_H

#include "lib/base.h"

#define CIPHER_KEY_MAX    36 /* AES-256 and its 4-byte salt */
#define INTEGRITY_KEY_MAX 64
#define PRF_BYTES_MAX     64
#define KE_PUBLIC_MAX     384 /* group 15 */
#define KE_SHARED_MAX     384

enum transform_type {
    TRANSFORM_ENCRYPTION = 1,
    TRANSFORM_PRF = 2,
    TRANSFORM_INTEGRITY = 3,
    TRANSFORM_KE = 4,
    TRANSFORM_ESN = 5
};

/* Encryption: AES-GCM-16 (20), ChaCha20-Poly1305 (28), AES-CBC (12). */
struct cipher {
    uint16_t id, key_bits; /* key_bits is the Key Length attribute, 0 where there is none (ChaCha20) */
    uint8_t key_bytes;     /* without the salt */
    uint8_t salt_bytes, iv_bytes, icv_bytes, block_bytes; /* icv_bytes 0: needs an integrity algorithm */
    const char *name; /* as in the policy and in sentences: "aes256gcm16" */
};

struct integrity {
    uint16_t id;
    uint8_t key_bytes, icv_bytes;
    const char *name, *digest; /* digest: libcrypto's name */
};

struct prf {
    uint16_t id;
    uint8_t bytes; /* key and output size */
    const char *name, *digest;
};

struct ke_group {
    uint16_t id;
    uint16_t public_bytes, shared_bytes;
    const char *name; /* "x25519", "ecp256", "ecp384", "modp2048", "modp3072" */
};

/* By IANA number; NULL: not spoken. */
const struct cipher *cipher_find(uint16_t id, uint16_t key_bits);
const struct integrity *integrity_find(uint16_t id);
const struct prf *prf_find(uint16_t id);
const struct ke_group *ke_group_find(uint16_t id);

/* libcrypto's EVP_CIPHER, for IKE and ESP. */
const struct evp_cipher_st *cipher_evp(const struct cipher *cipher);

/* What the policy names. "aes256gcm16-x25519" style words are parsed by proposal.c. */
const struct cipher *cipher_named(const char *name, size_t length);
const struct integrity *integrity_named(const char *name, size_t length);
const struct prf *prf_named(const char *name, size_t length);
const struct ke_group *ke_group_named(const char *name, size_t length);

#endif
