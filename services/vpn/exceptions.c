/* SPDX-License-Identifier: Apache-2.0 */
/* Port translation for the policy's plain networks: a small table of flows, checksums mended in place. */
#include "services/vpn/exceptions.h"

#include <lwip/prot/tcp.h>
#include <lwip/prot/udp.h>

#define IDLE_MS 120000 /* a flow that rested so long gives its place to another */

/* Reads a whole TCP or UDP packet over IPv4. One with options is refused: a source route would lead it to
 * where the policy does not say. */
static bool read_packet(uint8_t *data, size_t size, struct ip_packet *p)
{
    if (!ip_packet_parse(data, size, p) || p->version != 4 || p->fragment ||
        p->payload != IPV4_HEADER_BYTES || data[IPV4_TTL] < 2)
        return false;
    size_t left = p->size - p->payload;
    return (p->flow.protocol == PROTOCOL_TCP && left >= TCP_HLEN) ||
           (p->flow.protocol == PROTOCOL_UDP && left >= UDP_HLEN);
}

static bool same_flow(const struct packet_flow *a, const struct packet_flow *b)
{
    return a->protocol == b->protocol && ip_equal(&a->source, &b->source) &&
           ip_equal(&a->destination, &b->destination) && a->source_port == b->source_port &&
           a->destination_port == b->destination_port;
}

/* The guest's flow, or a place for it; NULL when all are in use. */
static struct exception_flow *find_flow(struct exceptions *e, const struct packet_flow *out, uint64_t now)
{
    struct exception_flow *free_one = NULL;
    for (struct exception_flow *f = e->flows; f < e->flows + EXCEPTION_FLOWS; f++) {
        if (same_flow(&f->out, out))
            return f;
        if (!free_one && (f->out.protocol == 0 || now - f->last > IDLE_MS))
            free_one = f;
    }
    if (free_one)
        free_one->out = *out;
    return free_one;
}

/* Puts another address and port at one end of the packet, and mends both checksums. */
static void replace_end(struct ip_packet *p, size_t address_at, size_t port_at, const struct ip_address *ip,
                        uint16_t port)
{
    bool udp = p->flow.protocol == PROTOCOL_UDP;
    uint8_t *upper = p->data + p->payload;
    uint8_t *sum = upper + (udp ? offsetof(struct udp_hdr, chksum) : offsetof(struct tcp_hdr, chksum));
    bool unsummed = udp && ip_get16(sum) == 0;
    for (size_t i = 0; i < 4; i += 2) {
        uint8_t *word = p->data + address_at + i, copy[2] = {word[0], word[1]};
        ip_replace16(copy, ip_get16(ip->bytes + i), false, sum);
        ip_replace16(word, ip_get16(ip->bytes + i), false, p->data + IPV4_CHECKSUM);
    }
    ip_replace16(upper + port_at, port, false, sum);
    if (udp && (unsummed || ip_get16(sum) == 0))
        ip_put16(sum, unsummed ? 0 : UINT16_MAX); /* 0 means "none" */
    uint8_t *hops = p->data + IPV4_TTL;
    ip_replace16(hops, (uint16_t)((hops[0] - 1) << 8 | hops[1]), false, p->data + IPV4_CHECKSUM);
}

size_t exceptions_out(struct exceptions *e, uint8_t *packet, size_t size, const struct ip_address *own,
                      uint64_t now, struct ip_address *to)
{
    struct ip_packet p;
    if (own->version != 4 || !read_packet(packet, size, &p) || ip_is_multicast(&p.flow.destination) ||
        !selectors_match(&everywhere4, e->networks, &p.flow))
        return 0;
    struct exception_flow *f = find_flow(e, &p.flow, now);
    if (!f)
        return 0;
    f->last = now;
    *to = p.flow.destination;
    replace_end(&p, IPV4_SOURCE, offsetof(struct udp_hdr, src), own,
                (uint16_t)(EXCEPTION_FIRST_PORT + (f - e->flows)));
    return p.size;
}

bool exceptions_in(struct exceptions *e, uint8_t *packet, size_t size, const struct ip_address *own,
                   uint64_t now)
{
    struct ip_packet p;
    if (!read_packet(packet, size, &p) || !ip_equal(&p.flow.destination, own))
        return false;
    unsigned index = (unsigned)p.flow.destination_port - EXCEPTION_FIRST_PORT;
    if (index >= EXCEPTION_FLOWS)
        return false;
    struct exception_flow *f = &e->flows[index];
    if (f->out.protocol != p.flow.protocol || !ip_equal(&f->out.destination, &p.flow.source) ||
        f->out.destination_port != p.flow.source_port || now - f->last > IDLE_MS)
        return false;
    f->last = now;
    replace_end(&p, IPV4_DESTINATION, offsetof(struct udp_hdr, dest), &f->out.source, f->out.source_port);
    return true;
}
