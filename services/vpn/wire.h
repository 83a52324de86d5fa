/* SPDX-License-Identifier: Apache-2.0 */
/* The outer side: our own host on the wire. lwIP does ARP, neighbour discovery, DHCP, DNS and UDP for IKE;
 * sealed ESP packets go past it. lwIP is one instance of global state, and so is this; one thread owns it.
 *
 * Nothing else in the service sends on the wire. What gets there is lwIP's own traffic, IKE through
 * wire_send_ike, and through wire_send what the tunnel has sealed and, where the policy has exceptions,
 * those.
 */
#ifndef SHOJI_SERVICES_VPN_WIRE_H
#define SHOJI_SERVICES_VPN_WIRE_H

#include "crypto/ipsec/ike.h"

#define WIRE_DNS_MAX 2

/* How our host gets its addresses of one IP version. */
struct wire_family {
    bool automatic;                    /* DHCP, router advertisements; else `address` */
    struct ip_address address, router; /* version 0: none */
    uint64_t prefix;                   /* of the address */
};

struct wire_settings {
    uint64_t mtu;
    struct wire_family ipv4, ipv6;
    struct ip_address dns[WIRE_DNS_MAX]; /* instead of those of DHCP and router advertisements */
    unsigned dns_count;
};

struct wire_callbacks {
    /* A datagram on port 500 or 4500 (its non-ESP marker taken off). */
    void (*ike)(void *owner, const struct ike_datagram *datagram);
    /* The answer to wire_resolve; version 0: the name has no address. */
    void (*resolved)(void *owner, const struct ip_address *address);
};

/* Starts the host. Settings and callbacks must live on. False: lwIP has no memory. */
bool wire_start(const struct wire_settings *settings, const struct wire_callbacks *callbacks,
                void *owner) must_check;

/* Gives the addresses back; nothing is sent or received afterwards. */
void wire_stop(void);

/* What is not ESP: the payload of an Ethernet frame, ARP or an IP packet. */
void wire_receive(uint16_t type, const uint8_t *payload, size_t size);

/* Does what is due; returns the milliseconds until the next time. */
uint32_t wire_tick(void);

/* Which address of ours reaches the remote one now? False: none yet, or no router. */
bool wire_local_for(const struct ip_address *remote, struct ip_address *local) must_check;

/* Looks a name's address of one version (4 or 6) up; the callback comes now or later, once. False: there is
 * no DNS server yet, or no way to it. */
bool wire_resolve(const char *name, uint8_t version) must_check;

/* ike_callbacks.send; the owner is not used. */
void wire_send_ike(void *owner, const struct ike_datagram *datagram);

/* Our IPv4 address; version 0 while there is none. */
struct ip_address wire_address4(void);

/* tunnel_callbacks.to_wire; also for the packets of exceptions.c, which is called only where the policy has
 * plain networks. SIZEOF_ETH_HDR writable bytes are in front of the packet. The owner is not used. */
void wire_send(void *owner, const struct ip_address *destination, uint8_t *packet, size_t size);

#endif
