/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures in AUTH payloads: RFC 7427's, which name their algorithm, and ECDSA's of RFC 4754. */
#ifndef SHOJI_CRYPTO_IPSEC_SIGNATURE_H
#define SHOJI_CRYPTO_IPSEC_SIGNATURE_H

#include "crypto/ipsec/credential.h"
#include <openssl/evp.h>

/* RFC 7296 section 3.8, RFC 4754, RFC 7427 */
enum auth_method {
    AUTH_RSA_SHA1 = 1,
    AUTH_PRESHARED = 2,
    AUTH_ECDSA_256 = 9,
    AUTH_ECDSA_384 = 10,
    AUTH_ECDSA_521 = 11,
    AUTH_SIGNATURE = 14
};

enum key_kind { KEY_RSA, KEY_ECDSA };

/* How the octets become a signature. */
struct signature_scheme {
    enum key_kind key;
    bool pss; /* else PKCS #1 version 1.5 */
    enum signature_hash hash;
    uint8_t salt_bytes; /* PSS */
};

#define RAW_SIGNATURE_MAX 512 /* RSA-4096 */

/* Our own key: a function, so that it may be software's or a device's. sign gives RSA's bytes, or ECDSA's as
 * DER. release wipes and frees the context. */
struct private_key {
    enum key_kind kind;
    uint16_t bits; /* ECDSA: of the curve */
    void *context;
    bool (*sign)(void *context, const struct signature_scheme *scheme, const uint8_t *octets, size_t size,
                 uint8_t out[RAW_SIGNATURE_MAX], size_t *out_size);
    void (*release)(void *context);
};

/* A key in software, from PKCS #8, PKCS #1 or SEC 1 (PEM or DER). */
bool private_key_load(struct bytes_view file, struct private_key *out, struct report *problem) must_check;
/* Is this the key of that public key? Only asked of keys that private_key_load made. */
bool private_key_fits(const struct private_key *key, const EVP_PKEY *public_key);
/* Is it the signature of the octets by that key? */
bool public_key_check(EVP_PKEY *key, const struct signature_scheme *scheme, struct bytes_view signature,
                      struct bytes_view octets) must_check;

/* Makes AUTH data; see credential_sign. */
bool signature_make(const struct private_key *key, struct bytes_view octets, uint32_t peer_hashes,
                    uint8_t *method, uint8_t out[SIGNATURE_MAX], size_t *out_size,
                    struct report *problem) must_check;

/* Is `auth` the signature of the octets by that key? */
bool signature_verify(EVP_PKEY *key, uint8_t method, struct bytes_view auth, struct bytes_view octets,
                      struct report *problem) must_check;

/* The AlgorithmIdentifiers of RFC 7427 appendix A: what our key signs with, and its name in DER. */
struct bytes_view signature_algorithm_make(const struct private_key *key, enum signature_hash hash,
                                           struct signature_scheme *scheme);
/* A peer's; the whole of `der`. False with a sentence for what is none of SHA-2's. */
bool signature_algorithm_read(struct bytes_view der, struct signature_scheme *out,
                              struct report *problem) must_check;

#endif
