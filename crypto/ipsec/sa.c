/* SPDX-License-Identifier: Apache-2.0 */
/* IKE SAs: made, replaced, freed. */
#include "crypto/ipsec/connection.h"

uint64_t make_spi(struct ike *ike)
{
    uint64_t spi = 0;
    return ike->call.entropy(ike->owner, &spi, sizeof(spi)) ? spi : 0;
}

struct ike_sa *sa_create(struct ike *ike, bool initiator)
{
    unsigned count = 0;
    for (const struct ike_sa *sa = ike->sas; sa; sa = sa->next)
        count += sa->state != SA_DEAD;
    /* Those that only linger have to go. */
    for (struct ike_sa *sa = ike->sas; sa && count >= SAS_MAX; sa = sa->next)
        if (sa->state == SA_GONE) {
            sa_kill(sa);
            count--;
        }
    struct ike_sa *sa = count < SAS_MAX ? OPENSSL_zalloc(sizeof(*sa)) : NULL;
    if (!sa)
        return NULL;
    sa->next = ike->sas;
    ike->sas = sa;
    sa->ike = ike;
    sa->initiator = initiator;
    sa->local = (struct ip_endpoint){ike->local, IKE_PORT};
    sa->remote = (struct ip_endpoint){ike->remote, IKE_PORT};
    sa->born = sa->last_in = ike->now;
    sa->rekey_at = sa->expire_at = sa->reauth_at = sa->reauth_by = NEVER;
    sa->retry_at = ike->now;
    return sa;
}

void sa_kill(struct ike_sa *sa)
{
    struct ike *ike = sa->ike;
    sa->state = SA_DEAD;
    for (struct child *c = NULL; (c = child_next(ike, c));)
        if (c->sa == sa)
            child_remove(ike, c);
    if (ike->current == sa)
        ike->current = NULL;
    for (struct ike_sa *other = ike->sas; other; other = other->next)
        if (other->rival == sa)
            other->rival = NULL;
    wake_at(ike, ike->now);
}

void ike_sweep(struct ike *ike)
{
    for (struct ike_sa **at = &ike->sas; *at;) {
        struct ike_sa *sa = *at;
        if (sa->state != SA_DEAD) {
            at = &sa->next;
            continue;
        }
        *at = sa->next;
        ke_free(&sa->attempt.own.ke);
        OPENSSL_clear_free(sa, sizeof(*sa));
    }
}

void sa_take_over(struct ike_sa *to, struct ike_sa *from)
{
    struct ike *ike = to->ike;
    for (struct child *c = NULL; (c = child_next(ike, c));)
        if (c->sa == from)
            c->sa = to;
    if (ike->current == from)
        ike->current = to;
    /* A rival that the peer has rekeyed again already stands as it did, by its own nonces. */
    for (struct ike_sa *sa = ike->sas; sa; sa = sa->next)
        if (sa->rival == from) {
            sa->rival = to;
            to->low = from->low;
        }
    from->state = SA_REPLACED;
    from->expire_at = ike->now + PEER_MUST_MS;
    from->rekey_at = from->reauth_at = NEVER;
    to->move = to->move || from->move;
    from->move = false;
}

void sa_renew_before(struct ike_sa *sa, uint64_t end)
{
    uint64_t now = sa->ike->now;
    if (end != NEVER && end > now)
        sa->reauth_at = MIN(sa->reauth_at, now + (end - now) / 2);
}

bool sa_encapsulates(const struct ike_sa *sa)
{
    return sa->nat_known && (sa->nat_local || sa->nat_remote || sa->ike->config->force_udp);
}
