/* SPDX-License-Identifier: Apache-2.0 */
/* Key exchange and key derivation by libcrypto's EVP. */
#include "crypto/ipsec/keys.h"
#include "lib/strings.h"
#include "lib/writer.h"
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>

#define POINT_PLAIN 0x04
#define KEYS_MAX    (3 * PRF_BYTES_MAX + 2 * INTEGRITY_KEY_MAX + 2 * CIPHER_KEY_MAX)
#define SPIS_BYTES  16
#define INPUTS_MAX  (KE_SHARED_MAX + 2 * NONCE_MAX + SPIS_BYTES)

/* ---- Key exchange ---- */

/* A point of an ECP group has two coordinates, and begins with 04h, which IKE leaves out (RFC 5903 section
 * 7).
 */
static size_t point_prefix(const struct algorithm *group)
{
    return group->public_bytes > group->shared_bytes;
}

bool ke_start(struct key_exchange *ke, const struct algorithm *group)
{
    *ke = (struct key_exchange){.group = group};
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, group->key_type, NULL);
    bool done = context && EVP_PKEY_keygen_init(context) > 0 &&
                (!group->key_group || EVP_PKEY_CTX_set_group_name(context, group->key_group) > 0) &&
                EVP_PKEY_generate(context, &ke->secret) > 0;
    EVP_PKEY_CTX_free(context);
    unsigned char *encoded = NULL;
    size_t size = done ? EVP_PKEY_get1_encoded_public_key(ke->secret, &encoded) : 0;
    done = size == group->public_bytes + point_prefix(group);
    if (done)
        memcpy(ke->public_value, encoded + point_prefix(group), group->public_bytes);
    OPENSSL_free(encoded);
    return done;
}

bool ke_finish(const struct key_exchange *ke, const uint8_t *peer, size_t size, uint8_t shared[KE_SHARED_MAX])
{
    const struct algorithm *group = ke->group;
    uint8_t encoded[1 + KE_PUBLIC_MAX] = {POINT_PLAIN};
    unsigned pad = 1; /* the whole secret, leading zeroes too (RFC 7296 section 2.14) */
    OSSL_PARAM params[] = {OSSL_PARAM_construct_uint(OSSL_EXCHANGE_PARAM_PAD, &pad),
                           OSSL_PARAM_construct_end()};
    size_t bytes = KE_SHARED_MAX;
    if (!group || !ke->secret || size != group->public_bytes)
        return false;
    memcpy(encoded + point_prefix(group), peer, size);
    EVP_PKEY *other = EVP_PKEY_new();
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, ke->secret, NULL);
    /* Setting the peer's key checks that it is one of the group (RFC 6989); X25519 fails at last when the
     * result is zero (RFC 8031 section 2.3). */
    bool done = other && context && EVP_PKEY_copy_parameters(other, ke->secret) > 0 &&
                EVP_PKEY_set1_encoded_public_key(other, encoded, size + point_prefix(group)) > 0 &&
                EVP_PKEY_derive_init_ex(context, params) > 0 &&
                EVP_PKEY_derive_set_peer(context, other) > 0 &&
                EVP_PKEY_derive(context, shared, &bytes) > 0 && bytes == group->shared_bytes;
    EVP_PKEY_CTX_free(context);
    EVP_PKEY_free(other);
    return done;
}

void ke_free(struct key_exchange *ke)
{
    EVP_PKEY_free(ke->secret);
    *ke = (struct key_exchange){0};
}

/* ---- Key derivation ---- */

bool prf_compute(const struct algorithm *prf, struct bytes_view key, struct bytes_view data,
                 uint8_t out[PRF_BYTES_MAX])
{
    size_t size = 0;
    return EVP_Q_mac(NULL, "HMAC", NULL, prf->digest, NULL, key.data, key.size, data.data, data.size, out,
                     PRF_BYTES_MAX, &size) &&
           size == prf->key_bytes;
}

/* It is what HKDF calls "expand" (RFC 5869 section 2.3). */
bool prf_plus(const struct algorithm *prf, struct bytes_view key, struct bytes_view seed, uint8_t *out,
              size_t size)
{
    int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)(uintptr_t)prf->digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)key.data, key.size),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)(uintptr_t)seed.data, seed.size),
        OSSL_PARAM_construct_end()};
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *context = EVP_KDF_CTX_new(kdf);
    bool good = context && EVP_KDF_derive(context, out, size, params) > 0;
    EVP_KDF_CTX_free(context); /* wipes the key */
    EVP_KDF_free(kdf);
    return good;
}

/* The shared secret, if any, both nonces, both SPIs: each derivation takes a part of it. */
static bool write_inputs(uint8_t text[INPUTS_MAX], const struct key_inputs *in)
{
    struct writer w = writer_of(text, INPUTS_MAX);
    writer_bytes(&w, in->shared.data, in->shared.size);
    writer_bytes(&w, in->nonce_i.bytes, in->nonce_i.size);
    writer_bytes(&w, in->nonce_r.bytes, in->nonce_r.size);
    writer_be(&w, in->spi_i, 8);
    writer_be(&w, in->spi_r, 8);
    return !w.failed;
}

/* Cuts prf+ into keys. */
struct part {
    uint8_t *to;
    size_t size;
};
static bool derive(const struct algorithm *prf, struct bytes_view key, struct bytes_view seed,
                   const struct part *parts, unsigned count)
{
    uint8_t all[KEYS_MAX];
    size_t size = 0;
    for (unsigned i = 0; i < count; i++)
        size += parts[i].size;
    bool good = size <= sizeof(all) && prf_plus(prf, key, seed, all, size);
    const uint8_t *from = all;
    for (unsigned i = 0; good && i < count; from += parts[i++].size)
        memcpy(parts[i].to, from, parts[i].size);
    wipe(all, sizeof(all));
    return good;
}

bool keys_ike(struct ike_keys *out, const struct ike_choice *choice, const struct key_inputs *in,
              const struct ike_keys *old)
{
    *out = (struct ike_keys){.choice = *choice};
    const struct algorithm *prf = choice->prf;
    size_t auth = choice->integrity ? choice->integrity->key_bytes : 0;
    size_t crypt = (size_t)choice->cipher->key_bytes + choice->cipher->salt_bytes;
    const struct part parts[] = {
        {out->d, prf->key_bytes}, {out->i.integrity, auth},  {out->r.integrity, auth}, {out->i.cipher, crypt},
        {out->r.cipher, crypt},   {out->pi, prf->key_bytes}, {out->pr, prf->key_bytes}};
    size_t shared = in->shared.size, nonces = in->nonce_i.size + in->nonce_r.size;
    uint8_t seed[PRF_BYTES_MAX], text[INPUTS_MAX];
    /* SKEYSEED is as long as the output of the PRF that made it: the old SA's (section 2.18). */
    struct bytes_view key = {seed, old ? old->choice.prf->key_bytes : prf->key_bytes};
    bool good =
        write_inputs(text, in) &&
        (old ? prf_compute(old->choice.prf, (struct bytes_view){old->d, old->choice.prf->key_bytes},
                           (struct bytes_view){text, shared + nonces}, seed)
             : prf_compute(prf, (struct bytes_view){text + shared, nonces}, in->shared, seed)) &&
        derive(prf, key, (struct bytes_view){text + shared, nonces + SPIS_BYTES}, parts, ARRAY_COUNT(parts));
    wipe(seed, sizeof(seed));
    wipe(text, sizeof(text));
    return good;
}

bool keys_child(const struct ike_keys *ike, const struct ike_choice *choice, const struct key_inputs *in,
                struct child_keys *to_responder, struct child_keys *to_initiator)
{
    size_t crypt = (size_t)choice->cipher->key_bytes + choice->cipher->salt_bytes;
    size_t auth = choice->integrity ? choice->integrity->key_bytes : 0;
    const struct part parts[] = {{to_responder->cipher, crypt},
                                 {to_responder->integrity, auth},
                                 {to_initiator->cipher, crypt},
                                 {to_initiator->integrity, auth}};
    uint8_t text[INPUTS_MAX];
    struct bytes_view key = {ike->d, ike->choice.prf->key_bytes};
    struct bytes_view seed = {text, in->shared.size + in->nonce_i.size + in->nonce_r.size};
    bool good = write_inputs(text, in) && derive(ike->choice.prf, key, seed, parts, ARRAY_COUNT(parts));
    wipe(text, sizeof(text));
    return good;
}
