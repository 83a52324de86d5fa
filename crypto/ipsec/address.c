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

bool ip_is_multicast(const struct ip_address *ip)
{
    static const uint8_t broadcast[IPV4_BYTES] = {255, 255, 255, 255};
    if (ip->version == 6)
        return ip->bytes[0] == 0xff;
    return ip->bytes[0] >> 4 == 0xe || memcmp(ip->bytes, broadcast, IPV4_BYTES) == 0;
}

bool ip_is_link_local(const struct ip_address *ip)
{
    static const struct ip_address none;
    const uint8_t *b = ip->bytes;
    if (ip->version == 4)
        return b[0] == 127 || b[0] == 0 || (b[0] == 169 && b[1] == 254);
    if (b[0] == 0xfe && (b[1] & 0xc0) == 0x80)
        return true;
    return memcmp(b, none.bytes, IP_BYTES_MAX - 1) == 0 && b[IP_BYTES_MAX - 1] <= 1;
}

/* ---- Text ---- */

bool ip_parse(const char *text, size_t length, struct ip_address *out)
{
    char whole[IP_TEXT_MAX], canonical[IP_TEXT_MAX];
    const bool copied = ini_copy((struct ini_text){text, length}, whole, sizeof(whole));
    if (!copied || strlen(whole) != length || length < 2) /* libcrypto takes ":" for "::" */
        return false;
    ASN1_OCTET_STRING *bytes = a2i_IPADDRESS(whole);
    if (!bytes)
        return false;
    struct ip_address ip = {.version = ASN1_STRING_length(bytes) == IPV4_BYTES ? 4 : 6};
    memcpy(ip.bytes, ASN1_STRING_get0_data(bytes), ip_bytes(ip.version));
    ASN1_OCTET_STRING_free(bytes);
    ip_format(&ip, canonical);
    if (ip.version == 4 && strcmp(whole, canonical) != 0)
        return false; /* leading zeroes: some programs read those as octal */
    *out = ip;
    return true;
}

/* The longest run of at least two zero groups is written as "::", the first of equals (RFC 5952 section 4.2).
 */
static void format_ipv6(const uint8_t bytes[IPV6_BYTES], char out[IP_TEXT_MAX])
{
    size_t used = 0;
    unsigned run = 0, longest = 1, end = 0; /* end: of the longest run; 0: there is none */
    for (unsigned i = 0; i < GROUPS; i++) {
        run = bytes[2 * i] || bytes[2 * i + 1] ? 0 : run + 1;
        if (run > longest) {
            longest = run;
            end = i + 1;
        }
    }
    for (unsigned i = 0; i < GROUPS; i++) {
        const unsigned group = (unsigned)bytes[2 * i] << 8 | bytes[2 * i + 1];
        const bool gap = end > 0 && i == end - longest;
        used += gap ? format(out + used, IP_TEXT_MAX - used, "::")
                    : format(out + used, IP_TEXT_MAX - used, "%s%x", i > 0 && i != end ? ":" : "", group);
        i = gap ? end - 1 : i;
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

/* Is it inside one of the list? */
static bool is_inside(const struct traffic_selector *inner, const struct selector_list *list)
{
    const bool opaque = inner->first_port > inner->last_port;
    for (unsigned i = 0; i < list->count; i++) {
        const struct traffic_selector *outer = &list->item[i];
        if (inner->first.version != outer->first.version || address_below(&inner->first, &outer->first) ||
            address_below(&outer->last, &inner->last) ||
            (outer->protocol && outer->protocol != inner->protocol) ||
            inner->first_port < outer->first_port || inner->last_port > outer->last_port)
            continue;
        /* OPAQUE seems to lie in every range of ports, but is only in itself and in all of them. */
        if (!opaque || outer->first_port > outer->last_port || any_port(outer))
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
