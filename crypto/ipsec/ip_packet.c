/* SPDX-License-Identifier: Apache-2.0 */
/* Parsing of IP packets and the Internet checksum. */
#include "crypto/ipsec/ip_packet.h"
#include "lib/reader.h"
#include "lib/strings.h"

#define EXTENSIONS_MAX        8 /* headers in front of the upper protocol; more are no honest packet */
#define PORT_BYTES            4
#define IPV4_VERSION_AND_SIZE 0x45
#define IPV6_VERSION          0x60000000u

uint16_t ip_get16(const uint8_t *from)
{
    return (uint16_t)(from[0] << 8 | from[1]);
}

void ip_put16(uint8_t *to, uint16_t value)
{
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)value;
}

void ip_put32(uint8_t *to, uint32_t value)
{
    ip_put16(to, (uint16_t)(value >> 16));
    ip_put16(to + 2, (uint16_t)value);
}

/* ---- Checksums ---- */

/* Sums words of the machine's own byte order: the ones' complement sum of swapped words is the swapped sum.
 */
uint64_t ip_sum(const uint8_t *data, size_t size)
{
    uint64_t sum = 0;
    for (; size >= 4; data += 4, size -= 4) {
        uint32_t word;
        memcpy(&word, data, sizeof(word));
        sum += word;
    }
    uint8_t last[4] = {0};
    memcpy(last, data, size);
    uint32_t word;
    memcpy(&word, last, sizeof(word));
    return sum + word;
}

uint64_t ip_pseudo_sum(const struct ip_address *source, const struct ip_address *destination,
                       uint8_t protocol, size_t length)
{
    unsigned bytes = ip_bytes(source->version);
    uint8_t rest[8] = {0};
    ip_put32(rest, (uint32_t)length);
    rest[7] = protocol;
    return ip_sum(source->bytes, bytes) + ip_sum(destination->bytes, bytes) + ip_sum(rest, sizeof(rest));
}

uint16_t ip_checksum(uint64_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return __builtin_bswap16((uint16_t)~sum);
}

void ip_set_header_checksum(uint8_t *ipv4)
{
    ip_put16(ipv4 + IPV4_CHECKSUM, 0);
    ip_put16(ipv4 + IPV4_CHECKSUM, ip_checksum(ip_sum(ipv4, (ipv4[0] & 0xfu) * 4)));
}

void ip_replace16(uint8_t *word, uint16_t value, bool odd, uint8_t *checksum)
{
    uint16_t before = ip_get16(word), after = value;
    ip_put16(word, value);
    if (odd) {
        before = __builtin_bswap16(before);
        after = __builtin_bswap16(after);
    }
    uint32_t sum = (uint16_t)~ip_get16(checksum) + (uint32_t)(uint16_t)~before + after;
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    ip_put16(checksum, (uint16_t)~sum);
}

/* ---- Addresses ---- */

bool ip_is_multicast(const struct ip_address *ip)
{
    static const uint8_t broadcast[] = {255, 255, 255, 255};
    if (ip->version == 6)
        return ip->bytes[0] == 0xff;
    return ip->bytes[0] >> 4 == 0xe || memcmp(ip->bytes, broadcast, sizeof(broadcast)) == 0;
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

/* ---- Headers ---- */

size_t ip_header_bytes(uint8_t version)
{
    return version == 4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES;
}

size_t ip_write_header(uint8_t *packet, const struct ip_header *header, size_t payload)
{
    uint8_t version = header->source->version, *addresses = packet + IPV6_SOURCE;
    size_t bytes = ip_header_bytes(version);
    memset(packet, 0, bytes);
    if (version == 4) {
        packet[0] = IPV4_VERSION_AND_SIZE;
        packet[1] = header->traffic_class;
        ip_put16(packet + IPV4_TOTAL_LENGTH, (uint16_t)(bytes + payload));
        ip_put16(packet + IPV4_ID, header->id);
        ip_put16(packet + IPV4_FRAGMENT, header->dont_fragment ? IPV4_DONT_FRAGMENT : 0);
        packet[IPV4_TTL] = header->hop_limit;
        packet[IPV4_PROTOCOL] = header->protocol;
        addresses = packet + IPV4_SOURCE;
    } else {
        ip_put32(packet, IPV6_VERSION | (uint32_t)header->traffic_class << 20);
        ip_put16(packet + IPV6_LENGTH, (uint16_t)payload);
        packet[IPV6_NEXT_HEADER] = header->protocol;
        packet[IPV6_HOP_LIMIT] = header->hop_limit;
    }
    memcpy(addresses, header->source->bytes, ip_bytes(version));
    memcpy(addresses + ip_bytes(version), header->destination->bytes, ip_bytes(version));
    if (version == 4)
        ip_set_header_checksum(packet);
    return bytes;
}

size_t ip_option_bytes(const uint8_t *header, size_t at, size_t size)
{
    if (at >= size || header[at] == IP_OPTION_END)
        return 0;
    if (header[at] == IP_OPTION_NOP)
        return 1;
    size_t length = size - at < 2 ? 0 : header[at + 1];
    return length < 2 || length > size - at ? 0 : length;
}

void ip_read_addresses(const uint8_t *header, struct ip_address *source, struct ip_address *destination)
{
    uint8_t version = header[0] >> 4;
    const uint8_t *from = header + (version == 4 ? IPV4_SOURCE : IPV6_SOURCE);
    source->version = destination->version = version;
    memcpy(source->bytes, from, ip_bytes(version));
    memcpy(destination->bytes, from + ip_bytes(version), ip_bytes(version));
}

/* ---- Packets ---- */

/* What of the upper protocol's header the selectors look at. ICMP's type and code stand where the port's two
 * bytes would (RFC 7296 section 3.13.1). */
static void parse_ports(struct ip_packet *p)
{
    struct packet_flow *flow = &p->flow;
    const uint8_t *at = p->data + p->payload;
    const uint8_t protocol = flow->protocol;
    const bool icmp = protocol == PROTOCOL_ICMP || protocol == PROTOCOL_ICMPV6;
    const bool ports = protocol == PROTOCOL_TCP || protocol == PROTOCOL_UDP || protocol == PROTOCOL_DCCP ||
                       protocol == PROTOCOL_SCTP || protocol == PROTOCOL_UDP_LITE;
    if ((!icmp && !ports) || p->fragment_offset > 0 || p->size - p->payload < PORT_BYTES)
        return;
    flow->ports_known = true;
    flow->source_port = ip_get16(at);
    flow->destination_port = icmp ? flow->source_port : ip_get16(at + 2);
}

static bool parse_ipv4(struct ip_packet *p)
{
    const uint8_t *h = p->data;
    if (p->size < IPV4_HEADER_BYTES)
        return false;
    size_t header = (h[0] & 0xfu) * 4, total = ip_get16(h + IPV4_TOTAL_LENGTH);
    uint16_t fragment = ip_get16(h + IPV4_FRAGMENT);
    if (header < IPV4_HEADER_BYTES || total < header || total > p->size ||
        ip_checksum(ip_sum(h, header)) != 0)
        return false;
    p->size = total;
    p->payload = header;
    p->traffic_class = h[1];
    p->dont_fragment = fragment & IPV4_DONT_FRAGMENT;
    p->more = fragment & IPV4_MORE_FRAGMENTS;
    p->fragment_offset = (size_t)(fragment & IPV4_FRAGMENT_OFFSET) * IP_FRAGMENT_UNIT;
    p->fragment = p->more || p->fragment_offset > 0;
    p->fragment_id = ip_get16(h + IPV4_ID);
    p->flow.protocol = h[IPV4_PROTOCOL];
    ip_read_addresses(h, &p->flow.source, &p->flow.destination);
    return true;
}

/* Steps over one extension header; *next is then what follows it. False when it is cut short. */
static bool step_extension(struct ip_packet *p, struct reader *r, uint8_t *next)
{
    uint8_t kind = *next;
    if (kind == PROTOCOL_FRAGMENT) {
        p->fragment_header = r->at;
        *next = reader_u8(r);
        reader_u8(r);
        uint16_t fragment = (uint16_t)reader_be(r, 2);
        p->fragment_id = (uint32_t)reader_be(r, 4);
        p->more = fragment & IPV6_MORE_FRAGMENTS;
        p->fragment_offset = fragment & IPV6_FRAGMENT_OFFSET;
        p->fragment = p->more || p->fragment_offset > 0;
        return !r->failed;
    }
    *next = reader_u8(r);
    size_t length = reader_u8(r);
    length = kind == PROTOCOL_AH ? (length + 2) * 4 : (length + 1) * 8;
    reader_bytes(r, length - 2);
    return !r->failed;
}

static bool is_extension(uint8_t protocol)
{
    return protocol == PROTOCOL_HOP_BY_HOP || protocol == PROTOCOL_ROUTING || protocol == PROTOCOL_FRAGMENT ||
           protocol == PROTOCOL_DESTINATION_OPTIONS || protocol == PROTOCOL_AH;
}

static bool parse_ipv6(struct ip_packet *p)
{
    const uint8_t *h = p->data;
    if (p->size < IPV6_HEADER_BYTES || ip_get16(h + IPV6_LENGTH) > p->size - IPV6_HEADER_BYTES)
        return false;
    p->size = IPV6_HEADER_BYTES + (size_t)ip_get16(h + IPV6_LENGTH);
    p->traffic_class = (uint8_t)(h[0] << 4 | h[1] >> 4);
    p->dont_fragment = true;
    ip_read_addresses(h, &p->flow.source, &p->flow.destination);
    struct reader r = reader_of(h, p->size);
    reader_seek(&r, IPV6_HEADER_BYTES);
    uint8_t next = h[IPV6_NEXT_HEADER];
    for (unsigned i = 0; is_extension(next) && p->fragment_offset == 0; i++)
        if (i == EXTENSIONS_MAX || !step_extension(p, &r, &next))
            return false;
    p->flow.protocol = next;
    p->payload = r.at;
    return true;
}

bool ip_packet_parse(uint8_t *data, size_t size, struct ip_packet *out)
{
    *out = (struct ip_packet){.data = data, .size = size};
    if (size == 0)
        return false;
    out->version = data[0] >> 4;
    if (!(out->version == 4 && parse_ipv4(out)) && !(out->version == 6 && parse_ipv6(out)))
        return false;
    if (out->fragment_offset + (out->size - out->payload) > IP_PACKET_MAX)
        return false; /* the datagram would be larger than any can be */
    parse_ports(out);
    return true;
}
