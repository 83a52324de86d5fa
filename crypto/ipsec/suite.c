/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of algorithms, and how they are found by number and by name. */
#include "crypto/ipsec/suite.h"
#include "lib/strings.h"
#include <openssl/evp.h>

/* IANA numbers of "IKEv2 Parameters": transform types 1 to 4. */
static const struct cipher ciphers[] = {
    {20, 256, 32, 4, 8, 16, 1, "aes256gcm16"},    {20, 128, 16, 4, 8, 16, 1, "aes128gcm16"},
    {28, 0, 32, 4, 8, 16, 1, "chacha20poly1305"}, {12, 256, 32, 0, 16, 0, 16, "aes256"},
    {12, 128, 16, 0, 16, 0, 16, "aes128"},
};
static const struct integrity integrities[] = {
    {12, 32, 16, "sha256", "SHA256"},
    {13, 48, 24, "sha384", "SHA384"},
    {14, 64, 32, "sha512", "SHA512"},
};
static const struct prf prfs[] = {
    {5, 32, "prfsha256", "SHA256"},
    {6, 48, "prfsha384", "SHA384"},
    {7, 64, "prfsha512", "SHA512"},
};
static const struct ke_group groups[] = {
    {31, 32, 32, "x25519"},     {19, 64, 32, "ecp256"},     {20, 96, 48, "ecp384"},
    {14, 256, 256, "modp2048"}, {15, 384, 384, "modp3072"},
};

static bool is_named(const char *ours, const char *name, size_t length)
{
    return strlen(ours) == length && memcmp(ours, name, length) == 0;
}

const struct cipher *cipher_find(uint16_t id, uint16_t key_bits)
{
    for (unsigned i = 0; i < ARRAY_COUNT(ciphers); i++)
        if (ciphers[i].id == id && ciphers[i].key_bits == key_bits)
            return &ciphers[i];
    return NULL;
}

const struct cipher *cipher_named(const char *name, size_t length)
{
    for (unsigned i = 0; i < ARRAY_COUNT(ciphers); i++)
        if (is_named(ciphers[i].name, name, length))
            return &ciphers[i];
    return NULL;
}

const EVP_CIPHER *cipher_evp(const struct cipher *cipher)
{
    bool long_key = cipher->key_bytes == 32;
    if (cipher->icv_bytes == 0)
        return long_key ? EVP_aes_256_cbc() : EVP_aes_128_cbc();
    if (cipher->key_bits == 0)
        return EVP_chacha20_poly1305();
    return long_key ? EVP_aes_256_gcm() : EVP_aes_128_gcm();
}

#define FINDERS(kind, table)                                                                                 \
    const struct kind *kind##_find(uint16_t id)                                                              \
    {                                                                                                        \
        for (unsigned i = 0; i < ARRAY_COUNT(table); i++)                                                    \
            if (table[i].id == id)                                                                           \
                return &table[i];                                                                            \
        return NULL;                                                                                         \
    }                                                                                                        \
    const struct kind *kind##_named(const char *name, size_t length)                                         \
    {                                                                                                        \
        for (unsigned i = 0; i < ARRAY_COUNT(table); i++)                                                    \
            if (is_named(table[i].name, name, length))                                                       \
                return &table[i];                                                                            \
        return NULL;                                                                                         \
    }

FINDERS(integrity, integrities)
FINDERS(prf, prfs)
FINDERS(ke_group, groups)
