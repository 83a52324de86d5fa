/* SPDX-License-Identifier: Apache-2.0 */
/* The cryptography of one direction of an ESP SA: AEAD (RFC 4106, RFC 7634), or AES-CBC with HMAC-SHA-2 (RFC
 * 3602, RFC 4868). IKE's encrypted payload is sealed in the same way (RFC 5282, RFC 7296 section 3.14). */
#ifndef SHOJI_CRYPTO_IPSEC_ESP_TRANSFORM_H
#define SHOJI_CRYPTO_IPSEC_ESP_TRANSFORM_H

#include "crypto/ipsec/suite.h"
#include "lib/strings.h"

#define ESP_HEADER_BYTES 8 /* SPI and the low half of the sequence number */
#define ESP_BLOCK_MAX    16
#define SALT_BYTES_MAX   4

/* What is sealed, in two parts, so that padding and trailer need not stand behind the packet. */
struct esp_plain {
    const uint8_t *packet;
    size_t size;
    uint8_t trailer[ESP_BLOCK_MAX + 2];
    size_t trailer_size; /* with the packet's: a multiple of the alignment */
};

/* Holds expanded keys: wiped by esp_transform_end. */
struct esp_transform {
    /* `esp` has its header written and room for IV, text and ICV, which are written here. plain->packet is
     * elsewhere, or already where its ciphertext will be. */
    bool (*seal)(struct esp_transform *t, const struct esp_plain *plain, uint8_t *esp, uint64_t sequence);
    /* Checks the ICV and decrypts `text` bytes in place; false when the ICV does not hold. What then stands
     * in the packet is of no use. */
    bool (*open)(struct esp_transform *t, uint8_t *esp, size_t text, uint64_t sequence);
    struct evp_cipher_ctx_st *cipher; /* libcrypto's EVP_CIPHER_CTX and EVP_MAC_CTX */
    struct evp_mac_ctx_st *mac;       /* NULL with an AEAD */
    uint8_t salt[SALT_BYTES_MAX];
    uint8_t front; /* bytes before the IV, which the ICV covers: ESP's header, or what IKE sets */
    uint8_t iv_bytes, icv_bytes;
    uint8_t alignment; /* of the ciphertext */
    bool esn;
};

static inline void put_be64(uint8_t *to, uint64_t value)
{
    value = __builtin_bswap64(value);
    memcpy(to, &value, sizeof(value));
}

/* False when libcrypto has no memory or not the cipher. `integrity` is NULL with an AEAD. */
bool esp_transform_init(struct esp_transform *t, const struct algorithm *cipher,
                        const struct algorithm *integrity, const struct child_keys *keys,
                        bool seal) must_check;
void esp_transform_end(struct esp_transform *t);

#endif
