/* SPDX-License-Identifier: Apache-2.0 */
/* The service's state in words: what a network engineer asks first. */
#include "services/vpn/service.h"
#include "services/vpn/surroundings.h"

typedef unsigned long long ull;

void service_describe(const struct service *s, void (*line)(void *context, const char *text), void *context)
{
    const struct describer d = {line, context, vpn_now()};
    const struct guest_network *n = &s->guest.network;
    char gateway[IP_TEXT_MAX], local[IP_TEXT_MAX], inner4[IP_TEXT_MAX], inner6[IP_TEXT_MAX];
    struct tunnel_counters c;
    tunnel_counters(s->tunnel, &c);
    ip_format(&s->gateway, gateway);
    ip_format(&s->local, local);
    ip_format(&n->address4, inner4);
    ip_format(&n->address6, inner6);
    say(&d, "VPN %s: %s for %llu s", s->configuration->name, s->up ? "up" : "down",
        (ull)(d.now - s->changed) / 1000);
    say(&d, "gateway %s, at %s; our address on the wire %s; link %s", s->configuration->gateway, gateway,
        local, vpn_link(SIDE_WIRE) ? "up" : "down");
    say(&d, "guest: IPv4 %s/%u, IPv6 %s, MTU %u, %llu leases", inner4, n->prefix4, inner6, n->mtu,
        (ull)s->guest.leases);
    for (unsigned i = 0; i < n->inner.subnet_count; i++) {
        char subnet[SELECTOR_TEXT_MAX];
        selector_format(&n->inner.subnets[i], subnet);
        say(&d, "the gateway says that behind it is %s", subnet);
    }
    say(&d, "frames: %llu from the guest, %llu to it, %llu of its own kind dropped; %llu from the wire",
        (ull)s->guest.frames_in, (ull)s->guest.frames_out, (ull)s->guest.dropped, (ull)s->wire_frames_in);
    /* What the tunnel did beyond each SA's own counters, which IKE shows. */
    say(&d,
        "from the guest: %llu refused, %llu too big, %llu malformed; %llu ICMP errors made, %llu held back",
        (ull)c.guest_refused, (ull)c.guest_too_big, (ull)c.guest_malformed, (ull)c.icmp_made,
        (ull)c.icmp_suppressed);
    say(&d, "from the wire: %llu with an unknown SPI, %llu dropped; %llu reassembled, %llu fragments dropped",
        (ull)c.unknown_spi, (ull)c.inbound_dropped, (ull)c.reassembled, (ull)c.reassembly_dropped);
    ike_describe(s->ike, &d);
    if (s->last_error[0])
        say(&d, "last error: %s", s->last_error);
}
