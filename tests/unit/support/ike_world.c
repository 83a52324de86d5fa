/* SPDX-License-Identifier: Apache-2.0 */
/* The virtual wire and clock, and the callbacks of the connection under test. */
#include "tests/unit/support/ike_world.h"
#include "crypto/ipsec/proposal.h"
#include "crypto/port/port.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void push(struct wire *wire, const struct ip_endpoint *local, const struct ip_endpoint *remote,
                 const uint8_t *data, size_t size)
{
    require(wire->count < WIRE_MAX && size <= KIB(16));
    struct wire_datagram *d = malloc(sizeof(*d));
    require(d);
    d->size = size;
    d->local = *local;
    d->remote = *remote;
    memcpy(d->data, data, size);
    wire->item[wire->count++] = d;
}

static struct wire_datagram *pop(struct wire *wire, unsigned at)
{
    struct wire_datagram *d = wire->item[at];
    memmove(wire->item + at, wire->item + at + 1, (--wire->count - at) * sizeof(wire->item[0]));
    return d;
}

void world_drop(struct wire *wire)
{
    while (wire->count)
        free(pop(wire, 0));
}

static bool chance(struct world *w, unsigned of_256)
{
    w->seed = w->seed * 6364136223846793005u + 1442695040888963407u;
    return (w->seed >> 56) < of_256;
}

/* The next to be delivered: the first, or one from behind. */
static struct wire_datagram *next_of(struct world *w, struct wire *wire)
{
    return pop(wire, chance(w, w->disorder) ? wire->count - 1 : 0);
}

static void put_on_wire(struct world *w, struct wire *wire, const struct ip_endpoint *local,
                        const struct ip_endpoint *remote, const uint8_t *data, size_t size)
{
    if (chance(w, w->loss))
        return;
    push(wire, local, remote, data, size);
    if (chance(w, w->doubling))
        push(wire, local, remote, data, size);
}

static void on_send(void *owner, const struct ike_datagram *d)
{
    struct world *w = owner;
    if (d->size == 1) {
        w->keepalives++;
        return;
    }
    w->sent++;
    w->largest = MAX(w->largest, d->size);
    put_on_wire(w, &w->to_peer, &d->local, &d->remote, d->data, d->size);
}

static void on_peer_send(void *owner, const uint8_t *data, size_t size)
{
    struct world *w = owner;
    put_on_wire(w, &w->to_us, &w->peer.client, &w->peer.own, data, size);
}

static bool on_entropy(void *owner, void *out, size_t size)
{
    struct world *w = owner;
    for (size_t i = 0; i < size; i++) {
        (void)chance(w, 0);
        ((uint8_t *)out)[i] = (uint8_t)(w->seed >> 48);
    }
    return true;
}

static uint64_t on_seconds(void *owner)
{
    (void)owner;
    return 1800000000;
}

struct world_child *world_child(struct world *w, uint32_t spi_in)
{
    for (unsigned i = 0; i < WORLD_CHILDREN; i++)
        if (w->children[i].used && w->children[i].p.spi_in == spi_in)
            return &w->children[i];
    return NULL;
}

unsigned world_child_count(const struct world *w)
{
    unsigned count = 0;
    for (unsigned i = 0; i < WORLD_CHILDREN; i++)
        count += w->children[i].used;
    return count;
}

static const struct esp_sa *on_child_add(struct tunnel *tunnel, const struct child_parameters *child,
                                         uint32_t replaces)
{
    struct world *w = (void *)tunnel; /* IKE only hands it back */
    require(!world_child(w, child->spi_in));
    for (unsigned i = 0; i < WORLD_CHILDREN; i++)
        if (!w->children[i].used) {
            struct esp_sa *esp = calloc(1, sizeof(*esp));
            require(esp);
            esp->parameters = *child;
            w->children[i] =
                (struct world_child){.used = true, .p = *child, .replaces = replaces, .esp = esp};
            w->added++;
            return esp;
        }
    return NULL;
}

static void on_child_use(struct tunnel *tunnel, uint32_t spi_in)
{
    struct world *w = (void *)tunnel;
    require(world_child(w, spi_in));
    w->sending = spi_in;
}

static void on_child_remove(struct tunnel *tunnel, uint32_t spi_in)
{
    struct world *w = (void *)tunnel;
    struct world_child *child = world_child(w, spi_in);
    require(child);
    free(child->esp);
    child->used = false;
    w->removed++;
    if (w->sending == spi_in)
        w->sending = 0;
}

static void on_child_move(struct tunnel *tunnel, uint32_t spi_in, const struct ip_endpoint *local,
                          const struct ip_endpoint *remote, bool udp_encapsulated)
{
    struct world *w = (void *)tunnel;
    struct world_child *child = world_child(w, spi_in);
    require(child);
    child->p.outer_local = *local;
    child->p.outer_remote = *remote;
    child->p.udp_encapsulated = udp_encapsulated;
    child->esp->parameters = child->p;
    w->moved++;
}

static void on_up(void *owner, const struct ike_inner *inner)
{
    struct world *w = owner;
    w->ups++;
    w->inner = *inner;
}

static void on_down(void *owner, const char *why, uint64_t again_in_ms)
{
    struct world *w = owner;
    w->downs++;
    w->again = again_in_ms;
    snprintf(w->why, sizeof(w->why), "%s", why);
}

static void on_log(void *owner, const char *sentence)
{
    struct world *w = owner;
    snprintf(w->log, sizeof(w->log), "%s", sentence);
}

static struct ip_address address(const char *text)
{
    struct ip_address out;
    require(ip_parse(text, strlen(text), &out));
    return out;
}

static void set_identity(struct identity *id, const char *name)
{
    *id = (struct identity){.kind = ID_FQDN, .size = (uint16_t)strlen(name)};
    memcpy(id->bytes, name, id->size);
}

static void start_crypto(void)
{
    static bool started;
    static const struct crypto_surroundings surroundings = {.entropy = crypto_cpu_entropy};
    if (!started)
        require(crypto_start(&surroundings));
    started = true;
}

static struct ike_proposals proposals_of(const char *words, enum ipsec_protocol protocol)
{
    struct ike_proposals out;
    struct report problem = {""};
    require(proposals_parse((struct ini_text){words, strlen(words)}, protocol, &out, &problem));
    return out;
}

struct ike_proposals proposal_of(const char *words, enum ipsec_protocol protocol)
{
    struct ike_proposals out = proposals_of(words, protocol);
    out.count = 1;
    return out;
}

struct world *world_create(const char *ike_proposals, const char *esp_proposals)
{
    static const struct ike_callbacks callbacks = {
        .send = on_send,
        .entropy = on_entropy,
        .seconds = on_seconds,
        .child_add = on_child_add,
        .child_use = on_child_use,
        .child_remove = on_child_remove,
        .child_move = on_child_move,
        .up = on_up,
        .down = on_down,
        .log = on_log,
    };
    struct world *w = calloc(1, sizeof(*w));
    struct report problem = {""};
    require(w);
    start_crypto();
    struct ike_configuration *c = &w->config;
    c->ike = proposals_of(ike_proposals, PROTOCOL_IKE);
    c->esp = proposals_of(esp_proposals, PROTOCOL_ESP);
    c->credential = credential_psk((const uint8_t *)PEER_SECRET, strlen(PEER_SECRET), &problem);
    set_identity(&c->local_id, "client.example");
    set_identity(&c->remote_id, "gw.example");
    c->local_selectors.count = c->remote_selectors.count = 1;
    require(selector_parse("0.0.0.0/0", 9, &c->local_selectors.item[0]));
    require(selector_parse("10.0.0.0/8", 10, &c->remote_selectors.item[0]));
    c->want_inner4 = true;
    c->ike_lifetime = 3600;
    c->child_lifetime = 600;
    c->dead_peer_interval = 30;
    c->keepalive_interval = 20;
    c->fragment_size = 1280;
    w->here = address("192.0.2.10");
    w->there = address("198.51.100.1");
    w->now = 1000;
    w->seed = 0x776f726c64;
    peer_init(&w->peer, on_peer_send, w);
    w->peer.script.ike = proposal_of(ike_proposals, PROTOCOL_IKE);
    w->peer.script.esp = proposal_of(esp_proposals, PROTOCOL_ESP);
    w->peer.script.fragment_size = 1280;
    w->ike = ike_create(c, &callbacks, w, (void *)w);
    require(w->ike && c->credential);
    return w;
}

void world_destroy(struct world *w)
{
    ike_destroy(w->ike);
    require(world_child_count(w) == 0);
    credential_free(w->config.credential);
    peer_free(&w->peer);
    world_drop(&w->to_peer);
    world_drop(&w->to_us);
    free(w);
}

void world_tick(struct world *w)
{
    w->next = ike_tick(w->ike, w->now);
    peer_go(&w->peer);
}

void world_connect(struct world *w)
{
    ike_connect(w->ike, &w->here, &w->there, w->now);
    world_tick(w);
}

bool world_to_peer(struct world *w)
{
    if (w->to_peer.count == 0)
        return false;
    struct wire_datagram *d = next_of(w, &w->to_peer);
    peer_receive(&w->peer, &d->local, &d->remote, d->data, d->size);
    free(d);
    world_tick(w);
    return true;
}

bool world_to_us(struct world *w)
{
    if (w->to_us.count == 0)
        return false;
    struct wire_datagram *d = next_of(w, &w->to_us);
    struct ike_datagram datagram = {d->local, d->remote, d->data, d->size};
    ike_receive(w->ike, &datagram, w->now);
    free(d);
    world_tick(w);
    return true;
}

void world_settle(struct world *w)
{
    for (unsigned rounds = 0; w->to_peer.count || w->to_us.count; rounds++) {
        require(rounds < 10000);
        (void)world_to_peer(w);
        (void)world_to_us(w);
    }
}

void world_run(struct world *w, uint64_t milliseconds)
{
    uint64_t end = w->now + milliseconds, resend = w->now + 1000;
    uint64_t rounds = 0, rounds_max = 500 + milliseconds / 50;
    world_tick(w);
    world_settle(w);
    while (w->now < end) {
        uint64_t to = MIN(MIN(w->next, resend), end);
        w->now = MAX(to, w->now + 1);
        if (w->now >= resend) {
            peer_resend(&w->peer);
            resend = w->now + 1000;
        }
        world_tick(w);
        world_settle(w);
        require(rounds++ < rounds_max); /* it must sleep between its tasks */
    }
}
