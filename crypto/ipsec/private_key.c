/* SPDX-License-Identifier: Apache-2.0 */
/* Keys in software, over libcrypto: our private one, and the peer's public one. */
#include "crypto/ipsec/pem.h"
#include "crypto/ipsec/signature.h"
#include <openssl/rsa.h>

#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX (8 * RAW_SIGNATURE_MAX)
#define EC_BITS_MIN  256
#define EC_BITS_MAX  521

/* Makes `md` ready for one signature; `begin`: libcrypto's, for making or checking it. */
static bool prepare(EVP_MD_CTX *md, EVP_PKEY *key, const struct signature_scheme *scheme,
                    __typeof__(EVP_DigestSignInit_ex) begin)
{
    static const char *const digests[] = {
        [HASH_SHA2_256] = "SHA256", [HASH_SHA2_384] = "SHA384", [HASH_SHA2_512] = "SHA512"};
    EVP_PKEY_CTX *options = NULL;
    return md && begin(md, &options, digests[scheme->hash], NULL, NULL, key, NULL) == 1 &&
           (!scheme->pss || (EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) > 0 &&
                             EVP_PKEY_CTX_set_rsa_pss_saltlen(options, scheme->salt_bytes) > 0));
}

static bool sign(void *context, const struct signature_scheme *scheme, const uint8_t *octets, size_t size,
                 uint8_t out[RAW_SIGNATURE_MAX], size_t *out_size)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    *out_size = RAW_SIGNATURE_MAX;
    const bool good = prepare(md, context, scheme, EVP_DigestSignInit_ex) &&
                      EVP_DigestSign(md, out, out_size, octets, size) == 1;
    EVP_MD_CTX_free(md);
    return good;
}

bool public_key_check(EVP_PKEY *key, const struct signature_scheme *scheme, struct bytes_view signature,
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

static bool take(void *context, struct bytes_view der, struct report *problem)
{
    struct private_key *out = context;
    if (out->context)
        return report(problem, "the private key's file holds more than one key");
    const uint8_t *at = der.data;
    EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &at, (long)der.size);
    if (!key)
        return report(problem, "the private key cannot be read: it must be PKCS #8, PKCS #1 or SEC 1");
    const int kind = EVP_PKEY_get_base_id(key), bits = EVP_PKEY_get_bits(key);
    const bool rsa = kind == EVP_PKEY_RSA && bits >= RSA_BITS_MIN && bits <= RSA_BITS_MAX;
    const bool ecdsa = kind == EVP_PKEY_EC && bits >= EC_BITS_MIN && bits <= EC_BITS_MAX;
    if (!rsa && !ecdsa) {
        EVP_PKEY_free(key);
        return report(problem, "the private key is neither RSA of %d to %d bits nor ECDSA of %d to %d",
                      RSA_BITS_MIN, RSA_BITS_MAX, EC_BITS_MIN, EC_BITS_MAX);
    }
    *out = (struct private_key){rsa ? KEY_RSA : KEY_ECDSA, (uint16_t)bits, key, sign, release};
    return true;
}

bool private_key_load(struct bytes_view file, struct private_key *out, struct report *problem)
{
    *out = (struct private_key){0};
    if (pem_each(file, "PRIVATE KEY", take, out, problem))
        return true;
    release(out->context);
    *out = (struct private_key){0};
    return false;
}

bool private_key_fits(const struct private_key *key, const EVP_PKEY *public_key)
{
    return EVP_PKEY_eq(key->context, public_key) == 1;
}
