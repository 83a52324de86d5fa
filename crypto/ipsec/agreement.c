/* SPDX-License-Identifier: Apache-2.0 */
/* What IKE_SA_INIT, and CREATE_CHILD_SA for CHILD and IKE SAs have in common: a proposal, two nonces, a key
 * exchange (RFC 7296 sections 1.2, 1.3); a refusal of it, and which of two stays when both ends began one. */
#include "crypto/ipsec/connection.h"
#include "lib/strings.h"

#define REFUSED_AGAIN_MS (10 * SECOND_MS)
#define GROUP_RESTARTS   3

struct proposal_offer offer_of(const struct ike *ike, enum ipsec_protocol protocol, uint8_t spi_bytes,
                               uint64_t spi)
{
    bool esp = protocol == PROTOCOL_ESP;
    return (struct proposal_offer){.list = esp ? ike->config->esp : ike->config->ike,
                                   .count = esp ? ike->config->esp_count : ike->config->ike_count,
                                   .protocol = protocol,
                                   .spi_bytes = spi_bytes,
                                   .spi = spi,
                                   .with_groups = true};
}

bool half_make(struct ike *ike, struct own_half *own, const struct algorithm *group)
{
    return own->spi && ike->call.entropy(ike->owner, own->nonce, sizeof(own->nonce)) &&
           (!group || ke_start(&own->ke, group));
}

void put_half(struct builder *b, const struct own_half *own)
{
    put_payload(b, PAYLOAD_NONCE, own->nonce, sizeof(own->nonce));
    if (own->ke.group)
        put_ke(b, own->ke.group->id, own->ke.public_value, own->ke.group->public_bytes);
}

/* Our half and the peer's, of the choice in *out. */
static bool join(const struct own_half *own, const struct payload_list *list, bool ours_began,
                 struct agreed *out)
{
    const struct algorithm *group = out->choice.group;
    struct bytes_view theirs, ours = {own->nonce, sizeof(own->nonce)}, value;
    uint16_t id;
    if (!nonce_read(list, &theirs))
        return false;
    out->in = (struct key_inputs){.nonce_i = ours_began ? ours : theirs,
                                  .nonce_r = ours_began ? theirs : ours,
                                  .spi_i = ours_began ? own->spi : out->choice.spi,
                                  .spi_r = ours_began ? out->choice.spi : own->spi};
    if (!group)
        return true;
    out->in.shared = (struct bytes_view){out->shared, group->shared_bytes};
    return ke_read(list, &id, &value) && id == group->id &&
           ke_finish(&own->ke, value.data, value.size, out->shared);
}

bool agree_on_answer(struct ike_sa *sa, const struct payload_list *list, const struct proposal_offer *offer,
                     struct agreed *out, struct report *problem)
{
    struct attempt *a = &sa->attempt;
    const struct algorithm *group = a->own.ke.group;
    if (!proposal_check_answer(list, offer, &out->choice, problem))
        return false;
    if (out->choice.group && out->choice.group != group)
        return report(problem, "the gateway chose group %u, but our key exchange was for group %u",
                      out->choice.group->id, group ? group->id : 0);
    if (!join(&a->own, list, true, out))
        return report(problem, "the gateway's nonce or key exchange value for the %s SA is not valid",
                      offer->protocol == PROTOCOL_ESP ? "CHILD" : "IKE");
    a->wanted = NULL;
    a->restarts = 0;
    return true;
}

bool agree_on_request(struct ike *ike, const struct payload_list *list, const struct proposal_offer *offer,
                      struct own_half *own, struct agreed *out, struct builder *b)
{
    struct bytes_view value;
    uint16_t id = 0;
    if (!proposal_choose(list, offer, &out->choice))
        put_notify(b, NOTIFY_NO_PROPOSAL_CHOSEN, NULL, 0);
    else if (!nonce_read(list, &value))
        put_notify(b, NOTIFY_INVALID_SYNTAX, NULL, 0);
    else if (out->choice.group && (!ke_read(list, &id, &value) || id != out->choice.group->id))
        put_headed(b, PAYLOAD_NOTIFY, (uint64_t)NOTIFY_INVALID_KE << 16 | out->choice.group->id, 6,
                   (struct bytes_view){0});
    else if (!half_make(ike, own, out->choice.group) || !join(own, list, false, out))
        put_notify(b, NOTIFY_TEMPORARY_FAILURE, NULL, 0);
    else
        return true;
    return false;
}

const struct algorithm *wanted_group(const struct notify *n, const struct proposal_offer *offer,
                                     struct report *problem)
{
    struct reader r = reader_of(n->data.data, n->data.size);
    uint16_t id = (uint16_t)reader_be(&r, 2);
    const struct algorithm *group = algorithm_find(TRANSFORM_KE, id, 0);
    if (proposal_has_group(offer, group))
        return group;
    report(problem, "the gateway chose group %u; the policy allows %s", id, proposal_groups(offer).text);
    return NULL;
}

bool rekey_again(struct ike_sa *sa, const struct notify *n, const struct proposal_offer *offer,
                 struct report *why)
{
    struct attempt *a = &sa->attempt;
    if (n->type == NOTIFY_TEMPORARY_FAILURE) {
        sa->retry_at = sa->ike->now + TEMPORARY_MS;
        return true;
    }
    if (n->type == NOTIFY_INVALID_KE) {
        a->wanted = wanted_group(n, offer, why);
        if (a->wanted && a->restarts++ < GROUP_RESTARTS)
            return true;
    }
    sa->retry_at = sa->ike->now + REFUSED_AGAIN_MS;
    return report(why, "%s", error_words(n->type).text);
}

struct nonce lower_nonce(const struct key_inputs *in)
{
    struct nonce i = {in->nonce_i.size, {0}}, r = {in->nonce_r.size, {0}};
    memcpy(i.bytes, in->nonce_i.data, i.size);
    memcpy(r.bytes, in->nonce_r.data, r.size);
    return nonce_loses(&i, &r) ? i : r;
}

bool nonce_loses(const struct nonce *a, const struct nonce *b)
{
    int order = memcmp(a->bytes, b->bytes, MIN(a->size, b->size));
    return order < 0 || (order == 0 && a->size < b->size);
}
