/* SPDX-License-Identifier: Apache-2.0 */
/* What IKE_SA_INIT, and CREATE_CHILD_SA for CHILD and IKE SAs have in common: a proposal, two nonces, a key
 * exchange (RFC 7296 sections 1.2, 1.3); a refusal of it, and which of two stays when both ends began one. */
#include "crypto/ipsec/connection.h"

#define REFUSED_AGAIN_MS (10 * SECOND_MS)
#define GROUP_RESTARTS   3

struct proposal_offer offer_of(const struct ike *ike, enum ipsec_protocol protocol, uint64_t spi)
{
    bool esp = protocol == PROTOCOL_ESP;
    return (struct proposal_offer){.all = esp ? &ike->config->esp : &ike->config->ike,
                                   .protocol = protocol,
                                   .spi_bytes = esp ? sizeof(uint32_t) : sizeof(uint64_t),
                                   .spi = spi,
                                   .with_groups = true};
}

bool half_make(struct ike *ike, struct own_half *own, const struct algorithm *group)
{
    own->nonce.size = NONCE_BYTES;
    return own->offer.spi && ike->call.entropy(ike->owner, own->nonce.bytes, NONCE_BYTES) &&
           (!group || ke_start(&own->ke, group));
}

void put_half(struct builder *b, const struct own_half *own)
{
    put_payload(b, PAYLOAD_NONCE, own->nonce.bytes, own->nonce.size);
    if (own->ke.group)
        put_ke(b, own->ke.group->id, own->ke.public_value, own->ke.group->public_bytes);
}

bool put_attempt(struct ike_sa *sa, enum ipsec_protocol protocol, uint64_t spi, const struct algorithm *usual,
                 struct builder *b)
{
    struct attempt *a = &sa->attempt;
    a->own.offer = offer_of(sa->ike, protocol, spi);
    bool good = half_make(sa->ike, &a->own, proposal_has_group(&a->own.offer, a->wanted) ? a->wanted : usual);
    put_offer(b, &a->own.offer);
    put_half(b, &a->own);
    return good;
}

/* Our half and the peer's, of the choice in *out. */
static bool join(const struct own_half *own, const struct payload_list *list, bool ours_began,
                 struct agreed *out)
{
    const struct algorithm *group = out->choice.group;
    struct bytes_view value;
    uint16_t id;
    out->in = (struct key_inputs){.nonce_i = own->nonce,
                                  .nonce_r = own->nonce,
                                  .spi_i = ours_began ? own->offer.spi : out->choice.spi,
                                  .spi_r = ours_began ? out->choice.spi : own->offer.spi};
    if (!nonce_read(list, ours_began ? &out->in.nonce_r : &out->in.nonce_i))
        return false;
    if (!group)
        return true;
    out->in.shared = (struct bytes_view){out->shared, group->shared_bytes};
    return ke_read(list, &id, &value) && id == group->id &&
           ke_finish(&own->ke, value.data, value.size, out->shared);
}

bool agree_on_answer(struct ike_sa *sa, const struct payload_list *list, struct report *problem)
{
    struct attempt *a = &sa->attempt;
    struct agreed *out = &sa->ike->agreed;
    const struct algorithm *group = a->own.ke.group;
    if (!proposal_check_answer(list, &a->own.offer, &out->choice, problem))
        return false;
    if (out->choice.group && out->choice.group != group)
        return report(problem, "the gateway chose group %u, but our key exchange was for group %u",
                      out->choice.group->id, group ? group->id : 0);
    if (!join(&a->own, list, true, out))
        return report(problem, "the gateway's nonce or key exchange value for the %s SA is not valid",
                      a->own.offer.protocol == PROTOCOL_ESP ? "CHILD" : "IKE");
    a->wanted = NULL;
    a->restarts = 0;
    return true;
}

bool agree_on_request(struct ike *ike, const struct payload_list *list, struct builder *b)
{
    struct agreed *out = &ike->agreed;
    struct bytes_view value;
    uint16_t id = 0;
    if (!proposal_choose(list, &out->own.offer, &out->choice))
        put_notify(b, NOTIFY_NO_PROPOSAL_CHOSEN, NULL, 0);
    else if (out->choice.group && (!ke_read(list, &id, &value) || id != out->choice.group->id))
        put_headed(b, PAYLOAD_NOTIFY, (uint64_t)NOTIFY_INVALID_KE << 16 | out->choice.group->id, 6,
                   (struct bytes_view){0});
    else if (!half_make(ike, &out->own, out->choice.group))
        put_notify(b, NOTIFY_TEMPORARY_FAILURE, NULL, 0);
    else if (!join(&out->own, list, false, out))
        put_notify(b, NOTIFY_INVALID_SYNTAX, NULL, 0);
    else
        return true;
    return false;
}

const struct algorithm *wanted_group(const struct ike_sa *sa, const struct notify *n, struct report *problem)
{
    const struct proposal_offer *offer = &sa->attempt.own.offer;
    struct reader r = reader_of(n->data.data, n->data.size);
    uint16_t id = (uint16_t)reader_be(&r, 2);
    const struct algorithm *group = algorithm_find(TRANSFORM_KE, id, 0);
    if (proposal_has_group(offer, group))
        return group;
    report(problem, "the gateway chose group %u; the policy allows %s", id, proposal_groups(offer).text);
    return NULL;
}

bool rekey_again(struct ike_sa *sa, const struct notify *n, struct report *why)
{
    struct attempt *a = &sa->attempt;
    if (n->type == NOTIFY_TEMPORARY_FAILURE) {
        sa->retry_at = sa->ike->now + TEMPORARY_MS;
        return true;
    }
    if (n->type == NOTIFY_INVALID_KE) {
        a->wanted = wanted_group(sa, n, why);
        if (a->wanted && a->restarts++ < GROUP_RESTARTS)
            return true;
    }
    sa->retry_at = sa->ike->now + REFUSED_AGAIN_MS;
    return report(why, "%s", error_words(n->type).text);
}

struct nonce lower_nonce(const struct key_inputs *in)
{
    return nonce_loses(&in->nonce_i, &in->nonce_r) ? in->nonce_i : in->nonce_r;
}

bool nonce_loses(const struct nonce *a, const struct nonce *b)
{
    int order = memcmp(a->bytes, b->bytes, MIN(a->size, b->size));
    return order < 0 || (order == 0 && a->size < b->size);
}
