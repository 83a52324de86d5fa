/* SPDX-License-Identifier: Apache-2.0 */
/* IKE_SA_INIT (RFC 7296 section 1.2): in clear, so that nothing in it is believed before AUTH covers it. */
#include "crypto/ipsec/connection.h"

#define RESTARTS_MAX        6    /* by COOKIE and INVALID_KE_PAYLOAD together */
#define REFUSAL_PATIENCE_MS 1500 /* a forged refusal must not end what the true answer would continue */

/* After COOKIE everything but the cookie is as before, after INVALID_KE_PAYLOAD everything but the key. */
static bool init_build(struct ike_sa *sa, struct builder *b)
{
    static const uint8_t hashes[] = {0, HASH_SHA2_256, 0, HASH_SHA2_384, 0, HASH_SHA2_512};
    const struct initial *in = &sa->initial;
    const struct algorithm *group = sa->attempt.wanted;
    struct own_half *own = &sa->attempt.own;
    if (group != own->ke.group) {
        ke_free(&own->ke);
        if (!ke_start(&own->ke, group))
            return false;
    }
    if (in->cookie_size)
        put_notify(b, NOTIFY_COOKIE, in->cookie, in->cookie_size);
    put_offer(b, &own->offer);
    put_ke(b, group->id, own->ke.public_value, group->public_bytes);
    put_payload(b, PAYLOAD_NONCE, own->nonce.bytes, own->nonce.size);
    put_nat_detection(sa, b);
    put_notify(b, NOTIFY_FRAGMENTATION, NULL, 0);
    put_notify(b, NOTIFY_SIGNATURE_HASHES, hashes, sizeof(hashes));
    return true;
}

const struct exchange exchange_init = {"IKE_SA_INIT", IKE_SA_INIT, init_build, NULL};

void init_begin(struct ike_sa *sa)
{
    struct ike *ike = sa->ike;
    struct own_half *own = &sa->attempt.own;
    sa->spi_i = make_spi(ike);
    own->offer = offer_of(ike, PROTOCOL_IKE, sa->spi_i);
    own->offer.spi_bytes = 0; /* the header has it */
    sa->attempt.wanted = proposal_first(&ike->config->ike.item[0], TRANSFORM_KE);
    if (sa->attempt.wanted && half_make(ike, own, NULL))
        request_begin(sa, &exchange_init);
    else
        sa_fail(sa, FAIL_REFUSED, "IKE_SA_INIT could not be made: no randomness, or no proposal");
}

/* The gateway's wish is followed, but not for ever. */
static void begin_again(struct ike_sa *sa, const struct algorithm *group)
{
    if (sa->attempt.restarts++ >= RESTARTS_MAX)
        return;
    sa->attempt.wanted = group;
    sa->next_id = 0;
    request_begin(sa, &exchange_init);
}

/* Anybody could have sent it: a refusal is only remembered. */
static void take_error(struct ike_sa *sa, const struct payload_list *list)
{
    struct initial *in = &sa->initial;
    struct report *refusal = &in->refusal;
    struct notify n;
    if (notify_find(list, NOTIFY_COOKIE, &n)) {
        bool again = n.data.size == in->cookie_size && memcmp(n.data.data, in->cookie, n.data.size) == 0;
        if (n.data.size == 0 || n.data.size > COOKIE_MAX || again)
            return;
        memcpy(in->cookie, n.data.data, n.data.size);
        in->cookie_size = n.data.size;
        begin_again(sa, sa->attempt.own.ke.group);
    } else if (notify_find(list, NOTIFY_INVALID_KE, &n)) {
        const struct algorithm *group = wanted_group(sa, &n, refusal);
        if (group && group != sa->attempt.own.ke.group)
            begin_again(sa, group);
    } else if (notify_error(list, &n)) {
        report(refusal, "the gateway begins no IKE SA: %s", error_words(n.type).text);
    }
}

static uint32_t read_hashes(const struct payload_list *list)
{
    struct notify n;
    uint32_t mask = 0;
    if (!notify_find(list, NOTIFY_SIGNATURE_HASHES, &n))
        return 0;
    struct reader r = reader_of(n.data.data, n.data.size);
    while (reader_left(&r) >= 2) {
        uint64_t hash = reader_be(&r, 2);
        mask |= (uint32_t)BIT(MIN(hash, 31u)); /* none that is known is so high */
    }
    return mask;
}

static void take_answer(struct ike_sa *sa, const struct ike_header *header, const struct payload_list *list)
{
    struct agreed *agreed = &sa->ike->agreed;
    struct notify n;
    if (!agree_on_answer(sa, list, &sa->initial.refusal))
        return;
    agreed->in.spi_r = header->spi_r;
    if (!keys_ike(&sa->keys, &agreed->choice, &agreed->in, NULL)) {
        report(&sa->initial.refusal, "the keys of the IKE SA could not be derived");
        return;
    }
    sa->spi_r = header->spi_r;
    sa->fragmentation = notify_find(list, NOTIFY_FRAGMENTATION, &n);
    sa->peer_hashes = read_hashes(list);
    sa->initial.peer_nonce = agreed->in.nonce_r;
    nat_judge(sa, list);
    if (sa->nat_known)
        sa->local.port = sa->remote.port = IKE_NAT_PORT;
    request_end(sa);
    sa->state = SA_AUTH;
    request_begin(sa, &exchange_auth);
}

void init_receive(struct ike_sa *sa, const struct ike_header *header, size_t size)
{
    struct initial *in = &sa->initial;
    const uint8_t *message = sa->ike->incoming;
    bool refused_before = in->refusal.text[0];
    struct payload_list list;
    if (MAJOR_VERSION(header->version) != MAJOR_VERSION(IKE_VERSION)) {
        report(&in->refusal, "the gateway speaks IKE version %u; it must speak version 2",
               MAJOR_VERSION(header->version));
    } else if (sa_expects(sa, header) && size <= sizeof(in->peer) &&
               payloads_read(header->next, message + IKE_HEADER_BYTES, size - IKE_HEADER_BYTES, &list) &&
               !list.unknown_critical) {
        if (!payload_find(&list, PAYLOAD_SA)) {
            take_error(sa, &list);
        } else if (header->spi_r != 0) {
            memcpy(in->peer, message, size);
            in->peer_size = size;
            take_answer(sa, header, &list);
        }
    }
    if (sa->state == SA_INIT && !refused_before && in->refusal.text[0]) {
        sa->request.sent = UINT16_MAX; /* the last patience */
        sa->request.due = sa->ike->now + REFUSAL_PATIENCE_MS;
    }
}
