/* SPDX-License-Identifier: Apache-2.0 */
/* IP packets for tests, made and checked without the code that is tested. */
#ifndef SHOJI_TESTS_IP_MAKER_H
#define SHOJI_TESTS_IP_MAKER_H

#include "crypto/ipsec/address.h"

/* What stands in a packet's headers. The payload behind the upper protocol's header is a pattern. */
struct ip_recipe {
    const char *from, *to;                  /* addresses; they decide the version */
    uint8_t protocol;                       /* 6, 17, 1 or 58 get a header; others are bare payload */
    uint16_t source_port, destination_port; /* ICMP: type, code */
    uint8_t traffic_class;
    bool dont_fragment, more;
    uint16_t fragment_offset; /* bytes; IPv4 */
    uint16_t mss;             /* TCP: a SYN with this option; 0: no SYN */
    bool odd;                 /* the option stands at an odd place */
};

/* Writes a packet of `size` bytes in all. */
void make_ip(const struct ip_recipe *recipe, uint8_t *out, size_t size);

struct ip_address ip_of(const char *text);
struct ip_endpoint endpoint_of(const char *text, uint16_t port);

/* Are the IPv4 header's and the upper protocol's checksums right (TCP, UDP, ICMP; zero is right for UDP over
 * IPv4)? */
bool ip_sums_hold(const uint8_t *packet, size_t size);

#endif
