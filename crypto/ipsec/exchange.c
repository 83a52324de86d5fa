/* SPDX-License-Identifier: Apache-2.0 */
/* One request in flight, its retransmission, and strict message IDs (RFC 7296 sections 2.1 to 2.3). */
#include "crypto/ipsec/connection.h"

/* Waiting after each transmission; the request is given up after the last. */
static const uint16_t patience_ms[] = {500, 1000, 2000, 3000, 4000};

bool sa_seal(struct ike_sa *sa, uint8_t exchange, uint8_t flags, uint32_t message_id,
             const struct builder *payloads, struct outbox *out)
{
    struct seal seal = {.keys = sa->state == SA_INIT ? NULL : &sa->keys,
                        .counter = &sa->counter,
                        .header = {.spi_i = sa->spi_i,
                                   .spi_r = sa->spi_r,
                                   .exchange = exchange,
                                   .flags = flags | (sa->initiator ? IKE_FLAG_INITIATOR : 0),
                                   .message_id = message_id},
                        .fragment_size = sa->fragmentation ? sa->ike->config->fragment_size : 0};
    return protect_seal(&seal, payloads, out);
}

void send_box(struct ike_sa *sa, const struct outbox *box, const struct ip_endpoint *local,
              const struct ip_endpoint *remote)
{
    struct ike *ike = sa->ike;
    const uint8_t *at = box->data;
    for (unsigned i = 0; i < box->count; i++) {
        struct ike_datagram datagram = {*local, *remote, at, box->size[i]};
        ike->call.send(ike->owner, &datagram);
        at += box->size[i];
    }
    sa->keepalive_at = ike->now + ike->config->keepalive_interval * SECOND_MS;
}

void request_resend(struct ike_sa *sa)
{
    send_box(sa, &sa->request.box, &sa->local, &sa->remote);
    sa->request.due = sa->ike->now + patience_ms[MIN(sa->request.sent, ARRAY_COUNT(patience_ms) - 1)];
    sa->request.sent++;
    wake_at(sa->ike, sa->request.due);
}

void request_begin(struct ike_sa *sa, const struct exchange *kind)
{
    struct builder b = {.w = writer_of(sa->ike->plain, sizeof(sa->ike->plain))};
    sa->request.kind = kind;
    sa->request.sent = 0;
    bool built = kind->build(sa, &b);
    if (sa->state == SA_DEAD)
        return;
    if (!built || !sa_seal(sa, kind->type, 0, sa->next_id, &b, &sa->request.box)) {
        sa_fail(sa, FAIL_REFUSED, "a message (%s) could not be made: %s", kind->name,
                b.w.failed ? "it is too large" : "no randomness, no memory, or the cipher failed");
        return;
    }
    sa->next_id++;
    request_resend(sa);
}

void request_end(struct ike_sa *sa)
{
    sa->request.kind = NULL;
    ke_free(&sa->attempt.own.ke);
    wake_at(sa->ike, sa->ike->now);
}

static void give_up(struct ike_sa *sa)
{
    const struct exchange *kind = sa->request.kind;
    char where[IP_TEXT_MAX];
    ip_format(&sa->remote.ip, where);
    if (kind == &exchange_delete_ike)
        kind->answer(sa, NULL);
    else if (sa->state == SA_INIT && sa->initial.refusal.text[0])
        sa_fail(sa, FAIL_REFUSED, "%s", sa->initial.refusal.text);
    else
        sa_fail(sa, FAIL_SILENT, "the gateway at %s port %u %s %s", where, sa->remote.port,
                sa->ike->current == sa ? "has stopped answering; unanswered:" : "does not answer",
                kind->name);
}

void request_tick(struct ike_sa *sa)
{
    if (!sa->request.kind || !reached(sa->ike, sa->request.due))
        return;
    if (sa->request.sent >= ARRAY_COUNT(patience_ms))
        give_up(sa);
    else
        request_resend(sa);
}

static void take_request(struct ike_sa *sa, const struct ike_header *header, const struct payload_list *list,
                         bool well_formed, const struct ike_datagram *from)
{
    struct builder b = {.w = writer_of(sa->ike->plain, sizeof(sa->ike->plain))};
    sa->expected_id++;
    if (!well_formed)
        put_notify(&b, NOTIFY_INVALID_SYNTAX, NULL, 0);
    else if (list->unknown_critical)
        put_notify(&b, NOTIFY_UNSUPPORTED_CRITICAL, &list->unknown_critical, 1);
    else if (header->exchange == INFORMATIONAL)
        informational_request(sa, list, &b);
    else if (header->exchange == CREATE_CHILD_SA && payload_find(list, PAYLOAD_TSI))
        child_request(sa, list, &b);
    else if (header->exchange == CREATE_CHILD_SA)
        rekey_ike_request(sa, list, &b);
    else
        put_notify(&b, NOTIFY_INVALID_SYNTAX, NULL, 0);
    /* What is sent is kept for the request's retransmissions. */
    sa->response.count = 0;
    if (sa_seal(sa, header->exchange, IKE_FLAG_RESPONSE, header->message_id, &b, &sa->response))
        send_box(sa, &sa->response, &from->local, &from->remote);
}

static void take_response(struct ike_sa *sa, const struct payload_list *list, bool well_formed)
{
    const struct exchange *kind = sa->request.kind;
    if (well_formed && !list->unknown_critical) {
        kind->answer(sa, list);
        request_end(sa);
        return;
    }
    sa_fail(sa, FAIL_REFUSED, "the gateway's answer (%s) is %s", kind->name,
            well_formed ? "beyond what is known here: it has an unknown critical payload" : "malformed");
}

bool sa_expects(const struct ike_sa *sa, const struct ike_header *header)
{
    bool from_initiator = header->flags & IKE_FLAG_INITIATOR;
    if (from_initiator == sa->initiator)
        return false;
    if (header->flags & IKE_FLAG_RESPONSE)
        return sa->state < SA_GONE && sa->request.kind && header->message_id + 1 == sa->next_id &&
               header->exchange == sa->request.kind->type;
    return sa->state >= SA_LIVE &&
           (header->message_id == sa->expected_id || header->message_id + 1 == sa->expected_id);
}

void sa_receive(struct ike_sa *sa, const struct ike_header *header, size_t size,
                const struct ike_datagram *from)
{
    struct ike *ike = sa->ike;
    struct piece opened;
    if (!sa_expects(sa, header) || !protect_open(&sa->keys, ike->incoming, size, &opened))
        return;
    bool response = header->flags & IKE_FLAG_RESPONSE;
    if (!response && header->message_id != sa->expected_id) {
        /* Only the first fragment asks for the answer again (RFC 7383 section 2.6.1). */
        if (opened.fragment <= 1)
            send_box(sa, &sa->response, &from->local, &from->remote);
        return;
    }
    if (opened.fragment && (!sa->fragmentation || !reassembly_add(response ? &sa->responses : &sa->requests,
                                                                  header->message_id, &opened, ike->whole)))
        return;
    /* Only what is new and whole proves that the peer lives: the rest may be replayed (section 2.4). */
    sa->last_in = ike->now;
    struct payload_list list;
    bool well_formed = payloads_read(opened.first, opened.data, opened.size, &list);
    if (response)
        take_response(sa, &list, well_formed);
    else if (sa->state < SA_GONE)
        take_request(sa, header, &list, well_formed, from);
}
