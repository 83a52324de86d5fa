/* SPDX-License-Identifier: Apache-2.0 */
/* Sorts the guest's frames: DHCP, ARP and neighbour discovery are answered here, all else is the tunnel's. */
#include "services/vpn/guest.h"
#include "services/vpn/surroundings.h"

#include "lib/strings.h"

#include <lwip/prot/dhcp6.h>
#include <lwip/prot/iana.h>
#include <lwip/prot/icmp6.h>

#define CARRIER_DROP_MS 1000
#define LINK_ANSWER_MAX (SIZEOF_ETH_HDR + IPV6_HEADER_BYTES + UDP_HEADER_BYTES + DHCP_ANSWER_MAX)

/* Until the tunnel has given addresses: the dummy address for ICMP's sources (RFC 7600). */
static const struct ip_address dummy_gateway4 = {4, {192, 0, 0, 8}};

/* The link-local address made of the MAC (RFC 4291 appendix A). */
static struct ip_address link_local(const struct eth_addr *mac)
{
    const uint8_t *m = mac->addr;
    return (struct ip_address){
        6, {0xfe, 0x80, 0, 0, 0, 0, 0, 0, m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]}};
}

void guest_start(struct guest *g, struct tunnel *tunnel, uint32_t lease, uint64_t now)
{
    *g = (struct guest){.tunnel = tunnel, .peer = mac_broadcast};
    vpn_mac(SIDE_GUEST, g->network.mac.addr);
    g->network.lease = lease;
    g->network.gateway6 = link_local(&g->network.mac);
    guest_set_inner(g, &(struct ike_inner){.address.count = 0}, now);
    vpn_carrier(SIDE_GUEST, true);
}

/* ---- To the guest ---- */

static void send(struct guest *g, const struct eth_addr *to, uint8_t *frame, size_t packet_size)
{
    bool ipv6 = frame[SIZEOF_ETH_HDR] >> 4 == 6;
    frame_header(frame, to, &g->network.mac, ipv6 ? ETHTYPE_IPV6 : ETHTYPE_IP);
    g->frames_out++;
    vpn_frame_send(SIDE_GUEST, frame, SIZEOF_ETH_HDR + packet_size);
}

void guest_send(struct guest *g, uint8_t *packet, size_t size)
{
    if (size > 0 && size <= FRAME_MAX - SIZEOF_ETH_HDR)
        send(g, &g->peer, packet - SIZEOF_ETH_HDR, size);
}

static void send_packet(struct guest *g, const struct eth_addr *to, const struct packet_flow *flow,
                        const uint8_t *data, size_t size)
{
    uint8_t frame[LINK_ANSWER_MAX];
    size_t packet = packet_write(frame + SIZEOF_ETH_HDR, sizeof(frame) - SIZEOF_ETH_HDR, flow, data, size);
    if (packet > 0)
        send(g, to, frame, packet);
}

static void send_icmp6(struct guest *g, const struct ip_address *to, const void *message, size_t size)
{
    static const struct eth_addr all_nodes = {{0x33, 0x33, 0, 0, 0, 1}};
    const struct packet_flow flow = {
        .source = g->network.gateway6, .destination = *to, .protocol = PROTOCOL_ICMPV6};
    send_packet(g, ip_equal(to, &ip_all_nodes) ? &all_nodes : &g->peer, &flow, message, size);
}

/* What the guest is told of the tunnel as it is now: the MTU is what goes through it in one piece. */
static void refresh(struct guest *g, uint64_t now)
{
    const struct esp_sa *sa = tunnel_sending(g->tunnel, NULL);
    if (!sa)
        return; /* the guest keeps what it was told */
    g->network.everything4 = selectors_within(&everywhere4, &sa->parameters.remote);
    size_t mtu = tunnel_inner_mtu(g->tunnel, sa, g->network.address6.version == 6 ? 6 : 4, now);
    g->network.mtu = (uint16_t)mtu;
}

static void advertise(struct guest *g, uint64_t now)
{
    struct router_advertisement message;
    refresh(g, now);
    send_icmp6(g, &ip_all_nodes, &message, router_advertise(&g->network, &message));
}

/* ---- From the guest: what is answered here. True: the packet is done with. ---- */

static bool serve_dhcp(struct guest *g, const struct ip_packet *p, uint64_t now)
{
    const struct packet_flow *asked = &p->flow;
    struct dhcp_answer answer = {.to = asked->source};
    bool ipv4 = p->version == 4;
    bool to_us = ip_is_multicast(&asked->destination) || ip_equal(&asked->destination, &g->network.gateway4);
    const uint8_t *message;
    size_t size;
    if (asked->destination_port != (ipv4 ? LWIP_IANA_PORT_DHCP_SERVER : DHCP6_SERVER_PORT) ||
        (ipv4 && !to_us) || !udp_read(p, &message, &size))
        return false;
    refresh(g, now);
    if (!(ipv4 ? dhcp4_answer : dhcp6_answer)(&g->network, message, size, &answer))
        return true;
    g->leases++;
    const struct packet_flow back = {.source = ipv4 ? g->network.gateway4 : g->network.gateway6,
                                     .destination = answer.to,
                                     .protocol = PROTOCOL_UDP,
                                     .source_port = asked->destination_port,
                                     .destination_port =
                                         ipv4 ? LWIP_IANA_PORT_DHCP_CLIENT : DHCP6_CLIENT_PORT};
    send_packet(g, ip_is_multicast(&back.destination) ? &mac_broadcast : &g->peer, &back, answer.data,
                answer.size);
    return true;
}

static bool serve_discovery(struct guest *g, const struct ip_packet *p, uint64_t now)
{
    const uint8_t *message = p->data + p->payload;
    size_t size = p->size - p->payload;
    if (size < ICMP6_HLEN || (message[0] != ICMP6_TYPE_RS && message[0] != ICMP6_TYPE_NS))
        return false;
    if (p->data[IPV6_HOP_LIMIT] != HOP_LIMIT_LINK || upper_checksum(&p->flow, message, size) != 0)
        return true;
    struct ip_address to;
    struct neighbour_advertisement answer;
    if (message[0] == ICMP6_TYPE_RS)
        advertise(g, now);
    else if (neighbour_answer(&g->network, &p->flow.source, message, size, &to, &answer))
        send_icmp6(g, &to, &answer, sizeof(answer));
    return true;
}

/* True: the packet was for the virtual gateway itself. Only packets of these two protocols are looked into.
 */
static bool serve(struct guest *g, uint8_t *packet, size_t size, uint64_t now)
{
    struct ip_packet p;
    if (size < IPV4_HEADER_BYTES)
        return false;
    uint8_t protocol = packet[packet[0] >> 4 == 4 ? IPV4_PROTOCOL : IPV6_NEXT_HEADER];
    if ((protocol != PROTOCOL_UDP && protocol != PROTOCOL_ICMPV6) || !ip_packet_parse(packet, size, &p) ||
        p.fragment)
        return false;
    return protocol == PROTOCOL_UDP ? serve_dhcp(g, &p, now) : p.version == 6 && serve_discovery(g, &p, now);
}

static void serve_arp(struct guest *g, const uint8_t *message, size_t size)
{
    uint8_t frame[SIZEOF_ETH_HDR + SIZEOF_ETHARP_HDR];
    if (!arp_answer(&g->network, message, size, (void *)(frame + SIZEOF_ETH_HDR)))
        return;
    frame_header(frame, &g->peer, &g->network.mac, ETHTYPE_ARP);
    vpn_frame_send(SIDE_GUEST, frame, sizeof(frame));
}

void guest_frame(struct guest *g, uint8_t *frame, size_t size, uint64_t now)
{
    const uint8_t *from = frame + ETH_HWADDR_LEN;
    if (size <= SIZEOF_ETH_HDR || (from[0] & MAC_GROUP_BIT)) {
        g->dropped++;
        return;
    }
    g->frames_in++;
    memcpy(g->peer.addr, from, ETH_HWADDR_LEN);
    uint8_t *packet = frame + SIZEOF_ETH_HDR;
    size -= SIZEOF_ETH_HDR;
    uint16_t type = frame_type(frame);
    bool ip = (type == ETHTYPE_IP && packet[0] >> 4 == 4) || (type == ETHTYPE_IPV6 && packet[0] >> 4 == 6);
    if (type == ETHTYPE_ARP)
        serve_arp(g, packet, size);
    else if (ip && serve(g, packet, size, now))
        return;
    else if (ip && memcmp(frame, g->network.mac.addr, ETH_HWADDR_LEN) == 0) {
        if (!g->plain || !g->plain(g->plain_owner, packet, size))
            tunnel_from_guest(g->tunnel, packet, size, now);
    } else
        g->dropped++; /* for other hosts, multicast, or no IP: the link has nobody else on it */
}

/* ---- Addresses ---- */

/* The first of its version that a host can have: the gateway shall not make the guest be told nonsense. */
static bool take_address(struct ip_address *to, uint8_t version, const struct ike_inner *inner)
{
    struct ip_address before = *to;
    *to = (struct ip_address){.version = 0};
    for (unsigned i = 0; i < inner->address.count && to->version == 0; i++) {
        const struct ip_address *ip = &inner->address.item[i];
        if (ip->version == version && !ip_is_multicast(ip) && !ip_is_link_local(ip))
            *to = *ip;
    }
    return !ip_equal(to, &before);
}

void guest_set_inner(struct guest *g, const struct ike_inner *inner, uint64_t now)
{
    struct guest_network *n = &g->network;
    bool changed = take_address(&n->address4, 4, inner);
    changed |= take_address(&n->address6, 6, inner);
    n->inner = *inner;
    n->gateway4 = dummy_gateway4;
    if (n->address4.version == 4)
        guest_network_choose4(n);
    tunnel_set_gateway(g->tunnel, &n->gateway4, &n->gateway6);
    g->advertisement_due = now;
    if (changed) {
        vpn_carrier(SIDE_GUEST, false);
        g->carrier_due = now + CARRIER_DROP_MS;
        g->advertisement_due = g->carrier_due;
    }
}

uint64_t guest_tick(struct guest *g, uint64_t now)
{
    if (g->carrier_due != 0 && now >= g->carrier_due) {
        g->carrier_due = 0;
        vpn_carrier(SIDE_GUEST, true);
    }
    if (now >= g->advertisement_due) {
        advertise(g, now);
        g->advertisement_due = now + RA_INTERVAL_S * 1000;
    }
    return g->carrier_due != 0 ? MIN(g->carrier_due, g->advertisement_due) : g->advertisement_due;
}
