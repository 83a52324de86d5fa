/* SPDX-License-Identifier: Apache-2.0 */
/* IKE_SA_INIT (RFC 7296 section 1.2): in clear, so that nothing in it is believed before AUTH covers it. */
#include "crypto/ipsec/connection.h"
#include "lib/format.h"
#include "lib/strings.h"
#include <openssl/crypto.h>

#define REFUSAL_PATIENCE_MS 1500 /* a forged refusal must not end what the true answer would continue */

static struct proposal_offer ike_offer(const struct ike *ike)
{
    return (struct proposal_offer){.list = ike->config->ike,
                                   .count = ike->config->ike_count,
                                   .protocol = PROTOCOL_IKE,
                                   .with_groups = true};
}

static bool build(struct ike_sa *sa, struct builder *b)
{
    static const uint8_t hashes[] = {0, HASH_SHA2_256, 0, HASH_SHA2_384, 0, HASH_SHA2_512};
    struct attempt *a = &sa->attempt;
    struct proposal_offer offer = ike_offer(sa->ike);
    if (sa->initial->cookie_size)
        put_notify(b, NOTIFY_COOKIE, sa->initial->cookie, sa->initial->cookie_size);
    put_offer(b, &offer);
    put_ke(b, a->ke.group->id, a->ke.public_value, a->ke.group->public_bytes);
    put_payload(b, PAYLOAD_NONCE, a->nonce, sizeof(a->nonce));
    put_nat_detection(sa, b);
    put_notify(b, NOTIFY_FRAGMENTATION, NULL, 0);
    put_notify(b, NOTIFY_SIGNATURE_HASHES, hashes, sizeof(hashes));
    return !b->failed;
}

/* Makes the message and sends it. */
static bool send_init(struct ike_sa *sa)
{
    struct initial *in = sa->initial;
    struct builder b = builder_of(in->own + IKE_HEADER_BYTES, sizeof(in->own) - IKE_HEADER_BYTES);
    if (!build(sa, &b))
        return false;
    in->own_size = IKE_HEADER_BYTES + b.size;
    struct ike_header header = {.spi_i = sa->spi_i,
                                .next = b.first,
                                .exchange = IKE_SA_INIT,
                                .flags = IKE_FLAG_INITIATOR,
                                .length = (uint32_t)in->own_size};
    header_write(&header, in->own);
    struct outbox *box = &sa->request.box;
    memcpy(box->data, in->own, in->own_size);
    box->count = 1;
    box->size[0] = (uint16_t)in->own_size;
    box->used = in->own_size;
    sa->request.kind = EX_INIT;
    sa->request.message_id = 0;
    sa->request.sent = 0;
    request_resend(sa);
    return true;
}

void init_begin(struct ike_sa *sa)
{
    struct ike *ike = sa->ike;
    sa->state = SA_INIT;
    sa->initial = OPENSSL_zalloc(sizeof(*sa->initial));
    sa->spi_i = make_spi(ike);
    if (!sa->initial || !sa->spi_i || ike->config->ike_count == 0 ||
        !ike->call.entropy(ike->owner, sa->attempt.nonce, sizeof(sa->attempt.nonce)) ||
        !ke_start(&sa->attempt.ke, ike->config->ike[0].groups[0]) || !send_init(sa))
        sa_fail(sa, "IKE_SA_INIT could not be made: no randomness, no memory, or no proposal", true);
}

/* Remembers an error that anybody could have sent, and soon gives up. */
static void note_refusal(struct ike_sa *sa, const char *sentence)
{
    if (sa->initial->refusal.text[0])
        return;
    report(&sa->initial->refusal, "%s", sentence);
    sa->request.sent = UINT16_MAX;
    sa->request.due = sa->ike->now + REFUSAL_PATIENCE_MS;
}

static void take_cookie(struct ike_sa *sa, const struct notify *n)
{
    struct initial *in = sa->initial;
    bool again = n->data.size == in->cookie_size && memcmp(n->data.data, in->cookie, in->cookie_size) == 0;
    if (n->data.size == 0 || n->data.size > COOKIE_MAX || again || sa->attempt.restarts++ >= SA_INIT_RESTARTS)
        return;
    memcpy(in->cookie, n->data.data, n->data.size);
    in->cookie_size = n->data.size;
    if (!send_init(sa))
        sa_fail(sa, "IKE_SA_INIT could not be made again with the gateway's cookie", true);
}

static void take_other_group(struct ike_sa *sa, const struct notify *n)
{
    struct proposal_offer offer = ike_offer(sa->ike);
    struct reader r = reader_of(n->data.data, n->data.size);
    uint16_t id = (uint16_t)reader_be(&r, 2);
    const struct ke_group *group = ke_group_find(id);
    if (!group || !proposal_has_group(&offer, group)) {
        char groups[GROUP_LIST_TEXT_MAX];
        char why[REPORT_MAX];
        proposal_group_list(&offer, groups);
        format(why, sizeof(why), "the gateway chose group %u; the policy allows %s", id, groups);
        note_refusal(sa, why);
        return;
    }
    if (group == sa->attempt.ke.group || sa->attempt.restarts++ >= SA_INIT_RESTARTS)
        return;
    ke_free(&sa->attempt.ke);
    if (!ke_start(&sa->attempt.ke, group) || !send_init(sa))
        sa_fail(sa, "IKE_SA_INIT could not be made again with the gateway's group", true);
}

static void take_error(struct ike_sa *sa, const struct payload_list *list)
{
    struct notify n;
    char why[REPORT_MAX];
    if (notify_find(list, NOTIFY_COOKIE, &n)) {
        take_cookie(sa, &n);
    } else if (notify_find(list, NOTIFY_INVALID_KE, &n)) {
        take_other_group(sa, &n);
    } else if (notify_error(list, &n) == NOTIFY_NO_PROPOSAL_CHOSEN) {
        note_refusal(sa, "the gateway accepts none of the policy's IKE proposals (NO_PROPOSAL_CHOSEN); make "
                         "the two agree");
    } else if (notify_error(list, &n)) {
        format(why, sizeof(why), "the gateway refuses to begin: %s", error_words(n.type).text);
        note_refusal(sa, why);
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
        uint16_t hash = (uint16_t)reader_be(&r, 2);
        if (hash < 32)
            mask |= (uint32_t)BIT(hash);
    }
    return mask;
}

static void take_answer(struct ike_sa *sa, const struct ike_header *header, const struct payload_list *list)
{
    struct proposal_offer offer = ike_offer(sa->ike);
    struct attempt *a = &sa->attempt;
    struct ike_choice choice;
    struct report problem = {""};
    struct bytes_view value, nonce;
    uint16_t group;
    uint8_t shared[KE_SHARED_MAX];
    if (!proposal_check_answer(list, &offer, &choice, &problem)) {
        note_refusal(sa, problem.text);
        return;
    }
    if (choice.group != a->ke.group) {
        char why[REPORT_MAX];
        format(why, sizeof(why), "the gateway chose group %u, but our key exchange was for group %u",
               choice.group->id, a->ke.group->id);
        note_refusal(sa, why);
        return;
    }
    if (!ke_read(list, &group, &value) || !nonce_read(list, &nonce) || group != choice.group->id ||
        !ke_finish(&a->ke, value.data, value.size, shared)) {
        note_refusal(sa, "the gateway's key exchange value or nonce is not valid");
        return;
    }
    sa->spi_r = header->spi_r;
    struct key_inputs in = {.nonce_i = {a->nonce, sizeof(a->nonce)},
                            .nonce_r = nonce,
                            .shared = {shared, choice.group->shared_bytes},
                            .spi_i = sa->spi_i,
                            .spi_r = sa->spi_r};
    bool good = keys_ike(&sa->keys, &choice, &in, NULL);
    wipe(shared, sizeof(shared));
    if (!good) {
        sa_fail(sa, "the keys of the IKE SA could not be derived", true);
        return;
    }
    struct notify n;
    sa->group = choice.group;
    sa->fragmentation = notify_find(list, NOTIFY_FRAGMENTATION, &n);
    sa->peer_hashes = read_hashes(list);
    memcpy(sa->initial->peer_nonce, nonce.data, nonce.size);
    sa->initial->peer_nonce_size = nonce.size;
    a->restarts = 0;
    nat_judge(sa, list);
    if (sa->nat_known)
        sa->local.port = sa->remote.port = IKE_NAT_PORT;
    request_end(sa);
    sa->state = SA_AUTH;
    sa->next_id = 1;
    request_begin(sa, EX_AUTH);
}

void init_other_version(struct ike_sa *sa, uint8_t version)
{
    char why[REPORT_MAX];
    format(why, sizeof(why), "the gateway speaks IKE version %u; it must speak version 2", version);
    note_refusal(sa, why);
}

void init_receive(struct ike_sa *sa, const struct ike_header *header, size_t size)
{
    struct ike *ike = sa->ike;
    struct payload_list list;
    if (header->exchange != IKE_SA_INIT || header->message_id != 0 ||
        (header->flags & (IKE_FLAG_RESPONSE | IKE_FLAG_INITIATOR)) != IKE_FLAG_RESPONSE ||
        size > sizeof(sa->initial->peer) ||
        !payloads_read(header->next, ike->incoming + IKE_HEADER_BYTES, size - IKE_HEADER_BYTES, &list) ||
        list.unknown_critical)
        return;
    if (!payload_find(&list, PAYLOAD_SA)) {
        take_error(sa, &list);
        return;
    }
    if (header->spi_r == 0)
        return;
    memcpy(sa->initial->peer, ike->incoming, size);
    sa->initial->peer_size = size;
    take_answer(sa, header, &list);
}
