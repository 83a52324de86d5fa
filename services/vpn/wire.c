/* SPDX-License-Identifier: Apache-2.0 */
/* The interface to lwIP, and the one place that sends frames on the wire: what lwIP makes, IKE's UDP ports
 * 500 and 4500 (RFC 3948), sealed packets. */
#include "services/vpn/wire.h"
#include "services/vpn/frame.h"
#include "services/vpn/surroundings.h"

#include "lib/format.h"

#include <lwip/dhcp.h>
#include <lwip/dns.h>
#include <lwip/etharp.h>
#include <lwip/ethip6.h>
#include <lwip/init.h>
#include <lwip/ip.h>
#include <lwip/nd6.h>
#include <lwip/sys.h>
#include <lwip/timeouts.h>
#include <lwip/udp.h>
#include <netif/ethernet.h>

#define MARKER_BYTES 4 /* of zero: not ESP (RFC 3948 section 2.2) */

#define ICMPV6_ECHO_LAST 129 /* errors are 1 to 127, echoes 128 and 129 */

/* Our host; lwIP points into it. */
static struct wire {
    struct netif netif;
    const struct wire_settings *settings;
    const struct wire_callbacks *callbacks;
    void *owner;
    ip_addr_t router6; /* static; of IPv4 when there is none */
    /* The Ethernet address to which packets for one destination go. Good until the next wire_tick, so that
     * lwIP's ARP and neighbour caches stay alive and a changed router is noticed. */
    struct eth_addr next_hop;
    struct ip_address next_hop_for; /* version 0: not known */
    size_t learning; /* the size of the frame that shall tell it; 0 when it has, or none is asked */
} wire;

static struct udp_pcb *ports[2]; /* 500 and 4500, open for good */

/* version 0 is the unspecified address; both have the bytes in the same order. */
static ip_addr_t to_lwip(const struct ip_address *ip)
{
    ip_addr_t out = {.type = ip->version == 6 ? IPADDR_TYPE_V6 : IPADDR_TYPE_V4};
    memcpy(&out.u_addr, ip->bytes, ip_bytes(ip->version));
    return out;
}

static struct ip_address from_lwip(const ip_addr_t *ip)
{
    struct ip_address out = {.version = ip_addr_isany(ip) ? 0 : IP_IS_V6(ip) ? 6 : 4};
    memcpy(out.bytes, &ip->u_addr, ip_bytes(out.version));
    return out;
}

/* ---- Sending ---- */

/* Of ICMPv6 only neighbour discovery and multicast listener reports: no errors, no echoes. */
static bool is_silent_host(const uint8_t *frame, size_t size)
{
    const size_t type_at = SIZEOF_ETH_HDR + IPV6_HEADER_BYTES;
    return frame_type(frame) != ETHTYPE_IPV6 || size <= type_at ||
           frame[SIZEOF_ETH_HDR + IPV6_NEXT_HEADER] != PROTOCOL_ICMPV6 || frame[type_at] > ICMPV6_ECHO_LAST;
}

/* lwIP's frames: ARP, ND, DHCP, DNS, IKE, and the first packet to a next hop that is not known yet. */
static err_t send_frame(struct netif *netif, struct pbuf *p)
{
    static uint8_t frame[FRAME_MAX];
    (void)netif;
    if (p->tot_len > sizeof(frame) || p->tot_len < SIZEOF_ETH_HDR)
        return ERR_BUF;
    (void)pbuf_copy_partial(p, frame, p->tot_len, 0);
    if (!is_silent_host(frame, p->tot_len))
        return ERR_OK;
    /* Not what lwIP sends to find the next hop out. */
    if (p->tot_len == wire.learning && !(frame[0] & MAC_GROUP_BIT) && frame_type(frame) != ETHTYPE_ARP) {
        memcpy(wire.next_hop.addr, frame, ETH_HWADDR_LEN);
        wire.learning = 0;
    }
    vpn_frame_send(SIDE_WIRE, frame, p->tot_len);
    return ERR_OK;
}

void wire_send(void *owner, const struct ip_address *destination, uint8_t *packet, size_t size)
{
    (void)owner;
    if (size > wire.netif.mtu || !netif_is_link_up(&wire.netif))
        return;
    if (ip_equal(destination, &wire.next_hop_for)) {
        uint8_t *frame = packet - SIZEOF_ETH_HDR;
        frame_header(frame, &wire.next_hop, (const struct eth_addr *)wire.netif.hwaddr,
                     destination->version == 4 ? ETHTYPE_IP : ETHTYPE_IPV6);
        vpn_frame_send(SIDE_WIRE, frame, SIZEOF_ETH_HDR + size);
        return;
    }
    /* The way through lwIP: it finds the next hop, or queues the packet until it knows it. */
    ip_addr_t to = to_lwip(destination);
    struct pbuf *p = pbuf_alloc(PBUF_LINK, (u16_t)size, PBUF_RAM);
    if (!p)
        return;
    (void)pbuf_take(p, packet, (u16_t)size);
    wire.learning = SIZEOF_ETH_HDR + size; /* if it is sent at once, send_frame notes the MAC */
    if (IP_IS_V6(&to))
        (void)wire.netif.output_ip6(&wire.netif, p, ip_2_ip6(&to));
    else
        (void)wire.netif.output(&wire.netif, p, ip_2_ip4(&to));
    pbuf_free(p);
    if (wire.learning == 0)
        wire.next_hop_for = *destination;
    wire.learning = 0;
}

/* ---- Receiving ---- */

void wire_receive(uint16_t type, const uint8_t *payload, size_t size)
{
    bool fits = size > 0 && size <= UINT16_MAX;
    struct pbuf *p = fits ? pbuf_alloc(PBUF_RAW, (u16_t)size, PBUF_POOL) : NULL;
    if (!p)
        return;
    (void)pbuf_take(p, payload, (u16_t)size);
    if (type == ETHTYPE_ARP)
        etharp_input(p, &wire.netif);
    else
        (void)ip_input(p, &wire.netif);
}

/* ---- IKE's ports ---- */

/* lwIP's udp_recv callback for both ports. */
static void receive(void *context, struct udp_pcb *pcb, struct pbuf *p, const ip_addr_t *from, u16_t port)
{
    static uint8_t message[IKE_MESSAGE_MAX + MARKER_BYTES]; /* the service's one thread fills and reads it */
    static const uint8_t marker[MARKER_BYTES];
    (void)context;
    size_t size = p->tot_len, skip = pcb->local_port == IKE_NAT_PORT ? MARKER_BYTES : 0;
    bool fits = size <= sizeof(message) && size > skip;
    if (fits)
        (void)pbuf_copy_partial(p, message, (u16_t)size, 0);
    pbuf_free(p);
    if (!fits || memcmp(message, marker, skip) != 0)
        return;
    const struct ike_datagram datagram = {.local = {from_lwip(ip_current_dest_addr()), pcb->local_port},
                                          .remote = {from_lwip(from), port},
                                          .data = message + skip,
                                          .size = size - skip};
    wire.callbacks->ike(wire.owner, &datagram);
}

static bool open_ports(void)
{
    static const uint16_t numbers[ARRAY_COUNT(ports)] = {IKE_PORT, IKE_NAT_PORT};
    for (unsigned i = 0; i < ARRAY_COUNT(numbers); i++) {
        struct udp_pcb *pcb = ports[i] = udp_new_ip_type(IPADDR_TYPE_ANY);
        if (!pcb || udp_bind(pcb, IP_ANY_TYPE, numbers[i]) != ERR_OK)
            return false;
        udp_recv(pcb, receive, NULL);
    }
    return true;
}

void wire_send_ike(void *owner, const struct ike_datagram *datagram)
{
    (void)owner;
    bool natted = datagram->local.port == IKE_NAT_PORT;
    /* A NAT keepalive is one byte FFh without the marker (RFC 3948 section 2.3). */
    size_t skip = natted && datagram->size > 1 ? MARKER_BYTES : 0;
    if (datagram->size > UINT16_MAX - MARKER_BYTES || !netif_is_link_up(&wire.netif))
        return;
    struct pbuf *p = pbuf_alloc(PBUF_TRANSPORT, (u16_t)(skip + datagram->size), PBUF_RAM);
    if (!p)
        return;
    memset(p->payload, 0, skip);
    memcpy((uint8_t *)p->payload + skip, datagram->data, datagram->size);
    ip_addr_t from = to_lwip(&datagram->local.ip), to = to_lwip(&datagram->remote.ip);
    /* What cannot be sent now is sent again by IKE's own timer. */
    (void)udp_sendto_if_src(ports[natted], p, &to, datagram->remote.port, &wire.netif, &from);
    pbuf_free(p);
}

/* ---- The interface ---- */

const struct ip6_addr *wire_static_router6(struct netif *netif, const struct ip6_addr *destination)
{
    (void)netif;
    (void)destination;
    return IP_IS_V6_VAL(wire.router6) ? ip_2_ip6(&wire.router6) : NULL;
}

static err_t set_up_interface(struct netif *netif)
{
    netif->output = etharp_output;
    netif->output_ip6 = ethip6_output;
    netif->linkoutput = send_frame;
    netif->mtu = (uint16_t)wire.settings->mtu;
    netif->hwaddr_len = ETH_HWADDR_LEN;
    vpn_mac(SIDE_WIRE, netif->hwaddr);
    netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_MLD6;
    return ERR_OK;
}

static void set_addresses4(const struct wire_family *s)
{
    ip_addr_t address = to_lwip(&s->address), router = to_lwip(&s->router);
    if (s->automatic) {
        (void)dhcp_start(&wire.netif);
    } else if (s->address.version == 4) {
        ip4_addr_t mask = {lwip_htonl(UINT32_MAX << (32 - s->prefix))};
        netif_set_addr(&wire.netif, ip_2_ip4(&address), &mask, ip_2_ip4(&router));
    }
}

static void set_addresses6(const struct wire_family *s)
{
    if (!s->automatic && s->address.version != 6)
        return;
    netif_create_ip6_linklocal_address(&wire.netif, 1);
    netif_set_ip6_autoconfig_enabled(&wire.netif, s->automatic);
    ip_addr_t address = to_lwip(&s->address);
    wire.router6 = to_lwip(&s->router);
    if (s->address.version == 6)
        (void)netif_add_ip6_address(&wire.netif, ip_2_ip6(&address), NULL);
}

/* Servers of the policy come first; lwIP's DHCP would overwrite them, so they are set again with each lease.
 */
static void set_dns(void)
{
    for (unsigned i = 0; i < wire.settings->dns_count; i++) {
        ip_addr_t server = to_lwip(&wire.settings->dns[i]);
        dns_setserver((u8_t)i, &server);
    }
}

bool wire_start(const struct wire_settings *s, const struct wire_callbacks *callbacks, void *owner)
{
    static bool ready;
    if (!ready) {
        lwip_init();
        ready = open_ports();
    }
    wire = (struct wire){.callbacks = callbacks, .owner = owner, .settings = s};
    if (!ready || !netif_add(&wire.netif, NULL, NULL, NULL, NULL, set_up_interface, ethernet_input))
        return false;
    netif_set_default(&wire.netif);
    netif_set_up(&wire.netif);
    set_addresses4(&s->ipv4);
    set_addresses6(&s->ipv6);
    return true;
}

void wire_stop(void)
{
    dhcp_release_and_stop(&wire.netif);
    dhcp_cleanup(&wire.netif);
    netif_remove(&wire.netif);
}

uint32_t wire_tick(void)
{
    if (vpn_link(SIDE_WIRE))
        netif_set_link_up(&wire.netif); /* DHCP and router discovery start again by themselves */
    else
        netif_set_link_down(&wire.netif);
    wire.next_hop_for.version = 0;
    sys_check_timeouts();
    set_dns();
    return sys_timeouts_sleeptime();
}

struct ip_address wire_address4(void)
{
    return from_lwip(netif_ip_addr4(&wire.netif));
}

bool wire_local_for(const struct ip_address *remote, struct ip_address *local)
{
    ip_addr_t to = to_lwip(remote);
    const ip_addr_t *from = ip_netif_get_local_ip(&wire.netif, &to);
    if (!from || !ip_route(from, &to))
        return false;
    *local = from_lwip(from);
    if (IP_IS_V6(&to)) /* a link-local address is not heard beyond the link */
        return !ip6_addr_islinklocal(ip_2_ip6(from)) || ip6_addr_islinklocal(ip_2_ip6(&to));
    return ip4_addr_netcmp(ip_2_ip4(&to), ip_2_ip4(from), netif_ip4_netmask(&wire.netif)) ||
           !ip4_addr_isany(netif_ip4_gw(&wire.netif));
}

/* ---- Names ---- */

static void found(const char *name, const ip_addr_t *address, void *context)
{
    struct ip_address result = {.version = 0};
    (void)name;
    (void)context;
    if (address)
        result = from_lwip(address);
    wire.callbacks->resolved(wire.owner, &result);
}

bool wire_resolve(const char *name, uint8_t version)
{
    ip_addr_t address;
    struct ip_address server = from_lwip(dns_getserver(0)), local;
    if (server.version == 0 || !wire_local_for(&server, &local))
        return false;
    /* One version at a time: with two, lwIP answers with the remembered address of the other one. */
    err_t error = dns_gethostbyname_addrtype(name, &address, found, NULL,
                                             version == 6 ? LWIP_DNS_ADDRTYPE_IPV6 : LWIP_DNS_ADDRTYPE_IPV4);
    if (error == ERR_OK)
        found(name, &address, NULL);
    return error == ERR_OK || error == ERR_INPROGRESS;
}

/* ---- What lwIP asks for: time, chance, and where a broken assertion goes ---- */

u32_t sys_now(void)
{
    return (u32_t)vpn_now(); /* it wraps, and lwIP counts with that */
}

/* Ports, transaction numbers and back-offs. Without chance there is no safe way to go on. */
uint32_t wire_random(void)
{
    uint32_t value;
    if (!vpn_entropy(NULL, &value, sizeof(value)))
        wire_assertion_failed("the random generator failed");
    return value;
}

void wire_assertion_failed(const char *what)
{
    char text[160];
    (void)format(text, sizeof(text), "The VPN's network stack stopped: %s.", what);
    vpn_log(NULL, text);
    __builtin_trap();
}
