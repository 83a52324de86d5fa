/* SPDX-License-Identifier: Apache-2.0 */
/* The scripted gateway: CREATE_CHILD_SA and INFORMATIONAL in both roles, with the rules of RFC 7296 section
 * 2.25 for collisions. */
#include "lib/strings.h"
#include "tests/unit/support/ike_peer.h"
#include <stdlib.h>

static void require(bool condition)
{
    if (!condition)
        abort();
}

struct peer_child *peer_child_of(struct ike_peer *peer, uint32_t spi_in)
{
    for (unsigned i = 0; i < PEER_CHILDREN; i++)
        if (peer->children[i].state != PEER_FREE && peer->children[i].spi_in == spi_in)
            return &peer->children[i];
    return NULL;
}

static struct peer_child *child_of_out(struct ike_peer *peer, uint32_t spi_out)
{
    for (unsigned i = 0; i < PEER_CHILDREN; i++)
        if (peer->children[i].state != PEER_FREE && peer->children[i].spi_out == spi_out)
            return &peer->children[i];
    return NULL;
}

struct peer_child *peer_child_live(struct ike_peer *peer)
{
    for (unsigned i = 0; i < PEER_CHILDREN; i++)
        if (peer->children[i].state == PEER_LIVE)
            return &peer->children[i];
    return NULL;
}

struct peer_child *peer_make_child(struct ike_peer *peer, struct peer_sa *sa, const struct ike_choice *choice,
                                   const struct key_inputs *in, bool ours)
{
    for (unsigned i = 0; i < PEER_CHILDREN; i++) {
        struct peer_child *c = &peer->children[i];
        if (c->state != PEER_FREE)
            continue;
        memset(c, 0, sizeof(*c));
        c->state = PEER_LIVE;
        c->sa = sa;
        c->ours = ours;
        c->spi_out = (uint32_t)choice->spi;
        peer_random(peer, &c->spi_in, sizeof(c->spi_in));
        c->spi_in |= 0x100;
        require(keys_child(&sa->keys, choice, in, ours ? &c->out : &c->in, ours ? &c->in : &c->out));
        c->low = peer_lower(&in->nonce_i, &in->nonce_r) ? in->nonce_i : in->nonce_r;
        return c;
    }
    abort();
}

static struct proposal_offer offer_of(struct ike_peer *peer, bool ike, uint64_t spi)
{
    return (struct proposal_offer){.all = ike ? &peer->script.ike : &peer->script.esp,
                                   .protocol = ike ? PROTOCOL_IKE : PROTOCOL_ESP,
                                   .spi_bytes = ike ? 8 : 4,
                                   .spi = spi,
                                   .with_groups = true};
}

static struct peer_child *rival_of(struct ike_peer *peer, uint32_t replaces, bool ours)
{
    for (unsigned i = 0; i < PEER_CHILDREN; i++) {
        struct peer_child *c = &peer->children[i];
        if (c->state == PEER_LIVE && c->ours == ours && c->replaces == replaces && replaces)
            return c;
    }
    return NULL;
}

/* ---- The client rekeys ---- */

static bool exchange_of(const struct ike_choice *choice, const struct payload_list *list,
                        struct key_exchange *ke, uint8_t *shared, struct builder *b)
{
    struct bytes_view value;
    uint16_t id = 0;
    if (!choice->group)
        return true;
    if (!ke_read(list, &id, &value) || id != choice->group->id) {
        uint8_t wanted[] = {(uint8_t)(choice->group->id >> 8), (uint8_t)choice->group->id};
        put_notify(b, NOTIFY_INVALID_KE, wanted, sizeof(wanted));
        return false;
    }
    require(ke_start(ke, choice->group) && ke_finish(ke, value.data, value.size, shared));
    return true;
}

static void child_asked(struct ike_peer *peer, struct peer_sa *sa, const struct payload_list *list,
                        struct builder *b)
{
    struct notify n;
    bool rekey = notify_find(list, NOTIFY_REKEY_SA, &n);
    struct peer_child *old = rekey ? child_of_out(peer, n.spi) : NULL;
    struct proposal_offer offer = offer_of(peer, false, 0);
    struct ike_choice choice;
    struct key_exchange ke = {0};
    uint8_t shared[KE_SHARED_MAX];
    struct key_inputs in = {0};
    if (sa->replaced || sa->act == ACT_REKEY_IKE || sa->act == ACT_DELETE_IKE ||
        (old && old->state != PEER_LIVE)) {
        put_notify(b, NOTIFY_TEMPORARY_FAILURE, NULL, 0);
        return;
    }
    if (rekey && !old) {
        put_notify_spi(b, NOTIFY_CHILD_SA_NOT_FOUND, n.spi);
        return;
    }
    if (peer->script.refuse_rekey || !proposal_choose(list, &offer, &choice)) {
        put_notify(b, peer->script.refuse_rekey ? peer->script.refuse_rekey : NOTIFY_NO_PROPOSAL_CHOSEN, NULL,
                   0);
        return;
    }
    if (!exchange_of(&choice, list, &ke, shared, b))
        return;
    peer_make_nonce(peer, &in.nonce_r);
    if (choice.group)
        in.shared = (struct bytes_view){shared, choice.group->shared_bytes};
    require(nonce_read(list, &in.nonce_i));
    struct peer_child *made = peer_make_child(peer, sa, &choice, &in, false);
    require(selectors_read(list, PAYLOAD_TSI, &made->remote) &&
            selectors_read(list, PAYLOAD_TSR, &made->local));
    offer.spi = made->spi_in;
    put_choice(b, &offer, &choice);
    put_payload(b, PAYLOAD_NONCE, in.nonce_r.bytes, in.nonce_r.size);
    if (choice.group)
        put_ke(b, choice.group->id, ke.public_value, choice.group->public_bytes);
    put_selectors(b, PAYLOAD_TSI, &made->remote);
    put_selectors(b, PAYLOAD_TSR, &made->local);
    ke_free(&ke);
    if (!old)
        return;
    made->replaces = old->spi_in;
    if (!(sa->act == ACT_REKEY_CHILD && sa->child == old->spi_in))
        old->state = PEER_AWAITS_DELETE;
}

static void move_children(struct ike_peer *peer, struct peer_sa *from, struct peer_sa *to)
{
    for (unsigned i = 0; i < PEER_CHILDREN; i++)
        if (peer->children[i].state != PEER_FREE && peer->children[i].sa == from)
            peer->children[i].sa = to;
    for (unsigned i = 0; i < PEER_SAS; i++)
        if (peer->sas[i].rival == from) {
            peer->sas[i].rival = to;
            to->low = from->low;
        }
    from->replaced = true;
    if (peer->current == from)
        peer->current = to;
}

static struct peer_sa *rekeyed_sa(struct ike_peer *peer, struct peer_sa *old, const struct ike_choice *choice,
                                  const struct key_inputs *in, bool initiator)
{
    struct peer_sa *sa = peer_new_sa(peer);
    sa->live = true;
    sa->initiator = initiator;
    sa->spi_i = in->spi_i;
    sa->spi_r = in->spi_r;
    require(keys_ike(&sa->keys, choice, in, &old->keys));
    sa->low = peer_lower(&in->nonce_i, &in->nonce_r) ? in->nonce_i : in->nonce_r;
    return sa;
}

static void ike_asked(struct ike_peer *peer, struct peer_sa *sa, const struct payload_list *list,
                      struct builder *b)
{
    struct proposal_offer offer = offer_of(peer, true, 0);
    struct ike_choice choice;
    struct key_exchange ke = {0};
    uint8_t shared[KE_SHARED_MAX];
    struct key_inputs in = {0};
    if (sa->replaced || (sa->act != ACT_NONE && sa->act != ACT_REKEY_IKE && sa->act != ACT_LIVENESS)) {
        put_notify(b, NOTIFY_TEMPORARY_FAILURE, NULL, 0);
        return;
    }
    if (peer->script.refuse_rekey || !proposal_choose(list, &offer, &choice)) {
        put_notify(b, peer->script.refuse_rekey ? peer->script.refuse_rekey : NOTIFY_NO_PROPOSAL_CHOSEN, NULL,
                   0);
        return;
    }
    if (!exchange_of(&choice, list, &ke, shared, b))
        return;
    peer_make_nonce(peer, &in.nonce_r);
    peer_random(peer, &in.spi_r, sizeof(in.spi_r));
    in.spi_i = choice.spi;
    in.shared = (struct bytes_view){shared, choice.group->shared_bytes};
    require(nonce_read(list, &in.nonce_i));
    struct peer_sa *made = rekeyed_sa(peer, sa, &choice, &in, false);
    offer.spi = in.spi_r;
    put_choice(b, &offer, &choice);
    put_payload(b, PAYLOAD_NONCE, in.nonce_r.bytes, in.nonce_r.size);
    put_ke(b, choice.group->id, ke.public_value, choice.group->public_bytes);
    ke_free(&ke);
    if (sa->act == ACT_REKEY_IKE)
        sa->rival = made;
    else
        move_children(peer, sa, made);
}

/* ---- Deletion and the rest ---- */

static void sa_is_gone(struct ike_peer *peer, struct peer_sa *sa)
{
    if (sa->rival && !sa->rival->gone && !sa->replaced)
        move_children(peer, sa, sa->rival);
    sa->gone = true;
    sa->live = false;
    sa->act = ACT_NONE;
    for (unsigned i = 0; i < PEER_CHILDREN; i++)
        if (peer->children[i].sa == sa)
            peer->children[i].state = PEER_FREE;
    if (peer->current == sa)
        peer->current = NULL;
}

static void delete_asked(struct ike_peer *peer, struct peer_sa *sa, const struct payload *p,
                         struct builder *b)
{
    struct reader r = reader_of(p->data, p->size);
    uint8_t protocol = reader_u8(&r);
    (void)reader_be(&r, 3);
    if (protocol == PROTOCOL_IKE) {
        sa_is_gone(peer, sa);
        return;
    }
    while (reader_left(&r) >= 4) {
        struct peer_child *child = child_of_out(peer, (uint32_t)reader_be(&r, 4));
        if (!child)
            continue;
        if (child->state != PEER_DELETING)
            put_delete(b, child->spi_in);
        child->state = PEER_FREE;
    }
}

static void informational(struct ike_peer *peer, struct peer_sa *sa, const struct payload_list *list,
                          struct builder *b)
{
    struct notify n;
    peer->liveness += list->count == 0 || !(notify_find(list, NOTIFY_UPDATE_SA_ADDRESSES, &n) ||
                                            payload_find(list, PAYLOAD_DELETE));
    peer->updates += notify_find(list, NOTIFY_UPDATE_SA_ADDRESSES, &n);
    if (notify_find(list, NOTIFY_NAT_SOURCE, &n))
        peer_put_nat(peer, sa, b);
    if (notify_find(list, NOTIFY_COOKIE2, &n))
        put_notify(b, NOTIFY_COOKIE2, n.data.data, n.data.size - peer->script.wrong_cookie2);
    if (notify_find(list, NOTIFY_AUTHENTICATION_FAILED, &n))
        sa_is_gone(peer, sa);
    for (unsigned i = 0; i < list->count && !sa->gone; i++)
        if (list->item[i].type == PAYLOAD_DELETE)
            delete_asked(peer, sa, &list->item[i], b);
}

void peer_take_request(struct ike_peer *peer, struct peer_sa *sa, const struct ike_header *header,
                       const struct payload_list *list, struct builder *b)
{
    if (header->exchange == INFORMATIONAL)
        informational(peer, sa, list, b);
    else if (payload_find(list, PAYLOAD_TSI))
        child_asked(peer, sa, list, b);
    else
        ike_asked(peer, sa, list, b);
}

/* ---- What the gateway begins ---- */

static void put_rekey_child(struct ike_peer *peer, struct peer_sa *sa, struct peer_child *old,
                            struct builder *b)
{
    const struct algorithm *group = proposal_first(&peer->script.esp.item[0], TRANSFORM_KE);
    struct proposal_offer offer = offer_of(peer, false, 0);
    peer_random(peer, &sa->new_spi, 3); /* three bytes: no zero at the front of an SPI matters here */
    sa->new_spi = (sa->new_spi & 0xffffff) | 0x5000000;
    offer.spi = sa->new_spi;
    sa->child = old->spi_in;
    put_notify_spi(b, NOTIFY_REKEY_SA, old->spi_in);
    put_offer(b, &offer);
    put_payload(b, PAYLOAD_NONCE, sa->nonce.bytes, sa->nonce.size);
    if (group) {
        require(ke_start(&sa->ke, group));
        put_ke(b, group->id, sa->ke.public_value, group->public_bytes);
    }
    put_selectors(b, PAYLOAD_TSI, &old->local);
    put_selectors(b, PAYLOAD_TSR, &old->remote);
}

static void put_rekey_ike(struct ike_peer *peer, struct peer_sa *sa, struct builder *b)
{
    const struct algorithm *group = proposal_first(&peer->script.ike.item[0], TRANSFORM_KE);
    peer_random(peer, &sa->new_spi, sizeof(sa->new_spi));
    struct proposal_offer offer = offer_of(peer, true, sa->new_spi);
    require(ke_start(&sa->ke, group));
    put_offer(b, &offer);
    put_payload(b, PAYLOAD_NONCE, sa->nonce.bytes, sa->nonce.size);
    put_ke(b, group->id, sa->ke.public_value, group->public_bytes);
}

static void begin(struct ike_peer *peer, struct peer_sa *sa, enum peer_act act, struct peer_child *child)
{
    struct builder b = {.w = writer_of(peer->plain, sizeof(peer->plain))};
    sa->act = act;
    sa->child = 0;
    peer_make_nonce(peer, &sa->nonce);
    if (act == ACT_REKEY_CHILD) {
        put_rekey_child(peer, sa, child, &b);
    } else if (act == ACT_DELETE_CHILD) {
        child->state = PEER_DELETING;
        sa->child = child->spi_in;
        put_delete(&b, child->spi_in);
    } else if (act == ACT_REKEY_IKE) {
        put_rekey_ike(peer, sa, &b);
    } else if (act == ACT_DELETE_IKE) {
        put_delete(&b, 0);
    }
    bool create = act == ACT_REKEY_CHILD || act == ACT_REKEY_IKE;
    peer_send_sealed(peer, sa, create ? CREATE_CHILD_SA : INFORMATIONAL, false, sa->next_id++, &b);
}

void peer_act(struct ike_peer *peer, enum peer_act act)
{
    struct peer_sa *sa = peer->current;
    struct peer_child *child = peer_child_live(peer);
    bool wants_child = act == ACT_REKEY_CHILD || act == ACT_DELETE_CHILD;
    if (act != ACT_NONE && sa && sa->act == ACT_NONE && (child || !wants_child))
        begin(peer, sa, act, child);
}

void peer_go(struct ike_peer *peer)
{
    for (unsigned i = 0; i < PEER_SAS; i++) {
        struct peer_sa *sa = &peer->sas[i];
        if (!sa->used || !sa->live || sa->act != ACT_NONE)
            continue;
        if (sa->delete_due) {
            sa->delete_due = false;
            begin(peer, sa, ACT_DELETE_IKE, NULL);
            continue;
        }
        for (unsigned k = 0; k < PEER_CHILDREN && !sa->replaced; k++)
            if (peer->children[k].state == PEER_DELETE_DUE && peer->children[k].sa == sa) {
                begin(peer, sa, ACT_DELETE_CHILD, &peer->children[k]);
                break;
            }
    }
}

void peer_resend(struct ike_peer *peer)
{
    for (unsigned i = 0; i < PEER_SAS; i++) {
        struct peer_sa *sa = &peer->sas[i];
        const uint8_t *at = sa->request.data;
        for (unsigned k = 0; sa->used && !sa->gone && sa->act != ACT_NONE && k < sa->request.count;
             at += sa->request.size[k++])
            peer->send(peer->owner, at, sa->request.size[k]);
    }
}

static void child_answered(struct ike_peer *peer, struct peer_sa *sa, const struct payload_list *list)
{
    struct proposal_offer offer = offer_of(peer, false, sa->new_spi);
    struct peer_child *old = peer_child_of(peer, sa->child), *rival = rival_of(peer, sa->child, false);
    struct ike_choice choice;
    struct report problem = {""};
    struct notify n;
    uint8_t shared[KE_SHARED_MAX];
    struct key_inputs in = {.nonce_i = sa->nonce};
    if (notify_error(list, &n)) {
        if (rival && old && old->state == PEER_LIVE)
            old->state = PEER_AWAITS_DELETE;
        else if (n.type == NOTIFY_CHILD_SA_NOT_FOUND && old)
            old->state = PEER_FREE;
        return;
    }
    require(proposal_check_answer(list, &offer, &choice, &problem) && nonce_read(list, &in.nonce_r));
    if (choice.group) {
        struct bytes_view value;
        uint16_t id;
        require(ke_read(list, &id, &value) && ke_finish(&sa->ke, value.data, value.size, shared));
        in.shared = (struct bytes_view){shared, choice.group->shared_bytes};
    }
    struct peer_child *made = peer_make_child(peer, sa, &choice, &in, true);
    made->spi_in = (uint32_t)sa->new_spi;
    made->replaces = sa->child;
    require(selectors_read(list, PAYLOAD_TSI, &made->local) &&
            selectors_read(list, PAYLOAD_TSR, &made->remote));
    bool lost = rival && peer_lower(&made->low, &rival->low);
    if (lost)
        made->state = PEER_DELETE_DUE;
    else if (rival)
        rival->state = PEER_AWAITS_DELETE;
    if (old && old->state == PEER_LIVE)
        old->state = lost ? PEER_AWAITS_DELETE : PEER_DELETE_DUE;
}

static void ike_answered(struct ike_peer *peer, struct peer_sa *sa, const struct payload_list *list)
{
    struct proposal_offer offer = offer_of(peer, true, sa->new_spi);
    struct peer_sa *rival = sa->rival && !sa->rival->gone ? sa->rival : NULL;
    struct ike_choice choice;
    struct report problem = {""};
    struct bytes_view value;
    struct notify n;
    uint16_t id;
    uint8_t shared[KE_SHARED_MAX];
    struct key_inputs in = {.nonce_i = sa->nonce};
    sa->rival = NULL;
    if (notify_error(list, &n)) {
        if (rival)
            move_children(peer, sa, rival);
        return;
    }
    require(proposal_check_answer(list, &offer, &choice, &problem) && nonce_read(list, &in.nonce_r) &&
            ke_read(list, &id, &value) && ke_finish(&sa->ke, value.data, value.size, shared));
    in.shared = (struct bytes_view){shared, choice.group->shared_bytes};
    in.spi_i = sa->new_spi;
    in.spi_r = choice.spi;
    struct peer_sa *made = rekeyed_sa(peer, sa, &choice, &in, true);
    if (rival && peer_lower(&made->low, &rival->low)) {
        move_children(peer, sa, rival);
        made->replaced = true;
        made->delete_due = true;
    } else {
        move_children(peer, sa, made);
        sa->delete_due = true;
        if (rival)
            rival->replaced = true;
    }
}

void peer_take_answer(struct ike_peer *peer, struct peer_sa *sa, const struct payload_list *list)
{
    enum peer_act act = sa->act;
    struct peer_child *child = peer_child_of(peer, sa->child);
    sa->act = ACT_NONE;
    if (act == ACT_REKEY_CHILD)
        child_answered(peer, sa, list);
    else if (act == ACT_REKEY_IKE)
        ike_answered(peer, sa, list);
    else if (act == ACT_DELETE_CHILD && child)
        child->state = PEER_FREE;
    else if (act == ACT_DELETE_IKE)
        sa_is_gone(peer, sa);
    ke_free(&sa->ke);
}
