/* SPDX-License-Identifier: Apache-2.0 */
/* The life of an IKE connection: dead peers, deletion, re-authentication, retransmission, and
 * messages that must change nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/ipsec/connection.h"
#include "tests/unit/support/ike_world.h"

#define DEFAULT_IKE "aes256gcm16-prfsha256-x25519"
#define DEFAULT_ESP "aes256gcm16"

static struct world *prepared(void)
{
    struct world *w = world_create(DEFAULT_IKE, DEFAULT_ESP);
    w->peer.script.mobike = true;
    return w;
}

static struct world *connected(struct world *w)
{
    world_connect(w);
    world_settle(w);
    assert_int_equal(w->ups, 1);
    return w;
}

static void sees_a_dead_gateway(void **state)
{
    (void)state;
    struct world *w = connected(prepared());
    world_run(w, 100000);
    assert_int_equal(w->peer.liveness, 3); /* each 30 seconds */
    w->peer.script.silent = true;
    world_run(w, 35000);
    assert_int_equal(w->downs, 1);
    assert_non_null(strstr(w->why, "stopped answering"));
    assert_int_equal(world_child_count(w), 0);
    w->peer.script.silent = false;
    world_run(w, 10000);
    assert_int_equal(w->ups, 2);
    world_destroy(w);
}

static void esp_traffic_is_life(void **state)
{
    (void)state;
    struct world *w = connected(prepared());
    for (unsigned i = 0; i < 100; i++) {
        world_child(w, w->sending)->esp->counters.last_in_ms = w->now;
        world_run(w, 1000);
    }
    assert_int_equal(w->peer.liveness, 0);
    world_destroy(w);
}

static void asks_once_when_it_suspects(void **state)
{
    (void)state;
    struct world *w = connected(prepared());
    for (unsigned i = 0; i < 50; i++) {
        ike_suspect(w->ike, w->now);
        world_run(w, 90);
    }
    assert_in_range(w->peer.liveness, 1, 1);
    /* INVALID_IKE_SPI in clear, from anybody. */
    uint8_t message[64];
    struct builder b = {.w = writer_of(message + IKE_HEADER_BYTES, sizeof(message) - IKE_HEADER_BYTES)};
    put_notify(&b, NOTIFY_INVALID_IKE_SPI, NULL, 0);
    struct ike_header header = {.spi_i = w->ike->current->spi_i,
                                .spi_r = w->ike->current->spi_r,
                                .next = b.first,
                                .exchange = INFORMATIONAL,
                                .flags = IKE_FLAG_RESPONSE,
                                .length = (uint32_t)(IKE_HEADER_BYTES + b.w.at)};
    header_write(&header, message);
    struct ike_datagram datagram = {w->ike->current->local, w->ike->current->remote, message, header.length};
    world_run(w, 6000);
    ike_receive(w->ike, &datagram, w->now);
    world_run(w, 100);
    assert_int_equal(w->peer.liveness, 2);
    assert_int_equal(w->downs, 0);
    world_destroy(w);
}

static void starts_again_when_the_gateway_closes(void **state)
{
    (void)state;
    struct world *w = connected(prepared());
    peer_act(&w->peer, ACT_DELETE_IKE);
    world_run(w, 5000);
    assert_int_equal(w->downs, 1);
    assert_non_null(strstr(w->why, "closed the connection"));
    assert_int_equal(w->ups, 2);
    peer_act(&w->peer, ACT_DELETE_CHILD);
    world_run(w, 5000);
    assert_int_equal(w->downs, 2);
    assert_int_equal(w->ups, 3);
    assert_int_equal(world_child_count(w), 1);
    world_destroy(w);
}

static void says_goodbye(void **state)
{
    (void)state;
    struct world *w = connected(prepared());
    ike_disconnect(w->ike, w->now);
    world_run(w, 1000);
    assert_null(w->peer.current);
    assert_int_equal(world_child_count(w), 0);
    assert_int_equal(w->again, 0);
    world_run(w, 200000);
    assert_int_equal(w->ups, 1);
    world_connect(w); /* and may come back */
    world_run(w, 1000);
    assert_int_equal(w->ups, 2);
    world_destroy(w);
}

/* The new IKE SA stands before the old one goes, and does not claim to be the first contact. */
static void authenticates_again(void **state)
{
    (void)state;
    struct world *w = prepared();
    w->peer.script.auth_lifetime = 100;
    connected(w);
    uint64_t spi = w->ike->current->spi_i;
    for (unsigned i = 0; i < 99 && w->ups == 1; i++) {
        world_run(w, 1000);
        assert_true(world_child_count(w) >= 1);
    }
    assert_int_equal(w->ups, 2);
    assert_int_equal(w->downs, 0);
    assert_true(w->ike->current->spi_i != spi);
    assert_int_equal(w->peer.initial_contacts, 1);
    world_run(w, 20000);
    assert_int_equal(world_child_count(w), 1);
    assert_non_null(world_child(w, w->sending));
    unsigned sas = 0;
    for (unsigned i = 0; i < PEER_SAS; i++)
        sas += w->peer.sas[i].used && w->peer.sas[i].live;
    assert_int_equal(sas, 1);
    world_destroy(w);
}

static void keeps_the_tunnel_when_reauthentication_fails(void **state)
{
    (void)state;
    struct world *w = prepared();
    w->config.reauth_lifetime = 100;
    connected(w);
    w->peer.script.refuse_auth = NOTIFY_AUTHENTICATION_FAILED;
    world_run(w, 92000);
    assert_int_equal(w->downs, 0);
    assert_non_null(strstr(w->log, "re-authentication failed"));
    assert_int_equal(world_child_count(w), 1);
    w->peer.script.refuse_auth = 0;
    world_run(w, 7900);
    assert_int_equal(w->ups, 2);
    world_destroy(w);
}

/* Without a new authentication in time there is no tunnel, whatever the reason. */
static void ends_without_reauthentication(void **state)
{
    (void)state;
    struct world *w = prepared();
    w->config.reauth_lifetime = 100;
    connected(w);
    w->peer.script.refuse_auth = NOTIFY_AUTHENTICATION_FAILED;
    world_run(w, 101000);
    assert_true(w->downs >= 1);
    assert_int_equal(world_child_count(w), 0);
    assert_non_null(strstr(w->why, "reauth-lifetime"));
    world_destroy(w);
}

/* Closed again and again just after it came up: each try waits longer. */
static void backs_off_from_a_gateway_that_closes(void **state)
{
    (void)state;
    struct world *w = prepared();
    world_connect(w);
    for (unsigned i = 0; i < 600; i++) {
        world_run(w, 100);
        peer_act(&w->peer, ACT_DELETE_IKE);
    }
    assert_true(w->ups >= 3 && w->ups < 8);
    world_destroy(w);
}

/* The gateway's last request, replayed off the wire, keeps no dead gateway alive. */
static void a_replay_is_no_life(void **state)
{
    (void)state;
    struct world *w = connected(prepared());
    peer_act(&w->peer, ACT_LIVENESS);
    struct wire_datagram request = *w->to_us.item[0];
    world_settle(w);
    w->peer.script.silent = true;
    for (unsigned i = 0; i < 8 && w->downs == 0; i++) {
        struct ike_datagram again = {request.local, request.remote, request.data, request.size};
        world_run(w, 6000);
        ike_receive(w->ike, &again, w->now);
    }
    assert_int_equal(w->downs, 1);
    world_destroy(w);
}

static void refuses_impossible_inner_addresses(void **state)
{
    (void)state;
    static const uint8_t addresses[][4] = {{0, 0, 0, 0},   {255, 255, 255, 255}, {127, 0, 0, 1},
                                           {224, 0, 0, 5}, {169, 254, 1, 1},     {240, 0, 0, 1}};
    for (unsigned i = 0; i < ARRAY_COUNT(addresses); i++) {
        uint8_t plain[64];
        struct ike_inner inner;
        struct payload_list list;
        struct report problem = {""};
        struct builder b = {.w = writer_of(plain, sizeof(plain))};
        payload_begin(&b, PAYLOAD_CP);
        writer_be(&b.w, 0x02000000, 4);
        writer_be(&b.w, 0x00010004, 4);
        writer_bytes(&b.w, addresses[i], 4);
        payload_end(&b);
        assert_true(payloads_read(b.first, plain, b.w.at, &list));
        assert_false(configuration_read(&list, &inner, &problem));
        assert_non_null(strstr(problem.text, "no host can have"));
    }
}

/* A gateway of IKEv1 says so by the version of its answer. */
static void names_another_version(void **state)
{
    (void)state;
    struct world *w = prepared();
    w->peer.script.silent = true;
    world_connect(w);
    uint8_t message[IKE_HEADER_BYTES];
    memcpy(message, w->to_peer.item[0]->data, sizeof(message));
    message[17] = 0x10;
    message[24] = message[25] = message[26] = 0;
    message[27] = sizeof(message);
    struct ike_datagram datagram = {{w->here, IKE_PORT}, {w->there, IKE_PORT}, message, sizeof(message)};
    ike_receive(w->ike, &datagram, w->now);
    world_run(w, 3000);
    assert_non_null(strstr(w->why, "IKE version 1"));
    world_destroy(w);
}

/* Refused after all, while our own request was under way: its answer opens nothing. */
static void stays_down_when_refused_late(void **state)
{
    (void)state;
    struct world *w = connected(prepared());
    w->ike->current->rekey_at = NEVER;
    child_live(w->ike)->rekey_at = w->now;
    world_tick(w);
    assert_true(world_to_peer(w)); /* the answer is on its way */
    uint8_t plain[64];
    struct builder b = {.w = writer_of(plain, sizeof(plain))};
    put_notify(&b, NOTIFY_AUTHENTICATION_FAILED, NULL, 0);
    struct wire answers = w->to_us;
    w->to_us.count = 0;
    peer_send_sealed(&w->peer, w->peer.current, INFORMATIONAL, false, w->peer.current->next_id++, &b);
    assert_true(world_to_us(w));
    assert_int_equal(w->downs, 1);
    w->to_us = answers;
    w->peer.script.silent = true;
    world_settle(w);
    assert_int_equal(w->ups, 1);
    assert_int_equal(world_child_count(w), 0);
    world_destroy(w);
}

/* The gateway's request again gives the same answer again, and nothing else. */
static void answers_retransmissions_alike(void **state)
{
    (void)state;
    struct world *w = connected(prepared());
    peer_act(&w->peer, ACT_REKEY_CHILD);
    struct wire_datagram request = *w->to_us.item[0];
    assert_true(world_to_us(w));
    assert_int_equal(w->to_peer.count, 1);
    struct wire_datagram answer = *w->to_peer.item[0];
    struct ike_datagram again = {request.local, request.remote, request.data, request.size};
    ike_receive(w->ike, &again, w->now);
    assert_int_equal(w->to_peer.count, 2);
    assert_int_equal(w->to_peer.item[1]->size, answer.size);
    assert_memory_equal(w->to_peer.item[1]->data, answer.data, answer.size);
    assert_int_equal(w->added, 2);
    world_run(w, 5000);
    ike_receive(w->ike, &again, w->now); /* by now it is old: no answer at all */
    assert_int_equal(w->to_peer.count, 0);
    world_destroy(w);
}

/* Every byte of an authentic message changed in turn: each is dropped without a trace. */
static void drops_what_is_not_authentic(void **state)
{
    (void)state;
    static const char *const proposals[] = {DEFAULT_IKE, "aes256-sha256-x25519",
                                            "chacha20poly1305-prfsha256-x25519"};
    for (unsigned n = 0; n < ARRAY_COUNT(proposals); n++) {
        struct world *w = world_create(proposals[n], DEFAULT_ESP);
        connected(w);
        peer_act(&w->peer, ACT_DELETE_IKE);
        struct wire_datagram message = *w->to_us.item[0];
        world_drop(&w->to_us);
        for (size_t i = 0; i < message.size; i++) {
            struct ike_datagram datagram = {message.local, message.remote, message.data, message.size};
            message.data[i] ^= 0x10;
            ike_receive(w->ike, &datagram, w->now);
            message.data[i] ^= 0x10;
            datagram.size = i;
            ike_receive(w->ike, &datagram, w->now);
            world_drop(&w->to_peer);
        }
        assert_int_equal(w->downs, 0);
        world_destroy(w);
    }
}

/* No transmission of the client carries a secret of its keys in clear, and its retransmissions are equal. */
static void retransmits_unchanged(void **state)
{
    (void)state;
    struct world *w = prepared();
    w->peer.script.silent = true;
    world_connect(w);
    assert_int_equal(w->to_peer.count, 1);
    struct wire_datagram first = *w->to_peer.item[0];
    uint64_t start = w->now;
    for (unsigned sent = 1; sent < 5; sent++) {
        world_drop(&w->to_peer);
        assert_true(w->next > w->now && w->next < NEVER_TIME);
        w->now = w->next;
        world_tick(w);
        assert_int_equal(w->to_peer.count, 1);
        assert_memory_equal(w->to_peer.item[0]->data, first.data, first.size);
    }
    assert_true(w->now - start >= 5000);
    world_destroy(w);
}

/* A peer-made request that is authentic but broken gets INVALID_SYNTAX, and all goes on. */
static void answers_broken_requests(void **state)
{
    (void)state;
    struct world *w = connected(prepared());
    uint8_t plain[64];
    for (unsigned kind = 0; kind < 3; kind++) {
        struct builder b = {.w = writer_of(plain, sizeof(plain))};
        struct peer_sa *sa = w->peer.current;
        payload_begin(&b, kind == 1 ? 200 : PAYLOAD_DELETE);
        writer_be(&b.w, 0x0304ffff, 4);
        payload_end(&b);
        if (kind == 0)
            b.w.data[3] = 200; /* longer than the message */
        if (kind == 1)
            b.w.data[1] = 0x80; /* unknown and critical */
        sa->act = ACT_LIVENESS;
        peer_send_sealed(&w->peer, sa, INFORMATIONAL, false, sa->next_id++, &b);
        world_settle(w);
        assert_int_equal(sa->act, ACT_NONE); /* answered */
    }
    assert_int_equal(w->downs, 0);
    assert_int_equal(world_child_count(w), 1);
    world_destroy(w);
}

static void wants_no_memory_to_fail_closed(void **state)
{
    (void)state;
    struct world *w = prepared();
    /* The service cannot take the CHILD SA: nothing is up, and the gateway is told. */
    for (unsigned i = 0; i < WORLD_CHILDREN; i++)
        w->children[i] = (struct world_child){.used = true, .p = {.spi_in = i + 1}};
    world_connect(w);
    world_run(w, 1000);
    assert_int_equal(w->ups, 0);
    assert_non_null(strstr(w->why, "could not be set up"));
    assert_null(w->peer.current);
    for (unsigned i = 0; i < WORLD_CHILDREN; i++)
        w->children[i].used = false;
    world_destroy(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sees_a_dead_gateway),
        cmocka_unit_test(esp_traffic_is_life),
        cmocka_unit_test(asks_once_when_it_suspects),
        cmocka_unit_test(starts_again_when_the_gateway_closes),
        cmocka_unit_test(says_goodbye),
        cmocka_unit_test(authenticates_again),
        cmocka_unit_test(keeps_the_tunnel_when_reauthentication_fails),
        cmocka_unit_test(ends_without_reauthentication),
        cmocka_unit_test(backs_off_from_a_gateway_that_closes),
        cmocka_unit_test(a_replay_is_no_life),
        cmocka_unit_test(refuses_impossible_inner_addresses),
        cmocka_unit_test(names_another_version),
        cmocka_unit_test(stays_down_when_refused_late),
        cmocka_unit_test(answers_retransmissions_alike),
        cmocka_unit_test(drops_what_is_not_authentic),
        cmocka_unit_test(retransmits_unchanged),
        cmocka_unit_test(answers_broken_requests),
        cmocka_unit_test(wants_no_memory_to_fail_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
