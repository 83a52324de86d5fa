/* SPDX-License-Identifier: Apache-2.0 */
/* Is the gateway who it should be? */
#include "crypto/ipsec/credential_parts.h"
#include "lib/format.h"
#include "lib/strings.h"

#define USAGE_TEXT_MAX 32

X509 *certificate_read(struct bytes_view der)
{
    const uint8_t *at = der.data;
    X509 *x = der.size > 0 && der.size <= CERTIFICATE_MAX ? d2i_X509(NULL, &at, (long)der.size) : NULL;
    if (x && at != der.data + der.size) {
        X509_free(x);
        return NULL;
    }
    return x;
}

/* ---- What its certificate is for, and which names it holds (RFC 4945) ---- */

static bool extended_usage_fits(X509 *leaf)
{
    static const char *const fitting[] = {
        "2.5.29.37.0",        /* any */
        "1.3.6.1.5.5.7.3.1",  /* serverAuth */
        "1.3.6.1.5.5.7.3.5",  /* ipsecEndSystem */
        "1.3.6.1.5.5.7.3.6",  /* ipsecTunnel */
        "1.3.6.1.5.5.7.3.17", /* ipsecIKE */
        "1.3.6.1.5.5.8.2.2",  /* iKEIntermediate */
    };
    int critical;
    EXTENDED_KEY_USAGE *usages = X509_get_ext_d2i(leaf, NID_ext_key_usage, &critical, NULL);
    bool fits = !usages && critical == -1; /* -1: there is no such extension, and that is for all */
    for (int i = 0; i < sk_ASN1_OBJECT_num(usages); i++) {
        char usage[USAGE_TEXT_MAX];
        const int length = OBJ_obj2txt(usage, sizeof(usage), sk_ASN1_OBJECT_value(usages, i), 1);
        for (size_t k = 0; k < ARRAY_COUNT(fitting) && length > 0; k++)
            fits = fits || strcmp(usage, fitting[k]) == 0;
    }
    EXTENDED_KEY_USAGE_free(usages);
    return fits;
}

/* May the key sign for a gateway (RFC 4945 section 5.1.3)? */
static bool is_usable(X509 *leaf, struct report *problem)
{
    if (!(X509_get_key_usage(leaf) & (KU_DIGITAL_SIGNATURE | KU_NON_REPUDIATION)))
        return report(problem, "the gateway's certificate is not for signing: its key usage has neither "
                               "digitalSignature nor nonRepudiation");
    if (X509_check_ca(leaf) == 1)
        return report(problem, "the gateway's certificate is an authority's own, not a gateway's");
    return extended_usage_fits(leaf) ||
           report(problem,
                  "the gateway's certificate is not for a gateway: its extended key usage has neither "
                  "serverAuth nor an IKE usage");
}

/* A subjectAltName as an identity; false for the kinds that IKE has none for. */
static bool identity_of(const GENERAL_NAME *name, struct identity *out)
{
    int type;
    const ASN1_STRING *s = GENERAL_NAME_get0_value(name, &type);
    if (type != GEN_DNS && type != GEN_EMAIL && type != GEN_IPADD)
        return false; /* and no string, perhaps */
    const size_t size = (size_t)ASN1_STRING_length(s);
    const enum identity_kind kind = type == GEN_DNS       ? ID_FQDN
                                    : type == GEN_EMAIL   ? ID_EMAIL
                                    : size == ip_bytes(6) ? ID_IPV6
                                                          : ID_IPV4;
    return identity_set(out, kind, ASN1_STRING_get0_data(s), size);
}

/* Does it hold this identity: a subjectAltName, the subject, the subject's key identifier? The names that it
 * does hold are for a sentence. */
static bool holds(X509 *leaf, const struct identity *id, char names[IDENTITY_TEXT_MAX])
{
    const ASN1_OCTET_STRING *key = X509_get0_subject_key_id(leaf);
    GENERAL_NAMES *held = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    struct identity one;
    const uint8_t *subject;
    size_t size, at = 0;
    bool found = X509_NAME_get0_der(X509_get_subject_name(leaf), &subject, &size) &&
                 identity_set(&one, ID_DER_DN, subject, size) && identity_equal(&one, id);
    if (key && identity_set(&one, ID_KEY, ASN1_STRING_get0_data(key), (size_t)ASN1_STRING_length(key)))
        found = found || identity_equal(&one, id);
    for (int i = 0; i < sk_GENERAL_NAME_num(held); i++) {
        char text[IDENTITY_TEXT_MAX];
        if (!identity_of(sk_GENERAL_NAME_value(held, i), &one))
            continue;
        found = found || identity_equal(&one, id);
        identity_format(&one, text);
        at += format(names + at, IDENTITY_TEXT_MAX - at, "%s%s", at ? ", " : "", text);
    }
    GENERAL_NAMES_free(held);
    if (at == 0)
        name_format(X509_get_subject_name(leaf), names);
    return found;
}

/* ---- The judgement ---- */

static bool verify_preshared(const struct credential *own, const struct auth_octets *what,
                             const struct peer_claim *claim, struct report *problem)
{
    char has[IDENTITY_TEXT_MAX], expected[IDENTITY_TEXT_MAX];
    struct auth_data wanted;
    if (claim->method != AUTH_PRESHARED)
        return report(problem,
                      "the gateway proves itself by a certificate; the policy expects the pre-shared key");
    if (!identity_equal(claim->id, claim->expected)) {
        identity_format(claim->id, has);
        identity_format(claim->expected, expected);
        return report(problem, "the gateway calls itself %s, not %s", has, expected);
    }
    if (!preshared_make(own, what, &wanted, problem))
        return false;
    const bool equal =
        claim->auth.size == wanted.size && equal_constant_time(wanted.bytes, claim->auth.data, wanted.size);
    wipe(&wanted, sizeof(wanted));
    return equal || report(problem, "the gateway's proof does not fit the pre-shared key: is it the same on "
                                    "both sides?");
}

/* The certificate must hold the name that the policy expects. What the gateway calls itself may be another
 * name, as long as the certificate holds that one too. */
static bool verify_name(X509 *leaf, const struct peer_claim *claim, struct report *problem)
{
    char has[IDENTITY_TEXT_MAX], expected[IDENTITY_TEXT_MAX];
    if (!holds(leaf, claim->expected, has)) {
        identity_format(claim->expected, expected);
        return report(problem, "the gateway's certificate is for %s, not %s", has, expected);
    }
    if (identity_equal(claim->id, claim->expected) || holds(leaf, claim->id, has))
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
        if (x && !sk_X509_push(sent, x)) { /* another that cannot be read is of no use, and no harm */
            X509_free(x);
            return report(problem, "there is no memory for the gateway's certificates");
        }
    }
    return true;
}

static bool judge(const struct credential *own, STACK_OF(X509) * sent, const struct auth_octets *what,
                  const struct peer_claim *claim, struct report *problem)
{
    if (!read_sent(claim, sent, problem))
        return false;
    X509 *leaf = sk_X509_value(sent, 0);
    EVP_PKEY *key = X509_get0_pubkey(leaf);
    if (!key)
        return report(problem, "the gateway's certificate has a key of an unknown kind");
    return certificate_chain_holds(own->store, sent, own->crl_required, claim->now, problem) &&
           is_usable(leaf, problem) && verify_name(leaf, claim, problem) &&
           signature_verify(key, claim->method, claim->auth, what->octets, problem);
}

static bool verify_certificates(const struct credential *own, const struct auth_octets *what,
                                const struct peer_claim *claim, struct report *problem)
{
    if (claim->method == AUTH_PRESHARED)
        return report(problem,
                      "the gateway proves itself by a pre-shared key; the policy expects a certificate");
    if (claim->certificate_count == 0 || claim->certificate_count > CERTIFICATES_MAX)
        return report(problem, "the gateway sent %u certificates: it must send its own and at most %d others",
                      claim->certificate_count, CERTIFICATES_MAX - 1);
    STACK_OF(X509) *sent = sk_X509_new_null();
    const bool good = judge(own, sent, what, claim, problem);
    sk_X509_pop_free(sent, X509_free);
    return good;
}

bool credential_verify(const struct credential *credential, const struct auth_octets *what,
                       const struct peer_claim *claim, struct report *problem)
{
    if (!claim->id || !claim->expected)
        return report(problem, "the gateway did not say who it is");
    return (credential->store ? verify_certificates : verify_preshared)(credential, what, claim, problem);
}
