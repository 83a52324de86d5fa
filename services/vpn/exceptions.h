/* SPDX-License-Identifier: Apache-2.0 */
/* The policy's `plain` networks: TCP and UDP over IPv4 that go past the tunnel, from our own address on the
 * wire (RFC 3022, port translation). Without such networks the service never makes one of these. */
#ifndef SHOJI_SERVICES_VPN_EXCEPTIONS_H
#define SHOJI_SERVICES_VPN_EXCEPTIONS_H

#include "crypto/ipsec/ip_packet.h"

#define EXCEPTION_FLOWS      64
#define EXCEPTION_FIRST_PORT 40000 /* of our own; below those that lwIP takes by itself */

/* Flow i goes out from port EXCEPTION_FIRST_PORT + i. */
struct exception_flow {
    struct packet_flow out; /* as the guest sends it; protocol 0: free */
    uint64_t last;          /* when a packet went either way */
};

struct exceptions {
    const struct selector_list *networks;
    struct exception_flow flows[EXCEPTION_FLOWS];
};

/* Is the guest's packet an exception? Then it is changed to come from `own`, goes to *to, and its size is
 * returned, without what the link padded. 0: it is the tunnel's. */
size_t exceptions_out(struct exceptions *e, uint8_t *packet, size_t size, const struct ip_address *own,
                      uint64_t now, struct ip_address *to) must_check;

/* Is the packet from the wire to `own` an answer? Then it is changed to go to the guest. */
bool exceptions_in(struct exceptions *e, uint8_t *packet, size_t size, const struct ip_address *own,
                   uint64_t now) must_check;

#endif
