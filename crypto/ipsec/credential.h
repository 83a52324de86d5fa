/* SPDX-License-Identifier: Apache-2.0 */
/* Who we are and how the gateway is judged (RFC 7296 section 2.15, RFC 7427): pre-shared key, or X.509 with a
 * private key behind a function, so that it can be one that a smartcard unwrapped. */
#ifndef SHOJI_CRYPTO_IPSEC_CREDENTIAL_H
#define SHOJI_CRYPTO_IPSEC_CREDENTIAL_H

#include "crypto/ipsec/address.h"
#include "lib/report.h"

#define IDENTITY_MAX     256
#define CERTIFICATE_MAX  4096
#define CERTIFICATES_MAX 8   /* in one message, the peer's chain */
#define SIGNATURE_MAX    640 /* RSA-4096 and its algorithm identifier */
#define SIGNATURE_HASHES 3

/* RFC 7296 section 3.5 */
enum identity_kind { ID_IPV4 = 1, ID_FQDN = 2, ID_EMAIL = 3, ID_IPV6 = 5, ID_DER_DN = 9, ID_KEY = 11 };
struct identity {
    uint8_t kind;
    uint16_t size;
    uint8_t bytes[IDENTITY_MAX];
};
/* "vpn.example.com", "user@example.com", an address, "CN=gw, O=Example" (a distinguished name), "keyid:hex".
 */
bool identity_parse(const char *text, size_t length, struct identity *out, struct report *problem) must_check;
/* Of any kind and bytes; false when there are too many. */
bool identity_set(struct identity *id, uint8_t kind, const void *bytes, size_t size) must_check;
#define IDENTITY_TEXT_MAX 160 /* in a sentence, with its NUL; a longer one is cut off */
void identity_format(const struct identity *id, char out[IDENTITY_TEXT_MAX]);

struct bytes_view {
    const uint8_t *data;
    size_t size;
};

/* SIGNATURE_HASH_ALGORITHMS values (RFC 7427 section 7) */
enum signature_hash { HASH_SHA2_256 = 2, HASH_SHA2_384 = 3, HASH_SHA2_512 = 4 };

/* How both ends prove themselves, as the policy says: by a pre-shared key, or by certificates. */
struct credential;

struct credential *credential_psk(const uint8_t *psk, size_t size, struct report *problem) must_check;
/* PEM or DER: our certificates (leaf first) and the leaf's key; the authorities that vouch for the gateway,
 * and their CRLs (may be empty). */
struct credential_files {
    struct bytes_view chain, private_key, authorities, crls;
    bool crl_required;
};
struct credential *credential_certificates(const struct credential_files *files,
                                           struct report *problem) must_check;
void credential_free(struct credential *credential); /* wipes */

/* Our certificates for CERT payloads, leaf first. 0 with a PSK. */
unsigned credential_chain(const struct credential *credential, struct bytes_view out[CERTIFICATES_MAX]);
/* SHA-1 hashes of the trusted authorities' public keys, concatenated, for CERTREQ (RFC 7296 section 3.7).
 * Returns the size, 0 with a PSK. */
size_t credential_request(const struct credential *credential, uint8_t *out, size_t capacity);

/* What one end proves to know or to have the key for. With a PSK, `prf_digest` names the PRF's hash. */
struct auth_octets {
    struct bytes_view octets;
    const char *prf_digest;
};
/* An AUTH payload. */
struct auth_data {
    uint8_t method;
    size_t size;
    uint8_t bytes[SIGNATURE_MAX];
};
/* Makes our AUTH payload. With a key, RFC 7427 when the peer announced hashes (peer_hashes: bit n set for
 * signature_hash n), else the old methods (RSA PKCS#1 SHA-1 is refused with a sentence; ECDSA 9 to 11). */
bool credential_sign(const struct credential *credential, const struct auth_octets *what,
                     uint32_t peer_hashes, struct auth_data *out, struct report *problem) must_check;

struct peer_claim {
    const struct identity *id;                        /* what its IDr says */
    const struct identity *expected;                  /* what the policy expects */
    struct bytes_view certificates[CERTIFICATES_MAX]; /* CERT payloads, leaf first */
    unsigned certificate_count;
    uint8_t method;
    struct bytes_view auth; /* the AUTH payload's data */
    uint64_t now;           /* seconds since 1970 */
};
/* Is the gateway who it should be? False with a sentence: "the gateway's certificate expired on 2026-01-01",
 * "... was revoked", "... is for other.example.com, not vpn.example.com", "the CRL of CN=... expired on ...".
 * Constant time where a secret is compared. */
bool credential_verify(const struct credential *credential, const struct auth_octets *what,
                       const struct peer_claim *claim, struct report *problem) must_check;

#endif
