/* SPDX-License-Identifier: Apache-2.0 */
/* Key exchange by libcrypto: EVP for the curves, BN for the MODP groups. */
#include "crypto/ipsec/key_exchange.h"
#include "lib/strings.h"
#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#define ECP_PUBLIC_MAX (1 + 96) /* 04h, x, y of the largest curve */
#define POINT_PLAIN    0x04

struct method {
    uint16_t group;
    const char *type, *curve; /* EVP's words; type NULL: MODP */
    BIGNUM *(*prime)(BIGNUM *out);
    int secret_bits; /* of a MODP exponent: twice the group's strength and more (RFC 3526 section 8) */
};
static const struct method methods[] = {
    {31, "X25519", NULL, NULL, 0},
    {19, "EC", "P-256", NULL, 0},
    {20, "EC", "P-384", NULL, 0},
    {14, NULL, NULL, BN_get_rfc3526_prime_2048, 512},
    {15, NULL, NULL, BN_get_rfc3526_prime_3072, 512},
};

static const struct method *method_of(const struct ke_group *group)
{
    for (unsigned i = 0; group && i < ARRAY_COUNT(methods); i++)
        if (methods[i].group == group->id)
            return &methods[i];
    return NULL;
}

/* out = base ^ exponent mod prime in constant time, as many bytes as the prime has. */
static bool power(const struct method *m, const BIGNUM *base, const BIGNUM *exponent, uint8_t *out,
                  size_t bytes)
{
    BN_CTX *context = BN_CTX_new();
    BIGNUM *prime = m->prime(NULL), *result = BN_new();
    bool done = context && prime && result &&
                BN_mod_exp_mont_consttime(result, base, exponent, prime, context, NULL) &&
                BN_bn2binpad(result, out, (int)bytes) == (int)bytes;
    BN_clear_free(result);
    BN_free(prime);
    BN_CTX_free(context);
    return done;
}

static bool modp_start(struct key_exchange *ke, const struct method *m)
{
    BIGNUM *two = BN_new(), *secret = BN_new();
    bool done = two && secret && BN_set_word(two, 2) &&
                BN_priv_rand(secret, m->secret_bits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) &&
                power(m, two, secret, ke->public_value, ke->group->public_bytes);
    BN_free(two);
    ke->secret = secret;
    return done;
}

/* 1 < peer < p - 1 (RFC 6989 section 2.1). */
static bool modp_public_valid(const struct method *m, const BIGNUM *peer)
{
    BIGNUM *limit = m->prime(NULL);
    bool valid =
        limit && BN_sub_word(limit, 1) && !BN_is_zero(peer) && !BN_is_one(peer) && BN_cmp(peer, limit) < 0;
    BN_free(limit);
    return valid;
}

static bool modp_finish(const struct key_exchange *ke, const struct method *m, const uint8_t *peer,
                        uint8_t *shared)
{
    BIGNUM *value = BN_bin2bn(peer, ke->group->public_bytes, NULL);
    bool done =
        value && modp_public_valid(m, value) && power(m, value, ke->secret, shared, ke->group->shared_bytes);
    BN_free(value);
    return done;
}

bool ke_start(struct key_exchange *ke, const struct ke_group *group)
{
    const struct method *m = method_of(group);
    *ke = (struct key_exchange){.group = group};
    if (!m)
        return false;
    if (!m->type)
        return modp_start(ke, m);
    EVP_PKEY *key =
        m->curve ? EVP_PKEY_Q_keygen(NULL, NULL, m->type, m->curve) : EVP_PKEY_Q_keygen(NULL, NULL, m->type);
    ke->secret = key;
    unsigned char *encoded = NULL;
    size_t size = key ? EVP_PKEY_get1_encoded_public_key(key, &encoded) : 0;
    size_t skip = m->curve ? 1 : 0; /* IKE leaves out the 04h (RFC 5903 section 7) */
    bool done = size == group->public_bytes + skip;
    if (done)
        memcpy(ke->public_value, encoded + skip, group->public_bytes);
    OPENSSL_free(encoded);
    return done;
}

/* The peer's key with our parameters; set1_encoded checks that a point is on the curve. */
static EVP_PKEY *peer_key(EVP_PKEY *own, const struct method *m, const uint8_t *peer, size_t size)
{
    uint8_t point[ECP_PUBLIC_MAX] = {POINT_PLAIN};
    if (!m->curve)
        return EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, peer, size);
    memcpy(point + 1, peer, size);
    EVP_PKEY *key = EVP_PKEY_new();
    if (key && EVP_PKEY_copy_parameters(key, own) > 0 &&
        EVP_PKEY_set1_encoded_public_key(key, point, size + 1) > 0)
        return key;
    EVP_PKEY_free(key);
    return NULL;
}

bool ke_finish(const struct key_exchange *ke, const uint8_t *peer, size_t size, uint8_t shared[KE_SHARED_MAX])
{
    const struct method *m = method_of(ke->group);
    if (!m || !ke->secret || size != ke->group->public_bytes)
        return false;
    if (!m->type)
        return modp_finish(ke, m, peer, shared);
    EVP_PKEY *other = peer_key(ke->secret, m, peer, size);
    EVP_PKEY_CTX *context = other ? EVP_PKEY_CTX_new_from_pkey(NULL, ke->secret, NULL) : NULL;
    size_t bytes = KE_SHARED_MAX;
    /* X25519 fails here when the result is zero (RFC 8031 section 2.3). */
    bool done = context && EVP_PKEY_derive_init(context) > 0 &&
                EVP_PKEY_derive_set_peer(context, other) > 0 &&
                EVP_PKEY_derive(context, shared, &bytes) > 0 && bytes == ke->group->shared_bytes;
    EVP_PKEY_CTX_free(context);
    EVP_PKEY_free(other);
    return done;
}

void ke_free(struct key_exchange *ke)
{
    const struct method *m = method_of(ke->group);
    if (m && m->type)
        EVP_PKEY_free(ke->secret);
    else
        BN_clear_free(ke->secret);
    *ke = (struct key_exchange){0};
}
