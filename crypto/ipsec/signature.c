/* SPDX-License-Identifier: Apache-2.0 */
/* AUTH data made and checked with public keys (RFC 7427 section 3, RFC 4754), over libcrypto's keys. */
#include "crypto/ipsec/credential_parts.h"
#include "lib/reader.h"
#include "lib/strings.h"
#include <openssl/ecdsa.h>
#include <openssl/rsa.h>

#define ALGORITHM_MAX 67
#define RSA_BITS_MIN  2048
#define RSA_BITS_MAX  (8 * RAW_SIGNATURE_MAX)
#define EC_BITS_MIN   256
#define EC_BITS_MAX   521

/* ---- AlgorithmIdentifiers ---- */

/* They are DER, so that they can be compared byte by byte (RFC 7427 section 3); of RSASSA-PSS both forms that
 * RFC 4055 section 2.1 allows are known. */
/* clang-format off */
#define ECDSA(n) {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, n}
#define RSA_OID(n) 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, n
#define PKCS1(n) {0x30, 0x0d, RSA_OID(n), 0x05, 0x00}
#define HASH_OID(n) 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, n
#define HASH(n) 0x30, 0x0d, HASH_OID(n), 0x05, 0x00
#define HASH_SHORT(n) 0x30, 0x0b, HASH_OID(n)
#define SALT(bytes) 0xa2, 0x03, 0x02, 0x01, bytes
#define PSS(n, salt) {0x30, 0x41, RSA_OID(0x0a), 0x30, 0x34, 0xa0, 0x0f, HASH(n), 0xa1, 0x1c, 0x30, 0x1a, RSA_OID(0x08), HASH(n), SALT(salt)}
#define PSS_SHORT(n, salt) {0x30, 0x3d, RSA_OID(0x0a), 0x30, 0x30, 0xa0, 0x0d, HASH_SHORT(n), 0xa1, 0x1a, 0x30, 0x18, RSA_OID(0x08), HASH_SHORT(n), SALT(salt)}

/* Of several that mean the same, the first is the one that we make. */
static const struct {
    struct signature_scheme scheme;
    uint8_t der[ALGORITHM_MAX];
} known[] = {
    {{KEY_ECDSA, false, HASH_SHA2_256}, ECDSA(2)},
    {{KEY_ECDSA, false, HASH_SHA2_384}, ECDSA(3)},
    {{KEY_ECDSA, false, HASH_SHA2_512}, ECDSA(4)},
    {{KEY_RSA, true, HASH_SHA2_256}, PSS(1, 32)},
    {{KEY_RSA, true, HASH_SHA2_384}, PSS(2, 48)},
    {{KEY_RSA, true, HASH_SHA2_512}, PSS(3, 64)},
    {{KEY_RSA, true, HASH_SHA2_256}, PSS_SHORT(1, 32)},
    {{KEY_RSA, true, HASH_SHA2_384}, PSS_SHORT(2, 48)},
    {{KEY_RSA, true, HASH_SHA2_512}, PSS_SHORT(3, 64)},
    {{KEY_RSA, false, HASH_SHA2_256}, PKCS1(11)},
    {{KEY_RSA, false, HASH_SHA2_384}, PKCS1(12)},
    {{KEY_RSA, false, HASH_SHA2_512}, PKCS1(13)},
};
/* clang-format on */

static struct bytes_view der_of(size_t i)
{
    return (struct bytes_view){known[i].der, 2u + known[i].der[1]}; /* tag, length, so many bytes */
}

static struct bytes_view make_algorithm(const struct private_key *key, enum signature_hash hash,
                                        struct signature_scheme *scheme)
{
    size_t i = 0;
    while (known[i].scheme.key != key->kind || known[i].scheme.hash != hash)
        i++; /* there is one for each */
    *scheme = known[i].scheme;
    return der_of(i);
}

bool signature_algorithm_read(struct bytes_view der, struct signature_scheme *out, struct report *problem)
{
    for (size_t i = 0; i < ARRAY_COUNT(known); i++)
        if (der.size == der_of(i).size && memcmp(der.data, known[i].der, der.size) == 0) {
            *out = known[i].scheme;
            return true;
        }
    return report(problem,
                  "the gateway signed with an algorithm that is not accepted: only RSA and ECDSA with "
                  "SHA-256, SHA-384 or SHA-512 are");
}

/* ---- Keys, by libcrypto ---- */

/* Makes `md` ready for one signature; `begin`: libcrypto's, for making or checking it. */
static bool prepare(EVP_MD_CTX *md, EVP_PKEY *key, const struct signature_scheme *scheme,
                    __typeof__(EVP_DigestSignInit_ex) begin)
{
    static const char *const digests[] = {
        [HASH_SHA2_256] = "SHA256", [HASH_SHA2_384] = "SHA384", [HASH_SHA2_512] = "SHA512"};
    EVP_PKEY_CTX *options = NULL;
    return md && begin(md, &options, digests[scheme->hash], NULL, NULL, key, NULL) == 1 &&
           (!scheme->pss || (EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) > 0 &&
                             EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST) > 0));
}

static bool sign(void *context, const struct signature_scheme *scheme, struct bytes_view octets,
                 uint8_t out[RAW_SIGNATURE_MAX], size_t *out_size)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    *out_size = RAW_SIGNATURE_MAX;
    const bool good = prepare(md, context, scheme, EVP_DigestSignInit_ex) &&
                      EVP_DigestSign(md, out, out_size, octets.data, octets.size) == 1;
    EVP_MD_CTX_free(md);
    return good;
}

static bool check(EVP_PKEY *key, const struct signature_scheme *scheme, struct bytes_view signature,
                  struct bytes_view octets)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    const bool good = prepare(md, key, scheme, EVP_DigestVerifyInit_ex) &&
                      EVP_DigestVerify(md, signature.data, signature.size, octets.data, octets.size) == 1;
    EVP_MD_CTX_free(md);
    return good;
}

static void release(void *context)
{
    EVP_PKEY_free(context); /* clears the numbers */
}

bool private_key_read(struct bytes_view der, struct private_key *out, struct report *problem)
{
    if (out->context)
        return report(problem, "the private key's file holds more than one key");
    const uint8_t *at = der.data;
    EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &at, (long)der.size);
    if (!key)
        return report(problem, "the private key cannot be read: it must be PKCS #8, PKCS #1 or SEC 1");
    const enum key_kind kind = EVP_PKEY_get_base_id(key);
    const int bits = EVP_PKEY_get_bits(key);
    const bool rsa = kind == KEY_RSA && bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX;
    const bool ecdsa = kind == KEY_ECDSA && bits >= EC_BITS_MIN && bits <= EC_BITS_MAX;
    if (!rsa && !ecdsa) {
        EVP_PKEY_free(key);
        return report(problem, "the private key is neither RSA of %d to %d bits nor ECDSA of %d to %d",
                      RSA_BITS_MIN, RSA_BITS_MAX, EC_BITS_MIN, EC_BITS_MAX);
    }
    *out = (struct private_key){kind, (uint16_t)bits, key, sign, release};
    return true;
}

/* ---- AUTH data ---- */

/* The old methods of ECDSA: a curve and its hash (RFC 4754 section 3). */
struct old_method {
    uint8_t method;
    uint16_t bits; /* r and s have so many each, in whole bytes */
    enum signature_hash hash;
    const char *curve;
};
static const struct old_method old_methods[] = {
    {AUTH_ECDSA_256, 256, HASH_SHA2_256, "prime256v1"},
    {AUTH_ECDSA_384, 384, HASH_SHA2_384, "secp384r1"},
    {AUTH_ECDSA_521, 521, HASH_SHA2_512, "secp521r1"},
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
                       struct auth_data *out)
{
    struct signature_scheme scheme;
    const struct bytes_view algorithm = make_algorithm(key, hash, &scheme);
    const size_t front = 1 + algorithm.size;
    out->method = AUTH_SIGNATURE;
    out->bytes[0] = (uint8_t)algorithm.size;
    memcpy(out->bytes + 1, algorithm.data, algorithm.size);
    const bool good = key->sign(key->context, &scheme, octets, out->bytes + front, &out->size);
    out->size += front;
    return good;
}

/* ECDSA's r and s side by side. */
static bool make_old(const struct private_key *key, struct bytes_view octets, const struct old_method *method,
                     struct auth_data *out)
{
    const struct signature_scheme scheme = {.key = KEY_ECDSA, .hash = method->hash};
    const int half = (method->bits + 7) / 8;
    uint8_t der[RAW_SIGNATURE_MAX];
    const uint8_t *at = der;
    size_t size = 0;
    if (!key->sign(key->context, &scheme, octets, der, &size))
        return false;
    ECDSA_SIG *parts = d2i_ECDSA_SIG(NULL, &at, (long)size);
    const bool good = parts && BN_bn2binpad(ECDSA_SIG_get0_r(parts), out->bytes, half) >= 0 &&
                      BN_bn2binpad(ECDSA_SIG_get0_s(parts), out->bytes + half, half) >= 0;
    ECDSA_SIG_free(parts);
    out->method = method->method;
    out->size = 2 * (size_t)half;
    return good;
}

bool signature_make(const struct private_key *key, struct bytes_view octets, uint32_t peer_hashes,
                    struct auth_data *out, struct report *problem)
{
    enum signature_hash hash;
    const struct old_method *old = old_methods;
    const bool named = choose_hash(key, peer_hashes, &hash);
    if (!named && peer_hashes)
        return report(problem, "the gateway takes signatures with none of SHA-256, SHA-384 and SHA-512");
    if (!named && key->kind == KEY_RSA)
        return report(problem,
                      "the gateway does not speak RFC 7427, so our RSA key could only sign with SHA-1: "
                      "use an ECDSA certificate or a gateway that does");
    while (!named && old->bits != key->bits)
        if (++old == old_methods + ARRAY_COUNT(old_methods))
            return report(
                problem,
                "the gateway does not speak RFC 7427, and our ECDSA key's curve has no older method");
    return (named ? make_named(key, octets, hash, out) : make_old(key, octets, old, out)) ||
           report(problem, "our own key could not sign");
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
    const int half = (method->bits + 7) / 8;
    if (auth.size != 2 * (size_t)half)
        return (struct bytes_view){der, 0};
    ECDSA_SIG *parts = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(auth.data, half, NULL), *s = BN_bin2bn(auth.data + half, half, NULL);
    uint8_t *at = der;
    int size = 0;
    if (parts && ECDSA_SIG_set0(parts, r, s)) { /* takes both, or neither */
        size = i2d_ECDSA_SIG(parts, &at);
    } else {
        BN_free(r);
        BN_free(s);
    }
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
    return kind == (int)scheme->key || (kind == EVP_PKEY_RSA_PSS && scheme->pss);
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
    return check(key, &scheme, signature, octets) ||
           report(problem, "the gateway's signature is wrong: it does not hold the key of its certificate");
}
