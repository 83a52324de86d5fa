/* SPDX-License-Identifier: Apache-2.0 */
/* The chain from the gateway's certificate to a trusted authority, and a sentence for each way in which there
 * is none. */
#include "crypto/ipsec/credential_parts.h"
#include "lib/format.h"
#include "lib/strings.h"

#define SECURITY_LEVEL 2 /* libcrypto's: 112 bits, so RSA from 2048 bits and no SHA-1 */
#define DATE_TEXT_MAX  16

/* The time that decided; NULL: there is none. */
static const ASN1_TIME *time_of(X509_STORE_CTX *ctx)
{
    X509 *x = X509_STORE_CTX_get_current_cert(ctx);
    X509_CRL *crl = X509_STORE_CTX_get0_current_crl(ctx);
    X509_REVOKED *entry;
    switch (X509_STORE_CTX_get_error(ctx)) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return X509_get0_notAfter(x);
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return X509_get0_notBefore(x);
    case X509_V_ERR_CERT_REVOKED:
        return X509_CRL_get0_by_cert(crl, &entry, x) ? X509_REVOKED_get0_revocationDate(entry) : NULL;
    case X509_V_ERR_CRL_HAS_EXPIRED:
        return X509_CRL_get0_nextUpdate(crl);
    case X509_V_ERR_CRL_NOT_YET_VALID:
        return X509_CRL_get0_lastUpdate(crl);
    default:
        return NULL;
    }
}

/* "2026-01-31" (UTC) */
static void format_date(const ASN1_TIME *time, char out[DATE_TEXT_MAX])
{
    struct tm when;
    if (!time || !ASN1_TIME_to_tm(time, &when))
        (void)copy_string(out, DATE_TEXT_MAX, "(no date)");
    else
        (void)format(out, DATE_TEXT_MAX, "%04d-%02d-%02d", when.tm_year + 1900, when.tm_mon + 1,
                     when.tm_mday);
}

static bool say_why(X509_STORE_CTX *ctx, struct report *problem)
{
    char subject[IDENTITY_TEXT_MAX + 48] = "the gateway's certificate", issuer[IDENTITY_TEXT_MAX];
    char name[IDENTITY_TEXT_MAX], date[DATE_TEXT_MAX];
    const int error = X509_STORE_CTX_get_error(ctx);
    const char *why = X509_verify_cert_error_string(error);
    X509 *x = X509_STORE_CTX_get_current_cert(ctx);
    name_format(x ? X509_get_subject_name(x) : NULL, name);
    name_format(x ? X509_get_issuer_name(x) : NULL, issuer);
    format_date(time_of(ctx), date);
    if (X509_STORE_CTX_get_error_depth(ctx) > 0)
        (void)format(subject, sizeof(subject), "the certificate of the authority %s", name);
    switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return report(problem, "%s expired on %s: it must be renewed", subject, date);
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return report(problem, "%s is valid from %s on only: is this machine's clock right?", subject, date);
    case X509_V_ERR_CERT_REVOKED:
        return report(problem, "%s was revoked on %s", subject, date);
    case X509_V_ERR_UNABLE_TO_GET_CRL:
        return report(problem, "there is no CRL of %s, and the policy requires one", issuer);
    case X509_V_ERR_CRL_HAS_EXPIRED:
        return report(problem, "the CRL of %s expired on %s: give a newer one", issuer, date);
    case X509_V_ERR_CRL_NOT_YET_VALID:
        return report(problem, "the CRL of %s is valid from %s on only: is this machine's clock right?",
                      issuer, date);
    case X509_V_ERR_CRL_SIGNATURE_FAILURE:
    case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
    case X509_V_ERR_KEYUSAGE_NO_CRL_SIGN:
        return report(problem, "the CRL of %s cannot be used: %s", issuer, why);
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
        return report(problem, "%s is refused: %s", subject, why);
    }
}

/* Called for each fault found, while its certificate and CRL are at hand. */
static int found(int good, X509_STORE_CTX *ctx)
{
    return good || say_why(ctx, X509_STORE_CTX_get_app_data(ctx));
}

/* The same where CRLs are not required: a missing one alone is no reason. */
static int found_but_no_crl(int good, X509_STORE_CTX *ctx)
{
    return X509_STORE_CTX_get_error(ctx) == X509_V_ERR_UNABLE_TO_GET_CRL || found(good, ctx);
}

bool certificate_chain_holds(X509_STORE *store, STACK_OF(X509) * sent, bool crl_required, uint64_t now,
                             struct report *problem)
{
    if (now == 0)
        return report(problem, "the time is not known, so the gateway's certificate cannot be judged");
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    bool good = ctx && X509_STORE_CTX_init(ctx, store, sk_X509_value(sent, 0), sent) &&
                X509_STORE_CTX_set_app_data(ctx, problem);
    if (good) {
        X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
        X509_VERIFY_PARAM_set_time(param, (time_t)now);
        X509_VERIFY_PARAM_set_auth_level(param, SECURITY_LEVEL);
        X509_VERIFY_PARAM_set_depth(param, CERTIFICATES_MAX);
        X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_CRL_CHECK |
                                               X509_V_FLAG_CRL_CHECK_ALL);
        X509_STORE_CTX_set_verify_cb(ctx, crl_required ? found : found_but_no_crl);
        good = X509_verify_cert(ctx) == 1;
    }
    X509_STORE_CTX_free(ctx);
    return good || report(problem, "there is no memory to judge the gateway's certificate");
}
