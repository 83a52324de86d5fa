/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of credentials: what their files share. */
#ifndef SHOJI_CRYPTO_IPSEC_CREDENTIAL_PARTS_H
#define SHOJI_CRYPTO_IPSEC_CREDENTIAL_PARTS_H

#include "crypto/ipsec/credential.h"
#include <openssl/x509v3.h>

/* ---- identity.c: identities compared: what the policy expects, what the gateway says, what its certificate
 * holds ---- */

/* Names without regard to case, distinguished names by RFC 5280 section 7.1, everything else byte by byte. */
bool identity_equal(const struct identity *a, const struct identity *b);

/* A distinguished name in words, printable ASCII, cut off where the room ends. NULL: a malformed one. */
void name_format(const X509_NAME *name, char out[IDENTITY_TEXT_MAX]);

/* ---- trust.c, certificate_chain.c: the gateway's certificate (RFC 4945, RFC 5280) ---- */

/* One certificate, the whole of the view; NULL when it is none or too large. The caller frees it. */
X509 *certificate_read(struct bytes_view der) must_check;

/* Does a chain lead from the first of `sent` to an authority of the store, with nothing expired or revoked in
 * it and no weak key or hash? The others stand between them, in any order. A CRL is required of each
 * certificate's issuer, or heeded where there is one. `now`: seconds since 1970. */
bool certificate_chain_holds(X509_STORE *store, STACK_OF(X509) * sent, bool crl_required, uint64_t now,
                             struct report *problem) must_check;

/* ---- signature.c: AUTH data: RFC 7427's, which name their algorithm, and ECDSA's of RFC 4754 ---- */

/* RFC 7296 section 3.8, RFC 4754, RFC 7427 */
enum auth_method {
    AUTH_RSA_SHA1 = 1,
    AUTH_PRESHARED = 2,
    AUTH_ECDSA_256 = 9,
    AUTH_ECDSA_384 = 10,
    AUTH_ECDSA_521 = 11,
    AUTH_SIGNATURE = 14
};

enum key_kind { KEY_RSA = EVP_PKEY_RSA, KEY_ECDSA = EVP_PKEY_EC };

/* How the octets become a signature. */
struct signature_scheme {
    enum key_kind key;
    bool pss; /* with as much salt as the hash has; else PKCS #1 version 1.5 */
    enum signature_hash hash;
};

#define RAW_SIGNATURE_MAX 512 /* RSA-4096 */

/* Our own key: a function, so that it may be software's or a device's. sign gives RSA's bytes, or ECDSA's as
 * DER. release wipes and frees the context. */
struct private_key {
    enum key_kind kind;
    uint16_t bits; /* ECDSA: of the curve */
    void *context;
    bool (*sign)(void *context, const struct signature_scheme *scheme, struct bytes_view octets,
                 uint8_t out[RAW_SIGNATURE_MAX], size_t *out_size);
    void (*release)(void *context);
};

/* Makes AUTH data; see credential_sign. */
bool signature_make(const struct private_key *key, struct bytes_view octets, uint32_t peer_hashes,
                    struct auth_data *out, struct report *problem) must_check;

/* Is `auth` the signature of the octets by that key? */
bool signature_verify(EVP_PKEY *key, uint8_t method, struct bytes_view auth, struct bytes_view octets,
                      struct report *problem) must_check;

/* The AlgorithmIdentifiers of RFC 7427 appendix A; the whole of `der`. False with a sentence for what is none
 * of SHA-2's. */
bool signature_algorithm_read(struct bytes_view der, struct signature_scheme *out,
                              struct report *problem) must_check;

/* A key in software, from the DER of PKCS #8, PKCS #1 or SEC 1; its context is libcrypto's EVP_PKEY. `out` is
 * zero before; one that is not has a key already. */
bool private_key_read(struct bytes_view der, struct private_key *out, struct report *problem) must_check;

/* ---- credential.c ---- */

#define PRESHARED_MAX 256

struct credential {
    uint8_t preshared[PRESHARED_MAX];
    size_t preshared_size; /* 0: by certificate */
    struct private_key key;
    unsigned count;
    struct {
        size_t size;
        uint8_t der[CERTIFICATE_MAX];
    } chain[CERTIFICATES_MAX];
    X509_STORE *store; /* authorities and CRLs, and how many were read so far */
    unsigned authorities, crls;
    bool crl_required;
};

/* AUTH by the pre-shared key, of either end (RFC 7296 section 2.15). */
bool preshared_make(const struct credential *with, const struct auth_octets *what, struct auth_data *out,
                    struct report *problem) must_check;

#endif
