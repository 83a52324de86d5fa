/* SPDX-License-Identifier: Apache-2.0 */
/* What the gateway is judged by: a pre-shared key, or authorities and their CRLs. */
#include "crypto/ipsec/certificate.h"
#include "crypto/ipsec/pem.h"
#include "crypto/ipsec/signature.h"
#include "lib/strings.h"
#include <openssl/x509v3.h>

#define KEY_HASH_BYTES 20 /* SHA-1, RFC 7296 section 3.7 */

struct trust {
    struct credential *preshared; /* what the gateway would sign with too; NULL: by certificate */
    X509_STORE *store;
    bool crl_required;
    unsigned authorities, crls; /* read so far */
};

/* ---- What is trusted ---- */

struct trust *trust_psk(const uint8_t *psk, size_t size, struct report *problem)
{
    struct trust *trust = OPENSSL_zalloc(sizeof(*trust));
    if (trust && (trust->preshared = credential_psk(psk, size, problem)))
        return trust;
    trust_free(trust);
    (void)report(problem, "there is no memory for the pre-shared key");
    return NULL;
}

static bool add_authority(struct trust *trust, X509 *x, struct report *problem)
{
    char name[IDENTITY_TEXT_MAX];
    if (!x)
        return report(problem, "the authority's certificate %u cannot be read, or has more than %d bytes",
                      trust->authorities, CERTIFICATE_MAX);
    name_format(X509_get_subject_name(x), name);
    if (X509_check_ca(x) != 1)
        return report(problem,
                      "the certificate of %s is no authority's: its basicConstraints must say CA:TRUE", name);
    return X509_STORE_add_cert(trust->store, x) ||
           report(problem, "the certificate of %s cannot be used as an authority's", name);
}

static bool take_authority(void *context, struct bytes_view der, struct report *problem)
{
    struct trust *trust = context;
    trust->authorities++;
    X509 *x = certificate_read(der);
    const bool good = add_authority(trust, x, problem);
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
    name_format(X509_CRL_get_issuer(crl), name);
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
    if (trust && (trust->store = X509_STORE_new()) &&
        pem_each(authorities, "CERTIFICATE", take_authority, trust, problem) &&
        (crls.size == 0 || pem_each(crls, "X509 CRL", take_crl, trust, problem))) {
        trust->crl_required = crl_required;
        return trust;
    }
    trust_free(trust);
    (void)report(problem, "there is no memory for the authorities");
    return NULL;
}

void trust_free(struct trust *trust)
{
    if (!trust)
        return;
    credential_free(trust->preshared);
    X509_STORE_free(trust->store);
    OPENSSL_free(trust);
}

static bool hash_key(const X509 *x, uint8_t out[KEY_HASH_BYTES])
{
    uint8_t *der = NULL;
    const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);
    const bool good = size > 0 && EVP_Q_digest(NULL, "SHA1", NULL, der, (size_t)size, out, NULL) == 1;
    OPENSSL_free(der);
    return good;
}

size_t trust_request(const struct trust *trust, uint8_t *out, size_t capacity)
{
    const STACK_OF(X509_OBJECT) *known = trust->store ? X509_STORE_get0_objects(trust->store) : NULL;
    size_t size = 0;
    for (int i = 0; i < sk_X509_OBJECT_num(known) && capacity - size >= KEY_HASH_BYTES; i++) {
        const X509 *x = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(known, i));
        if (x && hash_key(x, out + size))
            size += KEY_HASH_BYTES;
    }
    return size;
}

/* ---- The judgement ---- */

static bool verify_preshared(const struct trust *trust, const struct auth_octets *what,
                             const struct peer_claim *claim, struct report *problem)
{
    char has[IDENTITY_TEXT_MAX], expected[IDENTITY_TEXT_MAX];
    uint8_t wanted[SIGNATURE_MAX], method;
    size_t size;
    if (claim->method != AUTH_PRESHARED)
        return report(problem,
                      "the gateway proves itself by a certificate; the policy expects the pre-shared key");
    if (!identity_equal(claim->id, claim->expected)) {
        identity_format(claim->id, has);
        identity_format(claim->expected, expected);
        return report(problem, "the gateway calls itself %s, not %s", has, expected);
    }
    if (!credential_sign(trust->preshared, what, 0, &method, wanted, &size, problem))
        return false;
    const bool equal = claim->auth.size == size && equal_constant_time(wanted, claim->auth.data, size);
    wipe(wanted, sizeof(wanted));
    return equal || report(problem, "the gateway's proof does not fit the pre-shared key: is it the same on "
                                    "both sides?");
}

/* The certificate must hold the name that the policy expects. What the gateway calls itself may be another
 * name, as long as the certificate holds that one too. */
static bool verify_name(X509 *leaf, const struct peer_claim *claim, struct report *problem)
{
    char has[IDENTITY_TEXT_MAX], expected[IDENTITY_TEXT_MAX];
    if (!certificate_holds(leaf, claim->expected, has)) {
        identity_format(claim->expected, expected);
        return report(problem, "the gateway's certificate is for %s, not %s", has, expected);
    }
    if (identity_equal(claim->id, claim->expected) || certificate_holds(leaf, claim->id, has))
        return true;
    identity_format(claim->id, has);
    return report(problem, "the gateway calls itself %s, which its certificate does not hold", has);
}

static bool read_sent(const struct peer_claim *claim, STACK_OF(X509) * sent, struct report *problem)
{
    for (unsigned i = 0; i < claim->certificate_count; i++) {
        X509 *x = certificate_read(claim->certificates[i]);
        if (!x && i == 0)
            return report(problem, "the gateway's certificate cannot be read, or has more than %d bytes",
                          CERTIFICATE_MAX);
        if (x &&
            !sk_X509_push(sent, x)) { /* one that cannot be read is of no use to the chain, and no harm */
            X509_free(x);
            return report(problem, "there is no memory for the gateway's certificates");
        }
    }
    return true;
}

static bool judge(const struct trust *trust, STACK_OF(X509) * sent, const struct auth_octets *what,
                  const struct peer_claim *claim, struct report *problem)
{
    if (!read_sent(claim, sent, problem))
        return false;
    X509 *leaf = sk_X509_value(sent, 0);
    EVP_PKEY *key = X509_get0_pubkey(leaf);
    if (!key)
        return report(problem, "the gateway's certificate has a key of an unknown kind");
    return certificate_chain_holds(trust->store, sent, trust->crl_required, claim->now, problem) &&
           certificate_usable(leaf, problem) && verify_name(leaf, claim, problem) &&
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
    STACK_OF(X509) *sent = sk_X509_new_null();
    const bool good = judge(trust, sent, what, claim, problem);
    sk_X509_pop_free(sent, X509_free);
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
