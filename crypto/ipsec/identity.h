/* SPDX-License-Identifier: Apache-2.0 */
/* Identities compared: what the policy expects, what the gateway says, what its certificate holds. */
#ifndef SHOJI_CRYPTO_IPSEC_IDENTITY_H
#define SHOJI_CRYPTO_IPSEC_IDENTITY_H

#include "crypto/ipsec/credential.h"
#include <openssl/x509.h>

/* Names without regard to case, distinguished names by RFC 5280 section 7.1, everything else byte by byte. */
bool identity_equal(const struct identity *a, const struct identity *b);

/* A distinguished name in words, printable ASCII, cut off where the room ends. NULL: a malformed one. */
void name_format(const X509_NAME *name, char out[IDENTITY_TEXT_MAX]);
/* Is this what the identity says? Neither case, white space nor the kind of string counts. */
bool name_is(const X509_NAME *name, const struct identity *id);

#endif
