/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's side: what its cable leads to (one virtual gateway, and the addresses that the tunnel's gateway
 * gave us, which the guest gets by DHCP), which of its frames the virtual gateway answers itself, and that
 * all others go to the tunnel. Nothing here can reach the wire. */
#ifndef SHOJI_SERVICES_VPN_GUEST_H
#define SHOJI_SERVICES_VPN_GUEST_H

#include "crypto/ipsec/ike.h"
#include "crypto/ipsec/tunnel.h"
#include "services/vpn/frame.h"

#include <lwip/prot/etharp.h>
#include <lwip/prot/nd6.h>

/* ---- The servers: pure, a message in, an answer out ---- */

/* Owned by struct guest; the servers only read it. version 0 of an address: there is none. */
struct guest_network {
    struct eth_addr mac;                  /* the virtual gateway's */
    struct ip_address gateway4, gateway6; /* gateway6 is link-local */
    struct ip_address address4, address6; /* the guest's; none before the first tunnel */
    uint8_t prefix4;                      /* length of the network that the guest is told */
    struct ike_inner inner;               /* as the gateway gave it last */
    bool everything4;                     /* the tunnel takes packets to all of IPv4 */
    uint16_t mtu;                         /* of the guest's link, as told by DHCP and RA */
    uint32_t lease;                       /* seconds */
};

/* The gateway's IPv4 address and the network's prefix length for an inner address: the smallest network in
 * which that address is neither the first nor the last. No host but the gateway needs to be in it, as ARP
 * answers for all. */
void guest_network_choose4(struct guest_network *network);

#define DHCP_ANSWER_MAX 548 /* with its headers 576 bytes: what each client takes (RFC 2131 section 2) */

struct dhcp_answer {
    uint8_t data[DHCP_ANSWER_MAX];
    size_t size;
    struct ip_address to; /* set by DHCP alone; DHCPv6 answers where the question came from */
};

/* Answers a client's message of DHCP (RFC 2131), of DHCPv6 (RFC 8415). False: no answer; always so while
 * there is no address. */
bool dhcp4_answer(const struct guest_network *network, const uint8_t *message, size_t size,
                  struct dhcp_answer *out) must_check;
bool dhcp6_answer(const struct guest_network *network, const uint8_t *message, size_t size,
                  struct dhcp_answer *out) must_check;

/* Answers an ARP request (the frame's payload) with our MAC: for the gateway and whatever else the guest
 * takes for a neighbour, but never for its own address. False: nothing to say. */
bool arp_answer(const struct guest_network *network, const uint8_t *message, size_t size,
                struct etharp_hdr *out) must_check;

struct router_advertisement {
    struct ra_header head;
    struct lladdr_option link;
    struct mtu_option mtu;
};
struct neighbour_advertisement {
    struct na_header head;
    struct lladdr_option link;
};

/* Router advertisement (RFC 4861 section 4.2): addresses by DHCPv6 (M), no autoconfiguration, we are the
 * default router as long as there is an IPv6 address. Returns the ICMPv6 message's size. */
#define RA_INTERVAL_S 30
size_t router_advertise(const struct guest_network *network, struct router_advertisement *out);

/* Answers a neighbour solicitation for the gateway (RFC 4861 section 7.2). `from`: its source address. Sets
 * where the answer goes. */
bool neighbour_answer(const struct guest_network *network, const struct ip_address *from,
                      const uint8_t *message, size_t size, struct ip_address *to,
                      struct neighbour_advertisement *out) must_check;

extern const struct ip_address ip_all_nodes; /* ff02::1 */

/* ---- The guest ---- */

/* Owned by the service's one thread. */
struct guest {
    struct guest_network network;
    struct tunnel *tunnel;
    /* Takes a packet past the tunnel, if the policy says so. NULL where it has no exceptions. */
    bool (*plain)(void *owner, uint8_t *packet, size_t size);
    void *plain_owner;
    struct eth_addr peer; /* the guest's own address, as its last frame gave it; broadcast before that */
    uint64_t carrier_due, advertisement_due; /* 0: nothing is due */
    uint64_t frames_in, frames_out, leases, dropped;
};

/* Puts the virtual gateway up, without an address for the guest. The tunnel must outlive it. */
void guest_start(struct guest *guest, struct tunnel *tunnel, uint32_t lease, uint64_t now);

/* The tunnel has come up with these inner addresses: from now on there are leases. When they are not those of
 * before, the guest's carrier drops for a second, so that it asks again. */
void guest_set_inner(struct guest *guest, const struct ike_inner *inner, uint64_t now);

/* A frame of the guest; it is changed in place. */
void guest_frame(struct guest *guest, uint8_t *frame, size_t size, uint64_t now);

/* Sends the guest an IP packet with TUNNEL_HEADROOM writable bytes in front of it. */
void guest_send(struct guest *guest, uint8_t *packet, size_t size);

/* Does what is due; returns the time of the next call. */
uint64_t guest_tick(struct guest *guest, uint64_t now);

#endif
