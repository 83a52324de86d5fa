/* SPDX-License-Identifier: Apache-2.0 */
/* The tunnel's data path (RFC 4301, RFC 4303): an IP packet of the guest in, outer packets with ESP out, and
 * back. It owns the table of CHILD SAs, the path MTU and the reassembly of outer fragments. No I/O, no
 * allocation per packet; one thread owns all of it. Time is milliseconds of a clock that never goes back. */
#ifndef SHOJI_CRYPTO_IPSEC_TUNNEL_H
#define SHOJI_CRYPTO_IPSEC_TUNNEL_H

#include "crypto/ipsec/esp.h"

/* So many bytes in front of every packet that the tunnel gives to a callback belong to the callee, for the
 * link's header; so must those in front of the packets that it is given. */
#define TUNNEL_HEADROOM 14

#define TUNNEL_GUEST_MTU 1500 /* what the guest's link takes */

struct tunnel;

/* What the tunnel calls while a packet goes through it. None may call back into it. The packet is theirs
 * until they return. */
struct tunnel_callbacks {
    /* An outer IP packet with ESP, to be sent on the wire. `destination`: the gateway, for the next hop. */
    void (*to_wire)(void *owner, const struct ip_address *destination, uint8_t *packet, size_t size);
    /* An IP packet for the guest: out of the tunnel, or an ICMP error made here. */
    void (*to_guest)(void *owner, uint8_t *packet, size_t size);
    /* ESP with an unknown SPI or an ICMP error about our packets came: for ike_suspect. Not authentic, and as
     * often as an attacker likes. */
    void (*suspect)(void *owner);
};

/* What the tunnel did, beyond what each SA counts. */
struct tunnel_counters {
    uint64_t guest_malformed;            /* dropped: no proper IP packet                                */
    uint64_t guest_refused;              /* outside of every SA's selectors, or no SA                   */
    uint64_t guest_too_big;              /* answered with ICMP too-big                                  */
    uint64_t icmp_made, icmp_suppressed; /* ICMP errors to the guest; held back by the rate limit */
    uint64_t reassembled, reassembly_dropped;
    uint64_t unknown_spi, inbound_dropped; /* inbound_dropped: malformed, ECN, too big for the guest's link */
};

/* NULL when there is no memory. The callbacks must live as long as the tunnel. wire_mtu: of the link, bytes
 * of an outer IP packet, 576 at least; copy_dscp: the guest's DSCP goes onto the outer header (RFC 4301
 * section 5.1.2.1), else 0. */
struct tunnel *tunnel_create(size_t wire_mtu, bool copy_dscp, const struct tunnel_callbacks *callbacks,
                             void *owner) must_check;
void tunnel_destroy(struct tunnel *tunnel); /* wipes its SAs */

/* The virtual gateway as the guest sees it: where ICMP errors come from. version 0: none of that family. */
void tunnel_set_gateway(struct tunnel *tunnel, const struct ip_address *ipv4, const struct ip_address *ipv6);

/* ike_callbacks' child functions. A first SA (replaces 0) sends at once; one that replaces another sends
 * after tunnel_use. Of several that match a packet, the one that was last told to send does. */
#define TUNNEL_SAS_MAX 16 /* no fewer than IKE keeps */
const struct esp_sa *tunnel_add(struct tunnel *tunnel, const struct child_parameters *child,
                                uint32_t replaces) must_check;
void tunnel_use(struct tunnel *tunnel, uint32_t spi_in);
void tunnel_remove(struct tunnel *tunnel, uint32_t spi_in);
void tunnel_move(struct tunnel *tunnel, uint32_t spi_in, const struct ip_endpoint *local,
                 const struct ip_endpoint *remote, bool udp_encapsulated);

/* Of the SAs that can send, and whose selectors the flow matches (NULL: any), the one last told to; NULL:
 * there is none. Valid until the tunnel changes. */
struct esp_sa *tunnel_sending(const struct tunnel *tunnel, const struct packet_flow *flow);
/* For the state report. */
void tunnel_counters(const struct tunnel *tunnel, struct tunnel_counters *out);

/* The largest inner packet that goes to the gateway in one piece: for the DHCP and RA MTU. For IPv6 never
 * below 1280 (outer fragments carry the rest, RFC 2473 section 7.1). version 4 or 6. */
size_t tunnel_inner_mtu(const struct tunnel *tunnel, const struct esp_sa *sa, uint8_t version, uint64_t now);

/* An IP packet of the guest (the frame behind its Ethernet header, link padding allowed). It is sealed and
 * sent, or refused with an ICMP error, or dropped. The packet is changed in place (TCP MSS). Link-local and
 * multicast traffic is not for the tunnel: it is dropped without an answer. */
void tunnel_from_guest(struct tunnel *tunnel, uint8_t *packet, size_t size, uint64_t now);

/* An IP packet from the wire (the frame behind its Ethernet header). True: it was for the tunnel (ESP, its
 * fragments, NAT keepalives) and is done with; the inner packet, if one came out, went to to_guest. False:
 * it is somebody else's, to be given on to lwIP: *rest is then the packet itself, or a whole datagram that
 * the tunnel put together of fragments (valid until the next call, larger than a frame). The packet is
 * changed in place. */
struct tunnel_rest {
    uint8_t *packet;
    size_t size;
};
bool tunnel_from_wire(struct tunnel *tunnel, uint8_t *packet, size_t size, uint64_t now,
                      struct tunnel_rest *rest) must_check;

#endif
