/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway's certificate judged: chain, validity, revocation, key usage and name (RFC 4945, RFC 5280). */
#ifndef SHOJI_CRYPTO_IPSEC_CERTIFICATE_H
#define SHOJI_CRYPTO_IPSEC_CERTIFICATE_H

#include "crypto/ipsec/identity.h"

/* One certificate, the whole of the view; NULL when it is none or too large. The caller frees it. */
X509 *certificate_read(struct bytes_view der) must_check;

/* Does a chain lead from the first of `sent` to an authority of the store, with nothing expired or revoked in
 * it and no weak key or hash? The others stand between them, in any order. A CRL is required of each
 * certificate's issuer, or heeded where there is one. `now`: seconds since 1970. */
bool certificate_chain_holds(X509_STORE *store, STACK_OF(X509) * sent, bool crl_required, uint64_t now,
                             struct report *problem) must_check;

/* May the key sign for a gateway (RFC 4945 section 5.1.3)? */
bool certificate_usable(X509 *leaf, struct report *problem) must_check;

/* Does it hold this identity: a subjectAltName, the subject, the subject's key identifier? The names that it
 * does hold are for a sentence. */
bool certificate_holds(X509 *leaf, const struct identity *id, char names[IDENTITY_TEXT_MAX]);

#endif
