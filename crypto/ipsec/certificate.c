/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway's certificate: what its key may do and which names it holds (RFC 4945). */
#include "crypto/ipsec/certificate.h"
#include "lib/format.h"
#include "lib/strings.h"
#include <openssl/x509v3.h>

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

static bool usage_fits(const ASN1_OBJECT *usage)
{
    static const char *const fitting[] = {
        "2.5.29.37.0",        /* any */
        "1.3.6.1.5.5.7.3.1",  /* serverAuth */
        "1.3.6.1.5.5.7.3.5",  /* ipsecEndSystem */
        "1.3.6.1.5.5.7.3.6",  /* ipsecTunnel */
        "1.3.6.1.5.5.7.3.17", /* ipsecIKE */
        "1.3.6.1.5.5.8.2.2",  /* iKEIntermediate */
    };
    char text[USAGE_TEXT_MAX];
    const int length = OBJ_obj2txt(text, sizeof(text), usage, 1);
    for (size_t i = 0; i < ARRAY_COUNT(fitting) && length > 0; i++)
        if (strcmp(text, fitting[i]) == 0)
            return true;
    return false;
}

static bool extended_usage_fits(X509 *leaf)
{
    int critical;
    EXTENDED_KEY_USAGE *usages = X509_get_ext_d2i(leaf, NID_ext_key_usage, &critical, NULL);
    bool fits = !usages && critical == -1; /* -1: there is no such extension, and that is for all */
    for (int i = 0; i < sk_ASN1_OBJECT_num(usages); i++)
        fits = fits || usage_fits(sk_ASN1_OBJECT_value(usages, i));
    EXTENDED_KEY_USAGE_free(usages);
    return fits;
}

bool certificate_usable(X509 *leaf, struct report *problem)
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
    if ((type != GEN_DNS && type != GEN_EMAIL && type != GEN_IPADD) || ASN1_STRING_length(s) > IDENTITY_MAX)
        return false;
    out->size = (uint16_t)ASN1_STRING_length(s);
    out->kind = type == GEN_DNS            ? ID_FQDN
                : type == GEN_EMAIL        ? ID_EMAIL
                : out->size == ip_bytes(6) ? ID_IPV6
                                           : ID_IPV4;
    memcpy(out->bytes, ASN1_STRING_get0_data(s), out->size);
    return true;
}

bool certificate_holds(X509 *leaf, const struct identity *id, char names[IDENTITY_TEXT_MAX])
{
    const ASN1_OCTET_STRING *key = X509_get0_subject_key_id(leaf);
    GENERAL_NAMES *held = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    bool found = id->kind == ID_DER_DN && name_is(X509_get_subject_name(leaf), id);
    if (id->kind == ID_KEY)
        found = key && ASN1_STRING_length(key) == id->size &&
                memcmp(ASN1_STRING_get0_data(key), id->bytes, id->size) == 0;
    size_t at = 0;
    for (int i = 0; i < sk_GENERAL_NAME_num(held); i++) {
        struct identity one;
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
