/* SPDX-License-Identifier: Apache-2.0 */
/* INFORMATIONAL exchanges (RFC 7296 section 1.4): deletion from either end, AUTH_LIFETIME (RFC
 * 4478), return routability (RFC 4555 section 3.7). */
#include "crypto/ipsec/connection.h"

#define COOKIE2_MIN 8
#define COOKIE2_MAX 64

struct report error_words(uint16_t notify)
{
    static const struct {
        uint16_t type;
        const char *words;
    } errors[] = {
        {NOTIFY_UNSUPPORTED_CRITICAL, "it does not know a critical payload (UNSUPPORTED_CRITICAL_PAYLOAD)"},
        {NOTIFY_INVALID_MAJOR_VERSION, "it speaks another version of IKE (INVALID_MAJOR_VERSION)"},
        {NOTIFY_SINGLE_PAIR_REQUIRED, "it takes one pair of addresses only (SINGLE_PAIR_REQUIRED)"},
        {NOTIFY_INVALID_SYNTAX, "it calls our message malformed (INVALID_SYNTAX)"},
        {NOTIFY_NO_PROPOSAL_CHOSEN,
         "it accepts none of the policy's proposals for it (NO_PROPOSAL_CHOSEN); make the two agree"},
        {NOTIFY_INVALID_KE, "it wants another group (INVALID_KE_PAYLOAD)"},
        {NOTIFY_AUTHENTICATION_FAILED,
         "our identity, key or certificate is not accepted (AUTHENTICATION_FAILED); compare identities and "
         "secrets on both ends"},
        {NOTIFY_NO_ADDITIONAL_SAS, "it opens no more SAs (NO_ADDITIONAL_SAS)"},
        {NOTIFY_INTERNAL_ADDRESS_FAILURE,
         "it has no inner address left for us (INTERNAL_ADDRESS_FAILURE); look at its pool"},
        {NOTIFY_FAILED_CP_REQUIRED, "it wants us to ask for an inner address (FAILED_CP_REQUIRED)"},
        {NOTIFY_TS_UNACCEPTABLE,
         "it accepts none of our traffic selectors (TS_UNACCEPTABLE); make the subnets of both ends agree"},
        {NOTIFY_UNACCEPTABLE_ADDRESSES, "it does not accept our new address (UNACCEPTABLE_ADDRESSES)"},
        {NOTIFY_TEMPORARY_FAILURE, "not now (TEMPORARY_FAILURE)"},
        {NOTIFY_CHILD_SA_NOT_FOUND, "it does not know that CHILD SA (CHILD_SA_NOT_FOUND)"},
    };
    struct report out;
    format(out.text, sizeof(out.text), "with error %u, which is not known here", notify);
    for (unsigned i = 0; i < ARRAY_COUNT(errors); i++)
        if (errors[i].type == notify)
            (void)copy_string(out.text, sizeof(out.text), errors[i].words);
    return out;
}

void take_auth_lifetime(struct ike_sa *sa, const struct payload_list *list)
{
    struct notify n;
    if (!notify_find(list, NOTIFY_AUTH_LIFETIME, &n))
        return;
    struct reader r = reader_of(n.data.data, n.data.size);
    limit_life(sa->ike, (uint32_t)reader_be(&r, 4), &sa->reauth_at, &sa->reauth_by);
}

static bool delete_child_build(struct ike_sa *sa, struct builder *b)
{
    struct child *child = child_of_spi_in(sa->ike, sa->attempt.child);
    child->state = CHILD_DELETING;
    put_delete(b, child->esp->parameters.spi_in);
    return true;
}

static void delete_child_answer(struct ike_sa *sa, const struct payload_list *list)
{
    struct child *child = child_of_spi_in(sa->ike, sa->attempt.child);
    (void)list;
    if (child && child->state == CHILD_DELETING)
        child_end(sa->ike, child);
}

const struct exchange exchange_delete_child = {"DELETE of a CHILD SA", INFORMATIONAL, delete_child_build,
                                               delete_child_answer};

static bool delete_ike_build(struct ike_sa *sa, struct builder *b)
{
    (void)sa;
    put_delete(b, 0);
    return true;
}

void connection_closed(struct ike *ike, const char *how)
{
    ike_fail(ike, FAIL_LOST, "%s", ike->wanted ? how : "the tunnel was closed as asked");
}

/* Also called without an answer, once it is given up. */
static void delete_ike_answer(struct ike_sa *sa, const struct payload_list *list)
{
    struct ike *ike = sa->ike;
    (void)list;
    if (sa == ike->current || !ike->current) {
        connection_closed(ike, "the IKE SA was closed");
        return;
    }
    children_end(sa);
    sa_kill(sa);
}

const struct exchange exchange_delete_ike = {"DELETE of the IKE SA", INFORMATIONAL, delete_ike_build,
                                             delete_ike_answer};

/* It stays a while, for the answer may be lost. */
static void linger(struct ike_sa *sa)
{
    request_end(sa);
    sa->state = SA_GONE;
    sa->close = false;
    sa->expire_at = sa->ike->now + SA_LINGER_MS;
}

/* The peer closes the whole IKE SA. */
static void peer_closes(struct ike_sa *sa)
{
    if (sa->rival && sa->rival->state == SA_LIVE)
        sa_take_over(sa->rival, sa); /* our own rekeying is forgotten (section 2.25.2) */
    linger(sa);
    if (sa == sa->ike->current)
        connection_closed(sa->ike, "the gateway closed the connection");
    else
        children_end(sa);
}

/* Deletes the CHILD SAs of one payload, and names ours in the answer. */
static void peer_deletes(struct ike_sa *sa, struct reader *r, struct builder *b)
{
    struct ike *ike = sa->ike;
    while (reader_left(r) >= 4) {
        uint32_t spi = (uint32_t)reader_be(r, 4);
        struct child *child = child_of_spi_out(ike, spi);
        if (!child)
            sa->attempt.deleted = spi;
        if (!child || child->state == CHILD_LINGERING)
            continue;
        /* When both delete it at once neither names it in the answer (section 1.4.1). */
        if (child->state != CHILD_DELETING)
            put_delete(b, child->esp->parameters.spi_in);
        child_end(ike, child);
    }
}

static void take_deletes(struct ike_sa *sa, const struct payload_list *list, struct builder *b)
{
    for (unsigned i = 0; i < list->count && sa->state < SA_GONE; i++) {
        struct reader r = reader_of(list->item[i].data, list->item[i].size);
        uint8_t protocol = reader_u8(&r), bytes = reader_u8(&r);
        (void)reader_be(&r, 2);
        if (list->item[i].type != PAYLOAD_DELETE || r.failed)
            continue;
        if (protocol == PROTOCOL_IKE)
            peer_closes(sa);
        else if (protocol == PROTOCOL_ESP && bytes == 4)
            peer_deletes(sa, &r, b);
    }
}

void informational_request(struct ike_sa *sa, const struct payload_list *list, struct builder *b)
{
    struct notify n;
    if (notify_find(list, NOTIFY_COOKIE2, &n) && n.data.size >= COOKIE2_MIN && n.data.size <= COOKIE2_MAX)
        put_notify(b, NOTIFY_COOKIE2, n.data.data, n.data.size);
    if (notify_find(list, NOTIFY_AUTHENTICATION_FAILED, &n)) {
        linger(sa);
        if (sa == sa->ike->current)
            ike_fail(sa->ike, FAIL_REFUSED, "the gateway refused us: %s", error_words(n.type).text);
        return;
    }
    take_auth_lifetime(sa, list);
    take_deletes(sa, list, b);
}
