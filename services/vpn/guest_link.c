/* SPDX-License-Identifier: Apache-2.0 */
/* The virtual gateway on the guest's link: its addresses, ARP (RFC 826) and neighbour and router discovery
 * (RFC 4861). */
#include "services/vpn/guest.h"

const struct ip_address ip_all_nodes = {6, {0xff, 0x02, [15] = 0x01}};

#define PREFIX_LONGEST  30 /* two hosts */
#define PREFIX_SHORTEST 1

void guest_network_choose4(struct guest_network *n)
{
    struct reader r = reader_of(n->address4.bytes, 4);
    uint32_t address = (uint32_t)reader_be(&r, 4), mask, gateway;
    n->prefix4 = PREFIX_LONGEST;
    for (;; n->prefix4--) {
        mask = UINT32_MAX >> n->prefix4;
        if (((address & mask) != 0 && (address & mask) != mask) || n->prefix4 == PREFIX_SHORTEST)
            break;
    }
    gateway = (address & ~mask) + 1;
    if (gateway == address)
        gateway++;
    n->gateway4 = (struct ip_address){.version = 4};
    ip_put32(n->gateway4.bytes, gateway);
}

/* ---- ARP ---- */

/* Where the fields stand. */
#define ARP_OPERATION 6
#define ARP_SENDER    8 /* MAC and IPv4 address */
#define ARP_TARGET    18
#define ARP_REPLY     2

bool arp_answer(const struct guest_network *n, const uint8_t *message, size_t size, uint8_t out[ARP_BYTES])
{
    /* Ethernet, IPv4, the lengths of their addresses; a request. */
    static const uint8_t request[ARP_SENDER] = {0, 1, 8, 0, MAC_BYTES, 4, 0, 1}, nobody[4];
    const uint8_t *sender = message + ARP_SENDER + MAC_BYTES, *target = message + ARP_TARGET + MAC_BYTES;
    if (size < ARP_BYTES || memcmp(message, request, sizeof(request)) != 0)
        return false;
    /* Its own address, announced or probed (RFC 5227): an answer would be a conflict. */
    bool own = n->address4.version == 4 && memcmp(target, n->address4.bytes, 4) == 0;
    if (own || memcmp(target, sender, 4) == 0 || memcmp(target, nobody, 4) == 0 ||
        (memcmp(sender, nobody, 4) == 0 && memcmp(target, n->gateway4.bytes, 4) != 0))
        return false;
    memcpy(out, request, sizeof(request));
    ip_put16(out + ARP_OPERATION, ARP_REPLY);
    memcpy(out + ARP_SENDER, n->mac.bytes, MAC_BYTES);
    memcpy(out + ARP_SENDER + MAC_BYTES, target, 4);
    memcpy(out + ARP_TARGET, message + ARP_SENDER, MAC_BYTES + 4);
    return true;
}

/* ---- Neighbour and router discovery ---- */

#define ND_ADVERTISEMENT      136
#define ND_ROUTER             0x80000000u
#define ND_SOLICITED          0x40000000u
#define ND_OVERRIDE           0x20000000u
#define ND_SOURCE_LINK        1
#define ND_TARGET_LINK        2
#define ND_MTU                5
#define ND_UNIT               8 /* lengths of options are counted in it */
#define RA_TYPE               134
#define RA_HOP_LIMIT          64
#define RA_MANAGED_AND_OTHER  0xc0
#define RA_LIFETIME_INTERVALS 3

static void write_link_option(struct writer *w, uint8_t kind, const struct mac *mac)
{
    writer_be(w, kind, 1);
    writer_be(w, 1, 1);
    writer_bytes(w, mac->bytes, MAC_BYTES);
}

bool neighbour_answer(const struct guest_network *n, const struct ip_address *from, const uint8_t *message,
                      size_t size, struct ip_address *to, uint8_t out[NA_BYTES])
{
    static const struct ip_address unspecified = {.version = 6};
    struct reader r = reader_of(message, size);
    (void)reader_bytes(&r, 8); /* type, code, checksum, reserved */
    const uint8_t *target = reader_bytes(&r, IP_BYTES_MAX);
    if (r.failed || n->gateway6.version != 6 || memcmp(target, n->gateway6.bytes, IP_BYTES_MAX) != 0)
        return false;
    bool probe = ip_equal(from, &unspecified); /* somebody wants our address: it is taken */
    *to = probe ? ip_all_nodes : *from;
    struct writer w = writer_of(out, NA_BYTES);
    writer_be(&w, (uint64_t)ND_ADVERTISEMENT << 24, 4);
    writer_be(&w, ND_ROUTER | ND_OVERRIDE | (probe ? 0 : ND_SOLICITED), 4);
    writer_bytes(&w, n->gateway6.bytes, IP_BYTES_MAX);
    write_link_option(&w, ND_TARGET_LINK, &n->mac);
    return !w.failed;
}

size_t router_advertisement(const struct guest_network *n, uint8_t out[RA_MAX])
{
    struct writer w = writer_of(out, RA_MAX);
    bool routes = n->address6.version == 6;
    writer_be(&w, (uint64_t)RA_TYPE << 24, 4);
    writer_be(&w, RA_HOP_LIMIT, 1);
    writer_be(&w, routes ? RA_MANAGED_AND_OTHER : 0, 1);
    writer_be(&w, routes ? RA_LIFETIME_INTERVALS * RA_INTERVAL_S : 0, 2);
    writer_be(&w, 0, 8); /* reachable time and retransmission timer: the guest's own */
    write_link_option(&w, ND_SOURCE_LINK, &n->mac);
    if (n->mtu >= 1280) {
        writer_be(&w, ND_MTU, 1);
        writer_be(&w, 1, 1);
        writer_be(&w, 0, 2);
        writer_be(&w, n->mtu, 4);
    }
    return w.failed ? 0 : w.at;
}
