/* SPDX-License-Identifier: Apache-2.0 */
/* IKE payloads after decryption: a gateway that has the keys and means harm. Input: a byte of choices, a
 * length and what follows AUTH in IKE_AUTH's answer, then messages: a byte that says how it is sent, a length
 * in two bytes, payloads as records of type, length and content (or, by choice, as they are). */
#include <stdlib.h>
#include <string.h>

#include "crypto/ipsec/connection.h"
#include "tests/unit/support/ike_world.h"

/* The first byte. */
#define OWN_AUTH    BIT(0) /* the payloads after AUTH come from the input */
#define WITH_GROUPS BIT(1) /* forward secrecy for CHILD SAs */
#define RAW         BIT(2) /* payload chains as they are */
#define ACT_SHIFT   3      /* what we have begun when the messages come: enum peer_act */
/* A message's byte. */
#define AS_RESPONSE  BIT(0)
#define AS_CREATE    BIT(1)
#define LATER        BIT(2) /* some seconds pass before it */
#define MESSAGES_MAX 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void act(struct world *w, unsigned what)
{
    struct child *child = child_live(w->ike);
    if (!w->ike->current || !child)
        return;
    if (what == ACT_REKEY_CHILD)
        child->rekey_at = w->now;
    else if (what == ACT_DELETE_CHILD)
        child->state = CHILD_SUPERSEDED;
    else if (what == ACT_REKEY_IKE)
        w->ike->current->rekey_at = w->now;
    else if (what == ACT_LIVENESS)
        ike_suspect(w->ike, w->now);
    w->next = ike_tick(w->ike, w->now);
}

/* Seals the payloads with the gateway's keys, as the next request or as the answer that is waited for. */
static void send_message(struct world *w, uint8_t how, bool raw, const uint8_t *data, size_t size)
{
    static uint8_t plain[KIB(16)];
    const struct ike_sa *sa = w->ike->current;
    struct peer_sa *peer = w->peer.current;
    if (!sa || !peer || peer->spi_i != sa->spi_i || peer->spi_r != sa->spi_r)
        return;
    struct builder b = {.w = writer_of(plain, sizeof(plain) - 256)};
    if (raw) {
        b.first = size ? data[0] : 0;
        writer_bytes(&b.w, data, size);
    } else {
        peer_put_records(&b, data, size);
    }
    if (b.w.failed)
        return;
    bool response = how & AS_RESPONSE;
    if (response && !sa->request.kind)
        return;
    uint8_t type = response ? sa->request.kind->type : (how & AS_CREATE) ? CREATE_CHILD_SA : INFORMATIONAL;
    peer_send_sealed(&w->peer, peer, type, response, response ? sa->next_id - 1 : sa->expected_id, &b);
    while (w->to_us.count) {
        struct wire_datagram *d = w->to_us.item[0];
        struct ike_datagram datagram = {d->local, d->remote, d->data, d->size};
        ike_receive(w->ike, &datagram, w->now);
        memmove(w->to_us.item, w->to_us.item + 1, --w->to_us.count * sizeof(w->to_us.item[0]));
        free(d);
    }
}

static void check(struct world *w)
{
    require(world_child_count(w) <= CHILDREN_MAX);
    require(!w->ike->is_up || w->ike->current);
    require(!w->ike->sending || world_child(w, w->ike->sending));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4)
        return 0;
    struct reader r = reader_of(data, size);
    uint8_t choices = reader_u8(&r);
    struct world *w = world_create("aes256gcm16-prfsha256-x25519",
                                   choices & WITH_GROUPS ? "aes256gcm16-x25519" : "aes256gcm16");
    w->peer.script.mobike = true;
    if (choices & OWN_AUTH) {
        size_t length = (size_t)reader_be(&r, 2);
        length = MIN(length, reader_left(&r));
        w->peer.script.after_auth = reader_bytes(&r, length);
        w->peer.script.after_auth_size = length;
    }
    world_connect(w);
    for (unsigned i = 0; i < 4 && (w->to_peer.count || w->to_us.count); i++) {
        (void)world_to_peer(w);
        (void)world_to_us(w);
    }
    world_drop(&w->to_peer);
    act(w, choices >> ACT_SHIFT);
    check(w);
    for (unsigned i = 0; i < MESSAGES_MAX && reader_left(&r) > 3; i++) {
        uint8_t how = reader_u8(&r);
        size_t length = (size_t)reader_be(&r, 2);
        length = MIN(length, reader_left(&r));
        w->now += how & LATER ? 3000 : 1;
        send_message(w, how, choices & RAW, reader_bytes(&r, length), length);
        w->next = ike_tick(w->ike, w->now);
        world_drop(&w->to_peer);
        check(w);
    }
    world_destroy(w);
    return 0;
}
