/* SPDX-License-Identifier: Apache-2.0 */
/* What the gateway is judged by: a pre-shared key, or authorities and their CRLs. */
#include "crypto/ipsec/certificate.h"
#include "crypto/ipsec/distinguished_name.h"
#include "crypto/ipsec/pem.h"
#include "crypto/ipsec/preshared.h"
#include "crypto/ipsec/signature_algorithm.h"
#include "lib/strings.h"
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#define AUTHORITIES_MAX 64
#define KEY_HASH_BYTES  20 /* SHA-1, RFC 7296 section 3.7 */

struct trust {
    struct preshared preshared; /* used when there is no store */
    X509_STORE *store;
    bool crl_required;
    unsigned authorities, crls;
    uint8_t key_hashes[AUTHORITIES_MAX][KEY_HASH_BYTES];
};

struct trust *trust_psk(const uint8_t *psk, size_t size, struct report *problem)
{
    struct trust *trust = OPENSSL_zalloc(sizeof(*trust));
    if (!trust)
        (void)report(problem, "there is no memory for the pre-shared key");
    else if (!preshared_set(&trust->preshared, psk, size, problem)) {
        trust_free(trust);
        trust = NULL;
    }
    return trust;
}

static bool hash_key(const X509 *x, uint8_t out[KEY_HASH_BYTES])
{
    uint8_t *der = NULL;
    size_t hashed = 0;
    const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);
    const bool good = size > 0 && EVP_Q_digest(NULL, "SHA1", NULL, der, (size_t)size, out, &hashed) == 1;
    OPENSSL_free(der);
    return good && hashed == KEY_HASH_BYTES;
}

static bool add_authority(struct trust *trust, X509 *x, struct report *problem)
{
    char name[IDENTITY_TEXT_MAX];
    distinguished_name_words(X509_get_subject_name(x), name, sizeof(name));
    if (X509_check_ca(x) != 1)
        return report(problem,
                      "the certificate of %s is no authority's: its basicConstraints must say CA:TRUE", name);
    if (trust->authorities == AUTHORITIES_MAX)
        return report(problem, "there are more than %d authorities", AUTHORITIES_MAX);
    if (!hash_key(x, trust->key_hashes[trust->authorities]) || !X509_STORE_add_cert(trust->store, x))
        return report(problem, "the certificate of %s cannot be used as an authority's", name);
    trust->authorities++;
    return true;
}

static bool take_authority(void *context, struct bytes_view der, struct report *problem)
{
    struct trust *trust = context;
    X509 *x = certificate_read(der);
    const bool good =
        x ? add_authority(trust, x, problem)
          : report(problem, "the authority's certificate %u cannot be read, or has more than %d bytes",
                   trust->authorities + 1, CERTIFICATE_MAX);
    X509_free(x);
    return good;
}

/* libcrypto's security level looks at certificates alone. */
static bool signed_with_sha2(const X509_CRL *crl)
{
    const X509_ALGOR *algorithm = NULL;
    uint8_t *der = NULL;
    struct signature_scheme scheme;
    struct report unused = {""};
    X509_CRL_get0_signature(crl, NULL, &algorithm);
    const int size = i2d_X509_ALGOR(algorithm, &der);
    const bool good =
        size > 0 && signature_algorithm_read((struct bytes_view){der, (size_t)size}, &scheme, &unused);
    OPENSSL_free(der);
    return good;
}

static bool add_crl(struct trust *trust, X509_CRL *crl, struct report *problem)
{
    char name[IDENTITY_TEXT_MAX];
    distinguished_name_words(X509_CRL_get_issuer(crl), name, sizeof(name));
    if (!X509_CRL_get0_nextUpdate(crl))
        return report(problem, "the CRL of %s does not say until when it holds (nextUpdate)", name);
    if (!signed_with_sha2(crl))
        return report(problem, "the CRL of %s is not signed by RSA or ECDSA with SHA-2", name);
    return X509_STORE_add_crl(trust->store, crl) || report(problem, "the CRL of %s cannot be used", name);
}

static bool take_crl(void *context, struct bytes_view der, struct report *problem)
{
    struct trust *trust = context;
    const uint8_t *at = der.data;
    X509_CRL *crl = d2i_X509_CRL(NULL, &at, (long)der.size);
    trust->crls++;
    const bool good = crl && at == der.data + der.size
                          ? add_crl(trust, crl, problem)
                          : report(problem, "CRL %u cannot be read: it must be PEM or DER", trust->crls);
    X509_CRL_free(crl);
    return good;
}

struct trust *trust_certificates(struct bytes_view authorities, struct bytes_view crls, bool crl_required,
                                 struct report *problem)
{
    struct trust *trust = OPENSSL_zalloc(sizeof(*trust));
    bool good = trust && (trust->store = X509_STORE_new());
    if (!good)
        (void)report(problem, "there is no memory for the authorities");
    good = good && pem_each(authorities, "CERTIFICATE", take_authority, trust, problem) &&
           (crls.size == 0 || pem_each(crls, "X509 CRL", take_crl, trust, problem));
    if (!good) {
        trust_free(trust);
        return NULL;
    }
    trust->crl_required = crl_required;
    return trust;
}

void trust_free(struct trust *trust)
{
    if (!trust)
        return;
    X509_STORE_free(trust->store);
    wipe(trust, sizeof(*trust));
    OPENSSL_free(trust);
}

size_t trust_request(const struct trust *trust, uint8_t *out, size_t capacity)
{
    const size_t size = MIN((size_t)trust->authorities, capacity / KEY_HASH_BYTES) * KEY_HASH_BYTES;
    if (size > 0)
        memcpy(out, trust->key_hashes, size);
    return size;
}

static bool wrong_name(const struct peer_claim *claim, const char *has, struct report *problem)
{
    char expected[IDENTITY_TEXT_MAX];
    identity_format(claim->expected, expected, sizeof(expected));
    return report(problem, "%s, not %s", has, expected);
}

static bool verify_preshared(const struct trust *trust, const struct auth_octets *what,
                             const struct peer_claim *claim, struct report *problem)
{
    char has[IDENTITY_TEXT_MAX + 40] = "the gateway calls itself ";
    if (claim->method != AUTH_PRESHARED)
        return report(problem,
                      "the gateway proves itself by a certificate; the policy expects the pre-shared key");
    if (!identity_equal(claim->id, claim->expected)) {
        identity_format(claim->id, has + strlen(has), sizeof(has) - strlen(has));
        return wrong_name(claim, has, problem);
    }
    return preshared_verify(&trust->preshared, what, claim->auth, problem);
}

/* The certificate must hold the name that the policy expects. What the gateway calls itself may be another
 * name, as long as the certificate holds that one too. */
static bool verify_name(X509 *leaf, const struct peer_claim *claim, struct report *problem)
{
    char has[IDENTITY_TEXT_MAX + 40] = "the gateway's certificate is for ";
    if (!certificate_holds(leaf, claim->expected)) {
        certificate_names(leaf, has + strlen(has), IDENTITY_TEXT_MAX);
        return wrong_name(claim, has, problem);
    }
    if (identity_equal(claim->id, claim->expected) || certificate_holds(leaf, claim->id))
        return true;
    (void)copy_string(has, sizeof(has), "the gateway calls itself ");
    identity_format(claim->id, has + strlen(has), IDENTITY_TEXT_MAX);
    return report(problem, "%s, which its certificate does not hold", has);
}

static bool judge(const struct certificate_question *question, const struct auth_octets *what,
                  const struct peer_claim *claim, struct report *problem)
{
    EVP_PKEY *key = X509_get0_pubkey(question->leaf);
    if (!key)
        return report(problem, "the gateway's certificate has a key of an unknown kind");
    return certificate_chain_holds(question, problem) && certificate_usable(question->leaf, problem) &&
           verify_name(question->leaf, claim, problem) &&
           signature_verify(key, claim->method, claim->auth, (struct bytes_view){what->octets, what->size},
                            problem);
}

static bool verify_certificates(const struct trust *trust, const struct auth_octets *what,
                                const struct peer_claim *claim, struct report *problem)
{
    if (claim->method == AUTH_PRESHARED)
        return report(problem,
                      "the gateway proves itself by a pre-shared key; the policy expects a certificate");
    if (claim->certificate_count == 0 || claim->certificate_count > CERTIFICATES_MAX)
        return report(problem, "the gateway sent %u certificates: it must send its own and at most %d others",
                      claim->certificate_count, CERTIFICATES_MAX - 1);
    struct certificate_question question = {
        .store = trust->store, .crl_required = trust->crl_required, .now = claim->now};
    question.leaf = certificate_read(claim->certificates[0]);
    bool good = question.leaf || report(problem,
                                        "the gateway's certificate cannot be read, or has more than "
                                        "%d bytes",
                                        CERTIFICATE_MAX);
    for (unsigned i = 1; good && i < claim->certificate_count; i++) {
        X509 *x = certificate_read(claim->certificates[i]);
        if (x) /* one that cannot be read is of no use to the chain, and no harm */
            question.others[question.other_count++] = x;
    }
    good = good && judge(&question, what, claim, problem);
    for (unsigned i = 0; i < question.other_count; i++)
        X509_free(question.others[i]);
    X509_free(question.leaf);
    return good;
}

bool trust_verify(struct trust *trust, const struct auth_octets *what, const struct peer_claim *claim,
                  struct report *problem)
{
    if (!claim->id || !claim->expected)
        return report(problem, "the gateway did not say who it is");
    return trust->store ? verify_certificates(trust, what, claim, problem)
                        : verify_preshared(trust, what, claim, problem);
}
