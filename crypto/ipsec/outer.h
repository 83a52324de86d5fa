/* SPDX-License-Identifier: Apache-2.0 */
/* The outer headers of a tunnel packet: IPv4 or IPv6, and UDP where NAT asks for it (RFC 4301 section 5.1.2,
 * RFC 3948). */
#ifndef SHOJI_CRYPTO_IPSEC_OUTER_H
#define SHOJI_CRYPTO_IPSEC_OUTER_H

#include "crypto/ipsec/child.h"
#include "crypto/ipsec/ip_packet.h"

#define OUTER_HEADERS_MAX (IPV6_HEADER_BYTES + UDP_HEADER_BYTES)

struct outer_fields {
    const struct child_parameters *child; /* its endpoints and form */
    uint8_t traffic_class;
    bool dont_fragment; /* IPv4 */
    uint16_t id;        /* IPv4: of the datagram, should it be cut */
};

/* Bytes in front of the ESP header. */
size_t outer_size(const struct child_parameters *child);

/* Writes the headers in front of `esp_size` bytes of ESP that stand outer_size behind `packet`. */
void outer_write(const struct outer_fields *fields, uint8_t *packet, size_t esp_size);

#endif
