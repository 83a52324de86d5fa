/* SPDX-License-Identifier: Apache-2.0 */
/* Key exchange: X25519 (RFC 8031), ECP groups (RFC 5903) and MODP groups (RFC 3526), with the checks of RFC
 * 6989. */
#ifndef SHOJI_CRYPTO_IPSEC_KEY_EXCHANGE_H
#define SHOJI_CRYPTO_IPSEC_KEY_EXCHANGE_H

#include "crypto/ipsec/suite.h"

/* Holds a private key; ke_free wipes it. */
struct key_exchange {
    const struct algorithm *group; /* NULL: none */
    struct evp_pkey_st *secret;    /* libcrypto's */
    uint8_t public_value[KE_PUBLIC_MAX];
};

bool ke_start(struct key_exchange *ke, const struct algorithm *group) must_check;
/* The shared secret, group->shared_bytes long. False when the peer's value is not one of the group. */
bool ke_finish(const struct key_exchange *ke, const uint8_t *peer, size_t size,
               uint8_t shared[KE_SHARED_MAX]) must_check;
void ke_free(struct key_exchange *ke);

#endif
