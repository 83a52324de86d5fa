/* SPDX-License-Identifier: Apache-2.0 */
/* ESP's ciphers by libcrypto's EVP: keys are set once, each packet brings its IV. */
#include "crypto/ipsec/esp_transform.h"
#include "lib/strings.h"
#include <openssl/core_names.h>
#include <openssl/evp.h>

#define AEAD_NONCE_BYTES 12 /* salt and IV */
#define ESN_AAD_BYTES    12
#define AEAD_ALIGNMENT   4 /* of what ends in pad length and next header (RFC 4303 section 2.4) */
#define ICV_BYTES_MAX    64

/* ---- AEAD ---- */

/* Nonce and AAD of this packet, in one of the two directions. The AAD is SPI and sequence number; with ESN
 * its high half stands between (RFC 4106 section 5). */
static bool aead_begin(struct esp_transform *t, const uint8_t *esp, uint64_t sequence)
{
    uint8_t nonce[AEAD_NONCE_BYTES], extended[ESN_AAD_BYTES];
    int n;
    memcpy(nonce, t->salt, SALT_BYTES_MAX);
    memcpy(nonce + SALT_BYTES_MAX, esp + t->front, AEAD_NONCE_BYTES - SALT_BYTES_MAX);
    memcpy(extended, esp, 4);
    put_be64(extended + 4, sequence);
    return EVP_CipherInit_ex(t->cipher, NULL, NULL, NULL, nonce, -1) == 1 &&
           EVP_CipherUpdate(t->cipher, NULL, &n, t->esn ? extended : esp,
                            t->esn ? ESN_AAD_BYTES : t->front) == 1;
}

static bool encrypt_plain(struct esp_transform *t, const struct esp_plain *plain, uint8_t *out)
{
    int n, rest;
    return EVP_EncryptUpdate(t->cipher, out, &n, plain->packet, (int)plain->size) == 1 &&
           EVP_EncryptUpdate(t->cipher, out + n, &rest, plain->trailer, (int)plain->trailer_size) == 1;
}

/* The IV is the sequence number, which never comes twice under one key (RFC 4106 section 3.1). */
static bool aead_seal(struct esp_transform *t, const struct esp_plain *plain, uint8_t *esp, uint64_t sequence)
{
    uint8_t *text = esp + t->front + t->iv_bytes;
    uint8_t *icv = text + plain->size + plain->trailer_size;
    int n;
    put_be64(esp + t->front, sequence);
    return aead_begin(t, esp, sequence) && encrypt_plain(t, plain, text) &&
           EVP_EncryptFinal_ex(t->cipher, icv, &n) == 1 &&
           EVP_CIPHER_CTX_ctrl(t->cipher, EVP_CTRL_AEAD_GET_TAG, t->icv_bytes, icv) == 1;
}

static bool aead_open(struct esp_transform *t, uint8_t *esp, size_t text_size, uint64_t sequence)
{
    uint8_t *text = esp + t->front + t->iv_bytes, *icv = text + text_size;
    int n;
    return aead_begin(t, esp, sequence) &&
           EVP_CIPHER_CTX_ctrl(t->cipher, EVP_CTRL_AEAD_SET_TAG, t->icv_bytes, icv) == 1 &&
           EVP_DecryptUpdate(t->cipher, text, &n, text, (int)text_size) == 1 &&
           EVP_DecryptFinal_ex(t->cipher, text + text_size, &n) == 1;
}

/* ---- AES-CBC with HMAC ---- */

/* Over everything from the SPI to the text's end, then the high half of the sequence number, which is not
 * sent (RFC 4303 section 2.2.1). */
static bool hmac_icv(struct esp_transform *t, const uint8_t *esp, size_t size, uint64_t sequence,
                     uint8_t out[ICV_BYTES_MAX])
{
    uint8_t number[8]; /* its first half is sent nowhere */
    size_t n;
    put_be64(number, sequence);
    return EVP_MAC_init(t->mac, NULL, 0, NULL) == 1 && EVP_MAC_update(t->mac, esp, size) == 1 &&
           (!t->esn || EVP_MAC_update(t->mac, number, 4) == 1) &&
           EVP_MAC_final(t->mac, out, &n, ICV_BYTES_MAX) == 1 && n >= t->icv_bytes;
}

/* The IV must be unpredictable (RFC 3602 section 3): it is the sequence number encrypted under the same key
 * (SP 800-38A appendix C), that is, the first block of a chain that starts at zero. */
static bool cbc_seal(struct esp_transform *t, const struct esp_plain *plain, uint8_t *esp, uint64_t sequence)
{
    static const uint8_t zero[ESP_BLOCK_MAX];
    uint8_t nonce[ESP_BLOCK_MAX] = {0}, icv[ICV_BYTES_MAX];
    uint8_t *iv = esp + t->front, *text = iv + t->iv_bytes;
    size_t text_size = plain->size + plain->trailer_size;
    size_t covered = (size_t)(text - esp) + text_size;
    int n;
    put_be64(nonce, sequence);
    if (EVP_CipherInit_ex(t->cipher, NULL, NULL, NULL, zero, -1) != 1 ||
        EVP_EncryptUpdate(t->cipher, iv, &n, nonce, sizeof(nonce)) != 1 || !encrypt_plain(t, plain, text) ||
        !hmac_icv(t, esp, covered, sequence, icv))
        return false;
    memcpy(text + text_size, icv, t->icv_bytes);
    return true;
}

static bool cbc_open(struct esp_transform *t, uint8_t *esp, size_t text_size, uint64_t sequence)
{
    uint8_t *iv = esp + t->front, *text = iv + t->iv_bytes;
    uint8_t expected[ICV_BYTES_MAX];
    int n;
    if (!hmac_icv(t, esp, (size_t)(text - esp) + text_size, sequence, expected) ||
        !equal_constant_time(expected, text + text_size, t->icv_bytes))
        return false;
    return EVP_CipherInit_ex(t->cipher, NULL, NULL, NULL, iv, -1) == 1 &&
           EVP_DecryptUpdate(t->cipher, text, &n, text, (int)text_size) == 1;
}

/* ---- Both ---- */

static bool set_integrity_key(struct esp_transform *t, const struct algorithm *integrity, const uint8_t *key)
{
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    t->mac = hmac ? EVP_MAC_CTX_new(hmac) : NULL;
    EVP_MAC_free(hmac); /* the context keeps its own reference */
    char digest[32];
    if (!t->mac || !copy_string(digest, sizeof(digest), integrity->digest))
        return false;
    OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                               OSSL_PARAM_construct_end()};
    return EVP_MAC_init(t->mac, key, integrity->key_bytes, parameters) == 1;
}

bool esp_transform_init(struct esp_transform *t, const struct algorithm *cipher,
                        const struct algorithm *integrity, const struct child_keys *keys, bool seal)
{
    bool aead = cipher->icv_bytes > 0;
    *t = (struct esp_transform){.seal = aead ? aead_seal : cbc_seal,
                                .open = aead ? aead_open : cbc_open,
                                .front = ESP_HEADER_BYTES,
                                .iv_bytes = cipher->iv_bytes};
    if (aead != !integrity || (aead && cipher->salt_bytes != SALT_BYTES_MAX))
        return false;
    t->icv_bytes = aead ? cipher->icv_bytes : integrity->icv_bytes;
    t->alignment = aead ? AEAD_ALIGNMENT : cipher->block_bytes;
    if (aead)
        memcpy(t->salt, keys->cipher + cipher->key_bytes, SALT_BYTES_MAX);
    t->cipher = EVP_CIPHER_CTX_new();
    if (t->cipher && EVP_CipherInit_ex(t->cipher, cipher->evp(), NULL, keys->cipher, NULL, seal) &&
        (aead || (EVP_CIPHER_CTX_set_padding(t->cipher, 0) && /* would cost an AEAD time with each packet */
                  set_integrity_key(t, integrity, keys->integrity))))
        return true;
    esp_transform_end(t);
    return false;
}

void esp_transform_end(struct esp_transform *t)
{
    EVP_CIPHER_CTX_free(t->cipher); /* both wipe their keys */
    EVP_MAC_CTX_free(t->mac);
    wipe(t, sizeof(*t));
}
