/* SPDX-License-Identifier: Apache-2.0 */
/* The virtual gateway on the guest's link: its addresses, ARP (RFC 826) and neighbour and router discovery
 * (RFC 4861). */
#include "services/vpn/guest.h"

#include "lib/reader.h"
#include "lib/strings.h"

#include <lwip/def.h>
#include <lwip/prot/icmp6.h>

const struct ip_address ip_all_nodes = {6, {0xff, 0x02, [15] = 0x01}};

#define PREFIX_LONGEST  30 /* two hosts */
#define PREFIX_SHORTEST 1

void guest_network_choose4(struct guest_network *n)
{
    struct reader r = reader_of(n->address4.bytes, 4);
    uint32_t address = (uint32_t)reader_be(&r, 4), mask, host;
    n->prefix4 = PREFIX_LONGEST + 1;
    do {
        mask = UINT32_MAX >> --n->prefix4;
        host = address & mask;
    } while ((host == 0 || host == mask) && n->prefix4 > PREFIX_SHORTEST);
    n->gateway4 = (struct ip_address){.version = 4};
    ip_put32(n->gateway4.bytes, (address & ~mask) + (host == 1 ? 2 : 1));
}

bool arp_answer(const struct guest_network *n, const uint8_t *message, size_t size, struct etharp_hdr *out)
{
    /* Ethernet, IPv4, the lengths of their addresses; a request. */
    static const uint8_t request[] = {0, 1, 8, 0, ETH_HWADDR_LEN, 4, 0, ARP_REQUEST}, nobody[4];
    const struct etharp_hdr *asked = (const void *)message;
    const void *sender = &asked->sipaddr, *target = &asked->dipaddr;
    if (size < sizeof(*asked) || memcmp(message, request, sizeof(request)) != 0)
        return false;
    /* Its own address, announced or probed (RFC 5227): an answer would be a conflict. */
    bool own = n->address4.version == 4 && memcmp(target, n->address4.bytes, 4) == 0;
    if (own || memcmp(target, sender, 4) == 0 || memcmp(target, nobody, 4) == 0 ||
        (memcmp(sender, nobody, 4) == 0 && memcmp(target, n->gateway4.bytes, 4) != 0))
        return false;
    *out = *asked;
    out->opcode = PP_HTONS(ARP_REPLY);
    out->shwaddr = n->mac;
    out->sipaddr = asked->dipaddr;
    out->dhwaddr = asked->shwaddr;
    out->dipaddr = asked->sipaddr;
    return true;
}

/* ---- Neighbour and router discovery ---- */

#define RA_HOP_LIMIT          64
#define RA_LIFETIME_INTERVALS 3

static struct lladdr_option link_option(uint8_t type, const struct eth_addr *mac)
{
    struct lladdr_option out = {.type = type, .length = 1};
    memcpy(out.addr, mac, sizeof(out.addr));
    return out;
}

bool neighbour_answer(const struct guest_network *n, const struct ip_address *from, const uint8_t *message,
                      size_t size, struct ip_address *to, struct neighbour_advertisement *out)
{
    static const struct ip_address unspecified = {.version = 6};
    const struct ns_header *asked = (const void *)message;
    if (size < sizeof(*asked) || memcmp(&asked->target_address, n->gateway6.bytes, IP_BYTES_MAX) != 0)
        return false;
    bool probe = ip_equal(from, &unspecified); /* somebody wants our address: it is taken */
    *to = probe ? ip_all_nodes : *from;
    *out = (struct neighbour_advertisement){
        .head = {.type = ICMP6_TYPE_NA, .target_address = asked->target_address},
        .link = link_option(ND6_OPTION_TYPE_TARGET_LLADDR, &n->mac)};
    out->head.flags = ND6_FLAG_ROUTER | ND6_FLAG_OVERRIDE | (probe ? 0 : ND6_FLAG_SOLICITED);
    return true;
}

size_t router_advertise(const struct guest_network *n, struct router_advertisement *out)
{
    *out = (struct router_advertisement){
        .head = {.type = ICMP6_TYPE_RA, .current_hop_limit = RA_HOP_LIMIT},
        .link = link_option(ND6_OPTION_TYPE_SOURCE_LLADDR, &n->mac),
        .mtu = {.type = ND6_OPTION_TYPE_MTU, .length = 1, .mtu = lwip_htonl(n->mtu)}};
    if (n->address6.version == 6) {
        out->head.flags = ND6_RA_FLAG_MANAGED_ADDR_CONFIG | ND6_RA_FLAG_OTHER_CONFIG;
        out->head.router_lifetime = PP_HTONS(RA_LIFETIME_INTERVALS * RA_INTERVAL_S);
    }
    return n->mtu >= IPV6_MTU_MIN ? sizeof(*out) : offsetof(struct router_advertisement, mtu);
}
