/* SPDX-License-Identifier: Apache-2.0 */
/* Identities compared: what the policy expects, what the gateway says, what its certificate holds. */
#ifndef SHOJI_CRYPTO_IPSEC_IDENTITY_H
#define SHOJI_CRYPTO_IPSEC_IDENTITY_H

#include "crypto/ipsec/credential.h"

#define IDENTITY_TEXT_MAX 160 /* in a sentence, with its NUL; a longer one is cut off */

/* Names without regard to case, distinguished names by RFC 5280 section 7.1, everything else byte by byte. */
bool identity_equal(const struct identity *a, const struct identity *b);

/* ASCII letters alone have cases. */
bool text_equal_any_case(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size);

#endif
