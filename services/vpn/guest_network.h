/* SPDX-License-Identifier: Apache-2.0 */
/* What the guest's cable leads to: one virtual gateway, and the addresses that the tunnel's gateway gave us,
 * which the guest gets by DHCP. The servers below are pure: a message in, an answer out. */
#ifndef SHOJI_SERVICES_VPN_GUEST_NETWORK_H
#define SHOJI_SERVICES_VPN_GUEST_NETWORK_H

#include "crypto/ipsec/ike.h"
#include "services/vpn/frame.h"

/* Owned by struct guest; the servers only read it. version 0 of an address: there is none. */
struct guest_network {
    struct mac mac;                       /* the virtual gateway's */
    struct ip_address gateway4, gateway6; /* gateway6 is link-local */
    struct ip_address address4, address6; /* the guest's; none before the first tunnel */
    uint8_t prefix4;                      /* length of the network that the guest is told */
    struct ip_address dns[IKE_DNS_MAX];
    unsigned dns_count;
    uint16_t mtu;   /* of the guest's link, as told by DHCP and RA */
    uint32_t lease; /* seconds */
};

/* The gateway's IPv4 address and the network's prefix length for an inner address: the smallest network in
 * which that address is neither the first nor the last. No host but the gateway needs to be in it, as ARP
 * answers for all. */
void guest_network_choose4(struct guest_network *network);

#define DHCP4_SERVER_PORT 67
#define DHCP4_CLIENT_PORT 68
#define DHCP6_SERVER_PORT 547
#define DHCP6_CLIENT_PORT 546
#define DHCP_ANSWER_MAX   548 /* with its headers 576 bytes: what each client takes (RFC 2131 section 2) */

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

/* Router advertisement (RFC 4861 section 4.2): addresses by DHCPv6 (M), no autoconfiguration, we are the
 * default router as long as there is an IPv6 address. Returns the ICMPv6 message's size. */
#define RA_MAX        64
#define RA_INTERVAL_S 30
size_t router_advertisement(const struct guest_network *network, uint8_t out[RA_MAX]);

/* Answers an ARP request (the frame's payload) with our MAC: for the gateway and whatever else the guest
 * takes for a neighbour, but never for its own address. False: nothing to say. */
#define ARP_BYTES 28
bool arp_answer(const struct guest_network *network, const uint8_t *message, size_t size,
                uint8_t out[ARP_BYTES]) must_check;

/* Answers a neighbour solicitation for the gateway (RFC 4861 section 7.2). `from`: its source address. Sets
 * where the answer goes. */
#define NA_BYTES 32
bool neighbour_answer(const struct guest_network *network, const struct ip_address *from,
                      const uint8_t *message, size_t size, struct ip_address *to,
                      uint8_t out[NA_BYTES]) must_check;

extern const struct ip_address ip_all_nodes; /* ff02::1 */

#endif
