/* SPDX-License-Identifier: Apache-2.0 */
/* Rekeying and deletion from either end, alone and at once: the matrix of RFC 7296 section 2.25 on virtual
 * time, over the orders in which messages can arrive, with and without a loss. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/ipsec/connection.h"
#include "tests/unit/support/ike_world.h"

#define DEFAULT_IKE "aes256gcm16-prfsha256-x25519"
#define DEFAULT_ESP "aes256gcm16"
#define ORDER_BITS  6
#define LOST_MAX    3 /* one of the first three deliveries, or none */
#define QUIET_MS    60000

static struct world *connected_with(const char *esp)
{
    struct world *w = world_create(DEFAULT_IKE, esp);
    world_connect(w);
    world_settle(w);
    assert_int_equal(w->ups, 1);
    return w;
}

static struct world *connected(void)
{
    return connected_with(DEFAULT_ESP);
}

/* Both ends hold one IKE SA and one CHILD SA, the same. */
static void assert_agreed(struct world *w)
{
    struct ike_sa *sa = w->ike->current;
    assert_non_null(sa);
    assert_non_null(w->peer.current);
    assert_true(sa->spi_i == w->peer.current->spi_i && sa->spi_r == w->peer.current->spi_r);
    assert_memory_equal(sa->keys.d, w->peer.current->keys.d, sizeof(sa->keys.d));
    assert_int_equal(world_child_count(w), 1);
    struct world_child *ours = world_child(w, w->sending);
    assert_non_null(ours);
    struct peer_child *theirs = peer_child_of(&w->peer, ours->p.spi_out);
    assert_non_null(theirs);
    assert_int_equal(theirs->state, PEER_LIVE);
    assert_int_equal(theirs->spi_out, ours->p.spi_in);
    assert_memory_equal(&theirs->in, &ours->p.out, sizeof(theirs->in));
    assert_memory_equal(&theirs->out, &ours->p.in, sizeof(theirs->out));
    unsigned live = 0;
    for (unsigned i = 0; i < PEER_CHILDREN; i++)
        live += w->peer.children[i].state != PEER_FREE;
    assert_int_equal(live, 1);
    assert_ptr_equal(w->ike->sas, sa);
    assert_null(sa->next);
}

static void begin_ours(struct world *w, enum peer_act act)
{
    struct ike *ike = w->ike;
    struct child *child = child_live(ike);
    if (act == ACT_REKEY_CHILD)
        child->rekey_at = w->now;
    else if (act == ACT_DELETE_CHILD)
        child->state = CHILD_SUPERSEDED;
    else if (act == ACT_REKEY_IKE)
        ike->current->rekey_at = w->now;
    else if (act == ACT_DELETE_IKE)
        ike_disconnect(ike, w->now);
    else if (act == ACT_LIVENESS)
        ike_suspect(ike, w->now);
    world_tick(w);
}

static void rekeys_from_our_side(void **state)
{
    (void)state;
    struct world *w = connected();
    uint32_t first = w->sending;
    begin_ours(w, ACT_REKEY_CHILD);
    world_settle(w);
    assert_int_not_equal(w->sending, first);
    assert_non_null(world_child(w, first)); /* packets may be under way */
    assert_int_equal(world_child(w, w->sending)->replaces, first);
    world_run(w, 10000);
    assert_agreed(w);
    uint64_t spi = w->ike->current->spi_i;
    begin_ours(w, ACT_REKEY_IKE);
    world_run(w, 30000);
    assert_true(w->ike->current->spi_i != spi);
    assert_agreed(w);
    begin_ours(w, ACT_REKEY_CHILD); /* in the new IKE SA */
    world_run(w, 10000);
    assert_agreed(w);
    assert_int_equal(w->downs, 0);
    world_destroy(w);
}

static void rekeys_from_the_gateways_side(void **state)
{
    (void)state;
    struct world *w = connected_with("aes256gcm16-x25519");
    uint32_t first = w->sending;
    peer_act(&w->peer, ACT_REKEY_CHILD);
    assert_true(world_to_us(w));
    assert_int_equal(w->sending, first); /* until the gateway surely has the new one */
    world_run(w, 10000);
    assert_int_not_equal(w->sending, first);
    assert_agreed(w);
    peer_act(&w->peer, ACT_REKEY_IKE);
    world_run(w, 30000);
    assert_false(w->ike->current->initiator);
    assert_agreed(w);
    begin_ours(w, ACT_REKEY_CHILD);
    world_run(w, 10000);
    assert_agreed(w);
    begin_ours(w, ACT_REKEY_IKE);
    world_run(w, 30000);
    assert_true(w->ike->current->initiator);
    assert_agreed(w);
    assert_int_equal(w->downs, 0);
    world_destroy(w);
}

/* The gateway's new SA carries traffic before the old one's DELETE comes. */
static void follows_the_gateways_traffic(void **state)
{
    (void)state;
    struct world *w = connected();
    uint32_t first = w->sending;
    peer_act(&w->peer, ACT_REKEY_CHILD);
    assert_true(world_to_us(w));
    for (unsigned i = 0; i < WORLD_CHILDREN; i++)
        if (w->children[i].used && w->children[i].p.spi_in != first)
            w->children[i].esp->counters.packets_in = 1;
    world_tick(w);
    assert_int_not_equal(w->sending, first);
    world_run(w, 10000);
    assert_agreed(w);
    world_destroy(w);
}

static void rekeys_by_time_and_volume(void **state)
{
    (void)state;
    struct world *w = world_create(DEFAULT_IKE, DEFAULT_ESP);
    w->config.child_lifetime = 10;
    w->config.ike_lifetime = 25;
    w->config.child_bytes_max = 1000;
    world_connect(w);
    world_run(w, 600000);
    assert_true(w->added > 60 && w->added < 110);
    assert_int_equal(w->downs, 0);
    unsigned before = w->added;
    world_child(w, w->sending)->esp->counters.bytes_out = 1000;
    world_run(w, 1100);
    assert_true(w->added > before);
    before = w->added;
    world_child(w, w->sending)->esp->counters.rekey_due = true;
    world_run(w, 1100);
    assert_true(w->added > before);
    world_destroy(w);
}

static void takes_the_gateways_group(void **state)
{
    (void)state;
    struct world *w = connected_with("aes256gcm16-x25519-ecp256");
    w->peer.script.esp = proposal_of("aes256gcm16-ecp256", PROTOCOL_ESP);
    begin_ours(w, ACT_REKEY_CHILD);
    world_run(w, 10000);
    assert_int_equal(w->added, 2);
    assert_agreed(w);
    world_destroy(w);
}

static void keeps_what_it_has_when_refused(void **state)
{
    (void)state;
    struct world *w = connected();
    w->peer.script.refuse_rekey = NOTIFY_NO_PROPOSAL_CHOSEN;
    begin_ours(w, ACT_REKEY_CHILD);
    world_run(w, 5000);
    assert_int_equal(w->added, 1);
    assert_non_null(strstr(w->log, "NO_PROPOSAL_CHOSEN"));
    w->peer.script.refuse_rekey = NOTIFY_TEMPORARY_FAILURE;
    begin_ours(w, ACT_REKEY_IKE);
    world_run(w, 20000);
    assert_int_equal(w->downs, 0);
    w->peer.script.refuse_rekey = 0;
    world_run(w, 30000);
    assert_agreed(w);
    assert_int_equal(w->added, 2);
    assert_int_equal(w->downs, 0);
    world_destroy(w);
}

/* A gateway without forward secrecy where the policy wants it: the first CHILD SA needs none, so a new IKE SA
 * stands before the old CHILD SA ends. */
static void begins_anew_where_rekeying_is_refused(void **state)
{
    (void)state;
    struct world *w = world_create(DEFAULT_IKE, "aes256gcm16-x25519");
    w->config.child_lifetime = 60;
    w->config.ike_lifetime = 300;
    w->peer.script.esp = proposal_of(DEFAULT_ESP, PROTOCOL_ESP);
    world_connect(w);
    for (unsigned i = 0; i < 600; i++) {
        world_run(w, 1000);
        assert_non_null(child_live(w->ike));
        assert_non_null(world_child(w, w->sending));
    }
    assert_true(w->ups > 5);
    assert_int_equal(w->downs, 0);
    world_destroy(w);
    /* Where even that is refused the tunnel is down, says why, and is tried again. */
    w = world_create(DEFAULT_IKE, "aes256gcm16-x25519");
    w->config.child_lifetime = 60;
    w->peer.script.esp = proposal_of(DEFAULT_ESP, PROTOCOL_ESP);
    world_connect(w);
    world_settle(w);
    w->peer.script.refuse_auth = NOTIFY_AUTHENTICATION_FAILED;
    world_run(w, 120000);
    assert_true(w->downs >= 1);
    assert_int_equal(world_child_count(w), 0);
    w->peer.script.refuse_auth = 0;
    world_run(w, 61000);
    assert_true(w->ups >= 2 && child_live(w->ike));
    world_destroy(w);
}

/* ---- The matrix ---- */

struct meeting {
    enum peer_act ours, theirs;
    unsigned order; /* bit n: the n-th delivery goes to the gateway */
    int lost;       /* this delivery is lost; -1: none */
};

/* Whatever is under way: what we send with, the gateway can open; and the other way round. */
static void assert_traffic_flows(struct world *w)
{
    struct world_child *ours = world_child(w, w->sending);
    assert_non_null(ours);
    assert_non_null(peer_child_of(&w->peer, ours->p.spi_out));
    struct peer_child *theirs = peer_child_live(&w->peer);
    assert_non_null(theirs);
}

static bool only_renews(const struct meeting *m)
{
    return m->ours != ACT_DELETE_IKE && m->theirs != ACT_DELETE_IKE && m->ours != ACT_DELETE_CHILD &&
           m->theirs != ACT_DELETE_CHILD;
}

static void deliver(struct world *w, const struct meeting *m)
{
    for (unsigned i = 0; i < ORDER_BITS; i++) {
        bool to_peer = m->order & BIT(i);
        struct wire *wire = to_peer ? &w->to_peer : &w->to_us;
        if (wire->count == 0) {
            to_peer = !to_peer;
            wire = to_peer ? &w->to_peer : &w->to_us;
        }
        if (wire->count == 0)
            return;
        if ((int)i == m->lost) {
            struct wire rest = *wire;
            struct wire one = {.count = 1, .item = {rest.item[0]}};
            memmove(wire->item, wire->item + 1, --wire->count * sizeof(wire->item[0]));
            world_drop(&one);
        } else if (to_peer) {
            assert_true(world_to_peer(w));
        } else {
            assert_true(world_to_us(w));
        }
        if (only_renews(m))
            assert_traffic_flows(w);
    }
}

static struct meeting last_meeting; /* for the debugger */

static void meet(const struct meeting *m)
{
    struct world *w = connected();
    w->seed += m->order; /* either end's nonce may be the lowest */
    w->peer.seed += m->order * 77;
    begin_ours(w, m->ours);
    peer_act(&w->peer, m->theirs);
    deliver(w, m);
    world_run(w, QUIET_MS);
    if (m->ours == ACT_DELETE_IKE) {
        assert_null(w->ike->current);
        assert_int_equal(world_child_count(w), 0);
        assert_int_equal(w->again, 0);
    } else {
        assert_agreed(w);
        if (only_renews(m) && w->downs)
            fail_msg("went down: %s", w->why);
    }
    world_destroy(w);
}

static void agrees_after_each_meeting(void **state)
{
    (void)state;
    for (enum peer_act ours = ACT_NONE; ours <= ACT_LIVENESS; ours++)
        for (enum peer_act theirs = ACT_NONE; theirs <= ACT_LIVENESS; theirs++)
            for (unsigned order = 0; order < BIT(ORDER_BITS); order++)
                for (int lost = -1; lost < LOST_MAX; lost++) {
                    struct meeting m = {ours, theirs, order, lost};
                    last_meeting = m;
                    meet(&m);
                }
}

/* What the gateway has begun comes to its end. */
static void finish(struct world *w)
{
    while (world_to_us(w) && world_to_peer(w))
        ;
    world_drop(&w->to_us);
}

/* Both rekey the same SA at once, and before its answer to us comes the gateway deletes what has won, or
 * rekeys that, too: the first nonces decide all the same. */
static void loses_against_what_is_gone_since(void **state)
{
    (void)state;
    static const enum peer_act acts[][3] = {{ACT_REKEY_CHILD, ACT_DELETE_CHILD},
                                            {ACT_REKEY_CHILD, ACT_REKEY_CHILD, ACT_DELETE_CHILD},
                                            {ACT_REKEY_IKE, ACT_DELETE_IKE}};
    for (unsigned i = 0; i < ARRAY_COUNT(acts); i++)
        for (unsigned seed = 0; seed < 16; seed++) { /* either end's nonce may be the lowest */
            struct world *w = connected();
            w->seed += seed;
            begin_ours(w, acts[i][0]);
            peer_act(&w->peer, acts[i][0]);
            assert_true(world_to_peer(w) && world_to_us(w));
            world_drop(&w->to_us); /* the answer, until we ask again */
            assert_true(world_to_peer(w));
            for (unsigned k = 1; k < 3; k++) {
                if (acts[i][0] == ACT_REKEY_CHILD)
                    finish(w); /* the old one's DELETE goes before in the same IKE SA */
                world_drop(&w->to_us);
                peer_act(&w->peer, acts[i][k]);
                (void)world_to_us(w);
            }
            world_run(w, QUIET_MS);
            assert_agreed(w);
            world_destroy(w);
        }
}

static bool at_rest(struct world *w)
{
    return w->ike->sas && !w->ike->sas->next && world_child_count(w) == 1;
}

/* Both ends act at random on a wire that loses, doubles and reorders. */
static void survives_a_storm(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 60; seed++) {
        struct world *w = world_create(DEFAULT_IKE, seed & 1 ? "aes256gcm16-x25519" : DEFAULT_ESP);
        w->config.reauth_lifetime = seed & 2 ? 20 + seed : 0;
        world_connect(w);
        world_settle(w);
        w->seed = seed;
        w->loss = w->doubling = w->disorder = 40;
        for (unsigned i = 0; i < 100; i++) {
            enum peer_act ours = (enum peer_act)(w->seed >> 33) % (ACT_LIVENESS + 1);
            if (w->ike->current && child_live(w->ike) && ours != ACT_DELETE_IKE && ours != ACT_DELETE_CHILD)
                begin_ours(w, ours);
            peer_act(&w->peer, (enum peer_act)((w->peer.seed >> 33) % (ACT_LIVENESS + 1)));
            uint8_t step;
            (void)peer_random(&w->peer, &step, 1);
            world_run(w, step * 8u);
        }
        w->loss = w->doubling = w->disorder = 0;
        world_run(w, 2 * QUIET_MS);
        for (unsigned i = 0; i < 40 && !at_rest(w); i++) /* re-authentication may be under way */
            world_run(w, 1000);
        assert_agreed(w);
        world_destroy(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rekeys_from_our_side),
        cmocka_unit_test(rekeys_from_the_gateways_side),
        cmocka_unit_test(follows_the_gateways_traffic),
        cmocka_unit_test(rekeys_by_time_and_volume),
        cmocka_unit_test(takes_the_gateways_group),
        cmocka_unit_test(keeps_what_it_has_when_refused),
        cmocka_unit_test(begins_anew_where_rekeying_is_refused),
        cmocka_unit_test(agrees_after_each_meeting),
        cmocka_unit_test(loses_against_what_is_gone_since),
        cmocka_unit_test(survives_a_storm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
