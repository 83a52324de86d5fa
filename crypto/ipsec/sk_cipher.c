/* SPDX-License-Identifier: Apache-2.0 */
/* AEAD (RFC 5282) and CBC with HMAC for IKE's encrypted payload, by EVP. Rare enough to make a context each
 * time. */
#include "crypto/ipsec/sk_cipher.h"
#include "lib/strings.h"
#include <openssl/evp.h>

#define AEAD_NONCE_BYTES 12

static bool aead(const struct sk_keys *keys, uint8_t *message, size_t front, size_t text, bool seal)
{
    const struct cipher *cipher = keys->cipher;
    uint8_t nonce[AEAD_NONCE_BYTES], *iv = message + front, *data = iv + cipher->iv_bytes;
    memcpy(nonce, keys->cipher_key + cipher->key_bytes, cipher->salt_bytes);
    memcpy(nonce + cipher->salt_bytes, iv, cipher->iv_bytes);
    int done = 0, icv = cipher->icv_bytes;
    uint8_t rest[1];
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    bool good = context &&
                EVP_CipherInit_ex(context, cipher_evp(cipher), NULL, keys->cipher_key, nonce, seal) &&
                (seal || EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, icv, data + text) > 0) &&
                EVP_CipherUpdate(context, NULL, &done, message, (int)front) &&
                EVP_CipherUpdate(context, data, &done, data, (int)text) && done == (int)text &&
                EVP_CipherFinal_ex(context, rest, &done) > 0 &&
                (!seal || EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, icv, data + text) > 0);
    EVP_CIPHER_CTX_free(context);
    return good;
}

static bool cbc(const struct sk_keys *keys, uint8_t *iv, size_t text, bool seal)
{
    uint8_t *data = iv + keys->cipher->iv_bytes;
    int done = 0;
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    bool good = context &&
                EVP_CipherInit_ex(context, cipher_evp(keys->cipher), NULL, keys->cipher_key, iv, seal) &&
                EVP_CIPHER_CTX_set_padding(context, 0) &&
                EVP_CipherUpdate(context, data, &done, data, (int)text) && done == (int)text;
    EVP_CIPHER_CTX_free(context);
    return good;
}

/* HMAC-SHA-2 is the PRF's own computation, cut to the ICV. */
static bool hmac(const struct sk_keys *keys, const uint8_t *message, size_t size, uint8_t out[PRF_BYTES_MAX])
{
    struct prf prf = {.bytes = keys->integrity->key_bytes, .digest = keys->integrity->digest};
    struct bytes_view key = {keys->integrity_key, keys->integrity->key_bytes}, all = {message, size};
    return prf_compute(&prf, key, &all, 1, out);
}

bool sk_encrypt(const struct sk_keys *keys, uint8_t *message, size_t front, size_t text)
{
    if (!keys->integrity)
        return aead(keys, message, front, text, true);
    size_t size = front + keys->cipher->iv_bytes + text;
    uint8_t icv[PRF_BYTES_MAX];
    if (!cbc(keys, message + front, text, true) || !hmac(keys, message, size, icv))
        return false;
    memcpy(message + size, icv, keys->integrity->icv_bytes);
    return true;
}

bool sk_decrypt(const struct sk_keys *keys, uint8_t *message, size_t front, size_t text)
{
    if (!keys->integrity)
        return aead(keys, message, front, text, false);
    size_t size = front + keys->cipher->iv_bytes + text;
    uint8_t icv[PRF_BYTES_MAX];
    return hmac(keys, message, size, icv) &&
           equal_constant_time(icv, message + size, keys->integrity->icv_bytes) &&
           cbc(keys, message + front, text, false);
}
