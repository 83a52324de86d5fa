/* SPDX-License-Identifier: Apache-2.0 */
/* The table of CHILD SAs: made, used, deleted. */
#include "crypto/ipsec/connection.h"
#include "crypto/ipsec/tunnel.h"

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
        if (c->esp->parameters.spi_in == spi_in)
            return c;
    return NULL;
}

struct child *child_of_spi_out(struct ike *ike, uint32_t spi_out)
{
    for (struct child *c = NULL; (c = child_next(ike, c));)
        if (c->esp->parameters.spi_out == spi_out)
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

struct child *child_add(struct ike_sa *sa, struct child_parameters *p, uint32_t replaces, bool ours)
{
    struct ike *ike = sa->ike;
    const struct ike_choice *choice = &ike->agreed.choice;
    struct child *c = free_child(ike);
    if (!c)
        return NULL;
    p->spi_out = (uint32_t)choice->spi;
    p->cipher = choice->cipher;
    p->integrity = choice->integrity;
    p->esn = choice->esn->id;
    p->outer_local = sa->local;
    p->outer_remote = sa->remote;
    p->udp_encapsulated = sa_encapsulates(sa);
    const struct esp_sa *esp = NULL;
    if (p->spi_in &&
        keys_child(&sa->keys, choice, &ike->agreed.in, ours ? &p->out : &p->in, ours ? &p->in : &p->out))
        esp = ike->call.child_add(ike->tunnel, p, replaces);
    wipe(&p->in, sizeof(p->in));
    wipe(&p->out, sizeof(p->out));
    if (!esp)
        return NULL;
    *c = (struct child){.state = CHILD_LIVE,
                        .sa = sa,
                        .esp = esp,
                        .ours = ours,
                        .replaces = replaces,
                        .born = ike->now,
                        .rekey_at = NEVER,
                        .expire_at = NEVER,
                        .low = lower_nonce(&ike->agreed.in)};
    limit_life(ike, ike->config->child_lifetime, &c->rekey_at, &c->expire_at);
    return c;
}

void child_use(struct ike *ike, struct child *child)
{
    ike->sending = child->esp->parameters.spi_in;
    ike->call.child_use(ike->tunnel, child->esp->parameters.spi_in);
}

void child_remove(struct ike *ike, struct child *child)
{
    child->state = CHILD_FREE;
    if (ike->sending == child->esp->parameters.spi_in)
        ike->sending = 0;
    ike->call.child_remove(ike->tunnel, child->esp->parameters.spi_in);
    wake_at(ike, ike->now);
}

void children_remove(struct ike *ike)
{
    for (struct child *c = NULL; (c = child_next(ike, c));)
        child_remove(ike, c);
}

void child_end(struct ike *ike, struct child *child)
{
    child->state = CHILD_LINGERING;
    child->remove_at = ike->now + LINGER_MS;
    struct child *next = child_made_for(ike, child->esp->parameters.spi_in, false);
    if (!next)
        next = child_live(ike);
    if (ike->sending == child->esp->parameters.spi_in && next)
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
    for (struct child *c = NULL; (c = child_next(ike, c));)
        ike->call.child_move(ike->tunnel, c->esp->parameters.spi_in, &sa->local, &sa->remote,
                             sa_encapsulates(sa));
}

static void count_and_limit(struct ike *ike, struct child *c)
{
    const struct esp_counters *n = &c->esp->counters;
    uint64_t most = ike->config->child_bytes_max;
    if (n->rekey_due || (most && (n->bytes_in >= most || n->bytes_out >= most)))
        c->rekey_at = MIN(c->rekey_at, ike->now);
    /* The peer sends with the new one, so it has it: so can we. */
    struct child *old = child_of_spi_in(ike, ike->sending);
    if (!c->ours && n->packets_in && old && old->state == CHILD_WAITING &&
        c->replaces == old->esp->parameters.spi_in)
        child_use(ike, c);
}

/* Deleted by the gateway, or expired: without a CHILD SA there is no tunnel. */
static void notice_loss(struct ike *ike)
{
    struct ike_sa *sa = ike->current;
    if (!ike->is_up || !sa || child_live(ike) || sa->request.kind == &exchange_child)
        return;
    ike->is_up = false;
    sa->retry_at = MAX(sa->retry_at, ike->now + SECOND_MS);
    (void)copy_string(ike->last_error.text, sizeof(ike->last_error.text),
                      "the CHILD SA is gone: the gateway deleted it, or it expired; a new one is asked for");
    ike->call.down(ike->owner, ike->last_error.text, sa->retry_at - ike->now);
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
