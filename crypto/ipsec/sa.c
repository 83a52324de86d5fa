/* SPDX-License-Identifier: Apache-2.0 */
/* IKE SAs: made, replaced, freed. */
#include "crypto/ipsec/connection.h"
#include "lib/strings.h"
#include <openssl/crypto.h>

uint64_t make_spi(struct ike *ike)
{
    uint64_t spi = 0;
    for (unsigned i = 0; i < 4 && spi == 0; i++)
        if (!ike->call.entropy(ike->owner, &spi, sizeof(spi)))
            return 0;
    return spi;
}

static struct ike_sa **free_slot(struct ike *ike)
{
    for (unsigned i = 0; i < SAS_MAX; i++)
        if (!ike->sas[i])
            return &ike->sas[i];
    return NULL;
}

/* One that only lingers has to go. */
static struct ike_sa **make_room(struct ike *ike)
{
    for (unsigned i = 0; i < SAS_MAX; i++)
        if (ike->sas[i]->state == SA_GONE)
            sa_kill(ike->sas[i]);
    ike_sweep(ike);
    return free_slot(ike);
}

struct ike_sa *sa_create(struct ike *ike, bool initiator)
{
    struct ike_sa **slot = free_slot(ike);
    if (!slot)
        slot = make_room(ike);
    struct ike_sa *sa = slot ? OPENSSL_zalloc(sizeof(*sa)) : NULL;
    if (!sa)
        return NULL;
    *slot = sa;
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
    for (unsigned i = 0; i < CHILDREN_MAX; i++)
        if (ike->children[i].state != CHILD_FREE && ike->children[i].sa == sa)
            child_remove(ike, &ike->children[i]);
    if (ike->current == sa)
        ike->current = NULL;
    for (unsigned i = 0; i < SAS_MAX; i++)
        if (ike->sas[i] && ike->sas[i]->rival == sa)
            ike->sas[i]->rival = NULL;
    wake_at(ike, ike->now);
}

static void sa_free(struct ike_sa *sa)
{
    ke_free(&sa->attempt.ke);
    if (sa->initial)
        OPENSSL_clear_free(sa->initial, sizeof(*sa->initial));
    OPENSSL_clear_free(sa, sizeof(*sa));
}

void ike_sweep(struct ike *ike)
{
    for (unsigned i = 0; i < SAS_MAX; i++)
        if (ike->sas[i] && ike->sas[i]->state == SA_DEAD) {
            sa_free(ike->sas[i]);
            ike->sas[i] = NULL;
        }
}

void sa_take_over(struct ike_sa *to, struct ike_sa *from)
{
    struct ike *ike = to->ike;
    for (unsigned i = 0; i < CHILDREN_MAX; i++)
        if (ike->children[i].state != CHILD_FREE && ike->children[i].sa == from)
            ike->children[i].sa = to;
    if (ike->current == from)
        ike->current = to;
    /* A rival that the peer has rekeyed again already stands as it did, by its own nonces. */
    for (unsigned i = 0; i < SAS_MAX; i++)
        if (ike->sas[i] && ike->sas[i]->rival == from) {
            ike->sas[i]->rival = to;
            to->low_nonce_size = from->low_nonce_size;
            memcpy(to->low_nonce, from->low_nonce, from->low_nonce_size);
        }
    from->state = SA_REPLACED;
    from->expire_at = ike->now + PEER_MUST_MS;
    from->rekey_at = from->reauth_at = NEVER;
    to->move = to->move || from->move;
    from->move = false;
}

void sa_set_lifetimes(struct ike_sa *sa)
{
    const struct ike_configuration *config = sa->ike->config;
    sa->born = sa->ike->now;
    sa->rekey_at = soft_limit(sa->ike, config->ike_lifetime);
    sa->expire_at = hard_limit(sa->ike, config->ike_lifetime);
    sa->keepalive_at = sa->ike->now + config->keepalive_interval * SECOND_MS;
}

void sa_renew_before(struct ike_sa *sa, uint64_t end)
{
    uint64_t now = sa->ike->now;
    if (end != NEVER && end > now)
        sa->reauth_at = MIN(sa->reauth_at, now + (end - now) / 2);
}

struct sk_keys sa_keys_out(const struct ike_sa *sa)
{
    const struct ike_keys *k = &sa->keys;
    return (struct sk_keys){k->cipher, k->integrity, sa->initiator ? k->ei : k->er,
                            sa->initiator ? k->ai : k->ar};
}

struct sk_keys sa_keys_in(const struct ike_sa *sa)
{
    const struct ike_keys *k = &sa->keys;
    return (struct sk_keys){k->cipher, k->integrity, sa->initiator ? k->er : k->ei,
                            sa->initiator ? k->ar : k->ai};
}

bool sa_encapsulates(const struct ike_sa *sa)
{
    return sa->nat_known && (sa->nat_local || sa->nat_remote || sa->ike->config->force_udp);
}

uint64_t sa_own_spi(const struct ike_sa *sa)
{
    return sa->initiator ? sa->spi_i : sa->spi_r;
}
