/* SPDX-License-Identifier: Apache-2.0 */
/* What wire.c and wire_udp.c share. */
#ifndef SHOJI_SERVICES_VPN_WIRE_PARTS_H
#define SHOJI_SERVICES_VPN_WIRE_PARTS_H

#include "services/vpn/frame.h"
#include "services/vpn/wire.h"

#include <lwip/netif.h>
#include <lwip/udp.h>

/* Our host; lwIP points into it. */
struct wire {
    struct netif netif;
    struct mac mac;
    const struct wire_settings *settings;
    const struct wire_callbacks *callbacks;
    void *owner;
    struct udp_pcb *ports[2]; /* 500 and 4500 */
    ip_addr_t router6;        /* static; of IPv4 when there is none */
    /* The Ethernet address to which sealed packets for one destination go, good until a time. */
    struct mac next_hop;
    struct ip_address next_hop_for;
    uint64_t next_hop_until;
    size_t learning; /* while wire_send_sealed asks lwIP: the frame's size */
    bool learned;
};
extern struct wire wire;

void wire_to_lwip(const struct ip_address *ip, ip_addr_t *out); /* version 0: the unspecified IPv4 address */
void wire_from_lwip(const ip_addr_t *ip, struct ip_address *out);
bool wire_open_ports(void) must_check;
void wire_close_ports(void);

#endif
