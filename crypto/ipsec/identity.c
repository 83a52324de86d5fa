/* SPDX-License-Identifier: Apache-2.0 */
/* IKE identities (RFC 7296 section 3.5): from the policy's words, into words, and compared. */
#include "crypto/ipsec/identity.h"
#include "crypto/ipsec/distinguished_name.h"
#include "lib/format.h"
#include "lib/strings.h"

static const char key_prefix[] = "keyid:";
#define KEY_PREFIX (sizeof(key_prefix) - 1)

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_key(const char *text, size_t length, struct identity *out, struct report *problem)
{
    if (length == 0 || length % 2 != 0 || length / 2 > IDENTITY_MAX)
        return report(problem, "a key identity is keyid: and 2 to %u hexadecimal digits",
                      (unsigned)(2 * IDENTITY_MAX));
    for (size_t i = 0; i < length; i += 2) {
        int high = hex_digit(text[i]), low = hex_digit(text[i + 1]);
        if (high < 0 || low < 0)
            return report(problem, "a key identity is keyid: and hexadecimal digits only");
        out->bytes[i / 2] = (uint8_t)(high << 4 | low);
    }
    out->kind = ID_KEY;
    out->size = (uint16_t)(length / 2);
    return true;
}

static bool is_name_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
}

/* A domain name, or what stands before and after the @ of an e-mail address. */
static bool parse_name(const char *text, size_t length, struct identity *out, struct report *problem)
{
    unsigned ats = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '@')
            ats++;
        else if (!is_name_character(text[i]) && !(text[i] == '+' && !ats))
            return report(problem,
                          "\"%.*s\" is no identity: a domain name, an e-mail address, an IP address, "
                          "a distinguished name (CN=...), or keyid:HEX",
                          (int)MIN(length, (size_t)64), text);
    }
    if (ats > 1 || (ats && (text[0] == '@' || text[length - 1] == '@')))
        return report(problem, "\"%.*s\" is no e-mail address", (int)MIN(length, (size_t)64), text);
    memcpy(out->bytes, text, length);
    out->kind = ats ? ID_EMAIL : ID_FQDN;
    out->size = (uint16_t)length;
    return true;
}

bool identity_parse(const char *text, size_t length, struct identity *out, struct report *problem)
{
    *out = (struct identity){0};
    struct ip_address ip;
    if (length == 0 || length > IDENTITY_MAX)
        return report(problem, "an identity has 1 to %d characters", IDENTITY_MAX);
    if (ip_parse(text, length, &ip)) {
        out->kind = ip.version == 4 ? ID_IPV4 : ID_IPV6;
        out->size = (uint16_t)ip_bytes(ip.version);
        memcpy(out->bytes, ip.bytes, out->size);
        return true;
    }
    if (length > KEY_PREFIX && memcmp(text, key_prefix, KEY_PREFIX) == 0)
        return parse_key(text + KEY_PREFIX, length - KEY_PREFIX, out, problem);
    for (size_t i = 0; i < length; i++)
        if (text[i] == '=')
            return distinguished_name_parse(text, length, out, problem);
    return parse_name(text, length, out, problem);
}

static void format_text(const struct identity *id, char *out, size_t capacity)
{
    size_t i = 0;
    for (; i < id->size && i + 1 < capacity; i++)
        out[i] = id->bytes[i] > ' ' && id->bytes[i] <= '~' ? (char)id->bytes[i] : '?';
    out[i] = '\0';
}

static void format_hex(const struct identity *id, char *out, size_t capacity)
{
    size_t at = format(out, capacity, "%s", key_prefix);
    for (size_t i = 0; i < id->size && at + 2 < capacity; i++)
        at += format(out + at, capacity - at, "%02x", id->bytes[i]);
}

void identity_format(const struct identity *id, char *out, size_t capacity)
{
    struct ip_address ip = {.version = id->kind == ID_IPV4 ? 4 : 6};
    char text[IP_TEXT_MAX];
    if (capacity == 0)
        return;
    switch (id->kind) {
    case ID_IPV4:
    case ID_IPV6:
        if (id->size == ip_bytes(ip.version)) {
            memcpy(ip.bytes, id->bytes, id->size);
            ip_format(&ip, text);
            (void)format(out, capacity, "%s", text);
            return;
        }
        break;
    case ID_FQDN:
    case ID_EMAIL:
        format_text(id, out, capacity);
        return;
    case ID_DER_DN:
        distinguished_name_format(id->bytes, id->size, out, capacity);
        return;
    case ID_KEY:
        format_hex(id, out, capacity);
        return;
    default:
        break;
    }
    (void)format(out, capacity, "(an identity of kind %u, %u bytes)", id->kind, id->size);
}

static char lower(uint8_t c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

bool text_equal_any_case(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
    if (a_size != b_size)
        return false;
    for (size_t i = 0; i < a_size; i++)
        if (lower(a[i]) != lower(b[i]))
            return false;
    return true;
}

bool identity_equal(const struct identity *a, const struct identity *b)
{
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case ID_FQDN:
    case ID_EMAIL:
        return text_equal_any_case(a->bytes, a->size, b->bytes, b->size);
    case ID_DER_DN:
        return distinguished_name_equal(a->bytes, a->size, b->bytes, b->size);
    default:
        return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
    }
}
