/* SPDX-License-Identifier: Apache-2.0 */
/* From the guest into the tunnel (RFC 4301 section 5.1): the SA is chosen by selectors, what fits no SA is
 * answered with an ICMP error, and nothing leaves but through esp_seal. */
#include "crypto/ipsec/tunnel_parts.h"

#define UDP_LENGTH   4
#define UDP_CHECKSUM 6

/* One inner packet on its way out. */
struct departure {
    struct tunnel *tunnel;
    struct esp_sa *sa;
    uint64_t now;
    bool dont_fragment; /* the outer packet */
};

static void answer(struct tunnel *t, const struct ip_packet *p, enum icmp_error kind, size_t mtu,
                   uint64_t now)
{
    const struct ip_address *from = p->version == 4 ? &t->gateway4 : &t->gateway6;
    size_t size = icmp_error_make(p, kind, mtu, from, t->piece.bytes);
    if (size == 0)
        return;
    uint64_t clear = MAX(t->icmp_clear, now);
    if (clear - now > (ICMP_BURST - 1) * ICMP_INTERVAL_MS) {
        t->counters.icmp_suppressed++;
        return;
    }
    t->icmp_clear = clear + ICMP_INTERVAL_MS;
    t->counters.icmp_made++;
    t->callbacks->to_guest(t->owner, t->piece.bytes, size);
}

/* ---- The outer packet ---- */

static void put_on_wire(void *context, uint8_t *fragment, size_t size)
{
    const struct departure *d = context;
    struct tunnel *t = d->tunnel;
    t->callbacks->to_wire(t->owner, &d->sa->parameters.outer_remote.ip, fragment, size);
}

/* The outer packet, whole or in pieces where the path cannot take it whole. */
static void send_outer(struct departure *d, uint8_t *outer, size_t size)
{
    struct tunnel *t = d->tunnel;
    size_t path = tunnel_path(t, d->now);
    struct ip_packet packet;
    struct ip_cut cut = {.packet = &packet, .mtu = path, .scratch = t->piece.bytes};
    if (size <= path) { /* as nearly always */
        put_on_wire(d, outer, size);
    } else if (ip_packet_parse(outer, size, &packet)) {
        cut.id = t->next_id++;
        packet.dont_fragment = d->dont_fragment; /* IPv6: we are no router but its source */
        ip_fragment(&cut, put_on_wire, d);
    }
}

/* The checksum is zero over IPv4 (RFC 3948 section 2.1), where ESP's own ICV says more. IPv6 demands one. */
static void write_udp(const struct child_parameters *child, uint8_t *udp, size_t length)
{
    const struct ip_address *local = &child->outer_local.ip, *remote = &child->outer_remote.ip;
    ip_put16(udp, child->outer_local.port);
    ip_put16(udp + 2, child->outer_remote.port);
    ip_put16(udp + UDP_LENGTH, (uint16_t)length);
    ip_put16(udp + UDP_CHECKSUM, 0);
    if (remote->version == 4)
        return;
    uint16_t checksum = ip_checksum(ip_pseudo_sum(local, remote, PROTOCOL_UDP, length) + ip_sum(udp, length));
    ip_put16(udp + UDP_CHECKSUM, checksum ? checksum : UINT16_MAX); /* zero would mean "none" */
}

/* Seals one inner packet that is to go as it is. ECN is copied (RFC 6040 section 4.1), DSCP as configured. */
static void seal(void *context, uint8_t *inner, size_t size)
{
    struct departure *d = context;
    struct tunnel *t = d->tunnel;
    const struct child_parameters *child = &d->sa->parameters;
    uint8_t kept = t->copy_dscp ? UINT8_MAX : ECN_MASK, *outer = t->sealed.bytes;
    size_t headers = tunnel_outer_size(d->sa);
    size_t sealed = esp_seal(d->sa, inner, size, outer + headers, sizeof(t->sealed.bytes) - headers);
    if (sealed == 0)
        return;
    const struct ip_header header = {.source = &child->outer_local.ip,
                                     .destination = &child->outer_remote.ip,
                                     .protocol = child->udp_encapsulated ? PROTOCOL_UDP : PROTOCOL_ESP,
                                     .traffic_class = ip_traffic_class(inner) & kept,
                                     .hop_limit = IP_DEFAULT_TTL,
                                     .dont_fragment = d->dont_fragment,
                                     .id = (uint16_t)t->next_id++};
    size_t ip = ip_header_bytes(child->outer_remote.ip.version), length = headers - ip + sealed;
    ip_write_header(outer, &header, length);
    if (child->udp_encapsulated)
        write_udp(child, outer + ip, length);
    send_outer(d, outer, headers + sealed);
}

/* The outer packet may be cut where the inner one may, and where it must be carried whatever the path. */
static void send_inner(struct departure *d, const struct ip_packet *p, size_t room)
{
    struct tunnel *t = d->tunnel;
    const struct ip_cut cut = {.packet = p, .mtu = room, .scratch = t->piece.bytes};
    d->dont_fragment = p->dont_fragment && (p->version == 4 || p->size > IPV6_MTU_MIN);
    if (!ip_fragment(&cut, seal, d)) {
        t->counters.guest_too_big++;
        answer(t, p, ICMP_TOO_BIG, room, d->now);
    }
}

void tunnel_from_guest(struct tunnel *tunnel, uint8_t *packet, size_t size, uint64_t now)
{
    struct ip_packet p;
    if (size > TUNNEL_PACKET_MAX || !ip_packet_parse(packet, size, &p)) {
        tunnel->counters.guest_malformed++;
        return;
    }
    if (ip_is_multicast(&p.flow.destination) || ip_is_link_local(&p.flow.destination))
        return;
    struct departure d = {.tunnel = tunnel, .sa = tunnel_sending(tunnel, &p.flow), .now = now};
    if (!d.sa) {
        tunnel->counters.guest_refused++;
        answer(tunnel, &p, tunnel_sending(tunnel, NULL) ? ICMP_PROHIBITED : ICMP_UNREACHABLE, 0, now);
        return;
    }
    ip_clamp_mss(&p, tunnel_fits(tunnel, d.sa, now));
    send_inner(&d, &p, tunnel_inner_mtu(tunnel, d.sa, p.version, now));
}
