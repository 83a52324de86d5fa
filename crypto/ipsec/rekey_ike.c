/* SPDX-License-Identifier: Apache-2.0 */
/* Rekeying of the IKE SA from either end, and from both at once (RFC 7296 sections 1.3.2, 2.8.2, 2.18,
 * 2.25.2). */
#include "crypto/ipsec/connection.h"
#include "lib/strings.h"

#define REFUSED_AGAIN_MS (10 * SECOND_MS)
#define GROUP_RESTARTS   3

static struct proposal_offer rekey_offer(const struct ike *ike, uint64_t spi)
{
    return (struct proposal_offer){.list = ike->config->ike,
                                   .count = ike->config->ike_count,
                                   .protocol = PROTOCOL_IKE,
                                   .spi_bytes = 8,
                                   .spi = spi,
                                   .with_groups = true};
}

bool rekey_ike_build(struct ike_sa *sa, struct builder *b)
{
    struct ike *ike = sa->ike;
    struct attempt *a = &sa->attempt;
    struct proposal_offer offer = rekey_offer(ike, make_spi(ike));
    const struct ke_group *group = proposal_has_group(&offer, a->wanted) ? a->wanted : sa->group;
    a->spi = offer.spi;
    if (!a->spi || !ike->call.entropy(ike->owner, a->nonce, sizeof(a->nonce)) || !ke_start(&a->ke, group))
        return false;
    put_offer(b, &offer);
    put_payload(b, PAYLOAD_NONCE, a->nonce, sizeof(a->nonce));
    put_ke(b, group->id, a->ke.public_value, group->public_bytes);
    return !b->failed;
}

/* The new IKE SA: keys from this exchange, everything else from the old one. */
static struct ike_sa *make_new(struct ike_sa *old, bool initiator, const struct ike_choice *choice,
                               const struct key_inputs *in)
{
    struct ike_sa *sa = sa_create(old->ike, initiator);
    if (!sa)
        return NULL;
    sa->state = SA_LIVE;
    sa->spi_i = in->spi_i;
    sa->spi_r = in->spi_r;
    sa->local = old->local;
    sa->remote = old->remote;
    sa->nat_known = old->nat_known;
    sa->nat_local = old->nat_local;
    sa->nat_remote = old->nat_remote;
    sa->fragmentation = old->fragmentation;
    sa->mobike = old->mobike;
    sa->probe = nat_watches(sa);
    sa->peer_hashes = old->peer_hashes;
    sa->reauth_at = old->reauth_at; /* rekeying renews no authentication (RFC 4478) */
    sa->reauth_by = old->reauth_by;
    sa->group = choice->group;
    struct bytes_view low = nonce_lower(in->nonce_i, in->nonce_r) ? in->nonce_i : in->nonce_r;
    memcpy(sa->low_nonce, low.data, low.size);
    sa->low_nonce_size = low.size;
    sa_set_lifetimes(sa);
    if (keys_ike(&sa->keys, choice, in, &old->keys))
        return sa;
    sa_kill(sa);
    return NULL;
}

static void settle(struct ike_sa *old, struct ike_sa *made)
{
    struct ike_sa *rival = old->rival;
    old->rival = NULL;
    if (rival && rival->state != SA_LIVE)
        rival = NULL; /* the peer has deleted it meanwhile */
    struct bytes_view ours = {made->low_nonce, made->low_nonce_size};
    if (rival && nonce_lower(ours, (struct bytes_view){rival->low_nonce, rival->low_nonce_size})) {
        /* Ours is the redundant one, and ours to delete; the peer deletes the old one. */
        sa_take_over(rival, old);
        made->state = SA_REPLACED;
        made->close = true;
        return;
    }
    sa_take_over(made, old);
    old->close = true;
    if (rival) {
        rival->state = SA_REPLACED;
        rival->expire_at = old->ike->now + PEER_MUST_MS;
    }
}

static void take_error(struct ike_sa *sa, const struct notify *n)
{
    struct ike *ike = sa->ike;
    struct proposal_offer offer = rekey_offer(ike, 0);
    struct reader r = reader_of(n->data.data, n->data.size);
    const struct ke_group *group = ke_group_find((uint16_t)reader_be(&r, 2));
    if (sa->rival && sa->rival->state == SA_LIVE) {
        sa_take_over(sa->rival, sa);
        sa->rival = NULL;
    } else if (n->type == NOTIFY_INVALID_KE && group && proposal_has_group(&offer, group) &&
               sa->attempt.restarts++ < GROUP_RESTARTS) {
        sa->attempt.wanted = group;
    } else if (n->type == NOTIFY_TEMPORARY_FAILURE) {
        sa->retry_at = ike->now + TEMPORARY_MS;
    } else {
        ike_log(ike, "the gateway does not rekey the IKE SA: %s", error_words(n->type).text);
        sa->retry_at = ike->now + REFUSED_AGAIN_MS;
        sa_renew_before(sa, sa->expire_at);
    }
}

static struct ike_sa *take_new(struct ike_sa *sa, const struct payload_list *list, struct report *problem)
{
    struct attempt *a = &sa->attempt;
    struct proposal_offer offer = rekey_offer(sa->ike, a->spi);
    struct ike_choice choice;
    struct bytes_view value;
    uint16_t id;
    uint8_t shared[KE_SHARED_MAX];
    if (!proposal_check_answer(list, &offer, &choice, problem))
        return NULL;
    struct key_inputs in = {.nonce_i = {a->nonce, sizeof(a->nonce)}, .spi_i = a->spi, .spi_r = choice.spi};
    if (!nonce_read(list, &in.nonce_r) || !ke_read(list, &id, &value) || choice.group != a->ke.group ||
        id != choice.group->id || !ke_finish(&a->ke, value.data, value.size, shared)) {
        report(problem, "the gateway's nonce or key exchange value for the new IKE SA is not valid");
        return NULL;
    }
    in.shared = (struct bytes_view){shared, choice.group->shared_bytes};
    struct ike_sa *made = make_new(sa, true, &choice, &in);
    wipe(shared, sizeof(shared));
    return made;
}

void rekey_ike_answer(struct ike_sa *sa, const struct payload_list *list)
{
    struct report problem = {""};
    struct notify n;
    if (notify_error(list, &n)) {
        request_end(sa);
        take_error(sa, &n);
        return;
    }
    struct ike_sa *made = take_new(sa, list, &problem);
    request_end(sa);
    sa->attempt.wanted = NULL;
    sa->attempt.restarts = 0;
    if (made) {
        settle(sa, made);
    } else {
        report(&problem, "the new IKE SA could not be set up: no memory or no randomness");
        sa_fail(sa, problem.text, true);
    }
}

static bool busy(const struct ike_sa *sa)
{
    return sa->state != SA_LIVE || sa->close || sa->rival ||
           (sa->request.kind != EX_NONE && sa->request.kind != EX_REKEY_IKE &&
            sa->request.kind != EX_LIVENESS);
}

static struct ike_sa *make_for_peer(struct ike_sa *sa, const struct payload_list *list, struct builder *b)
{
    struct ike *ike = sa->ike;
    struct proposal_offer offer = rekey_offer(ike, make_spi(ike));
    struct ike_choice choice;
    struct key_inputs in = {0};
    struct bytes_view value;
    uint16_t id = 0;
    if (!proposal_choose(list, &offer, &choice)) {
        put_notify(b, NOTIFY_NO_PROPOSAL_CHOSEN, NULL, 0);
        return NULL;
    }
    if (!nonce_read(list, &in.nonce_i)) {
        put_notify(b, NOTIFY_INVALID_SYNTAX, NULL, 0);
        return NULL;
    }
    if (!ke_read(list, &id, &value) || id != choice.group->id) {
        uint8_t wanted[] = {(uint8_t)(choice.group->id >> 8), (uint8_t)choice.group->id};
        put_notify(b, NOTIFY_INVALID_KE, wanted, sizeof(wanted));
        return NULL;
    }
    uint8_t nonce[NONCE_BYTES], shared[KE_SHARED_MAX];
    struct key_exchange ke = {0};
    in.spi_i = choice.spi;
    in.spi_r = offer.spi;
    in.nonce_r = (struct bytes_view){nonce, sizeof(nonce)};
    in.shared = (struct bytes_view){shared, choice.group->shared_bytes};
    bool good = offer.spi && ike->call.entropy(ike->owner, nonce, sizeof(nonce)) &&
                ke_start(&ke, choice.group) && ke_finish(&ke, value.data, value.size, shared);
    struct ike_sa *made = good ? make_new(sa, false, &choice, &in) : NULL;
    if (made) {
        put_choice(b, &offer, &choice);
        put_payload(b, PAYLOAD_NONCE, nonce, sizeof(nonce));
        put_ke(b, choice.group->id, ke.public_value, choice.group->public_bytes);
    } else {
        put_notify(b, NOTIFY_TEMPORARY_FAILURE, NULL, 0);
    }
    wipe(shared, sizeof(shared));
    ke_free(&ke);
    return made;
}

void rekey_ike_request(struct ike_sa *sa, const struct payload_list *list, struct builder *b)
{
    if (busy(sa)) {
        put_notify(b, NOTIFY_TEMPORARY_FAILURE, NULL, 0);
        return;
    }
    struct ike_sa *made = make_for_peer(sa, list, b);
    if (!made)
        return;
    if (sa->request.kind == EX_REKEY_IKE)
        sa->rival = made; /* our own answer decides (settle) */
    else
        sa_take_over(made, sa);
}
