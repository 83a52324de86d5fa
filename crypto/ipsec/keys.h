/* SPDX-License-Identifier: Apache-2.0 */
/* Key exchange, the PRF and all key derivation of IKEv2 (RFC 7296 sections 2.13 to 2.18). */
#ifndef SHOJI_CRYPTO_IPSEC_KEYS_H
#define SHOJI_CRYPTO_IPSEC_KEYS_H

#include "crypto/ipsec/proposal.h"

/* ---- Key exchange: X25519 (RFC 8031), ECP groups (RFC 5903) and MODP groups (RFC 3526), with the checks of
 * RFC 6989 ---- */

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

/* ---- Key derivation ---- */

/* The keys of one IKE SA; "i" is who began it. Holds secrets. */
struct ike_keys {
    struct ike_choice choice;
    uint8_t d[PRF_BYTES_MAX], pi[PRF_BYTES_MAX], pr[PRF_BYTES_MAX];
    struct child_keys i, r; /* of what each sends: SK_e and SK_a */
};

/* HMAC under a PRF's or an integrity algorithm's hash. */
bool prf_compute(const struct algorithm *prf, struct bytes_view key, struct bytes_view data,
                 uint8_t out[PRF_BYTES_MAX]) must_check;
/* prf+; size is at most 255 * prf->key_bytes. */
bool prf_plus(const struct algorithm *prf, struct bytes_view key, struct bytes_view seed, uint8_t *out,
              size_t size) must_check;

/* What one key exchange gave. */
struct key_inputs {
    struct nonce nonce_i, nonce_r;
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
