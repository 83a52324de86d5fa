/* SPDX-License-Identifier: Apache-2.0 */
/* X.501 distinguished names over libcrypto's X509_NAME. */
#include "crypto/ipsec/distinguished_name.h"
#include "lib/format.h"
#include "lib/strings.h"
#include <openssl/x509.h>

#define TYPE_MAX 32 /* "emailAddress", "2.5.4.45" */
#define WORDS    (ASN1_STRFLGS_RFC2253 | ASN1_STRFLGS_ESC_QUOTE | XN_FLAG_SEP_CPLUS_SPC | XN_FLAG_FN_SN)

struct attribute {
    char type[TYPE_MAX];
    uint8_t value[IDENTITY_MAX];
    size_t size;
};

/* Cuts the next "type=value" off; false when it has not this form. */
static bool next_attribute(const char **at, const char *end, struct attribute *out)
{
    const char *p = *at;
    size_t type = 0;
    while (p < end && *p == ' ')
        p++;
    for (; p < end && *p != '='; p++) {
        if (type + 1 == TYPE_MAX || *p == ',')
            return false;
        out->type[type++] = *p;
    }
    if (p == end || type == 0)
        return false;
    while (type > 0 && out->type[type - 1] == ' ')
        type--;
    out->type[type] = '\0';
    for (p++; p < end && *p == ' '; p++)
        ;
    size_t kept = 0; /* with the last character that may not be trimmed */
    for (out->size = 0; p < end && *p != ','; p++) {
        const bool escaped = *p == '\\';
        if (escaped && ++p == end)
            return false;
        out->value[out->size++] = (uint8_t)*p;
        if (escaped || *p != ' ')
            kept = out->size;
    }
    out->size = kept;
    *at = p < end ? p + 1 : p;
    return kept > 0 && (p == end || *at < end);
}

static bool add_attributes(X509_NAME *name, const char *text, size_t length, struct report *problem)
{
    struct attribute attribute;
    for (const char *at = text; at < text + length;) {
        if (!next_attribute(&at, text + length, &attribute))
            return report(problem, "\"%.*s\" is no distinguished name such as CN=gateway, O=Example",
                          (int)MIN(length, (size_t)100), text);
        if (!X509_NAME_add_entry_by_txt(name, attribute.type, MBSTRING_UTF8, attribute.value,
                                        (int)attribute.size, -1, 0))
            return report(problem, "the distinguished name's %s= is unknown or its value does not fit",
                          attribute.type);
    }
    return true;
}

bool distinguished_name_parse(const char *text, size_t length, struct identity *out, struct report *problem)
{
    X509_NAME *name = X509_NAME_new();
    if (!name)
        return report(problem, "there is no memory for a distinguished name");
    bool good = add_attributes(name, text, length, problem);
    int size = good ? i2d_X509_NAME(name, NULL) : 0;
    if (good && (size <= 0 || size > IDENTITY_MAX))
        good = report(problem, "the distinguished name is longer than %d bytes", IDENTITY_MAX);
    if (good) {
        uint8_t *at = out->bytes;
        out->kind = ID_DER_DN;
        out->size = (uint16_t)i2d_X509_NAME(name, &at);
    }
    X509_NAME_free(name);
    return good;
}

static X509_NAME *name_of(const uint8_t *der, size_t size)
{
    const uint8_t *at = der;
    X509_NAME *name = size <= IDENTITY_MAX ? d2i_X509_NAME(NULL, &at, (long)size) : NULL;
    if (name && at != der + size) {
        X509_NAME_free(name);
        return NULL;
    }
    return name;
}

void distinguished_name_words(const X509_NAME *name, char *out, size_t capacity)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    long length = 0;
    if (bio && X509_NAME_print_ex(bio, name, 0, WORDS) >= 0)
        length = BIO_get_mem_data(bio, &text);
    size_t i = 0;
    for (; length > 0 && i < (size_t)length && i + 1 < capacity; i++)
        out[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
    out[i] = '\0';
    BIO_free(bio);
    if (i == 0)
        (void)format(out, capacity, "(an empty name)");
}

void distinguished_name_format(const uint8_t *der, size_t size, char *out, size_t capacity)
{
    X509_NAME *name = name_of(der, size);
    if (name)
        distinguished_name_words(name, out, capacity);
    else
        (void)format(out, capacity, "(a malformed distinguished name)");
    X509_NAME_free(name);
}

bool distinguished_name_equal(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
    X509_NAME *x = name_of(a, a_size), *y = name_of(b, b_size);
    const bool equal = x && y && X509_NAME_cmp(x, y) == 0;
    X509_NAME_free(x);
    X509_NAME_free(y);
    return equal;
}
