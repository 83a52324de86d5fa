/* SPDX-License-Identifier: Apache-2.0 */
/* CREATE_CHILD_SA for CHILD SAs: our request and its answer, and the peer's rekeying (RFC 7296 sections
 * 1.3.1, 1.3.3, 2.25.1). */
#include "crypto/ipsec/connection.h"
#include "lib/strings.h"

static void put_child(struct builder *b, const struct own_half *own, const struct selector_list *initiator,
                      const struct selector_list *responder)
{
    put_half(b, own);
    put_selectors(b, PAYLOAD_TSI, initiator);
    put_selectors(b, PAYLOAD_TSR, responder);
}

bool child_build(struct ike_sa *sa, struct builder *b)
{
    struct ike *ike = sa->ike;
    struct attempt *a = &sa->attempt;
    const struct child *old = a->child ? child_of_spi_in(ike, a->child) : NULL;
    struct proposal_offer offer = offer_of(ike, PROTOCOL_ESP, 4, child_make_spi(ike));
    const struct algorithm *group = proposal_has_group(&offer, a->wanted) ? a->wanted : NULL;
    for (unsigned n = 0; n < offer.count && !group; n++)
        group = proposal_first(&offer.list[n], TRANSFORM_KE);
    a->own.spi = offer.spi;
    a->deleted = 0;
    a->rival.size = 0;
    if (!half_make(ike, &a->own, group))
        return false;
    if (old)
        put_notify_spi(b, NOTIFY_REKEY_SA, old->p.spi_in);
    put_offer(b, &offer);
    put_child(b, &a->own, old ? &old->p.local : &ike->config->local_selectors,
              old ? &old->p.remote : &ike->config->remote_selectors);
    return true;
}

static void take_error(struct ike_sa *sa, struct child *old, const struct notify *n)
{
    struct ike *ike = sa->ike;
    struct proposal_offer offer = offer_of(ike, PROTOCOL_ESP, 4, 0);
    struct report why = {""};
    if (child_made_for(ike, sa->attempt.child, true) && old && old->state == CHILD_LIVE)
        child_wait(ike, old); /* the peer's own rekeying did it */
    if (n->type == NOTIFY_CHILD_SA_NOT_FOUND) {
        if (old && old->state != CHILD_LINGERING)
            child_end(ike, old);
        return;
    }
    if (rekey_again(sa, n, &offer, &why))
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

bool child_read_selectors(struct ike *ike, const struct payload_list *list, const struct child *old,
                          struct child_terms *out, struct report *problem)
{
    if (!selectors_read(list, PAYLOAD_TSI, &out->local) || !selectors_read(list, PAYLOAD_TSR, &out->remote))
        return report(problem, "the gateway's traffic selectors are missing or malformed");
    return (selectors_within(&out->local, old ? &old->p.local : &ike->config->local_selectors) &&
            selectors_within(&out->remote, old ? &old->p.remote : &ike->config->remote_selectors)) ||
           report(problem, "the gateway chose traffic selectors beyond those that the policy asks for");
}

void child_answer(struct ike_sa *sa, const struct payload_list *list)
{
    struct ike *ike = sa->ike;
    struct attempt *a = &sa->attempt;
    struct child *old = a->child ? child_of_spi_in(ike, a->child) : NULL, *made = NULL;
    struct proposal_offer offer = offer_of(ike, PROTOCOL_ESP, 4, 0);
    struct report problem = {""};
    struct agreed agreed;
    struct notify n;
    if (notify_error(list, &n)) {
        request_end(sa);
        take_error(sa, old, &n);
        return;
    }
    bool was_live = child_live(ike) != NULL;
    struct child_terms terms = {.spi_in = (uint32_t)a->own.spi, .replaces = a->child, .ours = true};
    if (agree_on_answer(sa, list, &offer, &agreed, &problem) &&
        child_read_selectors(ike, list, old, &terms, &problem))
        made = child_add(sa, &agreed.choice, &agreed.in, &terms);
    wipe(agreed.shared, sizeof(agreed.shared));
    request_end(sa);
    if (!made) {
        /* The gateway has a CHILD SA now that we do not have: begin anew. */
        report(&problem, "the new CHILD SA could not be set up: no memory or no cipher");
        ike_fail(ike, FAIL_REFUSED, "%s", problem.text);
        return;
    }
    child_settle(sa, old, made);
    if (made->p.spi_out == a->deleted)
        child_end(ike, made);
    if (!was_live && !ike->is_up && child_live(ike))
        ike_came_up(ike);
}

/* Why the peer may not rekey now; 0: it may. */
static uint16_t rekey_obstacle(struct ike_sa *sa, const struct child *old)
{
    if (sa->state != SA_LIVE || sa->close || sa->request.kind == EX_REKEY_IKE ||
        sa->request.kind == EX_DELETE_IKE)
        return NOTIFY_TEMPORARY_FAILURE;
    /* What is unknown may be the one that the answer to our own request is about to name. */
    if (!old)
        return sa->request.kind == EX_CHILD ? NOTIFY_TEMPORARY_FAILURE : NOTIFY_CHILD_SA_NOT_FOUND;
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
    struct own_half own = {.spi = child_make_spi(ike)};
    struct proposal_offer offer = offer_of(ike, PROTOCOL_ESP, 4, own.spi);
    struct child_terms terms = {.spi_in = (uint32_t)own.spi, .replaces = old->p.spi_in};
    struct agreed agreed;
    struct child *made = NULL;
    if (!narrow(list, PAYLOAD_TSI, &old->p.remote, &terms.remote) ||
        !narrow(list, PAYLOAD_TSR, &old->p.local, &terms.local)) {
        put_notify(b, NOTIFY_TS_UNACCEPTABLE, NULL, 0);
    } else if (agree_on_request(ike, list, &offer, &own, &agreed, b)) {
        made = child_add(sa, &agreed.choice, &agreed.in, &terms);
        if (made) {
            put_choice(b, &offer, &agreed.choice);
            put_child(b, &own, &terms.remote, &terms.local);
        } else {
            put_notify(b, NOTIFY_TEMPORARY_FAILURE, NULL, 0);
        }
    }
    wipe(agreed.shared, sizeof(agreed.shared));
    ke_free(&own.ke);
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
    if (made && sa->request.kind == EX_CHILD && sa->attempt.child == old->p.spi_in)
        sa->attempt.rival = made->low; /* our own answer decides (child_settle) */
    else if (made)
        child_wait(ike, old);
}
