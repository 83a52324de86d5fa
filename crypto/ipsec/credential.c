/* SPDX-License-Identifier: Apache-2.0 */
/* Who we are: a pre-shared key, or certificates and the private key of the first. */
#include "crypto/ipsec/credential.h"
#include "crypto/ipsec/certificate.h"
#include "crypto/ipsec/pem.h"
#include "crypto/ipsec/signature.h"
#include "lib/strings.h"

#define PRESHARED_MAX 256

struct credential {
    uint8_t preshared[PRESHARED_MAX];
    size_t preshared_size; /* 0: by certificate */
    struct private_key key;
    unsigned count;
    struct {
        size_t size;
        uint8_t der[CERTIFICATE_MAX];
    } chain[CERTIFICATES_MAX];
};

struct credential *credential_psk(const uint8_t *psk, size_t size, struct report *problem)
{
    struct credential *credential = NULL;
    if (size == 0 || size > PRESHARED_MAX)
        (void)report(problem, "the pre-shared key has %zu bytes: it must have 1 to %d", size, PRESHARED_MAX);
    else if (!(credential = OPENSSL_zalloc(sizeof(*credential))))
        (void)report(problem, "there is no memory for the pre-shared key");
    else
        memcpy(credential->preshared, psk, credential->preshared_size = size);
    return credential;
}

static bool take(void *context, struct bytes_view der, struct report *problem)
{
    struct credential *credential = context;
    if (credential->count == CERTIFICATES_MAX)
        return report(problem, "our certificate's file holds more than %d certificates", CERTIFICATES_MAX);
    X509 *x = certificate_read(der);
    const bool fits = credential->count > 0 || (x && private_key_fits(&credential->key, X509_get0_pubkey(x)));
    X509_free(x);
    if (!x)
        return report(problem, "our certificate %u cannot be read, or has more than %d bytes",
                      credential->count + 1, CERTIFICATE_MAX);
    memcpy(credential->chain[credential->count].der, der.data, der.size);
    credential->chain[credential->count++].size = der.size;
    return fits ||
           report(problem, "the private key is not that of our certificate, which must stand first in "
                           "its file");
}

struct credential *credential_certificate(struct bytes_view chain, struct bytes_view private_key,
                                          struct report *problem)
{
    struct credential *credential = OPENSSL_zalloc(sizeof(*credential));
    if (credential && private_key_load(private_key, &credential->key, problem) &&
        pem_each(chain, "CERTIFICATE", take, credential, problem))
        return credential;
    credential_free(credential);
    (void)report(problem, "there is no memory for our certificate");
    return NULL;
}

void credential_free(struct credential *credential)
{
    if (credential && credential->key.release)
        credential->key.release(credential->key.context);
    OPENSSL_clear_free(credential, sizeof(*credential));
}

unsigned credential_chain(const struct credential *credential, struct bytes_view out[CERTIFICATES_MAX])
{
    for (unsigned i = 0; i < credential->count; i++)
        out[i] = (struct bytes_view){credential->chain[i].der, credential->chain[i].size};
    return credential->count;
}

/* AUTH = prf(prf(key, "Key Pad for IKEv2"), octets): RFC 7296 section 2.15. */
static bool sign_preshared(const struct credential *with, const struct auth_octets *what,
                           uint8_t out[SIGNATURE_MAX], size_t *out_size, struct report *problem)
{
    static const char pad[] = "Key Pad for IKEv2"; /* 17 bytes without the NUL */
    uint8_t padded[EVP_MAX_MD_SIZE];
    size_t padded_size = 0;
    const bool good =
        EVP_Q_mac(NULL, "HMAC", NULL, what->prf_digest, NULL, with->preshared, with->preshared_size,
                  (const uint8_t *)pad, sizeof(pad) - 1, padded, sizeof(padded), &padded_size) &&
        EVP_Q_mac(NULL, "HMAC", NULL, what->prf_digest, NULL, padded, padded_size, what->octets, what->size,
                  out, SIGNATURE_MAX, out_size);
    wipe(padded, sizeof(padded));
    return good || report(problem, "HMAC-%s of the pre-shared key could not be computed", what->prf_digest);
}

bool credential_sign(struct credential *credential, const struct auth_octets *what, uint32_t peer_hashes,
                     uint8_t *method, uint8_t out[SIGNATURE_MAX], size_t *out_size, struct report *problem)
{
    const struct bytes_view octets = {what->octets, what->size};
    if (credential->count > 0)
        return signature_make(&credential->key, octets, peer_hashes, method, out, out_size, problem);
    *method = AUTH_PRESHARED;
    return sign_preshared(credential, what, out, out_size, problem);
}
