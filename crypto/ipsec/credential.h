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
#define IDENTITY_TEXT_MAX 160 /* in a sentence, with its NUL; a longer one is cut off */
void identity_format(const struct identity *id, char out[IDENTITY_TEXT_MAX]);

struct bytes_view {
    const uint8_t *data;
    size_t size;
};

/* SIGNATURE_HASH_ALGORITHMS values (RFC 7427 section 7) */
enum signature_hash { HASH_SHA2_256 = 2, HASH_SHA2_384 = 3, HASH_SHA2_512 = 4 };

struct credential; /* our own: PSK or certificate chain and key; made by credential_load_* */

/* The three ways to judge the gateway, chosen by the policy. Certificates and CRLs are PEM or DER. `names`:
 * what stands in sentences. */
struct credential *credential_psk(const uint8_t *psk, size_t size, struct report *problem) must_check;
struct credential *credential_certificate(struct bytes_view chain, struct bytes_view private_key,
                                          struct report *problem) must_check;
void credential_free(struct credential *credential); /* wipes */

/* Our certificates for CERT payloads, leaf first. 0 with a PSK. */
unsigned credential_chain(const struct credential *credential, struct bytes_view out[CERTIFICATES_MAX]);

/* Makes the AUTH payload's method and data over the signed octets. With a PSK, `prf_digest` names the PRF's
 * hash. With a key, RFC 7427 when the peer announced hashes (peer_hashes: bit n set for signature_hash n),
 * else the old methods (RSA PKCS#1 SHA-1 is refused with a sentence; ECDSA 9, 10). */
struct auth_octets {
    const uint8_t *octets;
    size_t size;
    const char *prf_digest;
};
bool credential_sign(struct credential *credential, const struct auth_octets *what, uint32_t peer_hashes,
                     uint8_t *method, uint8_t out[SIGNATURE_MAX], size_t *out_size,
                     struct report *problem) must_check;

/* What the gateway is judged by. */
struct trust; /* CA certificates and CRLs, or the PSK */
struct trust *trust_psk(const uint8_t *psk, size_t size, struct report *problem) must_check;
struct trust *trust_certificates(struct bytes_view authorities, struct bytes_view crls, bool crl_required,
                                 struct report *problem) must_check;
void trust_free(struct trust *trust);
/* SHA-1 hashes of the trusted authorities' public keys, concatenated, for CERTREQ (RFC 7296 section 3.7).
 * Returns the size. */
size_t trust_request(const struct trust *trust, uint8_t *out, size_t capacity);

struct peer_claim {
    const struct identity *id;       /* what its IDr says       */
    const struct identity *expected; /* what the policy expects; NULL: the gateway's name as an FQDN or
                                        address, given by the caller */
    struct bytes_view certificates[CERTIFICATES_MAX]; /* CERT payloads, leaf first */
    unsigned certificate_count;
    uint8_t method;
    struct bytes_view auth; /* the AUTH payload's data */
    uint64_t now;           /* seconds since 1970 */
};
/* Is the gateway who it should be? False with a sentence: "the gateway's certificate expired on 2026-01-01",
 * "... was revoked", "... is for other.example.com, not vpn.example.com", "the CRL of CN=... expired on ...".
 * Constant time where a secret is compared. */
bool trust_verify(struct trust *trust, const struct auth_octets *what, const struct peer_claim *claim,
                  struct report *problem) must_check;

#endif
