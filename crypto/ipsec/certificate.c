/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway's certificate: what its key may do and which names it holds (RFC 4945). */
#include "crypto/ipsec/certificate.h"
#include "crypto/ipsec/distinguished_name.h"
#include "lib/format.h"
#include "lib/strings.h"
#include <openssl/x509.h>
#include <openssl/x509v3.h>

X509 *certificate_read(struct bytes_view der)
{
    if (der.size == 0 || der.size > CERTIFICATE_MAX)
        return NULL;
    const uint8_t *at = der.data;
    X509 *x = d2i_X509(NULL, &at, (long)der.size);
    if (x && at != der.data + der.size) {
        X509_free(x);
        return NULL;
    }
    return x;
}

/* iKEIntermediate, 1.3.6.1.5.5.8.2.2: not in libcrypto's table. */
static const uint8_t ike_intermediate[] = {0x2b, 0x06, 0x01, 0x05, 0x05, 0x08, 0x02, 0x02};

static bool usage_fits(const ASN1_OBJECT *usage)
{
    switch (OBJ_obj2nid(usage)) {
    case NID_anyExtendedKeyUsage:
    case NID_server_auth:
    case NID_ipsec_IKE:
    case NID_ipsecEndSystem:
    case NID_ipsecTunnel:
        return true;
    default:
        return OBJ_length(usage) == sizeof(ike_intermediate) &&
               memcmp(OBJ_get0_data(usage), ike_intermediate, sizeof(ike_intermediate)) == 0;
    }
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

static bool string_is(const ASN1_STRING *s, const struct identity *id, bool text)
{
    const uint8_t *data = ASN1_STRING_get0_data(s);
    const size_t size = (size_t)ASN1_STRING_length(s);
    if (text)
        return text_equal_any_case(data, size, id->bytes, id->size);
    return size == id->size && memcmp(data, id->bytes, size) == 0;
}

static bool name_is(const GENERAL_NAME *name, const struct identity *id)
{
    switch (name->type) {
    case GEN_DNS:
        return id->kind == ID_FQDN && string_is(name->d.dNSName, id, true);
    case GEN_EMAIL:
        return id->kind == ID_EMAIL && string_is(name->d.rfc822Name, id, true);
    case GEN_IPADD:
        return (id->kind == ID_IPV4 || id->kind == ID_IPV6) && string_is(name->d.iPAddress, id, false);
    default:
        return false;
    }
}

static bool subject_is(X509 *leaf, const struct identity *id)
{
    uint8_t *der = NULL;
    const int size = i2d_X509_NAME(X509_get_subject_name(leaf), &der);
    const bool same = size > 0 && distinguished_name_equal(der, (size_t)size, id->bytes, id->size);
    OPENSSL_free(der);
    return same;
}

bool certificate_holds(X509 *leaf, const struct identity *id)
{
    if (id->kind == ID_DER_DN)
        return subject_is(leaf, id);
    if (id->kind == ID_KEY) {
        const ASN1_OCTET_STRING *key = X509_get0_subject_key_id(leaf);
        return key && string_is(key, id, false);
    }
    GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    bool found = false;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++)
        found = found || name_is(sk_GENERAL_NAME_value(names, i), id);
    GENERAL_NAMES_free(names);
    return found;
}

/* A subjectAltName as an identity; false for the kinds that IKE has none for. */
static bool identity_of(const GENERAL_NAME *name, struct identity *out)
{
    const ASN1_STRING *s = name->type == GEN_DNS     ? name->d.dNSName
                           : name->type == GEN_EMAIL ? name->d.rfc822Name
                           : name->type == GEN_IPADD ? name->d.iPAddress
                                                     : NULL;
    if (!s || ASN1_STRING_length(s) > IDENTITY_MAX)
        return false;
    out->size = (uint16_t)ASN1_STRING_length(s);
    out->kind = name->type == GEN_DNS ? ID_FQDN : name->type == GEN_EMAIL ? ID_EMAIL : ID_IPV4;
    if (name->type == GEN_IPADD && out->size == ip_bytes(6))
        out->kind = ID_IPV6;
    memcpy(out->bytes, ASN1_STRING_get0_data(s), out->size);
    return true;
}

void certificate_names(X509 *leaf, char *out, size_t capacity)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    size_t at = 0;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        struct identity id;
        char text[IDENTITY_TEXT_MAX];
        if (!identity_of(sk_GENERAL_NAME_value(names, i), &id))
            continue;
        identity_format(&id, text, sizeof(text));
        at += format(out + at, capacity - at, "%s%s", at ? ", " : "", text);
    }
    GENERAL_NAMES_free(names);
    if (at == 0)
        distinguished_name_words(X509_get_subject_name(leaf), out, capacity);
}

void certificate_date(const ASN1_TIME *time, char out[DATE_TEXT_MAX])
{
    struct tm when;
    if (!time || !ASN1_TIME_to_tm(time, &when))
        (void)format(out, DATE_TEXT_MAX, "(no date)");
    else
        (void)format(out, DATE_TEXT_MAX, "%04d-%02d-%02d", when.tm_year + 1900, when.tm_mon + 1,
                     when.tm_mday);
}
