/* SPDX-License-Identifier: Apache-2.0 */
/* Parsing of IP packets, the Internet checksum, and what a tunnel changes in the packets that it carries. */
#include "crypto/ipsec/ip_packet.h"
#include "lib/reader.h"
#include "lib/strings.h"

#define EXTENSIONS_MAX        8 /* headers in front of the upper protocol; more are no honest packet */
#define PORT_BYTES            4
#define IPV4_VERSION_AND_SIZE 0x45
#define IPV6_VERSION          0x60000000u
#define TCP_HEADER_BYTES      20
#define TCP_DATA_OFFSET       12 /* its upper half: header length in 32-bit words */
#define TCP_FLAGS             13
#define TCP_SYN               0x02
#define TCP_CHECKSUM          16
#define OPTION_MSS            2
#define OPTION_MSS_BYTES      4
#define MSS_MIN               536 /* RFC 9293 section 3.7.1: nothing below the default makes sense */

uint16_t ip_get16(const uint8_t *from)
{
    return (uint16_t)(from[0] << 8 | from[1]);
}

uint32_t ip_get32(const uint8_t *from)
{
    return (uint32_t)ip_get16(from) << 16 | ip_get16(from + 2);
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

uint64_t ip_sum(const uint8_t *data, size_t size)
{
    uint64_t sum = size % 2 ? (uint64_t)data[size - 1] << 8 : 0;
    for (size_t i = 0; i + 1 < size; i += 2)
        sum += ip_get16(data + i);
    return sum;
}

uint64_t ip_pseudo_sum(const struct ip_address *source, const struct ip_address *destination,
                       uint8_t protocol, size_t length)
{
    unsigned bytes = ip_bytes(source->version);
    return ip_sum(source->bytes, bytes) + ip_sum(destination->bytes, bytes) + length + protocol;
}

uint16_t ip_checksum(uint64_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

void ip_set_header_checksum(uint8_t *ipv4)
{
    ip_put16(ipv4 + IPV4_CHECKSUM, 0);
    ip_put16(ipv4 + IPV4_CHECKSUM, ip_checksum(ip_sum(ipv4, (ipv4[0] & 0xfu) * 4)));
}

void ip_replace16(uint8_t *word, uint16_t value, bool odd, uint8_t *checksum)
{
    uint64_t change = (uint64_t)(uint16_t)~ip_get16(word) + value;
    if (odd)
        change <<= 8; /* to a ones' complement sum that is the same as swapped bytes */
    ip_put16(word, value);
    ip_put16(checksum, ip_checksum((uint16_t)~ip_get16(checksum) + change));
}

/* ---- Headers ---- */

size_t ip_header_bytes(uint8_t version)
{
    return version == 4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES;
}

uint8_t ip_traffic_class(const uint8_t *packet)
{
    return packet[0] >> 4 == 4 ? packet[1] : (uint8_t)(packet[0] << 4 | packet[1] >> 4);
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

static void read_addresses(struct ip_packet *p, const uint8_t *from)
{
    const size_t bytes = ip_bytes(p->version);
    p->flow.source.version = p->flow.destination.version = p->version;
    memcpy(p->flow.source.bytes, from, bytes);
    memcpy(p->flow.destination.bytes, from + bytes, bytes);
}

static bool parse_ipv4(struct ip_packet *p, size_t there)
{
    const uint8_t *h = p->data;
    if (there < IPV4_HEADER_BYTES)
        return false;
    uint16_t fragment = ip_get16(h + IPV4_FRAGMENT);
    p->size = ip_get16(h + IPV4_TOTAL_LENGTH);
    p->payload = (h[0] & 0xfu) * 4;
    p->dont_fragment = fragment & IPV4_DONT_FRAGMENT;
    p->more = fragment & IPV4_MORE_FRAGMENTS;
    p->fragment_offset = (size_t)(fragment & IPV4_FRAGMENT_OFFSET) * IP_FRAGMENT_UNIT;
    p->fragment_id = ip_get16(h + IPV4_ID);
    p->flow.protocol = h[IPV4_PROTOCOL];
    read_addresses(p, h + IPV4_SOURCE);
    return p->payload >= IPV4_HEADER_BYTES && p->payload <= MIN(p->size, there);
}

/* Steps over one extension header; *next is then what follows it. False when it is cut short. */
static bool step_extension(struct ip_packet *p, struct reader *r, uint8_t *next)
{
    if (*next == PROTOCOL_FRAGMENT) {
        p->fragment_header = r->at;
        *next = reader_u8(r);
        reader_u8(r);
        uint16_t fragment = (uint16_t)reader_be(r, 2);
        p->fragment_id = (uint32_t)reader_be(r, 4);
        p->more = fragment & IPV6_MORE_FRAGMENTS;
        p->fragment_offset = fragment & IPV6_FRAGMENT_OFFSET;
        return !r->failed;
    }
    *next = reader_u8(r);
    size_t length = reader_u8(r);
    reader_bytes(r, (length + 1) * 8 - 2);
    return !r->failed;
}

/* Is it one that selectors look behind (RFC 4301 section 4.4.1.1)? AH and ESP are none. */
static bool is_extension(uint8_t protocol)
{
    return protocol == PROTOCOL_HOP_BY_HOP || protocol == PROTOCOL_ROUTING || protocol == PROTOCOL_FRAGMENT ||
           protocol == PROTOCOL_DESTINATION_OPTIONS;
}

static bool parse_ipv6(struct ip_packet *p, size_t there)
{
    const uint8_t *h = p->data;
    if (there < IPV6_HEADER_BYTES)
        return false;
    p->size = IPV6_HEADER_BYTES + (size_t)ip_get16(h + IPV6_LENGTH);
    p->dont_fragment = true;
    read_addresses(p, h + IPV6_SOURCE);
    struct reader r = reader_of(h, MIN(p->size, there));
    reader_seek(&r, IPV6_HEADER_BYTES);
    uint8_t next = h[IPV6_NEXT_HEADER];
    for (unsigned i = 0; is_extension(next) && p->fragment_offset == 0; i++)
        if (i == EXTENSIONS_MAX || !step_extension(p, &r, &next))
            return false;
    p->flow.protocol = next;
    p->payload = r.at;
    return true;
}

bool ip_header_parse(uint8_t *data, size_t there, struct ip_packet *out)
{
    *out = (struct ip_packet){.data = data, .version = there > 0 ? data[0] >> 4 : 0};
    if (out->version == 4 ? !parse_ipv4(out, there) : out->version != 6 || !parse_ipv6(out, there))
        return false;
    out->traffic_class = ip_traffic_class(data);
    out->fragment = out->more || out->fragment_offset > 0;
    return true;
}

bool ip_packet_parse(uint8_t *data, size_t size, struct ip_packet *out)
{
    if (!ip_header_parse(data, size, out) || out->size > size ||
        (out->version == 4 && ip_checksum(ip_sum(data, out->payload)) != 0))
        return false;
    if (out->fragment_offset + (out->size - out->payload) > IP_PACKET_MAX)
        return false; /* the datagram would be larger than any can be */
    parse_ports(out);
    return true;
}

/* ---- ECN and MSS ---- */

bool ip_ecn_decapsulate(struct ip_packet *inner, uint8_t outer_traffic_class)
{
    uint8_t outer = outer_traffic_class & ECN_MASK, ecn = inner->traffic_class & ECN_MASK, *h = inner->data;
    if (outer == ECN_CE && ecn == 0)
        return false;
    uint8_t mark = outer == ECN_CE || (outer == ECN_ECT1 && ecn == ECN_ECT0) ? outer : ecn;
    if (mark == ecn)
        return true;
    inner->traffic_class = (uint8_t)((inner->traffic_class & ~ECN_MASK) | mark);
    if (inner->version == 4)
        ip_replace16(h, (uint16_t)(h[0] << 8 | inner->traffic_class), false, h + IPV4_CHECKSUM);
    else /* the low half of the class is the upper half of the second byte */
        h[1] = (uint8_t)((h[1] & 0x0f) | inner->traffic_class << 4);
    return true;
}

void ip_clamp_mss(struct ip_packet *packet, size_t mtu)
{
    uint8_t *tcp = packet->data + packet->payload;
    size_t size = packet->size - packet->payload;
    if (packet->flow.protocol != PROTOCOL_TCP || packet->fragment_offset > 0 || size < TCP_HEADER_BYTES ||
        !(tcp[TCP_FLAGS] & TCP_SYN))
        return;
    size_t header = MIN((size_t)(tcp[TCP_DATA_OFFSET] >> 4) * 4, size), length;
    size_t headers = ip_header_bytes(packet->version) + TCP_HEADER_BYTES;
    size_t most = mtu > headers + MSS_MIN ? mtu - headers : MSS_MIN;
    for (size_t at = TCP_HEADER_BYTES; (length = ip_option_bytes(tcp, at, header)) > 0; at += length)
        if (tcp[at] == OPTION_MSS && length == OPTION_MSS_BYTES && ip_get16(tcp + at + 2) > most)
            ip_replace16(tcp + at + 2, (uint16_t)most, at % 2 != 0, tcp + TCP_CHECKSUM);
}
