/* SPDX-License-Identifier: Apache-2.0 */
/* Ties IKE, tunnel, wire and guest together: the callbacks of each, and which addresses IKE talks between. */
#include "services/vpn/service.h"
#include "services/vpn/surroundings.h"

#include "lib/format.h"
#include "lib/strings.h"

#define RESOLVE_RETRY_MS 2000
/* lwIP asks for a call each 100 ms; while the tunnel is up its timers may be as late as this. */
#define WIRE_IDLE_MS 500u
#define TICK_MOST_MS 1000 /* link and addresses are looked at so often */
#define GUEST_MTU    1500

/* ---- IKE's callbacks ---- */

static void tunnel_up(void *owner, const struct ike_inner *inner)
{
    struct service *s = owner;
    if (!s->up)
        s->changed = s->now;
    s->up = true;
    s->last_error[0] = '\0';
    guest_set_inner(&s->guest, inner, s->now);
}

static void tunnel_down(void *owner, const char *why, uint64_t again_in_ms)
{
    struct service *s = owner;
    char text[REPORT_MAX];
    if (s->up)
        s->changed = s->now;
    s->up = false;
    (void)copy_string(s->last_error, sizeof(s->last_error), why);
    if (again_in_ms >= 1000)
        (void)format(text, sizeof(text), "%s (The next try is in %llu s.)", why,
                     (unsigned long long)again_in_ms / 1000);
    else
        (void)copy_string(text, sizeof(text), why);
    vpn_log(text);
    s->resolve_due = s->now; /* its address may have changed */
}

static void ike_log(void *owner, const char *sentence)
{
    (void)owner;
    vpn_log(sentence);
}

static const struct ike_callbacks ike_callbacks = {.send = wire_send_ike,
                                                   .entropy = vpn_entropy,
                                                   .seconds = vpn_seconds,
                                                   .child_add = tunnel_add,
                                                   .child_use = tunnel_use,
                                                   .child_remove = tunnel_remove,
                                                   .child_move = tunnel_move,
                                                   .child_counters = tunnel_sa_counters,
                                                   .up = tunnel_up,
                                                   .down = tunnel_down,
                                                   .log = ike_log};

/* ---- The tunnel's ---- */

static void sealed_to_wire(void *owner, const struct ip_address *destination, uint8_t *packet, size_t size)
{
    wire_send_sealed(destination, packet, size, ((struct service *)owner)->now);
}

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
    .to_wire = sealed_to_wire, .to_guest = inner_to_guest, .suspect = suspect};

/* ---- The guest's, where the policy has exceptions ---- */

static bool plain_to_wire(void *owner, uint8_t *packet, size_t size)
{
    struct service *s = owner;
    struct ip_address to;
    size = exceptions_out(&s->exceptions, packet, size, &s->local4, s->now, &to);
    if (size > 0)
        wire_send_plain(&to, packet, size);
    return size > 0;
}

/* ---- The wire's ---- */

static void ike_came(void *owner, const struct ike_datagram *datagram)
{
    struct service *s = owner;
    s->touched = true;
    ike_receive(s->ike, datagram, s->now);
}

static void say_unresolved(struct service *s)
{
    char text[REPORT_MAX];
    (void)format(
        text, sizeof(text),
        "The gateway's name %s could not be resolved to an address that can be reached from here; check "
        "\"gateway\", the DNS server and the router.",
        s->configuration->gateway);
    if (strcmp(text, s->last_error) != 0)
        vpn_log(text);
    (void)copy_string(s->last_error, sizeof(s->last_error), text);
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
        return;
    }
    s->version = s->version == 4 ? 6 : 4;
    s->resolve_due = s->now;
    if (++s->misses % 2 == 0) { /* neither version has one */
        s->resolve_due += RESOLVE_RETRY_MS;
        say_unresolved(s);
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
    if (!wire_resolve(s->configuration->gateway, s->version))
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
    wire_address4(&s->local4);
    resolve_gateway(s);
    follow_addresses(s);
    if (s->suspected)
        ike_suspect(s->ike, s->now);
    s->suspected = false;
    uint64_t ike_next = ike_tick(s->ike, s->now), guest_next = guest_tick(&s->guest, s->now);
    uint64_t wire_next = s->now + (s->up ? MAX(wire_next_ms, WIRE_IDLE_MS) : wire_next_ms);
    return MIN(MIN(s->now + TICK_MOST_MS, wire_next), MIN(ike_next, guest_next));
}

bool service_start(struct service *s, struct vpn_configuration *c, struct report *problem)
{
    const struct tunnel_settings settings = {
        .wire_mtu = (uint16_t)c->wire.mtu, .guest_mtu = GUEST_MTU, .copy_dscp = c->copy_dscp};
    *s = (struct service){.configuration = c, .gateway = c->gateway_address, .version = 4, .now = vpn_now()};
    s->changed = s->now;
    vpn_mac(SIDE_WIRE, s->wire_mac.bytes);
    s->tunnel = tunnel_create(&settings, &tunnel_callbacks, s);
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
    vpn_secrets_free(s->configuration);
}
