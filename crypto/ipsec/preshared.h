/* SPDX-License-Identifier: Apache-2.0 */
/* Authentication by a pre-shared key (RFC 7296 section 2.15). */
#ifndef SHOJI_CRYPTO_IPSEC_PRESHARED_H
#define SHOJI_CRYPTO_IPSEC_PRESHARED_H

#include "crypto/ipsec/credential.h"

#define PRESHARED_MAX 256

/* Owned by the credential or trust that holds it; wiped by it. */
struct preshared {
    uint8_t key[PRESHARED_MAX];
    size_t size;
};

bool preshared_set(struct preshared *to, const uint8_t *key, size_t size, struct report *problem) must_check;

/* AUTH = prf(prf(key, "Key Pad for IKEv2"), octets). out has room for 64 bytes. */
bool preshared_sign(const struct preshared *with, const struct auth_octets *what, uint8_t out[SIGNATURE_MAX],
                    size_t *out_size, struct report *problem) must_check;

/* Does the peer's AUTH data fit? In constant time. */
bool preshared_verify(const struct preshared *with, const struct auth_octets *what, struct bytes_view auth,
                      struct report *problem) must_check;

#endif
