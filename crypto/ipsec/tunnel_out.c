/* SPDX-License-Identifier: Apache-2.0 */
/* From the guest into the tunnel (RFC 4301 section 5.1): the SA is chosen by selectors, what fits no SA is
 * answered with an ICMP error, and nothing leaves but through esp_seal. */
#include "crypto/ipsec/tunnel.h"
#include "crypto/ipsec/tunnel_parts.h"

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
    if (!icmp_limit_take(&t->icmp_limit, now)) {
        t->counters.icmp_suppressed++;
        return;
    }
    t->counters.icmp_made++;
    t->callbacks->to_guest(t->owner, t->piece.bytes, size);
}

static struct esp_sa *choose(const struct tunnel *t, const struct packet_flow *flow)
{
    const struct tunnel_entry *best = NULL;
    for (unsigned i = 0; i < TUNNEL_SAS_MAX; i++) {
        const struct tunnel_entry *entry = &t->entries[i];
        if (!entry->sa || entry->rank <= (best ? best->rank : 0) || esp_exhausted(entry->sa))
            continue;
        const struct child_parameters *child = esp_parameters(entry->sa);
        if (selectors_match(&child->local, &child->remote, flow))
            best = entry;
    }
    return best ? best->sa : NULL;
}

static void put_on_wire(void *context, uint8_t *fragment, size_t size)
{
    const struct departure *d = context;
    struct tunnel *t = d->tunnel;
    t->callbacks->to_wire(t->owner, &esp_parameters(d->sa)->outer_remote.ip, fragment, size);
}

/* The outer packet, whole or in pieces where the path cannot take it whole. */
static void send_outer(struct departure *d, uint8_t *outer, size_t size)
{
    struct tunnel *t = d->tunnel;
    size_t path = path_mtu_now(&t->path, t->settings.wire_mtu, d->now);
    struct ip_packet packet;
    if (size <= path) {
        put_on_wire(d, outer, size);
        return;
    }
    struct ip_cut cut = {.packet = &packet, .mtu = path, .id = t->next_id++, .scratch = t->piece.bytes};
    if (ip_packet_parse(outer, size, &packet) && ip_fragment(&cut, put_on_wire, d))
        t->counters.fragmented_outer++;
}

/* Seals one inner packet that is to go as it is. ECN is copied (RFC 6040 section 4.1), DSCP as configured. */
static void seal(struct departure *d, const uint8_t *inner, size_t size, uint8_t traffic_class)
{
    struct tunnel *t = d->tunnel;
    const struct child_parameters *child = esp_parameters(d->sa);
    uint8_t kept = t->settings.copy_dscp ? UINT8_MAX : ECN_MASK, *outer = t->sealed.bytes;
    size_t headers = outer_size(child);
    size_t sealed = esp_seal(d->sa, inner, size, outer + headers, sizeof(t->sealed.bytes) - headers);
    if (sealed == 0)
        return;
    struct outer_fields fields = {.child = child,
                                  .traffic_class = traffic_class & kept,
                                  .dont_fragment = d->dont_fragment,
                                  .id = (uint16_t)t->next_id++};
    outer_write(&fields, outer, sealed);
    send_outer(d, outer, headers + sealed);
}

static void seal_fragment(void *context, uint8_t *fragment, size_t size)
{
    seal(context, fragment, size, fragment[1]);
}

/* The outer packet may be cut where the inner one may, and where it must be carried whatever the path. */
static void send_inner(struct departure *d, const struct ip_packet *p, size_t room)
{
    struct tunnel *t = d->tunnel;
    d->dont_fragment = p->dont_fragment && (p->version == 4 || p->size > IPV6_MTU_MIN);
    if (p->size <= room) {
        seal(d, p->data, p->size, p->traffic_class);
    } else if (p->dont_fragment) {
        t->counters.guest_too_big++;
        answer(t, p, ICMP_TOO_BIG, room, d->now);
    } else {
        struct ip_cut cut = {.packet = p, .mtu = room, .scratch = t->piece.bytes};
        if (ip_fragment(&cut, seal_fragment, d))
            t->counters.fragmented_inner++;
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
    struct departure d = {.tunnel = tunnel, .sa = choose(tunnel, &p.flow), .now = now};
    if (!d.sa) {
        tunnel->counters.guest_refused++;
        answer(tunnel, &p, tunnel_is_up(tunnel) ? ICMP_PROHIBITED : ICMP_UNREACHABLE, 0, now);
        return;
    }
    ip_clamp_mss(&p, tunnel_fits(tunnel, d.sa, now));
    send_inner(&d, &p, tunnel_room(tunnel, d.sa, p.version, now));
}
