/* SPDX-License-Identifier: Apache-2.0 */
/* Builds and reads the few packets that the service itself exchanges with the guest. */
#include "services/vpn/frame.h"

#define UDP_LENGTH     4
#define UDP_CHECKSUM   6
#define ICMP6_CHECKSUM 2
#define CHECKSUM_ZERO  0xffff /* how a UDP checksum of 0 is written: 0 would mean "none" */

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

bool udp_read(const struct ip_packet *packet, const uint8_t **data, size_t *size)
{
    const uint8_t *udp = packet->data + packet->payload;
    size_t left = packet->size - packet->payload;
    if (packet->fragment || packet->flow.protocol != PROTOCOL_UDP || left < UDP_HEADER_BYTES)
        return false;
    size_t length = ip_get16(udp + UDP_LENGTH);
    if (length < UDP_HEADER_BYTES || length > left)
        return false;
    *data = udp + UDP_HEADER_BYTES;
    *size = length - UDP_HEADER_BYTES;
    bool unsummed = packet->version == 4 && ip_get16(udp + UDP_CHECKSUM) == 0;
    return unsummed || upper_checksum(&packet->flow, udp, length) == 0;
}

size_t packet_write(uint8_t *packet, size_t capacity, const struct packet_flow *flow, const uint8_t *data,
                    size_t size)
{
    bool udp = flow->protocol == PROTOCOL_UDP;
    const struct ip_header header = {.source = &flow->source,
                                     .destination = &flow->destination,
                                     .protocol = flow->protocol,
                                     .hop_limit = HOP_LIMIT_LINK};
    size_t head = udp ? UDP_HEADER_BYTES : 0, ip = ip_header_bytes(flow->source.version);
    if (size > capacity || ip + head > capacity - size)
        return 0;
    uint8_t *upper = packet + ip_write_header(packet, &header, head + size);
    uint8_t *checksum = upper + (udp ? UDP_CHECKSUM : ICMP6_CHECKSUM);
    memcpy(upper + head, data, size);
    if (udp) {
        ip_put16(upper, flow->source_port);
        ip_put16(upper + 2, flow->destination_port);
        ip_put16(upper + UDP_LENGTH, (uint16_t)(head + size));
    }
    ip_put16(checksum, 0);
    uint16_t sum = upper_checksum(flow, upper, head + size);
    ip_put16(checksum, sum ? sum : CHECKSUM_ZERO);
    return ip + head + size;
}
