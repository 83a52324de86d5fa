/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures in AUTH payloads: RFC 7427's, which name their algorithm, and ECDSA's of RFC 4754. */
#ifndef SHOJI_CRYPTO_IPSEC_SIGNATURE_H
#define SHOJI_CRYPTO_IPSEC_SIGNATURE_H

#include "crypto/ipsec/credential.h"

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

struct evp_pkey_st;

/* Our own key: a function, so that it may be software's or a device's. sign gives RSA's bytes, or ECDSA's as
 * DER; out has SIGNATURE_MAX bytes. release wipes and frees the context. */
struct private_key {
    enum key_kind kind;
    uint16_t bits; /* ECDSA: of the curve */
    void *context;
    bool (*sign)(void *context, const struct signature_scheme *scheme, const uint8_t *octets, size_t size,
                 uint8_t out[SIGNATURE_MAX], size_t *out_size);
    void (*release)(void *context);
};

/* A key in software, from PKCS #8, PKCS #1 or SEC 1 (PEM or DER). */
bool private_key_load(struct bytes_view file, struct private_key *out, struct report *problem) must_check;
/* Is this the key of that public key? Only asked of keys that private_key_load made. */
bool private_key_fits(const struct private_key *key, const struct evp_pkey_st *public_key);

/* Makes AUTH data; see credential_sign. */
bool signature_make(const struct private_key *key, struct bytes_view octets, uint32_t peer_hashes,
                    uint8_t *method, uint8_t out[SIGNATURE_MAX], size_t *out_size,
                    struct report *problem) must_check;

/* Is `auth` the signature of the octets by that key? */
bool signature_verify(struct evp_pkey_st *key, uint8_t method, struct bytes_view auth,
                      struct bytes_view octets, struct report *problem) must_check;

/* libcrypto's name of a hash of enum signature_hash. */
const char *signature_digest(enum signature_hash hash);

#endif
