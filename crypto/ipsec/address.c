/* SPDX-License-Identifier: Apache-2.0 */
/* IP addresses as text and bytes (RFC 4291 section 2.2, RFC 5952), and what traffic selectors match. */
#include "crypto/ipsec/address.h"
#include "lib/format.h"
#include "lib/strings.h"

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

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* A number of at most digits_max digits, not above `max`, that ends at the text's end or at a character that
 * is no digit. Moves *at behind it. */
static bool take_number(const char *text, size_t length, size_t *at, int base, unsigned digits_max,
                        unsigned max, unsigned *out)
{
    unsigned value = 0, digits = 0;
    for (; *at < length; ++*at, digits++) {
        int digit = digit_of(text[*at]);
        if (digit < 0 || digit >= base)
            break;
        if (digits == digits_max)
            return false;
        value = value * (unsigned)base + (unsigned)digit;
    }
    *out = value;
    return digits > 0 && value <= max;
}

/* Four decimal numbers without leading zeroes: some programs read those as octal. */
static bool parse_ipv4(const char *text, size_t length, uint8_t out[IPV4_BYTES])
{
    size_t at = 0;
    for (unsigned i = 0; i < IPV4_BYTES; i++) {
        unsigned value;
        if (i > 0 && (at >= length || text[at++] != '.'))
            return false;
        size_t start = at;
        if (!take_number(text, length, &at, 10, 3, 255, &value) || (text[start] == '0' && at > start + 1))
            return false;
        out[i] = (uint8_t)value;
    }
    return at == length;
}

/* Groups before the "::" are put in place, those after it are moved to the end when all are known. */
static bool parse_ipv6(const char *text, size_t length, uint8_t out[IPV6_BYTES])
{
    size_t at = 0, used = 0, gap = IPV6_BYTES + 1; /* gap: where the "::" stands; none yet */
    uint8_t bytes[IPV6_BYTES] = {0};
    if (length >= 2 && text[0] == ':' && text[1] == ':')
        at = 2, gap = 0;
    while (at < length) {
        size_t start = at;
        unsigned value;
        if (used == IPV6_BYTES)
            return false;
        if (used + IPV4_BYTES <= IPV6_BYTES && memchr(text + at, '.', length - at) &&
            !memchr(text + at, ':', length - at)) {
            if (!parse_ipv4(text + start, length - start, bytes + used))
                return false;
            used += IPV4_BYTES;
            break;
        }
        if (!take_number(text, length, &at, 16, 4, 0xffff, &value))
            return false;
        bytes[used++] = (uint8_t)(value >> 8);
        bytes[used++] = (uint8_t)value;
        if (at == length)
            break;
        if (text[at++] != ':' || at == length)
            return false;
        if (text[at] == ':') {
            if (gap <= IPV6_BYTES)
                return false;
            gap = used;
            at++;
        }
    }
    if (gap > IPV6_BYTES ? used != IPV6_BYTES : used > IPV6_BYTES - 2)
        return false;
    memset(out, 0, IPV6_BYTES);
    size_t front = MIN(gap, used);
    memcpy(out, bytes, front);
    memcpy(out + IPV6_BYTES - (used - front), bytes + front, used - front);
    return true;
}

bool ip_parse(const char *text, size_t length, struct ip_address *out)
{
    struct ip_address ip = {0};
    ip.version = memchr(text, ':', length) ? 6 : 4;
    bool good = ip.version == 6 ? parse_ipv6(text, length, ip.bytes) : parse_ipv4(text, length, ip.bytes);
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

static bool address_below(const struct ip_address *a, const struct ip_address *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) < 0;
}

/* The first and last address of the network that `bits` leading bits name. */
static bool selector_of_prefix(const struct ip_address *ip, unsigned bits, struct traffic_selector *out)
{
    unsigned bytes = ip_bytes(ip->version);
    if (bits > bytes * 8)
        return false;
    out->first = out->last = *ip;
    for (unsigned i = 0; i < bytes; i++) {
        unsigned kept = bits > 8 * i ? MIN(bits - 8 * i, 8u) : 0;
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
    const char *slash = memchr(text, '/', length), *dash = memchr(text, '-', length);
    const char *cut = slash ? slash : dash;
    size_t head = cut ? (size_t)(cut - text) : length;
    if ((slash && dash) || !ip_parse(text, head, &s.first))
        return false;
    s.last = s.first;
    if (slash) {
        size_t at = head + 1;
        unsigned bits;
        struct ip_address ip = s.first;
        if (!take_number(text, length, &at, 10, 3, 128, &bits) || at != length ||
            !selector_of_prefix(&ip, bits, &s))
            return false;
    } else if (dash) {
        if (!ip_parse(dash + 1, length - head - 1, &s.last) || s.last.version != s.first.version ||
            address_below(&s.last, &s.first))
            return false;
    }
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
    ip_format(&s->first, first);
    ip_format(&s->last, last);
    int prefix = selector_prefix(s);
    size_t used = format(out, SELECTOR_TEXT_MAX, "%s", first);
    if (prefix >= 0 && !ip_equal(&s->first, &s->last))
        used += format(out + used, SELECTOR_TEXT_MAX - used, "/%d", prefix);
    else if (prefix < 0)
        used += format(out + used, SELECTOR_TEXT_MAX - used, "-%s", last);
    if (s->protocol)
        used += format(out + used, SELECTOR_TEXT_MAX - used, "[%u", s->protocol);
    if (s->protocol && (s->first_port > 0 || s->last_port < PORT_MAX))
        used += format(out + used, SELECTOR_TEXT_MAX - used, "/%u-%u", s->first_port, s->last_port);
    if (s->protocol)
        format(out + used, SELECTOR_TEXT_MAX - used, "]");
}

static bool any_port(const struct traffic_selector *s)
{
    return s->first_port == 0 && s->last_port == PORT_MAX;
}

static bool opaque_port(const struct traffic_selector *s)
{
    return s->first_port == PORT_MAX && s->last_port == 0;
}

static bool selector_matches(const struct traffic_selector *s, const struct ip_address *ip, uint8_t protocol,
                             bool port_known, uint16_t port)
{
    if (s->first.version != ip->version || (s->protocol && s->protocol != protocol))
        return false;
    if (address_below(ip, &s->first) || address_below(&s->last, ip))
        return false;
    if (any_port(s))
        return true;
    return port_known ? port >= s->first_port && port <= s->last_port : opaque_port(s);
}

bool selectors_match(const struct selector_list *from, const struct selector_list *to,
                     const struct packet_flow *flow)
{
    bool source = false, destination = false;
    for (unsigned i = 0; i < from->count && !source; i++)
        source = selector_matches(&from->item[i], &flow->source, flow->protocol, flow->ports_known,
                                  flow->source_port);
    for (unsigned i = 0; i < to->count && source && !destination; i++)
        destination = selector_matches(&to->item[i], &flow->destination, flow->protocol, flow->ports_known,
                                       flow->destination_port);
    return source && destination;
}

static bool selector_within(const struct traffic_selector *inner, const struct traffic_selector *outer)
{
    if (inner->first.version != outer->first.version || address_below(&inner->first, &outer->first) ||
        address_below(&outer->last, &inner->last))
        return false;
    if (outer->protocol && outer->protocol != inner->protocol)
        return false;
    if (any_port(outer))
        return true;
    if (opaque_port(outer) || opaque_port(inner))
        return opaque_port(outer) && opaque_port(inner);
    return inner->first_port >= outer->first_port && inner->last_port <= outer->last_port;
}

bool selectors_within(const struct selector_list *inner, const struct selector_list *outer)
{
    for (unsigned i = 0; i < inner->count; i++) {
        bool inside = false;
        for (unsigned o = 0; o < outer->count && !inside; o++)
            inside = selector_within(&inner->item[i], &outer->item[o]);
        if (!inside)
            return false;
    }
    return true;
}
