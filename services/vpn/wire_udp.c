/* SPDX-License-Identifier: Apache-2.0 */
/* IKE's UDP ports 500 and 4500 (RFC 3948) and the lookup of the gateway's name, by lwIP's raw interface. */
#include "services/vpn/wire_parts.h"

#include <lwip/dns.h>

#define MARKER_BYTES 4 /* of zero: not ESP (RFC 3948 section 2.2) */

void wire_to_lwip(const struct ip_address *ip, ip_addr_t *out)
{
    memset(out, 0, sizeof(*out));
    if (ip->version == 6) {
        IP_SET_TYPE(out, IPADDR_TYPE_V6);
        memcpy(ip_2_ip6(out)->addr, ip->bytes, 16);
    } else {
        IP_SET_TYPE(out, IPADDR_TYPE_V4);
        memcpy(&ip_2_ip4(out)->addr, ip->bytes, 4);
    }
}

void wire_from_lwip(const ip_addr_t *ip, struct ip_address *out)
{
    *out = (struct ip_address){.version = IP_IS_V6(ip) ? 6 : 4};
    if (IP_IS_V6(ip))
        memcpy(out->bytes, ip_2_ip6(ip)->addr, 16);
    else
        memcpy(out->bytes, &ip_2_ip4(ip)->addr, 4);
}

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
    struct ike_datagram datagram = {.data = message + skip, .size = size - skip};
    wire_from_lwip(ip_current_dest_addr(), &datagram.local.ip);
    datagram.local.port = pcb->local_port;
    wire_from_lwip(from, &datagram.remote.ip);
    datagram.remote.port = port;
    wire.callbacks->ike(wire.owner, &datagram);
}

bool wire_open_ports(void)
{
    static const uint16_t numbers[ARRAY_COUNT(wire.ports)] = {IKE_PORT, IKE_NAT_PORT};
    for (unsigned i = 0; i < ARRAY_COUNT(numbers); i++) {
        struct udp_pcb *pcb = wire.ports[i] = udp_new_ip_type(IPADDR_TYPE_ANY);
        if (!pcb || udp_bind(pcb, IP_ANY_TYPE, numbers[i]) != ERR_OK)
            return false;
        udp_recv(pcb, receive, NULL);
    }
    return true;
}

void wire_close_ports(void)
{
    for (unsigned i = 0; i < ARRAY_COUNT(wire.ports); i++)
        if (wire.ports[i])
            udp_remove(wire.ports[i]);
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
    ip_addr_t from, to;
    wire_to_lwip(&datagram->local.ip, &from);
    wire_to_lwip(&datagram->remote.ip, &to);
    /* What cannot be sent now is sent again by IKE's own timer. */
    (void)udp_sendto_if_src(wire.ports[natted], p, &to, datagram->remote.port, &wire.netif, &from);
    pbuf_free(p);
}

/* ---- Names ---- */

static void found(const char *name, const ip_addr_t *address, void *context)
{
    struct ip_address result = {.version = 0};
    (void)name;
    (void)context;
    if (address)
        wire_from_lwip(address, &result);
    wire.callbacks->resolved(wire.owner, &result);
}

bool wire_resolve(const char *name, uint8_t version)
{
    ip_addr_t address;
    struct ip_address server, local;
    wire_from_lwip(dns_getserver(0), &server);
    if (ip_addr_isany(dns_getserver(0)) || !wire_local_for(&server, &local))
        return false;
    /* One version at a time: with two, lwIP answers with the remembered address of the other one. */
    err_t error = dns_gethostbyname_addrtype(name, &address, found, NULL,
                                             version == 6 ? LWIP_DNS_ADDRTYPE_IPV6 : LWIP_DNS_ADDRTYPE_IPV4);
    if (error == ERR_OK)
        found(name, &address, NULL);
    return error == ERR_OK || error == ERR_INPROGRESS;
}
