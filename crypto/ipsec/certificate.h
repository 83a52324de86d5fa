/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway's certificate judged: chain, validity, revocation, key usage and name (RFC 4945, RFC 5280). */
#ifndef SHOJI_CRYPTO_IPSEC_CERTIFICATE_H
#define SHOJI_CRYPTO_IPSEC_CERTIFICATE_H

#include "crypto/ipsec/identity.h"

struct x509_st;
struct x509_store_st;
struct X509_name_st;
struct asn1_string_st;

#define DATE_TEXT_MAX 16

/* One certificate, the whole of the view; NULL when it is none or too large. The caller frees it. */
struct x509_st *certificate_read(struct bytes_view der) must_check;

/* Does a chain lead from the certificate to an authority of the store, with nothing expired or revoked in it
 * and no weak key or hash? `others` stand between them, in any order. */
struct certificate_question {
    struct x509_store_st *store;
    struct x509_st *leaf;
    struct x509_st *others[CERTIFICATES_MAX];
    unsigned other_count;
    bool crl_required; /* of each certificate's issuer; else a CRL is heeded where there is one */
    uint64_t now;      /* seconds since 1970 */
};
bool certificate_chain_holds(const struct certificate_question *question, struct report *problem) must_check;

/* May the key sign for a gateway (RFC 4945 section 5.1.3)? */
bool certificate_usable(struct x509_st *leaf, struct report *problem) must_check;

/* Does it hold this identity: a subjectAltName, the subject, the subject's key identifier? */
bool certificate_holds(struct x509_st *leaf, const struct identity *id);
/* The names that it does hold, for a sentence. */
void certificate_names(struct x509_st *leaf, char *out, size_t capacity);

/* "2026-01-31" (UTC). */
void certificate_date(const struct asn1_string_st *time, char out[DATE_TEXT_MAX]);

#endif
