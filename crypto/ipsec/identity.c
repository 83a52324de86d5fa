/* SPDX-License-Identifier: Apache-2.0 */
/* IKE identities (RFC 7296 section 3.5): from the policy's words, into words, and compared. Distinguished
 * names are libcrypto's X509_NAME. */
#include "crypto/ipsec/credential_parts.h"
#include "lib/format.h"
#include "lib/ini.h"
#include "lib/strings.h"

static const char key_prefix[] = "keyid:";
#define KEY_PREFIX (sizeof(key_prefix) - 1)
#define TYPE_MAX   32 /* "emailAddress", "2.5.4.45" */
/* RFC 2253 says what is escaped: printable ASCII is left. */
#define WORDS (ASN1_STRFLGS_RFC2253 | ASN1_STRFLGS_ESC_QUOTE | XN_FLAG_SEP_CPLUS_SPC | XN_FLAG_FN_SN)

bool identity_set(struct identity *id, uint8_t kind, const void *bytes, size_t size)
{
    if (size > IDENTITY_MAX)
        return false;
    *id = (struct identity){.kind = kind, .size = (uint16_t)size};
    memcpy(id->bytes, bytes, size);
    return true;
}

/* ---- Distinguished names ---- */

/* Cuts off the value up to the next comma; what stands behind a backslash is part of it. Returns its size, 0
 * when there is none. rest->at is NULL behind the last one. */
static size_t take_value(struct ini_text *rest, uint8_t value[IDENTITY_MAX])
{
    size_t size = 0, kept = 0, at = 0; /* kept: with the last character that may not be trimmed */
    for (; at < rest->length && rest->at[at] != ','; at++) {
        const bool escaped = rest->at[at] == '\\';
        if (escaped && ++at == rest->length)
            return 0;
        value[size++] = (uint8_t)rest->at[at];
        if (escaped || rest->at[at] != ' ')
            kept = size;
        else if (kept == 0)
            size = 0;
    }
    *rest = at < rest->length ? (struct ini_text){rest->at + at + 1, rest->length - at - 1}
                              : (struct ini_text){NULL, 0};
    return kept;
}

static bool add_attributes(X509_NAME *name, struct ini_text text, struct report *problem)
{
    const struct ini_text whole = text;
    char type[TYPE_MAX];
    uint8_t value[IDENTITY_MAX];
    while (text.at) {
        const bool good = ini_copy(ini_split(text, '=', &text), type, sizeof(type));
        const size_t size = take_value(&text, value);
        if (!good || size == 0)
            return report(problem, "\"%.*s\" is no distinguished name such as CN=gateway, O=Example",
                          (int)MIN(whole.length, (size_t)100), whole.at);
        if (!X509_NAME_add_entry_by_txt(name, type, MBSTRING_UTF8, value, (int)size, -1, 0))
            return report(problem, "the distinguished name's %s= is unknown or its value does not fit", type);
    }
    return true;
}

/* A comma or an equals sign inside a value stands behind a backslash. */
static bool parse_name(struct ini_text text, struct identity *out, struct report *problem)
{
    X509_NAME *name = X509_NAME_new();
    const uint8_t *der;
    size_t size;
    bool good = name ? add_attributes(name, text, problem)
                     : report(problem, "there is no memory for a distinguished name");
    if (good && (!X509_NAME_get0_der(name, &der, &size) || !identity_set(out, ID_DER_DN, der, size)))
        good = report(problem, "the distinguished name is longer than %d bytes", IDENTITY_MAX);
    X509_NAME_free(name);
    return good;
}

/* NULL: it is none. The caller frees it. */
static X509_NAME *name_of(const struct identity *id)
{
    const uint8_t *at = id->bytes;
    X509_NAME *name = d2i_X509_NAME(NULL, &at, id->size);
    if (name && at != id->bytes + id->size) {
        X509_NAME_free(name);
        name = NULL;
    }
    return name;
}

void name_format(const X509_NAME *name, char out[IDENTITY_TEXT_MAX])
{
    BIO *bio = name ? BIO_new(BIO_s_mem()) : NULL;
    int length = 0;
    if (bio && X509_NAME_print_ex(bio, name, 0, WORDS) >= 0)
        length = BIO_read(bio, out, IDENTITY_TEXT_MAX - 1);
    BIO_free(bio);
    if (length > 0)
        out[length] = '\0';
    else
        (void)format(out, IDENTITY_TEXT_MAX, "%s",
                     name ? "(an empty name)" : "(a malformed distinguished name)");
}

/* ---- From words ---- */

static bool parse_key(struct ini_text text, struct identity *out, struct report *problem)
{
    char digits[IDENTITY_MAX];
    uint8_t bytes[IDENTITY_MAX];
    size_t size;
    return (ini_copy(text, digits, sizeof(digits)) &&
            OPENSSL_hexstr2buf_ex(bytes, sizeof(bytes), &size, digits, '\0') && 2 * size == text.length &&
            identity_set(out, ID_KEY, bytes, size)) ||
           report(problem, "a key identity is keyid: and an even number of hexadecimal digits");
}

/* A domain name, or what stands before and after the @ of an e-mail address. */
static bool parse_host(struct ini_text text, struct identity *out, struct report *problem)
{
    static const char fitting[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
    const int shown = (int)MIN(text.length, (size_t)64);
    unsigned ats = 0;
    for (size_t i = 0; i < text.length; i++) {
        if (text.at[i] == '@')
            ats++;
        else if (!memchr(fitting, text.at[i], sizeof(fitting) - 1) && !(text.at[i] == '+' && !ats))
            return report(problem,
                          "\"%.*s\" is no identity: a domain name, an e-mail address, an IP address, "
                          "a distinguished name (CN=...), or keyid:HEX",
                          shown, text.at);
    }
    if (ats > 1 || (ats && (text.at[0] == '@' || text.at[text.length - 1] == '@')))
        return report(problem, "\"%.*s\" is no e-mail address", shown, text.at);
    return identity_set(out, ats ? ID_EMAIL : ID_FQDN, text.at, text.length);
}

bool identity_parse(const char *text, size_t length, struct identity *out, struct report *problem)
{
    struct ip_address ip;
    if (length == 0 || length > IDENTITY_MAX)
        return report(problem, "an identity has 1 to %d characters", IDENTITY_MAX);
    if (ip_parse(text, length, &ip))
        return identity_set(out, ip.version == 4 ? ID_IPV4 : ID_IPV6, ip.bytes, ip_bytes(ip.version));
    if (length > KEY_PREFIX && memcmp(text, key_prefix, KEY_PREFIX) == 0)
        return parse_key((struct ini_text){text + KEY_PREFIX, length - KEY_PREFIX}, out, problem);
    const struct ini_text words = {text, length};
    return memchr(text, '=', length) ? parse_name(words, out, problem) : parse_host(words, out, problem);
}

/* ---- Into words ---- */

static void format_text(const struct identity *id, char out[IDENTITY_TEXT_MAX])
{
    size_t i = 0;
    for (; i < id->size && i + 1 < IDENTITY_TEXT_MAX; i++)
        out[i] = id->bytes[i] > ' ' && id->bytes[i] <= '~' ? (char)id->bytes[i] : '?';
    out[i] = '\0';
}

static void format_hex(const struct identity *id, char out[IDENTITY_TEXT_MAX])
{
    size_t at = format(out, IDENTITY_TEXT_MAX, "%s", key_prefix);
    for (size_t i = 0; i < id->size && at + 2 < IDENTITY_TEXT_MAX; i++)
        at += format(out + at, IDENTITY_TEXT_MAX - at, "%02x", id->bytes[i]);
}

void identity_format(const struct identity *id, char out[IDENTITY_TEXT_MAX])
{
    struct ip_address ip = {.version = id->kind == ID_IPV4 ? 4 : id->kind == ID_IPV6 ? 6 : 0};
    if (id->kind == ID_FQDN || id->kind == ID_EMAIL) {
        format_text(id, out);
    } else if (id->kind == ID_KEY) {
        format_hex(id, out);
    } else if (id->kind == ID_DER_DN) {
        X509_NAME *name = name_of(id);
        name_format(name, out);
        X509_NAME_free(name);
    } else if (ip.version && id->size == ip_bytes(ip.version)) {
        memcpy(ip.bytes, id->bytes, id->size);
        ip_format(&ip, out);
    } else {
        (void)format(out, IDENTITY_TEXT_MAX, "(an identity of kind %u, %u bytes)", id->kind, id->size);
    }
}

bool identity_equal(const struct identity *a, const struct identity *b)
{
    if (a->kind == ID_DER_DN && b->kind == ID_DER_DN) {
        X509_NAME *name = name_of(a), *other = name_of(b);
        const bool same = name && other && X509_NAME_cmp(name, other) == 0;
        X509_NAME_free(name);
        X509_NAME_free(other);
        return same;
    }
    if (a->kind != b->kind || a->size != b->size)
        return false;
    if (a->kind == ID_FQDN || a->kind == ID_EMAIL)
        return OPENSSL_strncasecmp((const char *)a->bytes, (const char *)b->bytes, a->size) == 0;
    return memcmp(a->bytes, b->bytes, a->size) == 0;
}
