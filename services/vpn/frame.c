/* SPDX-License-Identifier: Apache-2.0 */
/* Builds and reads the few packets that the service itself exchanges with the guest. */
#include "services/vpn/frame.h"

#include "lib/strings.h"

#include <lwip/def.h>
#include <lwip/prot/icmp6.h>
#include <lwip/prot/udp.h>

#define CHECKSUM_ZERO 0xffff /* how a UDP checksum of 0 is written: 0 would mean "none" */

const struct eth_addr mac_broadcast = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

void frame_header(uint8_t *frame, const struct eth_addr *to, const struct eth_addr *from, uint16_t type)
{
    struct eth_hdr *header = (void *)frame;
    header->dest = *to;
    header->src = *from;
    header->type = lwip_htons(type);
}

uint16_t upper_checksum(const struct packet_flow *flow, const uint8_t *data, size_t size)
{
    return ip_checksum(ip_sum(data, size) +
                       ip_pseudo_sum(&flow->source, &flow->destination, flow->protocol, size));
}

bool udp_read(const struct ip_packet *packet, const uint8_t **data, size_t *size)
{
    const struct udp_hdr *udp = (const void *)(packet->data + packet->payload);
    size_t left = packet->size - packet->payload;
    if (packet->fragment || packet->flow.protocol != PROTOCOL_UDP || left < UDP_HLEN)
        return false;
    size_t length = lwip_ntohs(udp->len);
    if (length < UDP_HLEN || length > left)
        return false;
    *data = (const uint8_t *)(udp + 1);
    *size = length - UDP_HLEN;
    bool unsummed = packet->version == 4 && udp->chksum == 0;
    return unsummed || upper_checksum(&packet->flow, (const uint8_t *)udp, length) == 0;
}

size_t packet_write(uint8_t *packet, size_t capacity, const struct packet_flow *flow, const uint8_t *data,
                    size_t size)
{
    bool udp = flow->protocol == PROTOCOL_UDP;
    const struct ip_header header = {.source = &flow->source,
                                     .destination = &flow->destination,
                                     .protocol = flow->protocol,
                                     .hop_limit = HOP_LIMIT_LINK};
    size_t head = udp ? UDP_HLEN : 0, ip = ip_header_bytes(flow->source.version);
    if (size > capacity || ip + head > capacity - size)
        return 0;
    uint8_t *upper = packet + ip_write_header(packet, &header, head + size);
    size_t sum_at = udp ? offsetof(struct udp_hdr, chksum) : offsetof(struct icmp6_hdr, chksum);
    const struct udp_hdr ports = {.src = lwip_htons(flow->source_port),
                                  .dest = lwip_htons(flow->destination_port),
                                  .len = lwip_htons((uint16_t)(head + size))};
    memcpy(upper, &ports, head);
    memcpy(upper + head, data, size);
    uint16_t sum = upper_checksum(flow, upper, head + size);
    ip_put16(upper + sum_at, sum ? sum : CHECKSUM_ZERO);
    return ip + head + size;
}
