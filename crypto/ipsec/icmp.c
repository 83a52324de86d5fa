/* SPDX-License-Identifier: Apache-2.0 */
/* ICMP errors for the guest. */
#include "crypto/ipsec/icmp.h"
#include "lib/strings.h"

#define ICMP_HEADER_BYTES     8
#define ICMP4_REDIRECT        5
#define ICMP4_SOURCE_QUENCH   4
#define ICMP4_TIME_EXCEEDED   11
#define ICMP4_PARAMETER       12
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
    uint8_t type = p->size > p->payload ? p->data[p->payload] : 0;
    if (p->flow.protocol == PROTOCOL_ICMP)
        return p->size == p->payload || type == ICMP4_UNREACHABLE || type == ICMP4_SOURCE_QUENCH ||
               type == ICMP4_REDIRECT || type == ICMP4_TIME_EXCEEDED || type == ICMP4_PARAMETER;
    if (p->flow.protocol == PROTOCOL_ICMPV6)
        return type < ICMP6_INFORMATIONAL || type == ICMP6_REDIRECT;
    return false;
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

bool icmp_limit_take(struct icmp_limit *limit, uint64_t now)
{
    if (!limit->started)
        *limit = (struct icmp_limit){.last = now, .tokens = ICMP_BURST, .started = true};
    uint64_t earned = (now - limit->last) / ICMP_INTERVAL_MS;
    limit->last += earned * ICMP_INTERVAL_MS;
    limit->tokens = (unsigned)MIN(limit->tokens + earned, (uint64_t)ICMP_BURST);
    if (limit->tokens == 0)
        return false;
    limit->tokens--;
    return true;
}
