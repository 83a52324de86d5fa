/* SPDX-License-Identifier: Apache-2.0 */
/* ECN out of the tunnel and the TCP MSS clamp. */
#include "crypto/ipsec/ip_adjust.h"

#define TCP_HEADER_BYTES 20
#define TCP_DATA_OFFSET  12 /* its upper half: header length in 32-bit words */
#define TCP_FLAGS        13
#define TCP_SYN          0x02
#define TCP_CHECKSUM     16
#define OPTION_MSS       2
#define OPTION_MSS_BYTES 4
#define MSS_MIN          536 /* RFC 9293 section 3.7.1: nothing below the default makes sense */

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

/* The place of the MSS option's value in a TCP header of `size` bytes, 0 when there is none. */
static size_t find_mss(const uint8_t *tcp, size_t size)
{
    size_t length;
    for (size_t at = TCP_HEADER_BYTES; (length = ip_option_bytes(tcp, at, size)) > 0; at += length)
        if (tcp[at] == OPTION_MSS && length == OPTION_MSS_BYTES)
            return at + 2;
    return 0;
}

void ip_clamp_mss(struct ip_packet *packet, size_t mtu)
{
    uint8_t *tcp = packet->data + packet->payload;
    size_t size = packet->size - packet->payload;
    if (packet->flow.protocol != PROTOCOL_TCP || packet->fragment_offset > 0 || size < TCP_HEADER_BYTES ||
        !(tcp[TCP_FLAGS] & TCP_SYN))
        return;
    size_t header = (size_t)(tcp[TCP_DATA_OFFSET] >> 4) * 4;
    size_t headers = ip_header_bytes(packet->version) + TCP_HEADER_BYTES;
    size_t at = header <= size ? find_mss(tcp, header) : 0;
    size_t most = mtu > headers + MSS_MIN ? mtu - headers : MSS_MIN;
    if (at > 0 && ip_get16(tcp + at) > most)
        ip_replace16(tcp + at, (uint16_t)most, at % 2 != 0, tcp + TCP_CHECKSUM);
}
