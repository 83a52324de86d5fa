/* SPDX-License-Identifier: Apache-2.0 */
/* The PRF and all key derivation of IKEv2 (RFC 7296 sections 2.13 to 2.18). */
#ifndef SHOJI_CRYPTO_IPSEC_KEYS_H
#define SHOJI_CRYPTO_IPSEC_KEYS_H

#include "crypto/ipsec/proposal.h"

/* The keys of one IKE SA; "i" is who began it. Holds secrets. */
struct ike_keys {
    const struct algorithm *cipher, *integrity, *prf;
    uint8_t d[PRF_BYTES_MAX], ai[INTEGRITY_KEY_MAX], ar[INTEGRITY_KEY_MAX], ei[CIPHER_KEY_MAX],
        er[CIPHER_KEY_MAX], pi[PRF_BYTES_MAX], pr[PRF_BYTES_MAX];
};

/* HMAC under a PRF's or an integrity algorithm's hash. */
bool prf_compute(const struct algorithm *prf, struct bytes_view key, struct bytes_view data,
                 uint8_t out[PRF_BYTES_MAX]) must_check;
/* prf+; size is at most 255 * prf->key_bytes. */
bool prf_plus(const struct algorithm *prf, struct bytes_view key, struct bytes_view seed, uint8_t *out,
              size_t size) must_check;

/* What one key exchange gave. */
struct key_inputs {
    struct bytes_view nonce_i, nonce_r;
    struct bytes_view shared; /* empty: no new key exchange (CHILD SAs) */
    uint64_t spi_i, spi_r;    /* IKE SAs */
};
/* Fills the keys of a new IKE SA from the choice; `old` is the one that it replaces, or NULL. */
bool keys_ike(struct ike_keys *out, const struct ike_choice *choice, const struct key_inputs *in,
              const struct ike_keys *old) must_check;
/* KEYMAT of a CHILD SA: from the exchange's initiator to its responder, and back. */
bool keys_child(const struct ike_keys *ike, const struct ike_choice *choice, const struct key_inputs *in,
                struct child_keys *to_responder, struct child_keys *to_initiator) must_check;

#endif
