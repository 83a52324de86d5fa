/* SPDX-License-Identifier: Apache-2.0 */
/* Ethernet frames, and the UDP and ICMPv6 packets that the service itself exchanges with the guest (RFC 894,
 * 768, 4443). The protocols' own structures and numbers are those of lwIP's headers. */
#ifndef SHOJI_SERVICES_VPN_FRAME_H
#define SHOJI_SERVICES_VPN_FRAME_H

#include "crypto/ipsec/ip_packet.h"

#include <lwip/opt.h>
#include <lwip/prot/ethernet.h>

#define MAC_GROUP_BIT  0x01 /* of the first byte: multicast or broadcast */
#define HOP_LIMIT_LINK 255  /* proves that a packet comes from this link (RFC 4861) */

extern const struct eth_addr mac_broadcast;

static inline uint16_t frame_type(const uint8_t *frame)
{
    return ip_get16(frame + offsetof(struct eth_hdr, type));
}

/* Writes the Ethernet header in front of a packet. */
void frame_header(uint8_t *frame, const struct eth_addr *to, const struct eth_addr *from, uint16_t type);

/* The payload of an unfragmented UDP packet; false when its length or checksum is wrong. */
bool udp_read(const struct ip_packet *packet, const uint8_t **data, size_t *size) must_check;

/* Writes an IP packet (hop limit 255): a UDP datagram with the flow's ports, or an ICMPv6 message that `data`
 * holds whole, with 0 for the checksum, which is filled in. Returns the packet's size; 0 when it does not
 * fit. */
size_t packet_write(uint8_t *packet, size_t capacity, const struct packet_flow *flow, const uint8_t *data,
                    size_t size);

/* The checksum over an upper-layer packet with its pseudo header; 0 when it is right. */
uint16_t upper_checksum(const struct packet_flow *flow, const uint8_t *data, size_t size);

#endif
