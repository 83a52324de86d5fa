/* SPDX-License-Identifier: Apache-2.0 */
/* The ciphers of the encrypted payload over a message in place: [front][IV][text][ICV]. */
#ifndef SHOJI_CRYPTO_IPSEC_SK_CIPHER_H
#define SHOJI_CRYPTO_IPSEC_SK_CIPHER_H

#include "crypto/ipsec/protect.h"

/* `front`: bytes before the IV, authenticated; `text`: bytes of plaintext with padding. */
bool sk_encrypt(const struct sk_keys *keys, uint8_t *message, size_t front, size_t text) must_check;
/* False when the ICV is wrong; the text is then not to be used. */
bool sk_decrypt(const struct sk_keys *keys, uint8_t *message, size_t front, size_t text) must_check;

#endif
