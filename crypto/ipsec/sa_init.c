/* SPDX-License-Identifier: Apache-2.0 */
/* IKE_SA_INIT (RFC 7296 section 1.2): in clear, so that nothing in it is believed before AUTH covers it. */
#include "crypto/ipsec/connection.h"
#include "lib/strings.h"
#include <openssl/crypto.h>

#define RESTARTS_MAX        6    /* by COOKIE and INVALID_KE_PAYLOAD together */
#define REFUSAL_PATIENCE_MS 1500 /* a forged refusal must not end what the true answer would continue */

/* Makes the message and sends it. */
static bool send_init(struct ike_sa *sa)
{
    static const uint8_t hashes[] = {0, HASH_SHA2_256, 0, HASH_SHA2_384, 0, HASH_SHA2_512};
    struct initial *in = sa->initial;
    struct own_half *own = &sa->attempt.own;
    struct outbox *box = &sa->request.box;
    struct proposal_offer offer = offer_of(sa->ike, PROTOCOL_IKE, 0, 0);
    struct builder b = {.w = writer_of(in->own + IKE_HEADER_BYTES, sizeof(in->own) - IKE_HEADER_BYTES)};
    if (in->cookie_size)
        put_notify(&b, NOTIFY_COOKIE, in->cookie, in->cookie_size);
    put_offer(&b, &offer);
    put_ke(&b, own->ke.group->id, own->ke.public_value, own->ke.group->public_bytes);
    put_payload(&b, PAYLOAD_NONCE, own->nonce, sizeof(own->nonce));
    put_nat_detection(sa, &b);
    put_notify(&b, NOTIFY_FRAGMENTATION, NULL, 0);
    put_notify(&b, NOTIFY_SIGNATURE_HASHES, hashes, sizeof(hashes));
    if (b.w.failed)
        return false;
    in->own_size = IKE_HEADER_BYTES + b.w.at;
    struct ike_header header = {.spi_i = sa->spi_i,
                                .next = b.first,
                                .exchange = IKE_SA_INIT,
                                .flags = IKE_FLAG_INITIATOR,
                                .length = (uint32_t)in->own_size};
    header_write(&header, in->own);
    memcpy(box->data, in->own, in->own_size);
    box->count = 1;
    box->size[0] = (uint16_t)in->own_size;
    sa->request.kind = EX_INIT;
    sa->request.sent = 0;
    request_resend(sa);
    return true;
}

void init_begin(struct ike_sa *sa)
{
    struct ike *ike = sa->ike;
    sa->state = SA_INIT;
    sa->initial = OPENSSL_zalloc(sizeof(*sa->initial));
    sa->spi_i = sa->attempt.own.spi = make_spi(ike);
    if (!sa->initial || ike->config->ike_count == 0 ||
        !half_make(ike, &sa->attempt.own, proposal_first(&ike->config->ike[0], TRANSFORM_KE)) ||
        !send_init(sa))
        sa_fail(sa, FAIL_REFUSED, "IKE_SA_INIT could not be made: no randomness, no memory, or no proposal");
}

/* May the gateway's wish be followed? A new message is sent. */
static void begin_again(struct ike_sa *sa, const struct algorithm *group)
{
    struct key_exchange *ke = &sa->attempt.own.ke;
    if (sa->attempt.restarts++ >= RESTARTS_MAX)
        return;
    bool other = group != ke->group;
    if (other)
        ke_free(ke);
    if ((other && !ke_start(ke, group)) || !send_init(sa))
        sa_fail(sa, FAIL_REFUSED, "IKE_SA_INIT could not be made again with the gateway's cookie or group");
}

/* Anybody could have sent it: a refusal is only remembered. */
static void take_error(struct ike_sa *sa, const struct payload_list *list)
{
    struct proposal_offer offer = offer_of(sa->ike, PROTOCOL_IKE, 0, 0);
    struct initial *in = sa->initial;
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
        const struct algorithm *group = wanted_group(&n, &offer, refusal);
        if (group && group != sa->attempt.own.ke.group)
            begin_again(sa, group);
    } else if (notify_error(list, &n) && n.type == NOTIFY_NO_PROPOSAL_CHOSEN) {
        report(refusal, "the gateway accepts none of the policy's IKE proposals (NO_PROPOSAL_CHOSEN); make "
                        "the two agree");
    } else if (notify_error(list, &n)) {
        report(refusal, "the gateway refuses to begin: %s", error_words(n.type).text);
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
    struct proposal_offer offer = offer_of(sa->ike, PROTOCOL_IKE, 0, 0);
    struct nonce *peer_nonce = &sa->initial->peer_nonce;
    struct agreed agreed;
    struct notify n;
    bool good = agree_on_answer(sa, list, &offer, &agreed, &sa->initial->refusal);
    if (good) {
        agreed.in.spi_r = sa->spi_r = header->spi_r;
        good = keys_ike(&sa->keys, &agreed.choice, &agreed.in, NULL) ||
               report(&sa->initial->refusal, "the keys of the IKE SA could not be derived");
    }
    wipe(agreed.shared, sizeof(agreed.shared));
    if (!good)
        return;
    sa->group = agreed.choice.group;
    sa->fragmentation = notify_find(list, NOTIFY_FRAGMENTATION, &n);
    sa->peer_hashes = read_hashes(list);
    peer_nonce->size = agreed.in.nonce_r.size;
    memcpy(peer_nonce->bytes, agreed.in.nonce_r.data, peer_nonce->size);
    nat_judge(sa, list);
    if (sa->nat_known)
        sa->local.port = sa->remote.port = IKE_NAT_PORT;
    request_end(sa);
    sa->state = SA_AUTH;
    sa->next_id = 1;
    request_begin(sa, EX_AUTH);
}

static void take_message(struct ike_sa *sa, const struct ike_header *header, size_t size)
{
    struct ike *ike = sa->ike;
    struct payload_list list;
    if (MAJOR_VERSION(header->version) != MAJOR_VERSION(IKE_VERSION)) {
        report(&sa->initial->refusal, "the gateway speaks IKE version %u; it must speak version 2",
               MAJOR_VERSION(header->version));
        return;
    }
    if (header->exchange != IKE_SA_INIT || header->message_id != 0 ||
        (header->flags & (IKE_FLAG_RESPONSE | IKE_FLAG_INITIATOR)) != IKE_FLAG_RESPONSE ||
        size > sizeof(sa->initial->peer) ||
        !payloads_read(header->next, ike->incoming + IKE_HEADER_BYTES, size - IKE_HEADER_BYTES, &list) ||
        list.unknown_critical)
        return;
    if (!payload_find(&list, PAYLOAD_SA)) {
        take_error(sa, &list);
    } else if (header->spi_r != 0) {
        memcpy(sa->initial->peer, ike->incoming, size);
        sa->initial->peer_size = size;
        take_answer(sa, header, &list);
    }
}

void init_receive(struct ike_sa *sa, const struct ike_header *header, size_t size)
{
    bool refused_before = sa->initial->refusal.text[0];
    take_message(sa, header, size);
    if (sa->state != SA_INIT || refused_before || !sa->initial->refusal.text[0])
        return;
    sa->request.sent = UINT16_MAX; /* the last patience */
    sa->request.due = sa->ike->now + REFUSAL_PATIENCE_MS;
}
