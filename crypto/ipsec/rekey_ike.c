/* SPDX-License-Identifier: Apache-2.0 */
/* Rekeying of the IKE SA from either end, and from both at once (RFC 7296 sections 1.3.2, 2.8.2, 2.18,
 * 2.25.2). */
#include "crypto/ipsec/connection.h"

static bool rekey_ike_build(struct ike_sa *sa, struct builder *b)
{
    return put_attempt(sa, PROTOCOL_IKE, make_spi(sa->ike), sa->keys.choice.group, b);
}

/* The new IKE SA: keys from this exchange, everything else from the old one. */
static struct ike_sa *make_new(struct ike_sa *old, bool initiator)
{
    const struct agreed *agreed = &old->ike->agreed;
    struct ike_sa *sa = sa_create(old->ike, initiator);
    if (!sa)
        return NULL;
    sa->state = SA_LIVE;
    sa->spi_i = agreed->in.spi_i;
    sa->spi_r = agreed->in.spi_r;
    sa->local = old->local;
    sa->remote = old->remote;
    sa->nat_known = old->nat_known;
    sa->nat_local = old->nat_local;
    sa->nat_remote = old->nat_remote;
    sa->fragmentation = old->fragmentation;
    sa->mobike = old->mobike;
    sa->probe = nat_watches(sa);
    sa->reauth_at = old->reauth_at; /* rekeying renews no authentication (RFC 4478) */
    sa->reauth_by = old->reauth_by;
    sa->low = lower_nonce(&agreed->in);
    limit_life(sa->ike, sa->ike->config->ike_lifetime, &sa->rekey_at, &sa->expire_at);
    if (keys_ike(&sa->keys, &agreed->choice, &agreed->in, &old->keys))
        return sa;
    sa_kill(sa);
    return NULL;
}

static void settle(struct ike_sa *old, struct ike_sa *made)
{
    struct ike_sa *rival = old->rival;
    old->rival = NULL;
    bool lost = rival && nonce_loses(&made->low, &rival->low);
    if (lost && rival->state != SA_LIVE) {
        /* The peer's stayed, and has been deleted since: that was the connection. */
        connection_closed(old->ike, "the gateway closed the connection");
    } else if (lost) {
        /* Ours is the redundant one, and ours to delete; the peer deletes the old one. */
        sa_take_over(rival, old);
        made->state = SA_REPLACED;
        made->close = true;
    } else {
        sa_take_over(made, old);
        old->close = true;
        if (rival && rival->state == SA_LIVE) {
            rival->state = SA_REPLACED;
            rival->expire_at = old->ike->now + PEER_MUST_MS;
        }
    }
}

static void take_error(struct ike_sa *sa, const struct notify *n)
{
    struct report why = {""};
    if (sa->rival && sa->rival->state == SA_LIVE) {
        sa_take_over(sa->rival, sa);
        sa->rival = NULL;
    } else if (!rekey_again(sa, n, &why)) {
        ike_log(sa->ike, "the gateway does not rekey the IKE SA: %s", why.text);
        sa_renew_before(sa, sa->expire_at);
    }
}

static void rekey_ike_answer(struct ike_sa *sa, const struct payload_list *list)
{
    struct report problem = {""};
    struct ike_sa *made = NULL;
    struct notify n;
    if (notify_error(list, &n)) {
        take_error(sa, &n);
        return;
    }
    if (agree_on_answer(sa, list, &problem))
        made = make_new(sa, true);
    report(&problem, "the new IKE SA could not be set up: no memory or no randomness");
    if (made)
        settle(sa, made);
    else
        sa_fail(sa, FAIL_REFUSED, "%s", problem.text);
}

const struct exchange exchange_rekey_ike = {"CREATE_CHILD_SA (IKE SA)", CREATE_CHILD_SA, rekey_ike_build,
                                            rekey_ike_answer};

static bool busy(const struct ike_sa *sa)
{
    return sa->state != SA_LIVE || sa->close || sa->rival ||
           (sa->request.kind && sa->request.kind != &exchange_rekey_ike &&
            sa->request.kind != &exchange_liveness);
}

void rekey_ike_request(struct ike_sa *sa, const struct payload_list *list, struct builder *b)
{
    struct agreed *agreed = &sa->ike->agreed;
    struct ike_sa *made = NULL;
    agreed->own.offer = offer_of(sa->ike, PROTOCOL_IKE, make_spi(sa->ike));
    if (busy(sa) || (agree_on_request(sa->ike, list, b) && !(made = make_new(sa, false)))) {
        put_notify(b, NOTIFY_TEMPORARY_FAILURE, NULL, 0);
    } else if (made) {
        put_choice(b, &agreed->own.offer, &agreed->choice);
        put_half(b, &agreed->own);
    }
    if (made && sa->request.kind == &exchange_rekey_ike)
        sa->rival = made; /* our own answer decides (settle) */
    else if (made)
        sa_take_over(made, sa);
}
