/* SPDX-License-Identifier: Apache-2.0 */
/* The service's state in words: what a network engineer asks first. */
#include "services/vpn/service.h"
#include "services/vpn/surroundings.h"

#include "lib/format.h"

#define LINE_MAX 240

struct printer {
    void (*line)(void *context, const char *text);
    void *context;
};

static void say(const struct printer *p, const char *fmt, ...) printf_like(2, 3);
static void say(const struct printer *p, const char *fmt, ...)
{
    char text[LINE_MAX];
    va_list args;
    va_start(args, fmt);
    (void)format_list(text, sizeof(text), fmt, args);
    va_end(args);
    p->line(p->context, text);
}

typedef unsigned long long ull;

static const char *address_text(const struct ip_address *ip, char out[IP_TEXT_MAX])
{
    if (ip->version == 0)
        return "none";
    ip_format(ip, out);
    return out;
}

static void describe_sa(const struct printer *p, const struct esp_sa *sa)
{
    const struct child_parameters *child = esp_parameters(sa);
    struct esp_counters c;
    esp_counters(sa, &c);
    say(p, "SA %08x in, %08x out: %s%s%s, %s%s; %llu packets (%llu bytes) in, %llu (%llu) out", child->spi_in,
        child->spi_out, child->cipher->name, child->integrity ? "-" : "",
        child->integrity ? child->integrity->name : "", child->udp_encapsulated ? "in UDP" : "protocol 50",
        child->esn ? ", ESN" : "", (ull)c.packets_in, (ull)c.bytes_in, (ull)c.packets_out, (ull)c.bytes_out);
    if (c.bad_icv | c.replayed | c.selector_refused | c.malformed)
        say(p,
            "SA %08x dropped: %llu not authentic, %llu replayed, %llu outside of the selectors, %llu "
            "malformed",
            child->spi_in, (ull)c.bad_icv, (ull)c.replayed, (ull)c.selector_refused, (ull)c.malformed);
}

static void describe_tunnel(const struct printer *p, const struct tunnel *tunnel)
{
    struct tunnel_counters c;
    for (unsigned i = 0; i < TUNNEL_SAS_MAX; i++) {
        const struct esp_sa *sa = tunnel_sa(tunnel, i);
        if (sa)
            describe_sa(p, sa);
    }
    tunnel_counters(tunnel, &c);
    say(p,
        "from the guest: %llu refused, %llu too big, %llu malformed; %llu ICMP errors made, %llu held back",
        (ull)c.guest_refused, (ull)c.guest_too_big, (ull)c.guest_malformed, (ull)c.icmp_made,
        (ull)c.icmp_suppressed);
    say(p, "from the wire: %llu with an unknown SPI, %llu dropped; %llu reassembled, %llu fragments dropped",
        (ull)c.unknown_spi, (ull)c.inbound_dropped, (ull)c.reassembled, (ull)c.reassembly_dropped);
}

void service_describe(const struct service *s, void (*line)(void *context, const char *text), void *context)
{
    const struct printer p = {line, context};
    const struct guest_network *n = &s->guest.network;
    char first[IP_TEXT_MAX], second[IP_TEXT_MAX];
    uint64_t now = vpn_now();
    say(&p, "VPN %s: %s for %llu s", s->configuration->name, s->up ? "up" : "down",
        (ull)(now - s->changed) / 1000);
    say(&p, "gateway %s, at %s; our address on the wire %s; link %s", s->configuration->gateway,
        address_text(&s->gateway, first), address_text(&s->local, second),
        vpn_link(SIDE_WIRE) ? "up" : "down");
    say(&p, "guest: IPv4 %s/%u, IPv6 %s, MTU %u, %llu leases", address_text(&n->address4, first), n->prefix4,
        address_text(&n->address6, second), n->mtu, (ull)s->guest.leases);
    for (unsigned i = 0; i < s->inner.subnet_count; i++) {
        char subnet[SELECTOR_TEXT_MAX];
        selector_format(&s->inner.subnets[i], subnet);
        say(&p, "the gateway says that behind it is %s", subnet);
    }
    say(&p, "frames: %llu from the guest, %llu to it, %llu of its own kind dropped; %llu from the wire",
        (ull)s->guest.frames_in, (ull)s->guest.frames_out, (ull)s->guest.dropped, (ull)s->wire_frames_in);
    describe_tunnel(&p, s->tunnel);
    ike_describe(s->ike, now, line, context);
    if (s->last_error[0])
        say(&p, "last error: %s", s->last_error);
}
