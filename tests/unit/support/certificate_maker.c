/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates and CRLs made on the spot, also wrong ones. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/support/certificate_maker.h"
#include <openssl/evp.h>

static void require(bool condition)
{
    if (!condition)
        abort();
}

EVP_PKEY *make_ec_key(const char *curve)
{
    EVP_PKEY *key = EVP_EC_gen(curve);
    require(key);
    return key;
}

EVP_PKEY *make_rsa_key(size_t bits)
{
    EVP_PKEY *key = EVP_RSA_gen(bits);
    require(key);
    return key;
}

static void add_text(X509_NAME *name, const char *type, const char *value)
{
    require(X509_NAME_add_entry_by_txt(name, type, MBSTRING_UTF8, (const uint8_t *)value, -1, -1, 0));
}

static void add_basic(X509 *x)
{
    BASIC_CONSTRAINTS *basic = BASIC_CONSTRAINTS_new();
    require(basic);
    basic->ca = 1;
    require(X509_add1_ext_i2d(x, NID_basic_constraints, basic, 1, X509V3_ADD_DEFAULT));
    BASIC_CONSTRAINTS_free(basic);
}

/* KU_* are the bit string's first byte. */
static void add_usage(X509 *x, uint32_t usage)
{
    ASN1_BIT_STRING *bits = ASN1_BIT_STRING_new();
    require(bits);
    for (int i = 0; i < 8; i++)
        require(ASN1_BIT_STRING_set_bit(bits, i, (int)(usage >> (7 - i) & 1)));
    require(X509_add1_ext_i2d(x, NID_key_usage, bits, 1, X509V3_ADD_DEFAULT));
    ASN1_BIT_STRING_free(bits);
}

static void add_extended_usage(X509 *x, int nid)
{
    EXTENDED_KEY_USAGE *usages = EXTENDED_KEY_USAGE_new();
    require(usages && sk_ASN1_OBJECT_push(usages, OBJ_nid2obj(nid)) > 0);
    require(X509_add1_ext_i2d(x, NID_ext_key_usage, usages, 0, X509V3_ADD_DEFAULT));
    EXTENDED_KEY_USAGE_free(usages);
}

static void push_name(GENERAL_NAMES *names, int type, ASN1_STRING *value, const void *data, size_t size)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    require(name && value && ASN1_STRING_set(value, data, (int)size));
    GENERAL_NAME_set0_value(name, type, value);
    require(sk_GENERAL_NAME_push(names, name));
}

static void add_names(X509 *x, const struct recipe *recipe)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    require(names);
    if (recipe->dns)
        push_name(names, GEN_DNS, ASN1_IA5STRING_new(), recipe->dns, strlen(recipe->dns));
    if (recipe->email)
        push_name(names, GEN_EMAIL, ASN1_IA5STRING_new(), recipe->email, strlen(recipe->email));
    if (recipe->ip)
        push_name(names, GEN_IPADD, ASN1_OCTET_STRING_new(), recipe->ip, recipe->ip_size);
    if (sk_GENERAL_NAME_num(names) > 0)
        require(X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT));
    GENERAL_NAMES_free(names);
}

static void add_comment(X509 *x)
{
    ASN1_IA5STRING *comment = ASN1_IA5STRING_new();
    char text[CERTIFICATE_MAX];
    memset(text, 'a', sizeof(text));
    require(comment && ASN1_STRING_set(comment, text, sizeof(text)));
    require(X509_add1_ext_i2d(x, NID_netscape_comment, comment, 0, X509V3_ADD_DEFAULT));
    ASN1_IA5STRING_free(comment);
}

static void add_key_id(X509 *x)
{
    ASN1_OCTET_STRING *id = ASN1_OCTET_STRING_new();
    require(id && ASN1_OCTET_STRING_set(id, (const uint8_t *)"gateway-key-1", 13));
    require(X509_add1_ext_i2d(x, NID_subject_key_identifier, id, 0, X509V3_ADD_DEFAULT));
    ASN1_OCTET_STRING_free(id);
}

static void add_extensions(X509 *x, const struct recipe *recipe)
{
    if (recipe->authority)
        add_basic(x);
    if (recipe->key_usage)
        add_usage(x, recipe->key_usage);
    if (recipe->extended_usage)
        add_extended_usage(x, recipe->extended_usage);
    if (recipe->long_comment)
        add_comment(x);
    if (recipe->key_id)
        add_key_id(x);
    add_names(x, recipe);
}

void make_certificate(const struct recipe *recipe, struct made *out)
{
    static long serial = 1;
    memset(out, 0, sizeof(*out));
    out->key = recipe->key;
    if (out->key)
        require(EVP_PKEY_up_ref(out->key));
    else
        out->key = make_ec_key("P-256");
    X509 *x = out->x = X509_new();
    require(x && X509_set_version(x, X509_VERSION_3));
    require(ASN1_INTEGER_set(X509_get_serialNumber(x), serial++));
    require(ASN1_TIME_set(X509_getm_notBefore(x), recipe->from ? recipe->from : MADE_NOW - MADE_YEAR) &&
            ASN1_TIME_set(X509_getm_notAfter(x), recipe->until ? recipe->until : MADE_NOW + MADE_YEAR));
    add_text(X509_get_subject_name(x), "CN", recipe->name);
    add_text(X509_get_subject_name(x), "O", "Example");
    const struct made *issuer = recipe->issuer ? recipe->issuer : out;
    require(X509_set_issuer_name(x, X509_get_subject_name(issuer->x)) && X509_set_pubkey(x, out->key));
    add_extensions(x, recipe);
    EVP_MD *md = EVP_MD_fetch(NULL, recipe->digest ? recipe->digest : "SHA256", NULL);
    require(md && X509_sign(x, issuer->key, md) > 0);
    EVP_MD_free(md);
    uint8_t *at = out->der, *key_at = out->key_der;
    require(i2d_X509(x, NULL) <= (int)sizeof(out->der));
    out->size = (size_t)i2d_X509(x, &at);
    require(i2d_PrivateKey(out->key, NULL) <= (int)sizeof(out->key_der));
    out->key_size = (size_t)i2d_PrivateKey(out->key, &key_at);
}

void made_free(struct made *made)
{
    X509_free(made->x);
    EVP_PKEY_free(made->key);
    memset(made, 0, sizeof(*made));
}

struct bytes_view made_view(const struct made *made)
{
    return (struct bytes_view){made->der, made->size};
}

struct bytes_view made_key_view(const struct made *made)
{
    return (struct bytes_view){made->key_der, made->key_size};
}

struct bytes_view make_crl_with(const struct made *issuer, const struct made *revoked, int64_t from,
                                int64_t until, const char *digest)
{
    X509_CRL *crl = X509_CRL_new();
    ASN1_TIME *time = ASN1_TIME_new();
    require(crl && time && X509_CRL_set_version(crl, X509_CRL_VERSION_2) &&
            X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer->x)));
    require(ASN1_TIME_set(time, from) && X509_CRL_set1_lastUpdate(crl, time));
    if (until)
        require(ASN1_TIME_set(time, until) && X509_CRL_set1_nextUpdate(crl, time));
    if (revoked) {
        X509_REVOKED *entry = X509_REVOKED_new();
        require(entry && X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(revoked->x)));
        require(ASN1_TIME_set(time, from) && X509_REVOKED_set_revocationDate(entry, time));
        require(X509_CRL_add0_revoked(crl, entry));
    }
    EVP_MD *md = EVP_MD_fetch(NULL, digest, NULL);
    require(md && X509_CRL_sort(crl) && X509_CRL_sign(crl, issuer->key, md) > 0);
    EVP_MD_free(md);
    uint8_t *der = NULL;
    const int size = i2d_X509_CRL(crl, &der);
    require(size > 0);
    uint8_t *copy = malloc((size_t)size);
    require(copy);
    memcpy(copy, der, (size_t)size);
    OPENSSL_free(der);
    ASN1_TIME_free(time);
    X509_CRL_free(crl);
    return (struct bytes_view){copy, (size_t)size};
}

struct bytes_view make_crl(const struct made *issuer, const struct made *revoked, int64_t from, int64_t until)
{
    return make_crl_with(issuer, revoked, from, until, "SHA256");
}

struct bytes_view make_pem(const char *label, struct bytes_view der)
{
    const size_t room = der.size * 2 + 200;
    char *text = malloc(room);
    uint8_t *base64 = malloc(der.size * 2 + 8);
    require(text && base64);
    const int length = EVP_EncodeBlock(base64, der.data, (int)der.size);
    size_t at = (size_t)snprintf(text, room, "subject = something\n-----BEGIN %s-----\r\n", label);
    for (int i = 0; i < length; i += 64)
        at +=
            (size_t)snprintf(text + at, room - at, "%.*s\r\n", length - i < 64 ? length - i : 64, base64 + i);
    at += (size_t)snprintf(text + at, room - at, "-----END %s-----\n", label);
    free(base64);
    return (struct bytes_view){(const uint8_t *)text, at};
}
