/* SPDX-License-Identifier: Apache-2.0 */
/* The table of CHILD SAs: made, used, deleted, and which of two stays when both ends rekey at once. */
#include "crypto/ipsec/connection.h"
#include "crypto/ipsec/tunnel.h"
#include "lib/strings.h"

#define SPI_MIN 256 /* lower ones are reserved (RFC 4303 section 2.1) */
static_assert(CHILDREN_MAX == TUNNEL_SAS_MAX, "ESP has room for each CHILD SA of IKE");

struct child *child_next(struct ike *ike, struct child *before)
{
    for (struct child *c = before ? before + 1 : ike->children; c < ike->children + CHILDREN_MAX; c++)
        if (c->state != CHILD_FREE)
            return c;
    return NULL;
}

struct child *child_of_spi_in(struct ike *ike, uint32_t spi_in)
{
    for (struct child *c = NULL; (c = child_next(ike, c));)
        if (c->p.spi_in == spi_in)
            return c;
    return NULL;
}

struct child *child_of_spi_out(struct ike *ike, uint32_t spi_out)
{
    for (struct child *c = NULL; (c = child_next(ike, c));)
        if (c->p.spi_out == spi_out)
            return c;
    return NULL;
}

struct child *child_live(struct ike *ike)
{
    for (struct child *c = NULL; (c = child_next(ike, c));)
        if (c->state == CHILD_LIVE)
            return c;
    return NULL;
}

struct child *child_made_for(struct ike *ike, uint32_t replaced, bool by_peer)
{
    for (struct child *c = NULL; (c = child_next(ike, c));)
        if (c->state == CHILD_LIVE && replaced && c->replaces == replaced && !(by_peer && c->ours))
            return c;
    return NULL;
}

uint32_t child_make_spi(struct ike *ike)
{
    for (unsigned tries = 0; tries < 8; tries++) {
        uint32_t spi = (uint32_t)make_spi(ike);
        if (spi >= SPI_MIN && !child_of_spi_in(ike, spi))
            return spi;
    }
    return 0;
}

static struct child *free_child(struct ike *ike)
{
    struct child *oldest = NULL;
    for (unsigned i = 0; i < CHILDREN_MAX; i++) {
        struct child *c = &ike->children[i];
        if (c->state == CHILD_FREE)
            return c;
        if (c->state == CHILD_LINGERING && (!oldest || c->remove_at < oldest->remove_at))
            oldest = c;
    }
    if (oldest)
        child_remove(ike, oldest);
    return oldest;
}

struct child *child_add(struct ike_sa *sa, const struct ike_choice *choice, const struct key_inputs *in,
                        const struct child_terms *terms)
{
    struct ike *ike = sa->ike;
    struct child *c = free_child(ike);
    if (!c)
        return NULL;
    *c = (struct child){.sa = sa, .ours = terms->ours, .replaces = terms->replaces, .born = ike->now};
    c->low = lower_nonce(in);
    c->rekey_at = c->expire_at = NEVER;
    c->p = (struct child_parameters){.spi_in = terms->spi_in,
                                     .spi_out = (uint32_t)choice->spi,
                                     .cipher = choice->cipher,
                                     .integrity = choice->integrity,
                                     .esn = choice->esn->id,
                                     .local = terms->local,
                                     .remote = terms->remote,
                                     .outer_local = sa->local,
                                     .outer_remote = sa->remote,
                                     .udp_encapsulated = sa_encapsulates(sa)};
    struct child_keys *to_responder = terms->ours ? &c->p.out : &c->p.in;
    struct child_keys *to_initiator = terms->ours ? &c->p.in : &c->p.out;
    bool good = terms->spi_in && keys_child(&sa->keys, choice, in, to_responder, to_initiator) &&
                ike->call.child_add(ike->tunnel, &c->p, terms->replaces);
    wipe(&c->p.in, sizeof(c->p.in));
    wipe(&c->p.out, sizeof(c->p.out));
    if (!good)
        return NULL;
    limit_life(ike, ike->config->child_lifetime, &c->rekey_at, &c->expire_at);
    c->state = CHILD_LIVE;
    return c;
}

void child_use(struct ike *ike, struct child *child)
{
    if (ike->sending == child->p.spi_in)
        return;
    ike->sending = child->p.spi_in;
    ike->call.child_use(ike->tunnel, child->p.spi_in);
}

void child_remove(struct ike *ike, struct child *child)
{
    if (child->state == CHILD_FREE)
        return;
    child->state = CHILD_FREE;
    ike->call.child_remove(ike->tunnel, child->p.spi_in);
    if (ike->sending == child->p.spi_in)
        ike->sending = 0;
    wake_at(ike, ike->now);
}

void children_remove(struct ike *ike)
{
    for (struct child *c = NULL; (c = child_next(ike, c));)
        child_remove(ike, c);
}

void child_wait(struct ike *ike, struct child *child)
{
    child->state = CHILD_WAITING;
    child->remove_at = ike->now + PEER_MUST_MS;
}

void child_end(struct ike *ike, struct child *child)
{
    child->state = CHILD_LINGERING;
    child->remove_at = ike->now + LINGER_MS;
    struct child *next = child_made_for(ike, child->p.spi_in, false);
    if (!next)
        next = child_live(ike);
    if (ike->sending == child->p.spi_in && next)
        child_use(ike, next);
    if (!next)
        child_remove(ike, child);
}

void children_end(struct ike_sa *sa)
{
    struct ike *ike = sa->ike;
    for (struct child *c = NULL; (c = child_next(ike, c));)
        if (c->sa == sa) {
            child_end(ike, c);
            c->sa = ike->current; /* lingering belongs to the connection */
        }
}

void children_move(struct ike_sa *sa)
{
    struct ike *ike = sa->ike;
    for (struct child *c = NULL; (c = child_next(ike, c));) {
        c->p.outer_local = sa->local;
        c->p.outer_remote = sa->remote;
        c->p.udp_encapsulated = sa_encapsulates(sa);
        ike->call.child_move(ike->tunnel, c->p.spi_in, &sa->local, &sa->remote, c->p.udp_encapsulated);
    }
}

void child_settle(struct ike_sa *sa, struct child *old, struct child *made)
{
    struct ike *ike = sa->ike;
    struct child *rival = child_made_for(ike, made->replaces, true);
    /* Also against one that the peer has rekeyed again or deleted since. */
    bool lost = sa->attempt.rival.size && nonce_loses(&made->low, &sa->attempt.rival);
    if (rival)
        ike_log(ike, "both ends rekeyed the CHILD SA at once; the one begun by %s stays",
                lost ? "the gateway" : "us");
    if (lost)
        made->state = CHILD_SUPERSEDED;
    else if (rival)
        child_wait(ike, rival);
    /* Who began the exchange that stays deletes the old one (section 2.8.1). */
    if (old && old->state == CHILD_LIVE) {
        child_wait(ike, old);
        old->state = lost ? CHILD_WAITING : CHILD_SUPERSEDED;
    }
    if (!lost)
        child_use(ike, made);
    else if (!old && rival)
        child_use(ike, rival);
}

static void count_and_limit(struct ike *ike, struct child *c)
{
    struct esp_counters counters;
    uint64_t most = ike->config->child_bytes_max;
    if (!ike->call.child_counters(ike->tunnel, c->p.spi_in, &counters))
        return;
    if (counters.rekey_due || (most && (counters.bytes_in >= most || counters.bytes_out >= most)))
        c->rekey_at = MIN(c->rekey_at, ike->now);
    /* The peer sends with the new one, so it has it: so can we. */
    struct child *old = child_of_spi_in(ike, ike->sending);
    if (!c->ours && counters.packets_in && old && old->state == CHILD_WAITING && c->replaces == old->p.spi_in)
        child_use(ike, c);
}

/* Deleted by the gateway, or expired: without a CHILD SA there is no tunnel. */
static void notice_loss(struct ike *ike)
{
    struct ike_sa *sa = ike->current;
    if (!ike->is_up || !sa || child_live(ike) || sa->request.kind == EX_CHILD)
        return;
    ike->is_up = false;
    sa->retry_at = MAX(sa->retry_at, ike->now + SECOND_MS);
    ike->call.down(ike->owner,
                   "the CHILD SA is gone: the gateway deleted it, or it expired; a new one is asked for",
                   sa->retry_at - ike->now);
}

void children_tick(struct ike *ike)
{
    for (struct child *c = NULL; (c = child_next(ike, c));) {
        if (c->state == CHILD_LIVE) {
            count_and_limit(ike, c);
            wake_at(ike, ike->now + POLL_MS);
            (void)reached(ike, c->rekey_at); /* when it waits for another exchange, its end wakes */
            if (reached(ike, c->expire_at))
                c->state = CHILD_SUPERSEDED;
        } else if ((c->state == CHILD_WAITING || c->state == CHILD_LINGERING) && reached(ike, c->remove_at)) {
            if (c->state == CHILD_LINGERING)
                child_remove(ike, c);
            else
                c->state = CHILD_SUPERSEDED;
        }
    }
    notice_loss(ike);
}
