/* SPDX-License-Identifier: Apache-2.0 */
/* What a tunnel changes in the packets that it carries: ECN (RFC 6040) and the MSS of TCP. */
#ifndef SHOJI_CRYPTO_IPSEC_IP_ADJUST_H
#define SHOJI_CRYPTO_IPSEC_IP_ADJUST_H

#include "crypto/ipsec/ip_packet.h"

#define ECN_MASK 0x03
#define ECN_ECT1 0x01
#define ECN_ECT0 0x02
#define ECN_CE   0x03

/* Carries the outer header's congestion mark into the inner packet (RFC 6040 section 4.2). False: the packet
 * must be dropped, because congestion was met and its sender cannot be told otherwise. */
bool ip_ecn_decapsulate(struct ip_packet *inner, uint8_t outer_traffic_class) must_check;

/* Lowers the MSS that a TCP SYN announces to what fits into packets of `mtu` bytes. */
void ip_clamp_mss(struct ip_packet *packet, size_t mtu);

#endif
