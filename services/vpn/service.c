/* SPDX-License-Identifier: Apache-2.0 */
/* Ties IKE, tunnel, wire and guest together: the pump that moves frames between them, the callbacks of each,
 * which addresses IKE talks between, and the state in words. */
#include "services/vpn/service.h"
#include "services/vpn/surroundings.h"

#include "lib/format.h"
#include "lib/strings.h"

#define BURST            64 /* frames of a side before the other side and the clock get their turn */
#define RESOLVE_RETRY_MS 2000
/* lwIP asks for a call each 100 ms; while the tunnel is up its timers may be as late as this. */
#define WIRE_IDLE_MS 500u
#define TICK_MOST_MS 1000 /* link and addresses are looked at so often */

/* ---- The pump ---- */

/* Every frame of either side passes here, and has one way to go. A guest's frame goes to guest_frame, which
 * knows the tunnel and the guest's own link; the wire's to the tunnel, then to lwIP. */

/* A frame and what sealing it may add; the service's one thread owns it. */
static aligned_to(16) uint8_t buffer[FRAME_MAX];

void service_wire_frame(struct service *s, uint8_t *frame, size_t size)
{
    if (size <= SIZEOF_ETH_HDR)
        return;
    s->wire_frames_in++;
    uint16_t type = frame_type(frame);
    bool arp = type == ETHTYPE_ARP, ip = type == ETHTYPE_IP || type == ETHTYPE_IPV6;
    bool for_us = (frame[0] & MAC_GROUP_BIT) || memcmp(frame, s->wire_mac.addr, ETH_HWADDR_LEN) == 0;
    struct tunnel_rest rest = {frame + SIZEOF_ETH_HDR, size - SIZEOF_ETH_HDR};
    if (!arp && !(ip && for_us))
        return;
    if (ip && tunnel_from_wire(s->tunnel, rest.packet, rest.size, s->now, &rest))
        return;
    if (ip && s->exceptions.networks && rest.packet == frame + SIZEOF_ETH_HDR &&
        exceptions_in(&s->exceptions, rest.packet, rest.size, &s->local4, s->now)) {
        guest_send(&s->guest, rest.packet, rest.size);
        return;
    }
    s->touched = true;
    wire_receive(type, rest.packet, rest.size);
}

static void drain(struct service *s, enum vpn_side side)
{
    for (unsigned i = 0; i < BURST; i++) {
        size_t size = vpn_frame_receive(side, buffer, sizeof(buffer));
        if (size == 0)
            return;
        if (side == SIDE_GUEST)
            guest_frame(&s->guest, buffer, size, s->now);
        else
            service_wire_frame(s, buffer, size);
    }
}

/* ---- IKE's callbacks ---- */

static void tunnel_up(void *owner, const struct ike_inner *inner)
{
    struct service *s = owner;
    if (!s->up)
        s->changed = s->now;
    s->up = true;
    guest_set_inner(&s->guest, inner, s->now);
}

static void tunnel_down(void *owner, const char *why, uint64_t again_in_ms)
{
    struct service *s = owner;
    char text[REPORT_MAX];
    if (s->up)
        s->changed = s->now;
    s->up = false;
    if (again_in_ms >= 1000)
        (void)format(text, sizeof(text), "%s (The next try is in %lu s.)", why, again_in_ms / 1000);
    else
        (void)copy_string(text, sizeof(text), why);
    vpn_log(NULL, text);
    s->resolve_due = s->now; /* its address may have changed */
}

static const struct ike_callbacks ike_callbacks = {.send = wire_send_ike,
                                                   .entropy = vpn_entropy,
                                                   .seconds = vpn_seconds,
                                                   .child_add = tunnel_add,
                                                   .child_use = tunnel_use,
                                                   .child_remove = tunnel_remove,
                                                   .child_move = tunnel_move,
                                                   .up = tunnel_up,
                                                   .down = tunnel_down,
                                                   .log = vpn_log};

/* ---- The tunnel's ---- */

static void inner_to_guest(void *owner, uint8_t *packet, size_t size)
{
    guest_send(&((struct service *)owner)->guest, packet, size);
}

/* Not told to IKE at once: IKE asks the tunnel, and the tunnel is in the middle of a packet. */
static void suspect(void *owner)
{
    struct service *s = owner;
    s->suspected = s->touched = true;
}

static const struct tunnel_callbacks tunnel_callbacks = {
    .to_wire = wire_send, .to_guest = inner_to_guest, .suspect = suspect};

/* ---- The guest's, where the policy has exceptions ---- */

static bool plain_to_wire(void *owner, uint8_t *packet, size_t size)
{
    struct service *s = owner;
    struct ip_address to;
    size = exceptions_out(&s->exceptions, packet, size, &s->local4, s->now, &to);
    if (size > 0)
        wire_send(NULL, &to, packet, size);
    return size > 0;
}

/* ---- The wire's ---- */

static void ike_came(void *owner, const struct ike_datagram *datagram)
{
    struct service *s = owner;
    ike_receive(s->ike, datagram, s->now);
}

/* An address without a way to it is worth no more than none: the other version's may have one. */
static void gateway_resolved(void *owner, const struct ip_address *address)
{
    struct service *s = owner;
    struct ip_address local;
    s->resolving = false;
    s->touched = true;
    if (address->version != 0 && wire_local_for(address, &local)) {
        s->gateway = *address;
        s->resolve_due = UINT64_MAX;
        s->misses = 0;
        s->unresolved.text[0] = '\0';
        return;
    }
    s->resolve_due = s->now;
    if (++s->misses % 2 == 0) { /* neither version has one */
        s->resolve_due += RESOLVE_RETRY_MS;
        (void)report(&s->unresolved,
                     "The gateway's name %s could not be resolved to an address that can be reached from "
                     "here; check \"gateway\", the DNS server and the router.",
                     s->configuration->gateway);
        if (s->misses == 2)
            vpn_log(NULL, s->unresolved.text);
    }
}

static const struct wire_callbacks wire_callbacks = {.ike = ike_came, .resolved = gateway_resolved};

/* ---- Addresses ---- */

static void resolve_gateway(struct service *s)
{
    if (s->configuration->gateway_address.version != 0 || s->resolving || s->now < s->resolve_due)
        return;
    s->resolve_due = s->now + RESOLVE_RETRY_MS;
    s->resolving = true; /* first: the answer may come at once */
    if (!wire_resolve(s->configuration->gateway, s->misses % 2 ? 6 : 4))
        s->resolving = false;
}

/* Tells IKE when we have an address towards the gateway, or another one than before. */
static void follow_addresses(struct service *s)
{
    /* A tunnel that is up stays at the gateway that has proved itself, whatever DNS says meanwhile. */
    struct ip_address local, remote = s->up ? s->remote : s->gateway;
    if (remote.version == 0 || !wire_local_for(&remote, &local) ||
        (ip_equal(&local, &s->local) && ip_equal(&remote, &s->remote)))
        return;
    s->local = local;
    s->remote = remote;
    ike_connect(s->ike, &s->local, &s->remote, s->now);
}

uint64_t service_tick(struct service *s)
{
    s->touched = false;
    uint32_t wire_next_ms = wire_tick();
    s->local4 = wire_address4();
    resolve_gateway(s);
    follow_addresses(s);
    if (s->suspected)
        ike_suspect(s->ike, s->now);
    s->suspected = false;
    uint64_t ike_next = ike_tick(s->ike, s->now), guest_next = guest_tick(&s->guest, s->now);
    uint64_t wire_next = s->now + (s->up ? MAX(wire_next_ms, WIRE_IDLE_MS) : wire_next_ms);
    return MIN(MIN(s->now + TICK_MOST_MS, wire_next), MIN(ike_next, guest_next));
}

/* ---- The whole ---- */

bool service_start(struct service *s, struct vpn_configuration *c, struct report *problem)
{
    *s = (struct service){.configuration = c, .gateway = c->gateway_address, .now = vpn_now()};
    s->changed = s->now;
    vpn_mac(SIDE_WIRE, s->wire_mac.addr);
    s->tunnel = tunnel_create(c->wire.mtu, c->copy_dscp, &tunnel_callbacks, s);
    s->ike = ike_create(&c->ike, &ike_callbacks, s, s->tunnel);
    if (!s->tunnel || !s->ike || !wire_start(&c->wire, &wire_callbacks, s))
        return report(problem, "The VPN could not start: there is not enough memory.");
    guest_start(&s->guest, s->tunnel, (uint32_t)c->guest_lease, s->now);
    if (c->plain.count > 0) {
        s->exceptions.networks = &c->plain;
        s->guest.plain = plain_to_wire;
        s->guest.plain_owner = s;
    }
    return true;
}

void service_stop(struct service *s)
{
    s->now = vpn_now();
    ike_disconnect(s->ike, s->now);
    ike_destroy(s->ike);
    tunnel_destroy(s->tunnel);
    wire_stop();
    credential_free(s->configuration->ike.credential);
}

void service_run(struct service *s)
{
    uint64_t next = 0;
    while (vpn_wait(next)) {
        s->now = vpn_now();
        drain(s, SIDE_WIRE);
        drain(s, SIDE_GUEST);
        if (s->touched || s->now >= next)
            next = service_tick(s);
    }
    service_stop(s);
}

/* ---- The state ---- */

void service_describe(const struct service *s, const struct describer *d)
{
    const struct guest_network *n = &s->guest.network;
    char gateway[IP_TEXT_MAX], local[IP_TEXT_MAX], inner4[IP_TEXT_MAX], inner6[IP_TEXT_MAX];
    struct tunnel_counters c;
    tunnel_counters(s->tunnel, &c);
    ip_format(&s->gateway, gateway);
    ip_format(&s->local, local);
    ip_format(&n->address4, inner4);
    ip_format(&n->address6, inner6);
    say(d, "VPN %s: %s for %lu s", s->configuration->name, s->up ? "up" : "down",
        (d->now - s->changed) / 1000);
    say(d, "gateway %s, at %s; our address on the wire %s; link %s", s->configuration->gateway, gateway,
        local, vpn_link(SIDE_WIRE) ? "up" : "down");
    say(d, "guest: IPv4 %s/%u, IPv6 %s, MTU %u, %lu leases", inner4, n->prefix4, inner6, n->mtu,
        s->guest.leases);
    for (unsigned i = 0; i < n->inner.subnets.count; i++) {
        char subnet[SELECTOR_TEXT_MAX];
        selector_format(&n->inner.subnets.item[i], subnet);
        say(d, "the gateway says that behind it is %s", subnet);
    }
    say(d, "frames: %lu from the guest, %lu to it, %lu of its own kind dropped; %lu from the wire",
        s->guest.frames_in, s->guest.frames_out, s->guest.dropped, s->wire_frames_in);
    /* What the tunnel did beyond each SA's own counters, which IKE shows. */
    say(d, "from the guest: %lu refused, %lu too big, %lu malformed; %lu ICMP errors made, %lu held back",
        c.guest_refused, c.guest_too_big, c.guest_malformed, c.icmp_made, c.icmp_suppressed);
    say(d, "from the wire: %lu with an unknown SPI, %lu dropped; %lu reassembled, %lu fragments dropped",
        c.unknown_spi, c.inbound_dropped, c.reassembled, c.reassembly_dropped);
    ike_describe(s->ike, d);
    if (s->unresolved.text[0])
        say(d, "last error: %s", s->unresolved.text);
}
