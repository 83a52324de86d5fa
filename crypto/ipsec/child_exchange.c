/* SPDX-License-Identifier: Apache-2.0 */
/* CREATE_CHILD_SA for CHILD SAs: our request and its answer, the peer's rekeying, and which of two stays when
 * both ends rekey at once (RFC 7296 sections 1.3.1, 1.3.3, 2.8.1, 2.25.1). */
#include "crypto/ipsec/connection.h"

static bool child_build(struct ike_sa *sa, struct builder *b)
{
    struct ike *ike = sa->ike;
    struct attempt *a = &sa->attempt;
    const struct child_parameters *old = a->child ? &child_of_spi_in(ike, a->child)->esp->parameters : NULL;
    const struct algorithm *group = NULL;
    for (unsigned n = 0; n < ike->config->esp.count && !group; n++)
        group = proposal_first(&ike->config->esp.item[n], TRANSFORM_KE);
    a->deleted = 0;
    a->rival.size = 0;
    if (old)
        put_notify_spi(b, NOTIFY_REKEY_SA, old->spi_in);
    bool good = put_attempt(sa, PROTOCOL_ESP, child_make_spi(ike), group, b);
    put_selectors(b, PAYLOAD_TSI, old ? &old->local : &ike->config->local_selectors);
    put_selectors(b, PAYLOAD_TSR, old ? &old->remote : &ike->config->remote_selectors);
    return good;
}

/* The peer is to delete it. */
static void child_wait(struct ike *ike, struct child *child)
{
    child->state = CHILD_WAITING;
    child->remove_at = ike->now + PEER_MUST_MS;
}

static void take_error(struct ike_sa *sa, struct child *old, const struct notify *n)
{
    struct ike *ike = sa->ike;
    struct report why = {""};
    if (child_made_for(ike, sa->attempt.child, true) && old && old->state == CHILD_LIVE)
        child_wait(ike, old); /* the peer's own rekeying did it */
    if (n->type == NOTIFY_CHILD_SA_NOT_FOUND) {
        if (old && old->state != CHILD_LINGERING)
            child_end(ike, old);
        return;
    }
    if (rekey_again(sa, n, &why))
        return;
    if (n->type == NOTIFY_NO_ADDITIONAL_SAS) {
        sa->reauth_at = ike->now; /* a new IKE SA is begun */
    } else if (!child_live(ike)) {
        ike_fail(ike, FAIL_REFUSED, "the gateway opens no CHILD SA: %s", why.text);
        return;
    } else if (old) {
        sa_renew_before(sa, old->expire_at);
    }
    ike_log(ike, "the gateway opens no CHILD SA: %s", why.text);
}

bool child_read_selectors(struct ike *ike, const struct payload_list *list,
                          const struct child_parameters *old, struct child_parameters *out,
                          struct report *problem)
{
    if (!selectors_read(list, PAYLOAD_TSI, &out->local) || !selectors_read(list, PAYLOAD_TSR, &out->remote))
        return report(problem, "the gateway's traffic selectors are missing or malformed");
    return (selectors_within(&out->local, old ? &old->local : &ike->config->local_selectors) &&
            selectors_within(&out->remote, old ? &old->remote : &ike->config->remote_selectors)) ||
           report(problem, "the gateway chose traffic selectors beyond those that the policy asks for");
}

/* After our rekeying. */
static void child_settle(struct ike_sa *sa, struct child *old, struct child *made)
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

static void child_answer(struct ike_sa *sa, const struct payload_list *list)
{
    struct ike *ike = sa->ike;
    struct attempt *a = &sa->attempt;
    struct child *old = a->child ? child_of_spi_in(ike, a->child) : NULL, *made = NULL;
    struct report problem = {""};
    struct notify n;
    if (notify_error(list, &n)) {
        take_error(sa, old, &n);
        return;
    }
    bool was_live = child_live(ike) != NULL;
    struct child_parameters p = {.spi_in = (uint32_t)a->own.offer.spi};
    if (agree_on_answer(sa, list, &problem) &&
        child_read_selectors(ike, list, old ? &old->esp->parameters : NULL, &p, &problem))
        made = child_add(sa, &p, a->child, true);
    if (!made) {
        /* The gateway has a CHILD SA now that we do not have: begin anew. */
        report(&problem, "the new CHILD SA could not be set up: no memory or no cipher");
        ike_fail(ike, FAIL_REFUSED, "%s", problem.text);
        return;
    }
    /* Where the table was full, the new one may have taken the old one's place. */
    child_settle(sa, child_of_spi_in(ike, a->child), made);
    if (made->esp->parameters.spi_out == a->deleted)
        child_end(ike, made);
    if (!was_live && !ike->is_up && child_live(ike))
        ike_came_up(ike);
}

const struct exchange exchange_child = {"CREATE_CHILD_SA", CREATE_CHILD_SA, child_build, child_answer};

/* Why the peer may not rekey now; 0: it may. */
static uint16_t rekey_obstacle(struct ike_sa *sa, const struct child *old)
{
    if (sa->state != SA_LIVE || sa->close || sa->request.kind == &exchange_rekey_ike ||
        sa->request.kind == &exchange_delete_ike)
        return NOTIFY_TEMPORARY_FAILURE;
    /* What is unknown may be the one that the answer to our own request is about to name. */
    if (!old)
        return sa->request.kind == &exchange_child ? NOTIFY_TEMPORARY_FAILURE : NOTIFY_CHILD_SA_NOT_FOUND;
    if (old->state == CHILD_LINGERING)
        return NOTIFY_CHILD_SA_NOT_FOUND;
    return old->state == CHILD_LIVE ? 0 : NOTIFY_TEMPORARY_FAILURE;
}

/* The narrower of what the peer wants and what the old one had. */
static bool narrow(const struct payload_list *list, uint8_t type, const struct selector_list *had,
                   struct selector_list *out)
{
    if (!selectors_read(list, type, out))
        return false;
    if (selectors_within(out, had))
        return true;
    bool wider = selectors_within(had, out);
    *out = *had;
    return wider;
}

/* Makes the CHILD SA that the peer asks for in place of `old`; NULL with the error in the answer. */
static struct child *make_for_peer(struct ike_sa *sa, const struct child *old,
                                   const struct payload_list *list, struct builder *b)
{
    struct ike *ike = sa->ike;
    struct own_half *own = &ike->agreed.own;
    struct child_parameters p = {.spi_in = child_make_spi(ike)};
    struct child *made = NULL;
    own->offer = offer_of(ike, PROTOCOL_ESP, p.spi_in);
    if (!narrow(list, PAYLOAD_TSI, &old->esp->parameters.remote, &p.remote) ||
        !narrow(list, PAYLOAD_TSR, &old->esp->parameters.local, &p.local)) {
        put_notify(b, NOTIFY_TS_UNACCEPTABLE, NULL, 0);
    } else if (agree_on_request(ike, list, b) &&
               !(made = child_add(sa, &p, old->esp->parameters.spi_in, false))) {
        put_notify(b, NOTIFY_TEMPORARY_FAILURE, NULL, 0);
    } else if (made) {
        put_choice(b, &own->offer, &ike->agreed.choice);
        put_half(b, own);
        put_selectors(b, PAYLOAD_TSI, &p.remote);
        put_selectors(b, PAYLOAD_TSR, &p.local);
    }
    return made;
}

void child_request(struct ike_sa *sa, const struct payload_list *list, struct builder *b)
{
    struct ike *ike = sa->ike;
    struct notify n;
    if (!notify_find(list, NOTIFY_REKEY_SA, &n)) {
        /* A client has one tunnel; the gateway opens none of its own. */
        put_notify(b, NOTIFY_NO_ADDITIONAL_SAS, NULL, 0);
        return;
    }
    struct child *old = n.protocol == PROTOCOL_ESP && n.spi_bytes == 4 ? child_of_spi_out(ike, n.spi) : NULL;
    struct child *made = NULL;
    uint16_t obstacle = rekey_obstacle(sa, old);
    if (obstacle == NOTIFY_CHILD_SA_NOT_FOUND)
        put_notify_spi(b, obstacle, n.spi);
    else if (obstacle)
        put_notify(b, obstacle, NULL, 0);
    else
        made = make_for_peer(sa, old, list, b);
    if (made && sa->request.kind == &exchange_child && sa->attempt.child == old->esp->parameters.spi_in)
        sa->attempt.rival = made->low; /* our own answer decides (child_settle) */
    else if (made)
        child_wait(ike, old);
}
