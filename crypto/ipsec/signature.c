/* SPDX-License-Identifier: Apache-2.0 */
/* AUTH data made and checked with public keys (RFC 7427 section 3, RFC 4754). */
#include "crypto/ipsec/signature.h"
#include "lib/reader.h"
#include "lib/strings.h"
#include <openssl/ecdsa.h>

/* The old methods of ECDSA: a curve and its hash (RFC 4754 section 3). */
struct old_method {
    uint8_t method, half_bytes; /* r and s have so many each */
    uint16_t bits;
    enum signature_hash hash;
    const char *curve;
};
static const struct old_method old_methods[] = {
    {AUTH_ECDSA_256, 32, 256, HASH_SHA2_256, "prime256v1"},
    {AUTH_ECDSA_384, 48, 384, HASH_SHA2_384, "secp384r1"},
    {AUTH_ECDSA_521, 66, 521, HASH_SHA2_512, "secp521r1"},
};
#define OLD_DER_MAX    (2 * 66 + 16) /* two integers and three headers */
#define CURVE_NAME_MAX 32

/* The hash that fits the key's strength, or any other that the peer takes. */
static bool choose_hash(const struct private_key *key, uint32_t peer_hashes, enum signature_hash *out)
{
    *out = HASH_SHA2_256;
    if (key->kind == KEY_ECDSA && key->bits > 256)
        *out = key->bits > 384 ? HASH_SHA2_512 : HASH_SHA2_384;
    for (unsigned i = 0; i < SIGNATURE_HASHES && !(peer_hashes & BIT(*out)); i++)
        *out = (enum signature_hash)(HASH_SHA2_256 + i);
    return peer_hashes & BIT(*out);
}

/* Length byte, AlgorithmIdentifier, signature (RFC 7427 section 3). */
static bool make_named(const struct private_key *key, struct bytes_view octets, enum signature_hash hash,
                       uint8_t out[SIGNATURE_MAX], size_t *out_size)
{
    struct signature_scheme scheme;
    const struct bytes_view algorithm = signature_algorithm_make(key, hash, &scheme);
    const size_t front = 1 + algorithm.size;
    out[0] = (uint8_t)algorithm.size;
    memcpy(out + 1, algorithm.data, algorithm.size);
    const bool good = key->sign(key->context, &scheme, octets.data, octets.size, out + front, out_size);
    *out_size += front;
    return good;
}

/* ECDSA's r and s side by side. */
static bool make_old(const struct private_key *key, struct bytes_view octets, const struct old_method *method,
                     uint8_t out[SIGNATURE_MAX], size_t *out_size)
{
    const struct signature_scheme scheme = {.key = KEY_ECDSA, .hash = method->hash};
    uint8_t der[RAW_SIGNATURE_MAX];
    const uint8_t *at = der;
    size_t size = 0;
    if (!key->sign(key->context, &scheme, octets.data, octets.size, der, &size))
        return false;
    ECDSA_SIG *parts = d2i_ECDSA_SIG(NULL, &at, (long)size);
    const bool good =
        parts && BN_bn2binpad(ECDSA_SIG_get0_r(parts), out, method->half_bytes) >= 0 &&
        BN_bn2binpad(ECDSA_SIG_get0_s(parts), out + method->half_bytes, method->half_bytes) >= 0;
    ECDSA_SIG_free(parts);
    *out_size = 2u * method->half_bytes;
    return good;
}

bool signature_make(const struct private_key *key, struct bytes_view octets, uint32_t peer_hashes,
                    uint8_t *method, uint8_t out[SIGNATURE_MAX], size_t *out_size, struct report *problem)
{
    enum signature_hash hash;
    if (choose_hash(key, peer_hashes, &hash)) {
        *method = AUTH_SIGNATURE;
        return make_named(key, octets, hash, out, out_size) || report(problem, "our own key could not sign");
    }
    if (peer_hashes)
        return report(problem, "the gateway takes signatures with none of SHA-256, SHA-384 and SHA-512");
    if (key->kind == KEY_RSA)
        return report(problem,
                      "the gateway does not speak RFC 7427, so our RSA key could only sign with SHA-1: "
                      "use an ECDSA certificate or a gateway that does");
    for (size_t i = 0; i < ARRAY_COUNT(old_methods); i++)
        if (old_methods[i].bits == key->bits) {
            *method = old_methods[i].method;
            return make_old(key, octets, &old_methods[i], out, out_size) ||
                   report(problem, "our own key could not sign");
        }
    return report(problem,
                  "the gateway does not speak RFC 7427, and our ECDSA key's curve has no older method");
}

/* Length byte, AlgorithmIdentifier, signature. */
static bool read_named(struct bytes_view auth, struct signature_scheme *scheme, struct bytes_view *signature,
                       struct report *problem)
{
    struct reader r = reader_of(auth.data, auth.size);
    const size_t size = reader_u8(&r);
    const struct bytes_view algorithm = {reader_bytes(&r, size), size};
    *signature = (struct bytes_view){auth.data + r.at, reader_left(&r)};
    if (signature->size == 0)
        return report(problem, "the gateway's signature is cut off");
    return signature_algorithm_read(algorithm, scheme, problem);
}

/* r and s become the DER that libcrypto takes; nothing when they have not the size of the curve. */
static struct bytes_view read_halves(const struct old_method *method, struct bytes_view auth,
                                     uint8_t der[OLD_DER_MAX])
{
    const size_t half = auth.size == 2u * method->half_bytes ? method->half_bytes : 0;
    ECDSA_SIG *parts = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(auth.data, (int)half, NULL), *s = BN_bin2bn(auth.data + half, (int)half, NULL);
    uint8_t *at = der;
    int size = 0;
    if (parts && r && s && half > 0 && ECDSA_SIG_set0(parts, r, s)) {
        r = s = NULL; /* are the signature's now */
        size = i2d_ECDSA_SIG(parts, &at);
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(parts);
    return (struct bytes_view){der, (size_t)MAX(size, 0)};
}

/* Is the public key one for the scheme, and for the old method's curve if there is one? */
static bool key_fits(EVP_PKEY *key, const struct signature_scheme *scheme, const struct old_method *old)
{
    char curve[CURVE_NAME_MAX];
    const int kind = EVP_PKEY_get_base_id(key);
    if (old && (!EVP_PKEY_get_group_name(key, curve, sizeof(curve), NULL) || strcmp(curve, old->curve) != 0))
        return false;
    return scheme->key == KEY_ECDSA ? kind == EVP_PKEY_EC
                                    : kind == EVP_PKEY_RSA || (kind == EVP_PKEY_RSA_PSS && scheme->pss);
}

bool signature_verify(EVP_PKEY *key, uint8_t method, struct bytes_view auth, struct bytes_view octets,
                      struct report *problem)
{
    const struct old_method *old = NULL;
    struct signature_scheme scheme = {.key = KEY_ECDSA};
    struct bytes_view signature;
    uint8_t der[OLD_DER_MAX];
    for (size_t i = 0; i < ARRAY_COUNT(old_methods); i++)
        if (old_methods[i].method == method)
            old = &old_methods[i];
    if (method == AUTH_RSA_SHA1)
        return report(problem,
                      "the gateway signed with RSA and SHA-1, which is refused: it must speak RFC 7427");
    if (method != AUTH_SIGNATURE && !old)
        return report(problem, "the gateway proves itself by method %u, which is not spoken here", method);
    if (!old && !read_named(auth, &scheme, &signature, problem))
        return false;
    if (old) {
        scheme.hash = old->hash;
        signature = read_halves(old, auth, der);
    }
    if (!key_fits(key, &scheme, old))
        return report(problem, "the gateway's signature is of another kind than its certificate's key");
    return public_key_check(key, &scheme, signature, octets) ||
           report(problem, "the gateway's signature is wrong: it does not hold the key of its certificate");
}
