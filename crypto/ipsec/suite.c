/* SPDX-License-Identifier: Apache-2.0 */
/* The table of algorithms, and how they are found by number and by name. */
#include "crypto/ipsec/suite.h"
#include "lib/strings.h"
#include <openssl/evp.h>

/* IANA numbers of "IKEv2 Parameters": transform types 1 to 5. */
static const struct algorithm algorithms[] = {
    {TRANSFORM_ENCRYPTION, 20, 256, "aes256gcm16", 32, 4, 8, 1, 16, .evp = EVP_aes_256_gcm},
    {TRANSFORM_ENCRYPTION, 20, 128, "aes128gcm16", 16, 4, 8, 1, 16, .evp = EVP_aes_128_gcm},
    {TRANSFORM_ENCRYPTION, 28, 0, "chacha20poly1305", 32, 4, 8, 1, 16, .evp = EVP_chacha20_poly1305},
    {TRANSFORM_ENCRYPTION, 12, 256, "aes256", 32, 0, 16, 16, 0, .evp = EVP_aes_256_cbc},
    {TRANSFORM_ENCRYPTION, 12, 128, "aes128", 16, 0, 16, 16, 0, .evp = EVP_aes_128_cbc},
    {TRANSFORM_PRF, 5, 0, "prfsha256", 32, .digest = "SHA256"},
    {TRANSFORM_PRF, 6, 0, "prfsha384", 48, .digest = "SHA384"},
    {TRANSFORM_PRF, 7, 0, "prfsha512", 64, .digest = "SHA512"},
    {TRANSFORM_INTEGRITY, 12, 0, "sha256", 32, .icv_bytes = 16, .digest = "SHA256"},
    {TRANSFORM_INTEGRITY, 13, 0, "sha384", 48, .icv_bytes = 24, .digest = "SHA384"},
    {TRANSFORM_INTEGRITY, 14, 0, "sha512", 64, .icv_bytes = 32, .digest = "SHA512"},
    {TRANSFORM_KE, 31, 0, "x25519", .public_bytes = 32, .shared_bytes = 32, .key_type = "X25519"},
    {TRANSFORM_KE, 19, 0, "ecp256", .public_bytes = 64, .shared_bytes = 32, .key_type = "EC",
     .key_group = "P-256"},
    {TRANSFORM_KE, 20, 0, "ecp384", .public_bytes = 96, .shared_bytes = 48, .key_type = "EC",
     .key_group = "P-384"},
    {TRANSFORM_KE, 14, 0, "modp2048", .public_bytes = 256, .shared_bytes = 256, .key_type = "DH",
     .key_group = "modp_2048"},
    {TRANSFORM_KE, 15, 0, "modp3072", .public_bytes = 384, .shared_bytes = 384, .key_type = "DH",
     .key_group = "modp_3072"},
    {.type = TRANSFORM_ESN, .id = 1, .name = "esn"},
    {.type = TRANSFORM_ESN, .id = 0, .name = "noesn"},
};

const struct algorithm *algorithm_find(enum transform_type type, uint16_t id, uint16_t key_bits)
{
    for (unsigned i = 0; i < ARRAY_COUNT(algorithms); i++) {
        const struct algorithm *a = &algorithms[i];
        if (a->type == type && a->id == id && a->key_bits == key_bits)
            return a;
    }
    return NULL;
}

const struct algorithm *algorithm_named(const char *name, size_t length)
{
    for (unsigned i = 0; i < ARRAY_COUNT(algorithms); i++)
        if (strlen(algorithms[i].name) == length && memcmp(algorithms[i].name, name, length) == 0)
            return &algorithms[i];
    return NULL;
}
