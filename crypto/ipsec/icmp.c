/* SPDX-License-Identifier: Apache-2.0 */
/* ICMP errors: made for the guest, and read. */
#include "crypto/ipsec/icmp.h"
#include "lib/reader.h"
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

/* By enum icmp_error: type and code of each version. */
static const struct {
    uint8_t type4, code4, type6, code6;
} kinds[] = {
    [ICMP_TOO_BIG] = {ICMP4_UNREACHABLE, ICMP4_CODE_TOO_BIG, ICMP6_TOO_BIG, 0},
    [ICMP_PROHIBITED] = {ICMP4_UNREACHABLE, 13, ICMP6_UNREACHABLE, 1},
    [ICMP_UNREACHABLE] = {ICMP4_UNREACHABLE, 0, ICMP6_UNREACHABLE, 0},
};

static bool is_error(const struct ip_packet *p)
{
    uint8_t type =
        p->size > p->payload ? p->data[p->payload] : ICMP4_UNREACHABLE; /* an empty one is no better */
    if (p->flow.protocol == PROTOCOL_ICMP)
        return type < 64 && ICMP4_ERRORS & BIT(type);
    return p->flow.protocol == PROTOCOL_ICMPV6 && (type < ICMP6_INFORMATIONAL || type == ICMP6_REDIRECT);
}

static bool may_be_answered(const struct ip_packet *p)
{
    const struct packet_flow *flow = &p->flow;
    if (p->fragment_offset > 0 || is_error(p))
        return false;
    if (ip_is_multicast(&flow->destination) || ip_is_multicast(&flow->source) ||
        ip_is_link_local(&flow->source))
        return false;
    return flow->source.version == 6 || flow->source.bytes[0] < 240; /* class E is no one */
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
    memset(icmp, 0, ICMP_HEADER_BYTES);
    icmp[0] = ipv4 ? kinds[kind].type4 : kinds[kind].type6;
    icmp[1] = ipv4 ? kinds[kind].code4 : kinds[kind].code6;
    if (kind == ICMP_TOO_BIG)
        ip_put32(icmp + 4, (uint32_t)mtu); /* IPv4: its low half, the high one is unused (RFC 1191) */
    memcpy(icmp + ICMP_HEADER_BYTES, about->data, quoted);
    uint64_t pseudo = ipv4 ? 0 : ip_pseudo_sum(from, header.destination, PROTOCOL_ICMPV6, size);
    ip_put16(icmp + 2, ip_checksum(pseudo + ip_sum(icmp, size)));
    return ip + size;
}

bool icmp_limit_take(uint64_t *limit, uint64_t now)
{
    uint64_t from = MAX(*limit, now);
    if (from - now > (ICMP_BURST - 1) * ICMP_INTERVAL_MS)
        return false;
    *limit = from + ICMP_INTERVAL_MS;
    return true;
}

/* ---- Errors about our packets ---- */

/* The header of the quoted packet, of which little more than that need be there. */
static bool parse_quoted(struct reader *r, uint8_t version, struct icmp_report *out)
{
    const uint8_t *h = reader_bytes(r, ip_header_bytes(version));
    if (!h || h[0] >> 4 != version)
        return false;
    if (version == 4) {
        size_t header = (h[0] & 0xfu) * 4;
        if (header < IPV4_HEADER_BYTES)
            return false;
        reader_bytes(r, header - IPV4_HEADER_BYTES);
        out->quoted_size = ip_get16(h + IPV4_TOTAL_LENGTH);
        out->protocol = h[IPV4_PROTOCOL];
    } else {
        out->quoted_size = IPV6_HEADER_BYTES + (size_t)ip_get16(h + IPV6_LENGTH);
        out->protocol = h[IPV6_NEXT_HEADER];
    }
    ip_read_addresses(h, &out->source, &out->destination);
    size_t size = reader_left(r) < sizeof(out->upper) ? UDP_HEADER_BYTES : sizeof(out->upper);
    const uint8_t *upper = reader_bytes(r, size);
    if (upper)
        memcpy(out->upper, upper, size);
    return upper != NULL;
}

bool icmp_report_parse(const struct ip_packet *packet, struct icmp_report *out)
{
    struct reader r = reader_of(packet->data + packet->payload, packet->size - packet->payload);
    uint8_t type = reader_u8(&r), code = reader_u8(&r);
    reader_be(&r, 2); /* checksum: the report is believed no more with a right one */
    uint32_t told = (uint32_t)reader_be(&r, 4);
    *out = (struct icmp_report){0};
    if (r.failed || packet->fragment)
        return false;
    if (packet->version == 4 && packet->flow.protocol == PROTOCOL_ICMP && type == ICMP4_UNREACHABLE) {
        out->too_big = code == ICMP4_CODE_TOO_BIG;
        out->told = told & 0xffff;
    } else if (packet->version == 6 && packet->flow.protocol == PROTOCOL_ICMPV6 &&
               (type == ICMP6_TOO_BIG || type == ICMP6_UNREACHABLE)) {
        out->too_big = type == ICMP6_TOO_BIG;
        out->told = MIN(told, (uint32_t)IP_PACKET_MAX);
    } else {
        return false;
    }
    return parse_quoted(&r, packet->version, out);
}
