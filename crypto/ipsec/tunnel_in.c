/* SPDX-License-Identifier: Apache-2.0 */
/* From the wire through the tunnel to the guest (RFC 4301 section 5.2). What is not ESP is left to others. */
#include "crypto/ipsec/tunnel_parts.h"

#define SPI_BYTES     4
#define IKE_MARKER    0 /* where ESP has its SPI (RFC 3948 section 2.2) */
#define NAT_KEEPALIVE 0xff
#define UDP_LENGTH_AT 4
#define ESP_UDP_PORT  4500

/* ---- Out of ESP ---- */

static void give_to_guest(void *context, uint8_t *packet, size_t size)
{
    struct tunnel *t = context;
    t->callbacks->to_guest(t->owner, packet, size);
}

/* An ESP packet, from the SPI on, that came in an outer packet of this traffic class. */
static void open_esp(struct tunnel *t, uint8_t *esp, size_t size, uint8_t traffic_class, uint64_t now)
{
    struct esp_sa *sa = size >= SPI_BYTES ? tunnel_find(t, ip_get32(esp)) : NULL;
    uint8_t *inner;
    size_t inner_size;
    struct ip_packet p;
    const struct ip_cut cut = {.packet = &p, .mtu = TUNNEL_GUEST_MTU, .scratch = t->piece.bytes};
    if (!sa) {
        t->counters.unknown_spi++;
        t->callbacks->suspect(t->owner);
        return;
    }
    if (esp_open(sa, esp, size, now, &inner, &inner_size) != ESP_OK)
        return;
    if (!ip_packet_parse(inner, inner_size, &p)) {
        t->counters.inbound_dropped++;
    } else if (!selectors_match(&sa->parameters.remote, &sa->parameters.local, &p.flow)) {
        sa->counters.selector_refused++;
    } else if (!ip_ecn_decapsulate(&p, traffic_class)) {
        t->counters.inbound_dropped++;
    } else {
        ip_clamp_mss(&p, tunnel_fits(t, sa, now));
        t->counters.inbound_dropped += !ip_fragment(&cut, give_to_guest, t);
    }
}

/* ---- What is it? ---- */

/* Is it a datagram for the port of ESP in UDP that is not IKE? It may come for any SA (RFC 7296
 * section 2.23).
 */
static bool take_udp(struct tunnel *t, const struct ip_packet *outer, uint64_t now)
{
    uint8_t *udp = outer->data + outer->payload, *esp = udp + UDP_HEADER_BYTES;
    size_t room = outer->size - outer->payload;
    if (room < UDP_HEADER_BYTES || outer->flow.destination_port != ESP_UDP_PORT)
        return false;
    size_t length = ip_get16(udp + UDP_LENGTH_AT);
    if (length < UDP_HEADER_BYTES || length > room) {
        t->counters.inbound_dropped++;
        return true;
    }
    size_t size = length - UDP_HEADER_BYTES;
    if (size == 1 && esp[0] == NAT_KEEPALIVE)
        return true;
    if (size < SPI_BYTES || ip_get32(esp) == IKE_MARKER)
        return false;
    open_esp(t, esp, size, outer->traffic_class, now);
    return true;
}

/* Could this SA have sent what an ICMP error quotes? How far down it is believed then: with the SPI, which
 * nobody off the path knows, to what every path carries; with ports alone no lower than IPv6's minimum. 0: it
 * could not. */
static size_t quoted_by(const struct icmp_report *report, const struct child_parameters *child)
{
    const struct packet_flow *flow = &report->quoted.flow;
    size_t least = flow->source.version == 4 ? IPV4_MTU_MIN : IPV6_MTU_MIN;
    if (!ip_equal(&flow->source, &child->outer_local.ip) ||
        !ip_equal(&flow->destination, &child->outer_remote.ip) ||
        flow->protocol != (child->udp_encapsulated ? PROTOCOL_UDP : PROTOCOL_ESP))
        return 0;
    if (!child->udp_encapsulated)
        return ip_get32(report->upper) == child->spi_out ? least : 0;
    if (ip_get16(report->upper) != child->outer_local.port ||
        ip_get16(report->upper + 2) != child->outer_remote.port)
        return 0;
    uint32_t spi = ip_get32(report->upper + UDP_HEADER_BYTES);
    return spi == child->spi_out ? least : spi == IKE_MARKER ? IPV6_MTU_MIN : 0;
}

/* False for what is no ICMP error about a packet of ours. */
static bool take_icmp(struct tunnel *t, const struct ip_packet *outer, uint64_t now)
{
    struct icmp_report report;
    if (!icmp_report_parse(outer, &report))
        return false;
    for (unsigned i = 0; i < TUNNEL_SAS_MAX; i++) {
        size_t least = t->sas[i] ? quoted_by(&report, &t->sas[i]->parameters) : 0;
        if (least == 0)
            continue;
        if (report.too_big)
            tunnel_path_lower(t, least, report.quoted.size, report.told, now);
        else
            t->callbacks->suspect(t->owner);
        return true;
    }
    return false;
}

static bool take_whole(struct tunnel *t, const struct ip_packet *outer, uint64_t now)
{
    if (outer->flow.protocol == PROTOCOL_UDP)
        return take_udp(t, outer, now);
    if (outer->flow.protocol != PROTOCOL_ESP)
        return take_icmp(t, outer, now);
    open_esp(t, outer->data + outer->payload, outer->size - outer->payload, outer->traffic_class, now);
    return true;
}

/* Of ESP and UDP only what comes from a gateway is put together here; before there is an SA, any UDP, for it
 * may be IKE with a long message. */
static bool fragment_is_ours(struct tunnel *t, const struct ip_packet *f)
{
    bool plain = f->version == 4 || f->fragment_header == IPV6_HEADER_BYTES;
    if (!plain || (f->flow.protocol != PROTOCOL_ESP && f->flow.protocol != PROTOCOL_UDP))
        return false;
    for (unsigned i = 0; i < TUNNEL_SAS_MAX; i++)
        if (t->sas[i] && ip_equal(&t->sas[i]->parameters.outer_remote.ip, &f->flow.source))
            return true;
    return t->sa_count == 0 && f->flow.protocol == PROTOCOL_UDP;
}

bool tunnel_from_wire(struct tunnel *tunnel, uint8_t *packet, size_t size, uint64_t now,
                      struct tunnel_rest *rest)
{
    struct ip_packet outer;
    *rest = (struct tunnel_rest){.packet = packet, .size = size};
    if (!ip_packet_parse(packet, size, &outer))
        return false;
    if (outer.fragment) {
        if (!fragment_is_ours(tunnel, &outer))
            return false;
        enum reassembly_result result =
            reassembly_take(&tunnel->reassembly, &outer, now, &rest->packet, &rest->size);
        tunnel->counters.reassembled += result == REASSEMBLY_WHOLE;
        tunnel->counters.reassembly_dropped += result == REASSEMBLY_DROPPED;
        if (result != REASSEMBLY_WHOLE || !ip_packet_parse(rest->packet, rest->size, &outer))
            return true;
    }
    return tunnel->sa_count > 0 && take_whole(tunnel, &outer, now);
}
