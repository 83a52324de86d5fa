/* SPDX-License-Identifier: Apache-2.0 */
/* X.501 distinguished names: "CN=gateway, O=Example" and their DER form. */
#ifndef SHOJI_CRYPTO_IPSEC_DISTINGUISHED_NAME_H
#define SHOJI_CRYPTO_IPSEC_DISTINGUISHED_NAME_H

#include "crypto/ipsec/credential.h"

struct X509_name_st;

/* A comma or an equals sign inside a value stands behind a backslash. */
bool distinguished_name_parse(const char *text, size_t length, struct identity *out,
                              struct report *problem) must_check;

/* The name in words, printable ASCII, cut off where the room ends. */
void distinguished_name_format(const uint8_t *der, size_t size, char *out, size_t capacity);
void distinguished_name_words(const struct X509_name_st *name, char *out, size_t capacity);

/* By RFC 5280 section 7.1: neither case, white space nor the kind of string counts. False when one of the two
 * is no name. */
bool distinguished_name_equal(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size);

#endif
