/* SPDX-License-Identifier: Apache-2.0 */
/* IP addresses as text and bytes (RFC 4291 section 2.2, RFC 5952), and what traffic selectors match. */
#include "crypto/ipsec/address.h"
#include "lib/format.h"
#include "lib/ini.h"
#include "lib/strings.h"
#include <openssl/x509v3.h>

#define IPV4_BYTES 4
#define IPV6_BYTES 16
#define GROUPS     8 /* of an IPv6 address */
#define PORT_MAX   65535

unsigned ip_bytes(uint8_t version)
{
    return version == 4 ? IPV4_BYTES : version == 6 ? IPV6_BYTES : 0;
}

bool ip_equal(const struct ip_address *a, const struct ip_address *b)
{
    return a->version == b->version && memcmp(a->bytes, b->bytes, ip_bytes(a->version)) == 0;
}

/* ---- Text ---- */

static bool parse_ipv4(struct ini_text text, struct ip_address *out)
{
    char canonical[IP_TEXT_MAX];
    struct ini_text rest = text;
    uint64_t value;
    out->version = 4;
    for (unsigned i = 0; i < IPV4_BYTES; i++) {
        if (!ini_u64(ini_split(rest, '.', &rest), &value) || value > UINT8_MAX)
            return false;
        out->bytes[i] = (uint8_t)value;
    }
    ip_format(out, canonical); /* no leading zeroes: some programs read those as octal */
    return ini_is(text, canonical);
}

static bool parse_ipv6(struct ini_text text, struct ip_address *out)
{
    char whole[IP_TEXT_MAX];
    const bool copied = text.length >= 2 && ini_copy(text, whole, sizeof(whole)); /* ":" is no "::" */
    ASN1_OCTET_STRING *bytes = copied ? a2i_IPADDRESS(whole) : NULL;
    const bool good = bytes && ASN1_STRING_length(bytes) == IPV6_BYTES;
    out->version = 6;
    if (good)
        memcpy(out->bytes, ASN1_STRING_get0_data(bytes), IPV6_BYTES);
    ASN1_OCTET_STRING_free(bytes);
    return good;
}

bool ip_parse(const char *text, size_t length, struct ip_address *out)
{
    const struct ini_text words = {text, length};
    struct ip_address ip = {0};
    bool good = memchr(text, ':', length) ? parse_ipv6(words, &ip) : parse_ipv4(words, &ip);
    if (good)
        *out = ip;
    return good;
}

/* The longest run of at least two zero groups is written as "::", the first of equals (RFC 5952 section 4.2).
 */
static void longest_zero_run(const uint8_t bytes[IPV6_BYTES], unsigned *start, unsigned *length)
{
    *start = GROUPS;
    *length = 1;
    for (unsigned i = 0; i < GROUPS; i++) {
        unsigned run = 0;
        while (i + run < GROUPS && bytes[2 * (i + run)] == 0 && bytes[2 * (i + run) + 1] == 0)
            run++;
        if (run > *length) {
            *start = i;
            *length = run;
        }
    }
}

static void format_ipv6(const uint8_t bytes[IPV6_BYTES], char out[IP_TEXT_MAX])
{
    unsigned start, length;
    size_t used = 0;
    longest_zero_run(bytes, &start, &length);
    for (unsigned i = 0; i < GROUPS;) {
        if (i == start) {
            used += format(out + used, IP_TEXT_MAX - used, "::");
            i += length;
            continue;
        }
        const char *colon = i > 0 && i != start + length ? ":" : "";
        unsigned group = (unsigned)bytes[2 * i] << 8 | bytes[2 * i + 1];
        used += format(out + used, IP_TEXT_MAX - used, "%s%x", colon, group);
        i++;
    }
}

void ip_format(const struct ip_address *ip, char out[IP_TEXT_MAX])
{
    if (ip->version == 4)
        format(out, IP_TEXT_MAX, "%u.%u.%u.%u", ip->bytes[0], ip->bytes[1], ip->bytes[2], ip->bytes[3]);
    else if (ip->version == 6)
        format_ipv6(ip->bytes, out);
    else
        copy_string(out, IP_TEXT_MAX, "none");
}

/* ---- Selectors ---- */

const struct selector_list everywhere4 = {
    .count = 1, .item = {{.last_port = PORT_MAX, .first = {4, {0}}, .last = {4, {255, 255, 255, 255}}}}};

static bool any_port(const struct traffic_selector *s)
{
    return s->first_port == 0 && s->last_port == PORT_MAX;
}

static bool address_below(const struct ip_address *a, const struct ip_address *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) < 0;
}

/* The first and last address of the network that `bits` leading bits name. */
static bool selector_of_prefix(const struct ip_address *ip, uint64_t bits, struct traffic_selector *out)
{
    unsigned bytes = ip_bytes(ip->version);
    if (bits > bytes * 8)
        return false;
    out->first = out->last = *ip;
    for (unsigned i = 0; i < bytes; i++) {
        uint64_t kept = bits > 8 * i ? MIN(bits - 8 * i, 8u) : 0;
        uint8_t host = (uint8_t)(0xff >> kept);
        if (ip->bytes[i] & host)
            return false; /* 10.0.0.1/8 is a slip of the pen: it names no network */
        out->last.bytes[i] |= host;
    }
    return true;
}

bool selector_parse(const char *text, size_t length, struct traffic_selector *out)
{
    struct traffic_selector s = {.last_port = PORT_MAX};
    struct ini_text bits, last, first = ini_split((struct ini_text){text, length}, '/', &bits);
    uint64_t prefix = 0;
    first = ini_split(first, '-', &last);
    if (!ip_parse(first.at, first.length, &s.first))
        return false;
    struct ip_address ip = s.last = s.first;
    if (bits.at && (last.at || !ini_u64(bits, &prefix) || !selector_of_prefix(&ip, prefix, &s)))
        return false;
    if (last.at && (!ip_parse(last.at, last.length, &s.last) || s.last.version != s.first.version ||
                    address_below(&s.last, &s.first)))
        return false;
    *out = s;
    return true;
}

int selector_prefix(const struct traffic_selector *s)
{
    struct traffic_selector network;
    for (unsigned bits = 0; bits <= ip_bytes(s->first.version) * 8; bits++)
        if (selector_of_prefix(&s->first, bits, &network) && ip_equal(&network.last, &s->last))
            return (int)bits;
    return -1;
}

void selector_format(const struct traffic_selector *s, char out[SELECTOR_TEXT_MAX])
{
    char first[IP_TEXT_MAX], last[IP_TEXT_MAX];
    const int prefix = selector_prefix(s);
    ip_format(&s->first, first);
    ip_format(&s->last, last);
    size_t used = format(out, SELECTOR_TEXT_MAX, "%s", first);
    if (prefix < 0)
        used += format(out + used, SELECTOR_TEXT_MAX - used, "-%s", last);
    else if (!ip_equal(&s->first, &s->last))
        used += format(out + used, SELECTOR_TEXT_MAX - used, "/%d", prefix);
    if (s->protocol && any_port(s))
        format(out + used, SELECTOR_TEXT_MAX - used, "[%u]", s->protocol);
    else if (s->protocol)
        format(out + used, SELECTOR_TEXT_MAX - used, "[%u/%u-%u]", s->protocol, s->first_port, s->last_port);
}

static bool opaque_port(const struct traffic_selector *s)
{
    return s->first_port == PORT_MAX && s->last_port == 0;
}

/* Is it inside one of the list? */
static bool is_inside(const struct traffic_selector *inner, const struct selector_list *list)
{
    for (unsigned i = 0; i < list->count; i++) {
        const struct traffic_selector *outer = &list->item[i];
        if (inner->first.version != outer->first.version || address_below(&inner->first, &outer->first) ||
            address_below(&outer->last, &inner->last))
            continue;
        if (outer->protocol && outer->protocol != inner->protocol)
            continue;
        bool opaque = opaque_port(outer) && opaque_port(inner);
        bool ports = inner->first_port >= outer->first_port && inner->last_port <= outer->last_port;
        if (any_port(outer) || opaque || (ports && !opaque_port(outer) && !opaque_port(inner)))
            return true;
    }
    return false;
}

/* One end of a packet. */
static struct traffic_selector end_of(const struct packet_flow *flow, const struct ip_address *ip,
                                      uint16_t port)
{
    return (struct traffic_selector){.protocol = flow->protocol,
                                     .first_port = flow->ports_known ? port : PORT_MAX,
                                     .last_port = flow->ports_known ? port : 0,
                                     .first = *ip,
                                     .last = *ip};
}

bool selectors_match(const struct selector_list *from, const struct selector_list *to,
                     const struct packet_flow *flow)
{
    struct traffic_selector source = end_of(flow, &flow->source, flow->source_port);
    struct traffic_selector destination = end_of(flow, &flow->destination, flow->destination_port);
    return is_inside(&source, from) && is_inside(&destination, to);
}

bool selectors_within(const struct selector_list *inner, const struct selector_list *outer)
{
    bool within = true;
    for (unsigned i = 0; i < inner->count; i++)
        within = within && is_inside(&inner->item[i], outer);
    return within;
}
