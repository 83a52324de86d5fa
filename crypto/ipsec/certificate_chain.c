/* SPDX-License-Identifier: Apache-2.0 */
/* The chain from the gateway's certificate to a trusted authority, and a sentence for each way in which there
 * is none. */
#include "crypto/ipsec/certificate.h"
#include "crypto/ipsec/distinguished_name.h"
#include "lib/format.h"
#include "lib/strings.h"
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#define SECURITY_LEVEL 2 /* libcrypto's: 112 bits, so RSA from 2048 bits and no SHA-1 */

/* "the gateway's certificate", or that of whom. */
static void whose(X509_STORE_CTX *ctx, char *out, size_t capacity)
{
    char name[IDENTITY_TEXT_MAX];
    X509 *x = X509_STORE_CTX_get_current_cert(ctx);
    if (X509_STORE_CTX_get_error_depth(ctx) == 0 || !x) {
        (void)format(out, capacity, "the gateway's certificate");
        return;
    }
    distinguished_name_words(X509_get_subject_name(x), name, sizeof(name));
    (void)format(out, capacity, "the certificate of the authority %s", name);
}

static void issuer_of(X509_STORE_CTX *ctx, char *out, size_t capacity)
{
    X509 *x = X509_STORE_CTX_get_current_cert(ctx);
    if (x)
        distinguished_name_words(X509_get_issuer_name(x), out, capacity);
    else
        (void)format(out, capacity, "(unknown)");
}

static bool say_revoked(X509_STORE_CTX *ctx, const char *subject, struct report *problem)
{
    char date[DATE_TEXT_MAX];
    X509_REVOKED *entry = NULL;
    X509_CRL *crl = X509_STORE_CTX_get0_current_crl(ctx);
    if (crl)
        (void)X509_CRL_get0_by_cert(crl, &entry, X509_STORE_CTX_get_current_cert(ctx));
    certificate_date(entry ? X509_REVOKED_get0_revocationDate(entry) : NULL, date);
    return report(problem, "%s was revoked on %s", subject, date);
}

static bool say_crl(X509_STORE_CTX *ctx, int error, const char *issuer, struct report *problem)
{
    char date[DATE_TEXT_MAX];
    X509_CRL *crl = X509_STORE_CTX_get0_current_crl(ctx);
    const bool expired = error == X509_V_ERR_CRL_HAS_EXPIRED;
    if (error == X509_V_ERR_UNABLE_TO_GET_CRL)
        return report(problem, "there is no CRL of %s, and the policy requires one", issuer);
    if (!crl || (!expired && error != X509_V_ERR_CRL_NOT_YET_VALID))
        return report(problem, "the CRL of %s cannot be used: %s", issuer,
                      X509_verify_cert_error_string(error));
    certificate_date(expired ? X509_CRL_get0_nextUpdate(crl) : X509_CRL_get0_lastUpdate(crl), date);
    if (expired)
        return report(problem, "the CRL of %s expired on %s: give a newer one", issuer, date);
    return report(problem, "the CRL of %s is valid from %s on only: is this machine's clock right?", issuer,
                  date);
}

static bool say_why(X509_STORE_CTX *ctx, struct report *problem)
{
    char subject[IDENTITY_TEXT_MAX + 48], issuer[IDENTITY_TEXT_MAX], date[DATE_TEXT_MAX];
    const int error = X509_STORE_CTX_get_error(ctx);
    const X509 *x = X509_STORE_CTX_get_current_cert(ctx);
    whose(ctx, subject, sizeof(subject));
    issuer_of(ctx, issuer, sizeof(issuer));
    switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        certificate_date(X509_get0_notAfter(x), date);
        return report(problem, "%s expired on %s: it must be renewed", subject, date);
    case X509_V_ERR_CERT_NOT_YET_VALID:
        certificate_date(X509_get0_notBefore(x), date);
        return report(problem, "%s is valid from %s on only: is this machine's clock right?", subject, date);
    case X509_V_ERR_CERT_REVOKED:
        return say_revoked(ctx, subject, problem);
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_CRL_HAS_EXPIRED:
    case X509_V_ERR_CRL_NOT_YET_VALID:
    case X509_V_ERR_CRL_SIGNATURE_FAILURE:
    case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
    case X509_V_ERR_KEYUSAGE_NO_CRL_SIGN:
        return say_crl(ctx, error, issuer, problem);
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        return report(problem, "%s was issued by %s, which no trusted authority vouches for", subject,
                      issuer);
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        return report(problem, "%s signed itself and is none of the trusted authorities", subject);
    case X509_V_ERR_EE_KEY_TOO_SMALL:
    case X509_V_ERR_CA_KEY_TOO_SMALL:
        return report(problem, "%s has a key that is too weak: RSA must have 2048 bits, ECDSA 256", subject);
    case X509_V_ERR_CA_MD_TOO_WEAK:
        return report(problem, "%s is signed with a hash that is too weak: it must be SHA-2", subject);
    default:
        return report(problem, "%s is refused: %s", subject, X509_verify_cert_error_string(error));
    }
}

/* What the callback needs of the judgement. */
struct judgement {
    bool crl_required;
    struct report *problem;
};

/* Called for each fault found, while its certificate and CRL are at hand. With CRLs that are not required, a
 * missing one alone is no reason. */
static int found(int good, X509_STORE_CTX *ctx)
{
    const struct judgement *judgement = X509_STORE_CTX_get_app_data(ctx);
    if (good || (!judgement->crl_required && X509_STORE_CTX_get_error(ctx) == X509_V_ERR_UNABLE_TO_GET_CRL))
        return 1;
    return say_why(ctx, judgement->problem);
}

static bool verify(X509_STORE_CTX *ctx, STACK_OF(X509) * others, const struct certificate_question *question,
                   struct report *problem)
{
    for (unsigned i = 0; i < question->other_count; i++)
        if (!sk_X509_push(others, question->others[i]))
            return report(problem, "there is no memory for the gateway's certificates");
    if (!X509_STORE_CTX_init(ctx, question->store, question->leaf, others))
        return report(problem, "there is no memory to judge the gateway's certificate");
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_time(param, (time_t)question->now);
    X509_VERIFY_PARAM_set_auth_level(param, SECURITY_LEVEL);
    X509_VERIFY_PARAM_set_depth(param, CERTIFICATES_MAX);
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_CRL_CHECK |
                                           X509_V_FLAG_CRL_CHECK_ALL);
    struct judgement judgement = {question->crl_required, problem};
    if (!X509_STORE_CTX_set_app_data(ctx, &judgement))
        return report(problem, "there is no memory to judge the gateway's certificate");
    X509_STORE_CTX_set_verify_cb(ctx, found);
    return X509_verify_cert(ctx) == 1 || say_why(ctx, problem);
}

bool certificate_chain_holds(const struct certificate_question *question, struct report *problem)
{
    if (question->now == 0)
        return report(problem, "the time is not known, so the gateway's certificate cannot be judged");
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    STACK_OF(X509) *others = sk_X509_new_null();
    const bool good = ctx && others
                          ? verify(ctx, others, question, problem)
                          : report(problem, "there is no memory to judge the gateway's certificate");
    sk_X509_free(others); /* the certificates are the caller's */
    X509_STORE_CTX_free(ctx);
    return good;
}
