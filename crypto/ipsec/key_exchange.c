/* SPDX-License-Identifier: Apache-2.0 */
/* Key exchange by libcrypto's EVP. */
#include "crypto/ipsec/key_exchange.h"
#include "lib/strings.h"
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#define POINT_PLAIN 0x04

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
