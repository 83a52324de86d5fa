/* SPDX-License-Identifier: Apache-2.0 */
/* Key derivation over HMAC. */
#include "crypto/ipsec/keys.h"
#include "lib/strings.h"
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#define KEYS_MAX   (3 * PRF_BYTES_MAX + 2 * INTEGRITY_KEY_MAX + 2 * CIPHER_KEY_MAX)
#define ROUNDS_MAX 255

bool prf_compute(const struct prf *prf, struct bytes_view key, const struct bytes_view *parts, unsigned count,
                 uint8_t out[PRF_BYTES_MAX])
{
    static const uint8_t nothing[1];
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)(uintptr_t)prf->digest, 0),
        OSSL_PARAM_construct_end()};
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *context = mac ? EVP_MAC_CTX_new(mac) : NULL;
    bool good = context && EVP_MAC_init(context, key.size ? key.data : nothing, key.size, params);
    for (unsigned i = 0; good && i < count; i++)
        good = EVP_MAC_update(context, parts[i].data, parts[i].size);
    size_t size = 0;
    good = good && EVP_MAC_final(context, out, &size, PRF_BYTES_MAX) && size == prf->bytes;
    EVP_MAC_CTX_free(context);
    EVP_MAC_free(mac);
    return good;
}

bool prf_plus(const struct prf *prf, struct bytes_view key, const struct bytes_view *parts, unsigned count,
              uint8_t *out, size_t size)
{
    uint8_t block[PRF_BYTES_MAX];
    bool good = count + 2 <= PRF_PARTS_MAX && size <= (size_t)ROUNDS_MAX * prf->bytes;
    size_t done = 0;
    for (uint8_t round = 1; good && done < size; round++) {
        struct bytes_view all[PRF_PARTS_MAX];
        unsigned n = 0;
        if (round > 1)
            all[n++] = (struct bytes_view){block, prf->bytes};
        for (unsigned i = 0; i < count; i++)
            all[n++] = parts[i];
        all[n++] = (struct bytes_view){&round, 1};
        good = prf_compute(prf, key, all, n, block);
        size_t take = MIN(size - done, (size_t)prf->bytes);
        memcpy(out + done, block, take);
        done += take;
    }
    wipe(block, sizeof(block));
    return good;
}

static bool skeyseed(uint8_t out[PRF_BYTES_MAX], const struct prf *prf, const struct key_inputs *in,
                     const struct ike_keys *old)
{
    if (old) {
        struct bytes_view parts[] = {in->shared, in->nonce_i, in->nonce_r};
        return prf_compute(old->prf, (struct bytes_view){old->d, old->prf->bytes}, parts, 3, out);
    }
    uint8_t nonces[2 * NONCE_MAX];
    memcpy(nonces, in->nonce_i.data, in->nonce_i.size);
    memcpy(nonces + in->nonce_i.size, in->nonce_r.data, in->nonce_r.size);
    return prf_compute(prf, (struct bytes_view){nonces, in->nonce_i.size + in->nonce_r.size}, &in->shared, 1,
                       out);
}

static void take(const uint8_t **from, uint8_t *to, size_t size)
{
    memcpy(to, *from, size);
    *from += size;
}

bool keys_ike(struct ike_keys *out, const struct ike_choice *choice, const struct key_inputs *in,
              const struct ike_keys *old)
{
    *out = (struct ike_keys){.cipher = choice->cipher, .integrity = choice->integrity, .prf = choice->prf};
    size_t prf_bytes = out->prf->bytes, auth = out->integrity ? out->integrity->key_bytes : 0;
    size_t crypt = (size_t)out->cipher->key_bytes + out->cipher->salt_bytes;
    uint8_t seed[PRF_BYTES_MAX], all[KEYS_MAX], spis[16];
    struct builder b = builder_of(spis, sizeof(spis));
    put_be(&b, in->spi_i, 8);
    put_be(&b, in->spi_r, 8);
    struct bytes_view parts[] = {in->nonce_i, in->nonce_r, {spis, sizeof(spis)}};
    /* SKEYSEED is as long as the output of the PRF that made it: the old SA's (section 2.18). */
    size_t seed_bytes = old ? old->prf->bytes : prf_bytes;
    bool good =
        skeyseed(seed, out->prf, in, old) && prf_plus(out->prf, (struct bytes_view){seed, seed_bytes}, parts,
                                                      3, all, 3 * prf_bytes + 2 * auth + 2 * crypt);
    if (good) {
        const uint8_t *from = all;
        take(&from, out->d, prf_bytes);
        take(&from, out->ai, auth);
        take(&from, out->ar, auth);
        take(&from, out->ei, crypt);
        take(&from, out->er, crypt);
        take(&from, out->pi, prf_bytes);
        take(&from, out->pr, prf_bytes);
    }
    wipe(seed, sizeof(seed));
    wipe(all, sizeof(all));
    return good;
}

bool keys_child(const struct ike_keys *ike, const struct ike_choice *choice, const struct key_inputs *in,
                struct child_keys *to_responder, struct child_keys *to_initiator)
{
    size_t crypt = (size_t)choice->cipher->key_bytes + choice->cipher->salt_bytes;
    size_t auth = choice->integrity ? choice->integrity->key_bytes : 0;
    uint8_t all[2 * (CIPHER_KEY_MAX + INTEGRITY_KEY_MAX)];
    struct bytes_view parts[] = {in->shared, in->nonce_i, in->nonce_r};
    bool good =
        prf_plus(ike->prf, (struct bytes_view){ike->d, ike->prf->bytes}, parts, 3, all, 2 * (crypt + auth));
    if (good) {
        const uint8_t *from = all;
        take(&from, to_responder->cipher, crypt);
        take(&from, to_responder->integrity, auth);
        take(&from, to_initiator->cipher, crypt);
        take(&from, to_initiator->integrity, auth);
    }
    wipe(all, sizeof(all));
    return good;
}
