/* SPDX-License-Identifier: Apache-2.0 */
/* Cutting an IP packet into fragments (RFC 791 section 3.2, RFC 8200 section 4.5). */
#ifndef SHOJI_CRYPTO_IPSEC_IP_FRAGMENT_H
#define SHOJI_CRYPTO_IPSEC_IP_FRAGMENT_H

#include "crypto/ipsec/ip_packet.h"

struct ip_cut {
    const struct ip_packet *packet; /* IPv4 that may be fragmented, or IPv6 without extension headers */
    size_t mtu;
    uint32_t id;      /* IPv6: of the fragment header. IPv4 keeps the packet's own */
    uint8_t *scratch; /* mtu bytes, for one fragment at a time */
};

/* Gives each fragment to `each`, in order. False when the MTU has no room for headers and data. */
bool ip_fragment(const struct ip_cut *cut, void (*each)(void *context, uint8_t *fragment, size_t size),
                 void *context) must_check;

#endif
