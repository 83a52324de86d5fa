/* SPDX-License-Identifier: Apache-2.0 */
/* ICMP errors: made for the guest, and read. */
#include "crypto/ipsec/tunnel_parts.h"
#include "lib/strings.h"

#define ICMP_HEADER_BYTES     8
#define ICMP4_UNREACHABLE     3
#define ICMP4_CODE_TOO_BIG    4
#define ICMP4_ERRORS          (BIT(3) | BIT(4) | BIT(5) | BIT(11) | BIT(12)) /* redirects too */
#define ICMP6_UNREACHABLE     1
#define ICMP6_TOO_BIG         2
#define ICMP6_INFORMATIONAL   128 /* types below it are errors */
#define ICMP6_REDIRECT        137
#define TRAFFIC_CLASS_CONTROL 0xc0 /* RFC 1812 section 4.3.2.5 */

/* By enum icmp_error: type and code, in ICMP and in ICMPv6. */
static const uint8_t kinds[][2][2] = {
    [ICMP_TOO_BIG] = {{ICMP4_UNREACHABLE, ICMP4_CODE_TOO_BIG}, {ICMP6_TOO_BIG, 0}},
    [ICMP_PROHIBITED] = {{ICMP4_UNREACHABLE, 13}, {ICMP6_UNREACHABLE, 1}},
    [ICMP_UNREACHABLE] = {{ICMP4_UNREACHABLE, 0}, {ICMP6_UNREACHABLE, 0}},
};

static bool may_be_answered(const struct ip_packet *p)
{
    const struct packet_flow *flow = &p->flow;
    const uint8_t type =
        p->size > p->payload ? p->data[p->payload] : ICMP4_UNREACHABLE; /* an empty one is no better */
    const bool error4 = flow->protocol == PROTOCOL_ICMP && type < 64 && ICMP4_ERRORS & BIT(type);
    const bool error6 =
        flow->protocol == PROTOCOL_ICMPV6 && (type < ICMP6_INFORMATIONAL || type == ICMP6_REDIRECT);
    return p->fragment_offset == 0 && !error4 && !error6 && !ip_is_multicast(&flow->destination) &&
           !ip_is_multicast(&flow->source) && !ip_is_link_local(&flow->source) &&
           (p->version == 6 || flow->source.bytes[0] < 240); /* class E is no one */
}

size_t icmp_error_make(const struct ip_packet *about, enum icmp_error kind, size_t mtu,
                       const struct ip_address *from, uint8_t out[ICMP6_ERROR_MAX])
{
    bool ipv4 = about->version == 4;
    if (from->version != about->version || !may_be_answered(about))
        return 0;
    const struct ip_header header = {.source = from,
                                     .destination = &about->flow.source,
                                     .protocol = ipv4 ? PROTOCOL_ICMP : PROTOCOL_ICMPV6,
                                     .traffic_class = ipv4 ? TRAFFIC_CLASS_CONTROL : 0,
                                     .hop_limit = IP_DEFAULT_TTL,
                                     .dont_fragment = true};
    size_t most = ipv4 ? ICMP4_ERROR_MAX : ICMP6_ERROR_MAX;
    size_t quoted = MIN(about->size, most - ip_header_bytes(about->version) - ICMP_HEADER_BYTES);
    size_t size = ICMP_HEADER_BYTES + quoted, ip = ip_write_header(out, &header, size);
    uint8_t *icmp = out + ip;
    memcpy(icmp, kinds[kind][!ipv4], sizeof(kinds[kind][!ipv4]));
    ip_put16(icmp + 2, 0);
    ip_put32(icmp + 4, (uint32_t)mtu); /* IPv4: its low half, the high one is unused (RFC 1191) */
    memcpy(icmp + ICMP_HEADER_BYTES, about->data, quoted);
    uint64_t pseudo = ipv4 ? 0 : ip_pseudo_sum(from, header.destination, PROTOCOL_ICMPV6, size);
    ip_put16(icmp + 2, ip_checksum(pseudo + ip_sum(icmp, size)));
    return ip + size;
}

bool icmp_report_parse(const struct ip_packet *packet, struct icmp_report *out)
{
    uint8_t *icmp = packet->data + packet->payload;
    size_t size = packet->size - packet->payload;
    const bool ipv4 = packet->version == 4;
    *out = (struct icmp_report){0};
    /* The checksum is not looked at: the report is believed no more with a right one. */
    if (size < ICMP_HEADER_BYTES || packet->fragment ||
        packet->flow.protocol != (ipv4 ? PROTOCOL_ICMP : PROTOCOL_ICMPV6))
        return false;
    out->too_big =
        ipv4 ? icmp[0] == ICMP4_UNREACHABLE && icmp[1] == ICMP4_CODE_TOO_BIG : icmp[0] == ICMP6_TOO_BIG;
    if (!out->too_big && icmp[0] != (ipv4 ? ICMP4_UNREACHABLE : ICMP6_UNREACHABLE))
        return false;
    out->told = ipv4 ? ip_get16(icmp + 6) : MIN(ip_get32(icmp + 4), (uint32_t)IP_PACKET_MAX);
    size -= ICMP_HEADER_BYTES;
    if (!ip_header_parse(icmp + ICMP_HEADER_BYTES, size, &out->quoted) ||
        out->quoted.version != packet->version || size - out->quoted.payload < UDP_HEADER_BYTES)
        return false;
    size -= out->quoted.payload;
    memcpy(out->upper, out->quoted.data + out->quoted.payload,
           size < sizeof(out->upper) ? UDP_HEADER_BYTES : sizeof(out->upper));
    return true;
}
