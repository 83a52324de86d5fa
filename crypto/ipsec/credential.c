/* SPDX-License-Identifier: Apache-2.0 */
/* Who we are: a pre-shared key, or certificates and the private key of the first. */
#include "crypto/ipsec/credential.h"
#include "crypto/ipsec/certificate.h"
#include "crypto/ipsec/pem.h"
#include "crypto/ipsec/preshared.h"
#include "crypto/ipsec/signature.h"
#include "lib/strings.h"
#include <openssl/x509.h>

struct credential {
    struct preshared preshared; /* size 0: by certificate */
    struct private_key key;
    unsigned count;
    struct {
        size_t size;
        uint8_t der[CERTIFICATE_MAX];
    } chain[CERTIFICATES_MAX];
};

struct credential *credential_psk(const uint8_t *psk, size_t size, struct report *problem)
{
    struct credential *credential = OPENSSL_zalloc(sizeof(*credential));
    if (!credential)
        (void)report(problem, "there is no memory for the pre-shared key");
    else if (!preshared_set(&credential->preshared, psk, size, problem)) {
        credential_free(credential);
        credential = NULL;
    }
    return credential;
}

static bool take(void *context, struct bytes_view der, struct report *problem)
{
    struct credential *credential = context;
    if (credential->count == CERTIFICATES_MAX)
        return report(problem, "our certificate's file holds more than %d certificates", CERTIFICATES_MAX);
    X509 *x = certificate_read(der);
    X509_free(x);
    if (!x)
        return report(problem, "our certificate %u cannot be read, or has more than %d bytes",
                      credential->count + 1, CERTIFICATE_MAX);
    memcpy(credential->chain[credential->count].der, der.data, der.size);
    credential->chain[credential->count++].size = der.size;
    return true;
}

static bool load(struct credential *credential, struct bytes_view chain, struct bytes_view private_key,
                 struct report *problem)
{
    struct bytes_view views[CERTIFICATES_MAX];
    if (!pem_each(chain, "CERTIFICATE", take, credential, problem) ||
        !private_key_load(private_key, &credential->key, problem))
        return false;
    (void)credential_chain(credential, views);
    X509 *leaf = certificate_read(views[0]);
    EVP_PKEY *public_key = leaf ? X509_get0_pubkey(leaf) : NULL;
    const bool fits = public_key && private_key_fits(&credential->key, public_key);
    X509_free(leaf);
    return fits ||
           report(problem, "the private key is not that of our certificate, which must stand first in "
                           "its file");
}

struct credential *credential_certificate(struct bytes_view chain, struct bytes_view private_key,
                                          struct report *problem)
{
    struct credential *credential = OPENSSL_zalloc(sizeof(*credential));
    if (!credential)
        (void)report(problem, "there is no memory for our certificate");
    else if (!load(credential, chain, private_key, problem)) {
        credential_free(credential);
        credential = NULL;
    }
    return credential;
}

void credential_free(struct credential *credential)
{
    if (!credential)
        return;
    if (credential->key.release)
        credential->key.release(credential->key.context);
    wipe(credential, sizeof(*credential));
    OPENSSL_free(credential);
}

unsigned credential_chain(const struct credential *credential, struct bytes_view out[CERTIFICATES_MAX])
{
    for (unsigned i = 0; i < credential->count; i++)
        out[i] = (struct bytes_view){credential->chain[i].der, credential->chain[i].size};
    return credential->count;
}

bool credential_sign(struct credential *credential, const struct auth_octets *what, uint32_t peer_hashes,
                     uint8_t *method, uint8_t out[SIGNATURE_MAX], size_t *out_size, struct report *problem)
{
    const struct bytes_view octets = {what->octets, what->size};
    if (credential->count > 0)
        return signature_make(&credential->key, octets, peer_hashes, method, out, out_size, problem);
    *method = AUTH_PRESHARED;
    return preshared_sign(&credential->preshared, what, out, out_size, problem);
}
