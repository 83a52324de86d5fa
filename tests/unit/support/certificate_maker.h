/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates and CRLs made on the spot, also wrong ones. */
#ifndef SHOJI_TESTS_CERTIFICATE_MAKER_H
#define SHOJI_TESTS_CERTIFICATE_MAKER_H

#include "crypto/ipsec/credential.h"
#include <openssl/x509v3.h>

#define MADE_YEAR (365 * 86400)
/* 2026-06-01 00:00 UTC: the tests' clock. */
#define MADE_NOW 1780272000

struct made {
    EVP_PKEY *key;
    X509 *x;
    uint8_t der[CERTIFICATE_MAX + 512];
    size_t size;
    uint8_t key_der[4096];
    size_t key_size;
};

/* What is zero takes the usual: an ECDSA P-256 key, signed with SHA-256 by itself, valid a year before and
 * after MADE_NOW. */
struct recipe {
    const char *name; /* commonName; O=Example stands behind it */
    const struct made *issuer;
    EVP_PKEY *key;
    bool authority;
    const char *dns, *email;
    const uint8_t *ip;
    size_t ip_size;
    const char *digest;
    int64_t from, until;
    uint32_t key_usage; /* KU_*; 0: the extension is absent */
    int extended_usage; /* NID; 0: the extension is absent  */
    bool long_comment;  /* makes it larger than CERTIFICATE_MAX */
    bool key_id;
};

EVP_PKEY *make_ec_key(const char *curve);
EVP_PKEY *make_rsa_key(size_t bits);

/* Both abort the test when libcrypto refuses. */
void make_certificate(const struct recipe *recipe, struct made *out);
void made_free(struct made *made);
struct bytes_view made_view(const struct made *made);
struct bytes_view made_key_view(const struct made *made);

/* A CRL in DER, revoking one certificate or none; the caller frees it. until 0: without nextUpdate. */
struct bytes_view make_crl_with(const struct made *issuer, const struct made *revoked, int64_t from,
                                int64_t until, const char *digest);
struct bytes_view make_crl(const struct made *issuer, const struct made *revoked, int64_t from,
                           int64_t until);

/* DER as PEM; the caller frees it. */
struct bytes_view make_pem(const char *label, struct bytes_view der);

#endif
