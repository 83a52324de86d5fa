/* SPDX-License-Identifier: Apache-2.0 */
/* CREATE_CHILD_SA for CHILD SAs: our request and its answer, and the peer's rekeying (RFC 7296 sections
 * 1.3.1, 1.3.3, 2.25.1). */
#include "crypto/ipsec/connection.h"
#include "lib/format.h"
#include "lib/strings.h"

#define REFUSED_AGAIN_MS (10 * SECOND_MS)
#define GROUP_RESTARTS   3

/* The group of our key exchange: what the peer wanted, else the policy's first; NULL: without. */
static const struct ke_group *own_group(struct ike_sa *sa)
{
    struct proposal_offer offer = child_offer(sa->ike, true);
    if (proposal_has_group(&offer, sa->attempt.wanted))
        return sa->attempt.wanted;
    for (unsigned n = 0; n < offer.count; n++)
        if (offer.list[n].groups[0])
            return offer.list[n].groups[0];
    return NULL;
}

bool child_build(struct ike_sa *sa, struct builder *b)
{
    struct ike *ike = sa->ike;
    struct attempt *a = &sa->attempt;
    const struct child *old = a->child ? child_of_spi_in(ike, a->child) : NULL;
    const struct ke_group *group = own_group(sa);
    a->spi = child_make_spi(ike);
    a->deleted = 0;
    if (!a->spi || !ike->call.entropy(ike->owner, a->nonce, sizeof(a->nonce)) ||
        (group && !ke_start(&a->ke, group)))
        return false;
    struct proposal_offer offer = child_offer(ike, true);
    offer.spi = a->spi;
    if (old)
        put_notify_spi(b, NOTIFY_REKEY_SA, old->p.spi_in);
    put_offer(b, &offer);
    put_payload(b, PAYLOAD_NONCE, a->nonce, sizeof(a->nonce));
    if (group)
        put_ke(b, group->id, a->ke.public_value, group->public_bytes);
    put_selectors(b, PAYLOAD_TSI, old ? &old->p.local : &ike->config->local_selectors);
    put_selectors(b, PAYLOAD_TSR, old ? &old->p.remote : &ike->config->remote_selectors);
    return !b->failed;
}

static void take_group(struct ike_sa *sa, const struct notify *n)
{
    struct proposal_offer offer = child_offer(sa->ike, true);
    struct reader r = reader_of(n->data.data, n->data.size);
    uint16_t id = (uint16_t)reader_be(&r, 2);
    const struct ke_group *group = ke_group_find(id);
    if (group && proposal_has_group(&offer, group) && sa->attempt.restarts++ < GROUP_RESTARTS) {
        sa->attempt.wanted = group;
        return;
    }
    char groups[GROUP_LIST_TEXT_MAX];
    proposal_group_list(&offer, groups);
    ike_log(sa->ike, "the CHILD SA is not rekeyed: the gateway chose group %u; the policy allows %s", id,
            groups[0] ? groups : "none");
    sa->retry_at = sa->ike->now + REFUSED_AGAIN_MS;
}

static void take_error(struct ike_sa *sa, struct child *old, const struct notify *n)
{
    struct ike *ike = sa->ike;
    struct child *rival = child_rival(ike, sa->attempt.child);
    if (rival && old && old->state == CHILD_LIVE) {
        /* The peer's own rekeying did it; it deletes the old one. */
        old->state = CHILD_WAITING;
        old->remove_at = ike->now + PEER_MUST_MS;
    }
    if (n->type == NOTIFY_INVALID_KE) {
        take_group(sa, n);
    } else if (n->type == NOTIFY_TEMPORARY_FAILURE) {
        sa->retry_at = ike->now + TEMPORARY_MS;
    } else if (n->type == NOTIFY_CHILD_SA_NOT_FOUND) {
        if (old && old->state != CHILD_LINGERING)
            child_end(ike, old);
    } else if (n->type == NOTIFY_NO_ADDITIONAL_SAS) {
        ike_log(ike, "the gateway opens no more CHILD SAs in this IKE SA; a new one is begun");
        sa->reauth_at = ike->now;
        sa->retry_at = ike->now + REFUSED_AGAIN_MS;
    } else {
        char why[REPORT_MAX];
        format(why, sizeof(why), "the gateway opens no CHILD SA: %s", error_words(n->type).text);
        sa->retry_at = ike->now + REFUSED_AGAIN_MS;
        if (!child_live(ike)) {
            ike_fail(ike, why, true);
            return;
        }
        ike_log(ike, "%s", why);
        if (old)
            sa_renew_before(sa, old->expire_at);
    }
}

/* What the other side sent for the key exchange. */
static bool finish_exchange(struct key_exchange *ke, const struct ke_group *group,
                            const struct payload_list *list, uint8_t shared[KE_SHARED_MAX],
                            struct bytes_view *out)
{
    struct bytes_view value;
    uint16_t id;
    *out = (struct bytes_view){0};
    if (!group)
        return true;
    if (ke->group != group || !ke_read(list, &id, &value) || id != group->id ||
        !ke_finish(ke, value.data, value.size, shared))
        return false;
    *out = (struct bytes_view){shared, group->shared_bytes};
    return true;
}

static struct child *take_child(struct ike_sa *sa, struct child *old, const struct payload_list *list,
                                struct report *problem)
{
    struct ike *ike = sa->ike;
    struct attempt *a = &sa->attempt;
    struct proposal_offer offer = child_offer(ike, true);
    struct ike_choice choice;
    struct key_inputs in = {.nonce_i = {a->nonce, sizeof(a->nonce)}};
    struct child_agreed agreed = {
        .choice = &choice, .inputs = &in, .spi_in = (uint32_t)a->spi, .replaces = a->child, .ours = true};
    uint8_t shared[KE_SHARED_MAX];
    struct child *made = NULL;
    if (!proposal_check_answer(list, &offer, &choice, problem))
        return NULL;
    if (!nonce_read(list, &in.nonce_r) || !finish_exchange(&a->ke, choice.group, list, shared, &in.shared))
        report(problem, "the gateway's nonce or key exchange value for the CHILD SA is not valid");
    else if (!selectors_read(list, PAYLOAD_TSI, &agreed.local) ||
             !selectors_read(list, PAYLOAD_TSR, &agreed.remote) ||
             !selectors_within(&agreed.local, old ? &old->p.local : &ike->config->local_selectors) ||
             !selectors_within(&agreed.remote, old ? &old->p.remote : &ike->config->remote_selectors))
        report(problem, "the gateway's traffic selectors for the CHILD SA are not those that were asked for");
    else
        made = child_add(sa, &agreed);
    wipe(shared, sizeof(shared));
    return made;
}

void child_answer(struct ike_sa *sa, const struct payload_list *list)
{
    struct ike *ike = sa->ike;
    uint32_t replaced = sa->attempt.child;
    struct child *old = replaced ? child_of_spi_in(ike, replaced) : NULL;
    struct report problem = {""};
    struct notify n;
    if (notify_error(list, &n)) {
        request_end(sa);
        take_error(sa, old, &n);
        return;
    }
    bool was_live = child_live(ike) != NULL;
    struct child *made = take_child(sa, old, list, &problem);
    request_end(sa);
    sa->attempt.wanted = NULL;
    sa->attempt.restarts = 0;
    if (!made) {
        /* The gateway has a CHILD SA now that we do not have: begin anew. */
        report(&problem, "the new CHILD SA could not be set up: no memory or no cipher");
        ike_fail(ike, problem.text, true);
        return;
    }
    child_settle(ike, old, made);
    if (made->p.spi_out == sa->attempt.deleted)
        child_end(ike, made);
    if (!was_live && !ike->is_up)
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
    struct selector_list wanted;
    if (!selectors_read(list, type, &wanted))
        return false;
    bool inside = selectors_within(&wanted, had);
    *out = inside ? wanted : *had;
    return inside || selectors_within(had, &wanted);
}

/* The peer's key exchange against ours; writes the error when its group is another. */
static bool answer_exchange(const struct ike_choice *choice, const struct payload_list *list,
                            struct key_exchange *ke, struct builder *b)
{
    struct bytes_view value;
    uint16_t id = 0;
    if (!choice->group)
        return true;
    if (!ke_read(list, &id, &value) || id != choice->group->id) {
        uint8_t wanted[] = {(uint8_t)(choice->group->id >> 8), (uint8_t)choice->group->id};
        put_notify(b, NOTIFY_INVALID_KE, wanted, sizeof(wanted));
        return false;
    }
    return ke_start(ke, choice->group);
}

static void put_child(struct builder *b, const struct child_agreed *agreed, const struct key_exchange *ke)
{
    struct proposal_offer ours = {.protocol = PROTOCOL_ESP, .spi_bytes = 4, .spi = agreed->spi_in};
    put_choice(b, &ours, agreed->choice);
    put_payload(b, PAYLOAD_NONCE, agreed->inputs->nonce_r.data, agreed->inputs->nonce_r.size);
    if (agreed->choice->group)
        put_ke(b, agreed->choice->group->id, ke->public_value, agreed->choice->group->public_bytes);
    put_selectors(b, PAYLOAD_TSI, &agreed->remote);
    put_selectors(b, PAYLOAD_TSR, &agreed->local);
}

/* Makes the CHILD SA that the peer asks for in place of `old`; NULL with the error in the answer, or with an
 * empty answer. */
static struct child *make_for_peer(struct ike_sa *sa, const struct child *old,
                                   const struct payload_list *list, struct builder *b)
{
    struct ike *ike = sa->ike;
    struct proposal_offer offer = child_offer(ike, true);
    struct ike_choice choice;
    uint8_t nonce[NONCE_BYTES], shared[KE_SHARED_MAX];
    struct key_exchange ke = {0};
    struct key_inputs in = {.nonce_r = {nonce, sizeof(nonce)}};
    struct child_agreed agreed = {.choice = &choice, .inputs = &in, .replaces = old->p.spi_in};
    struct child *made = NULL;
    agreed.spi_in = child_make_spi(ike);
    if (!proposal_choose(list, &offer, &choice)) {
        put_notify(b, NOTIFY_NO_PROPOSAL_CHOSEN, NULL, 0);
    } else if (!narrow(list, PAYLOAD_TSI, &old->p.remote, &agreed.remote) ||
               !narrow(list, PAYLOAD_TSR, &old->p.local, &agreed.local)) {
        put_notify(b, NOTIFY_TS_UNACCEPTABLE, NULL, 0);
    } else if (!nonce_read(list, &in.nonce_i)) {
        put_notify(b, NOTIFY_INVALID_SYNTAX, NULL, 0);
    } else if (answer_exchange(&choice, list, &ke, b)) {
        bool good = agreed.spi_in && ike->call.entropy(ike->owner, nonce, sizeof(nonce)) &&
                    finish_exchange(&ke, choice.group, list, shared, &in.shared);
        made = good ? child_add(sa, &agreed) : NULL;
        if (made)
            put_child(b, &agreed, &ke);
        else
            put_notify(b, NOTIFY_TEMPORARY_FAILURE, NULL, 0);
    }
    wipe(shared, sizeof(shared));
    ke_free(&ke);
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
    uint16_t obstacle = rekey_obstacle(sa, old);
    if (obstacle == NOTIFY_CHILD_SA_NOT_FOUND) {
        put_notify_spi(b, obstacle, n.spi);
    } else if (obstacle) {
        put_notify(b, obstacle, NULL, 0);
    } else if (make_for_peer(sa, old, list, b)) {
        /* While our own rekeying of it is under way, its answer decides (child_settle). */
        if (sa->request.kind == EX_CHILD && sa->attempt.child == old->p.spi_in)
            return;
        old->state = CHILD_WAITING;
        old->remove_at = ike->now + PEER_MUST_MS;
    }
}
