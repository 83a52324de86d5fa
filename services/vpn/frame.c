/* SPDX-License-Identifier: Apache-2.0 */
/* Builds and reads the few packets that the service itself exchanges with the guest. */
#include "services/vpn/frame.h"

#define IPV4_VERSION_IHL 0x45 /* version 4, five words of header */
#define IPV6_VERSION     0x60000000u
#define UDP_LENGTH       4
#define UDP_CHECKSUM     6
#define ICMP6_CHECKSUM   2
#define CHECKSUM_ZERO    0xffff /* how a UDP checksum of 0 is written: 0 would mean "none" */

const struct mac mac_broadcast = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

void frame_header(uint8_t *frame, const struct mac *to, const struct mac *from, uint16_t type)
{
    memcpy(frame, to->bytes, MAC_BYTES);
    memcpy(frame + MAC_BYTES, from->bytes, MAC_BYTES);
    ip_put16(frame + ETHERTYPE_AT, type);
}

uint16_t upper_checksum(const struct packet_flow *flow, const uint8_t *data, size_t size)
{
    return ip_checksum(ip_sum(data, size) +
                       ip_pseudo_sum(&flow->source, &flow->destination, flow->protocol, size));
}

bool udp_read(const struct ip_packet *packet, struct udp_view *out)
{
    const uint8_t *udp = packet->data + packet->payload;
    size_t left = packet->size - packet->payload;
    if (packet->fragment || packet->flow.protocol != PROTOCOL_UDP || left < UDP_HEADER_BYTES)
        return false;
    size_t length = ip_get16(udp + UDP_LENGTH);
    if (length < UDP_HEADER_BYTES || length > left)
        return false;
    *out = (struct udp_view){.source = packet->flow.source,
                             .destination = packet->flow.destination,
                             .source_port = ip_get16(udp),
                             .destination_port = ip_get16(udp + 2),
                             .data = udp + UDP_HEADER_BYTES,
                             .size = length - UDP_HEADER_BYTES};
    bool unsummed = packet->version == 4 && ip_get16(udp + UDP_CHECKSUM) == 0;
    return unsummed || upper_checksum(&packet->flow, udp, length) == 0;
}

static void write_ip(struct writer *w, const struct packet_flow *flow, size_t length)
{
    bool ipv4 = flow->source.version == 4;
    uint8_t *header = writer_room(w, ipv4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES);
    if (!header)
        return;
    if (ipv4) {
        memset(header, 0, IPV4_HEADER_BYTES);
        header[0] = IPV4_VERSION_IHL;
        ip_put16(header + IPV4_TOTAL_LENGTH, (uint16_t)(IPV4_HEADER_BYTES + length));
        header[IPV4_TTL] = IP_DEFAULT_TTL;
        header[IPV4_PROTOCOL] = flow->protocol;
        memcpy(header + IPV4_SOURCE, flow->source.bytes, 4);
        memcpy(header + IPV4_DESTINATION, flow->destination.bytes, 4);
        ip_set_header_checksum(header);
        return;
    }
    ip_put32(header, IPV6_VERSION);
    ip_put16(header + IPV6_LENGTH, (uint16_t)length);
    header[IPV6_NEXT_HEADER] = flow->protocol;
    header[IPV6_HOP_LIMIT] = HOP_LIMIT_LINK;
    memcpy(header + IPV6_SOURCE, flow->source.bytes, IP_BYTES_MAX);
    memcpy(header + IPV6_DESTINATION, flow->destination.bytes, IP_BYTES_MAX);
}

size_t udp_write(uint8_t *packet, size_t capacity, const struct udp_view *d)
{
    const struct packet_flow flow = {
        .source = d->source, .destination = d->destination, .protocol = PROTOCOL_UDP};
    struct writer w = writer_of(packet, capacity);
    size_t length = UDP_HEADER_BYTES + d->size;
    write_ip(&w, &flow, length);
    size_t start = w.at;
    writer_be(&w, d->source_port, 2);
    writer_be(&w, d->destination_port, 2);
    writer_be(&w, length, 2);
    writer_be(&w, 0, 2);
    writer_bytes(&w, d->data, d->size);
    if (w.failed)
        return 0;
    uint16_t sum = upper_checksum(&flow, packet + start, length);
    ip_put16(packet + start + UDP_CHECKSUM, sum ? sum : CHECKSUM_ZERO);
    return w.at;
}

size_t icmp6_write(uint8_t *packet, size_t capacity, const struct ip_address *from,
                   const struct ip_address *to, const uint8_t *message, size_t size)
{
    const struct packet_flow flow = {.source = *from, .destination = *to, .protocol = PROTOCOL_ICMPV6};
    struct writer w = writer_of(packet, capacity);
    write_ip(&w, &flow, size);
    size_t start = w.at;
    writer_bytes(&w, message, size);
    if (w.failed || size < ICMP6_CHECKSUM + 2)
        return 0;
    ip_put16(packet + start + ICMP6_CHECKSUM, 0);
    ip_put16(packet + start + ICMP6_CHECKSUM, upper_checksum(&flow, packet + start, size));
    return w.at;
}
