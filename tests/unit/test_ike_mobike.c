/* SPDX-License-Identifier: Apache-2.0 */
/* Moves of the IKE connection: our address changes (MOBIKE), a NAT forgets us, the gateway's name answers
 * otherwise. */
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

static void set_here(struct world *w, const char *text)
{
    assert_true(ip_parse(text, strlen(text), &w->here));
}

static void moves(void **state)
{
    (void)state;
    struct world *w = connected(prepared());
    uint32_t spi = w->sending;
    set_here(w, "203.0.113.77");
    w->peer.script.sees_nat = true;
    world_connect(w);
    world_run(w, 1000);
    assert_int_equal(w->peer.updates, 1);
    assert_int_equal(w->sending, spi);
    const struct child_parameters *p = &world_child(w, spi)->p;
    assert_true(ip_equal(&p->outer_local.ip, &w->here));
    assert_true(p->udp_encapsulated);
    assert_int_equal(w->downs, 0);
    /* Again, while a request is under way. */
    ike_suspect(w->ike, w->now + 10000);
    set_here(w, "203.0.113.78");
    w->now += 10000;
    world_connect(w);
    world_run(w, 3000);
    assert_int_equal(w->peer.updates, 2);
    /* The old IKE SA's rekeying keeps the address. */
    w->ike->current->rekey_at = w->now;
    world_run(w, 30000);
    assert_true(ip_equal(&w->ike->current->local.ip, &w->here));
    /* Another address of the gateway is no move: a name server's answer is not authentic. */
    struct ip_address before = w->there;
    assert_true(ip_parse("6.6.6.6", 7, &w->there));
    world_connect(w);
    world_run(w, 5000);
    assert_true(ip_equal(&world_child(w, w->sending)->p.outer_remote.ip, &before));
    assert_int_equal(w->downs, 0);
    /* To IPv6: a new start. */
    assert_true(ip_parse("2001:db8::1", 11, &w->there));
    set_here(w, "2001:db8::77");
    world_connect(w);
    world_run(w, 3000);
    assert_int_equal(w->ups, 2);
    assert_int_equal(world_child(w, w->sending)->p.outer_remote.ip.version, 6);
    world_destroy(w);
}

/* The NAT gives us another port: the gateway is told, and only then. */
static void follows_a_nats_new_mapping(void **state)
{
    (void)state;
    struct world *w = prepared();
    w->peer.script.mapping = 5000;
    connected(w);
    world_run(w, 65000);
    assert_int_equal(w->peer.updates, 0);
    w->peer.script.mapping = 6000;
    world_run(w, 31000);
    assert_int_equal(w->peer.updates, 1);
    w->ike->current->rekey_at = w->now;
    world_run(w, 65000);
    assert_int_equal(w->peer.updates, 1);
    w->peer.script.mapping = 7000;
    world_run(w, 31000);
    assert_int_equal(w->peer.updates, 2);
    assert_int_equal(w->downs, 0);
    world_destroy(w);
}

static void starts_again_where_it_cannot_move(void **state)
{
    (void)state;
    struct world *w = world_create(DEFAULT_IKE, DEFAULT_ESP);
    connected(w);
    set_here(w, "203.0.113.77");
    world_connect(w);
    world_run(w, 1000);
    assert_non_null(strstr(w->why, "MOBIKE"));
    assert_int_equal(w->ups, 2);
    assert_true(ip_equal(&world_child(w, w->sending)->p.outer_local.ip, &w->here));
    world_destroy(w);

    w = prepared();
    w->peer.script.wrong_cookie2 = true;
    connected(w);
    set_here(w, "203.0.113.77");
    world_connect(w);
    world_run(w, 4000); /* it did not stand long: with a pause */
    assert_non_null(strstr(w->why, "COOKIE2"));
    assert_int_equal(w->ups, 2);
    world_destroy(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moves),
        cmocka_unit_test(follows_a_nats_new_mapping),
        cmocka_unit_test(starts_again_where_it_cannot_move),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
