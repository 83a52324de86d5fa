/* SPDX-License-Identifier: Apache-2.0 */
/* The table of CHILD SAs: made, used, deleted, and which of two stays when both ends rekey at once. */
#include "crypto/ipsec/connection.h"
#include "crypto/ipsec/tunnel.h"
#include "lib/strings.h"

#define SPI_MIN 256 /* lower ones are reserved (RFC 4303 section 2.1) */
static_assert(CHILDREN_MAX == TUNNEL_SAS_MAX, "ESP has room for each CHILD SA of IKE");

struct proposal_offer child_offer(const struct ike *ike, bool with_groups)
{
    return (struct proposal_offer){.list = ike->config->esp,
                                   .count = ike->config->esp_count,
                                   .protocol = PROTOCOL_ESP,
                                   .spi_bytes = 4,
                                   .with_groups = with_groups};
}

struct child *child_of_spi_in(struct ike *ike, uint32_t spi_in)
{
    for (unsigned i = 0; i < CHILDREN_MAX; i++)
        if (ike->children[i].state != CHILD_FREE && ike->children[i].p.spi_in == spi_in)
            return &ike->children[i];
    return NULL;
}

struct child *child_of_spi_out(struct ike *ike, uint32_t spi_out)
{
    for (unsigned i = 0; i < CHILDREN_MAX; i++)
        if (ike->children[i].state != CHILD_FREE && ike->children[i].p.spi_out == spi_out)
            return &ike->children[i];
    return NULL;
}

struct child *child_live(struct ike *ike)
{
    for (unsigned i = 0; i < CHILDREN_MAX; i++)
        if (ike->children[i].state == CHILD_LIVE)
            return &ike->children[i];
    return NULL;
}

struct child *child_rival(struct ike *ike, uint32_t replaces)
{
    for (unsigned i = 0; i < CHILDREN_MAX; i++) {
        struct child *c = &ike->children[i];
        if (c->state == CHILD_LIVE && !c->ours && c->replaces == replaces && replaces)
            return c;
    }
    return NULL;
}

uint32_t child_make_spi(struct ike *ike)
{
    for (unsigned tries = 0; tries < 8; tries++) {
        uint32_t spi = 0;
        if (!ike->call.entropy(ike->owner, &spi, sizeof(spi)))
            return 0;
        if (spi >= SPI_MIN && !child_of_spi_in(ike, spi))
            return spi;
    }
    return 0;
}

bool nonce_lower(struct bytes_view a, struct bytes_view b)
{
    int order = memcmp(a.data, b.data, MIN(a.size, b.size));
    return order < 0 || (order == 0 && a.size < b.size);
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

struct child *child_add(struct ike_sa *sa, const struct child_agreed *agreed)
{
    struct ike *ike = sa->ike;
    struct child *c = free_child(ike);
    if (!c)
        return NULL;
    const struct key_inputs *in = agreed->inputs;
    *c = (struct child){.sa = sa, .ours = agreed->ours, .replaces = agreed->replaces, .born = ike->now};
    c->p = (struct child_parameters){.spi_in = agreed->spi_in,
                                     .spi_out = (uint32_t)agreed->choice->spi,
                                     .cipher = agreed->choice->cipher,
                                     .integrity = agreed->choice->integrity,
                                     .esn = agreed->choice->esn,
                                     .local = agreed->local,
                                     .remote = agreed->remote,
                                     .outer_local = sa->local,
                                     .outer_remote = sa->remote,
                                     .udp_encapsulated = sa_encapsulates(sa)};
    struct child_keys *to_responder = agreed->ours ? &c->p.out : &c->p.in;
    struct child_keys *to_initiator = agreed->ours ? &c->p.in : &c->p.out;
    bool good = keys_child(&sa->keys, agreed->choice, in, to_responder, to_initiator) &&
                ike->call.child_add(ike->tunnel, &c->p, agreed->replaces);
    wipe(&c->p.in, sizeof(c->p.in));
    wipe(&c->p.out, sizeof(c->p.out));
    if (!good)
        return NULL;
    struct bytes_view low = nonce_lower(in->nonce_i, in->nonce_r) ? in->nonce_i : in->nonce_r;
    memcpy(c->low_nonce, low.data, low.size);
    c->low_size = low.size;
    c->rekey_at = soft_limit(ike, ike->config->child_lifetime);
    c->expire_at = hard_limit(ike, ike->config->child_lifetime);
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

/* The one that takes the traffic of another: what replaced it, else any. */
static struct child *successor(struct ike *ike, const struct child *child)
{
    for (unsigned i = 0; i < CHILDREN_MAX; i++) {
        struct child *c = &ike->children[i];
        if (c->state == CHILD_LIVE && c->replaces == child->p.spi_in)
            return c;
    }
    return child_live(ike);
}

void child_end(struct ike *ike, struct child *child)
{
    child->state = CHILD_LINGERING;
    child->remove_at = ike->now + LINGER_MS;
    struct child *next = successor(ike, child);
    if (ike->sending == child->p.spi_in && next)
        child_use(ike, next);
    if (!next)
        child_remove(ike, child);
}

void children_end(struct ike_sa *sa)
{
    struct ike *ike = sa->ike;
    for (unsigned i = 0; i < CHILDREN_MAX; i++)
        if (ike->children[i].state != CHILD_FREE && ike->children[i].sa == sa) {
            child_end(ike, &ike->children[i]);
            ike->children[i].sa = ike->current; /* lingering belongs to the connection */
        }
}

void children_move(struct ike_sa *sa)
{
    struct ike *ike = sa->ike;
    for (unsigned i = 0; i < CHILDREN_MAX; i++) {
        struct child *c = &ike->children[i];
        if (c->state == CHILD_FREE)
            continue;
        c->p.outer_local = sa->local;
        c->p.outer_remote = sa->remote;
        c->p.udp_encapsulated = sa_encapsulates(sa);
        ike->call.child_move(ike->tunnel, c->p.spi_in, &sa->local, &sa->remote, c->p.udp_encapsulated);
    }
}

void child_settle(struct ike *ike, struct child *old, struct child *made)
{
    struct child *rival = child_rival(ike, made->replaces);
    struct bytes_view ours = {made->low_nonce, made->low_size};
    bool lost = rival && nonce_lower(ours, (struct bytes_view){rival->low_nonce, rival->low_size});
    struct child *stays = lost ? rival : made;
    if (rival)
        ike_log(ike, "both ends rekeyed the CHILD SA at once; the one begun by %s stays",
                lost ? "the gateway" : "us");
    if (lost) {
        made->state = CHILD_SUPERSEDED;
    } else if (rival) {
        rival->state = CHILD_WAITING;
        rival->remove_at = ike->now + PEER_MUST_MS;
    }
    /* Who began the exchange that stays deletes the old one (section 2.8.1). */
    if (old && old->state == CHILD_LIVE) {
        old->state = lost ? CHILD_WAITING : CHILD_SUPERSEDED;
        old->remove_at = ike->now + PEER_MUST_MS;
    }
    if (!lost || !old)
        child_use(ike, stays);
}

static void count_and_limit(struct ike *ike, struct child *c)
{
    struct esp_counters counters;
    uint64_t most = ike->config->child_bytes_max;
    bool due = ike->call.child_rekey_due(ike->tunnel, c->p.spi_in);
    if (!ike->call.child_counters(ike->tunnel, c->p.spi_in, &counters))
        return;
    if (most && (counters.bytes_in >= most || counters.bytes_out >= most))
        due = true;
    if (due)
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
    for (unsigned i = 0; i < CHILDREN_MAX; i++) {
        struct child *c = &ike->children[i];
        if (c->state == CHILD_LIVE) {
            count_and_limit(ike, c);
            if (ike->now >= c->expire_at)
                c->state = CHILD_SUPERSEDED;
            wake_at(ike, MIN(c->expire_at, ike->now + POLL_MS));
            if (c->rekey_at > ike->now) /* else it waits for another exchange, whose end wakes */
                wake_at(ike, c->rekey_at);
        } else if (c->state == CHILD_WAITING || c->state == CHILD_LINGERING) {
            if (ike->now < c->remove_at)
                wake_at(ike, c->remove_at);
            else if (c->state == CHILD_LINGERING)
                child_remove(ike, c);
            else
                c->state = CHILD_SUPERSEDED;
        }
    }
    notice_loss(ike);
}
