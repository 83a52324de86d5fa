/* SPDX-License-Identifier: Apache-2.0 */
/* The IKEv2 connection against the scripted gateway: beginning, refusals, and the sentences that they give.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/ipsec/connection.h"
#include "crypto/ipsec/proposal.h"
#include "tests/unit/support/ike_world.h"

#define DEFAULT_IKE "aes256gcm16-prfsha256-x25519"
#define DEFAULT_ESP "aes256gcm16"

/* Both ends must hold the same CHILD SA, crosswise. */
static void assert_tunnel(struct world *w)
{
    struct world_child *ours = world_child(w, w->sending);
    assert_non_null(ours);
    struct peer_child *theirs = peer_child_of(&w->peer, ours->p.spi_out);
    assert_non_null(theirs);
    assert_int_equal(theirs->spi_out, ours->p.spi_in);
    assert_memory_equal(&theirs->in, &ours->p.out, sizeof(theirs->in));
    assert_memory_equal(&theirs->out, &ours->p.in, sizeof(theirs->out));
}

static void comes_up(void **state)
{
    (void)state;
    struct world *w = world_create(DEFAULT_IKE, DEFAULT_ESP);
    world_connect(w);
    world_settle(w);
    if (!w->ups)
        print_message("%s / %s\n", w->why, w->log);
    assert_int_equal(w->ups, 1);
    assert_int_equal(w->downs, 0);
    assert_tunnel(w);
    assert_int_equal(w->peer.initial_contacts, 1);
    assert_int_equal(w->inner.address.count, 1);
    assert_int_equal(w->inner.address.item[0].bytes[3], 7);
    assert_int_equal(w->inner.dns.count, 1);
    assert_int_equal(w->inner.subnets.count, 1);
    assert_int_equal(w->inner.subnets.item[0].last.bytes[3], 255);
    world_destroy(w);
}

static struct world *connected(const char *ike, const char *esp)
{
    struct world *w = world_create(ike, esp);
    world_connect(w);
    world_settle(w);
    if (w->ups != 1)
        fail_msg("%s with %s: %s", ike, esp, w->why);
    assert_tunnel(w);
    return w;
}

static void speaks_each_proposal(void **state)
{
    (void)state;
    static const char *const ike[] = {
        "aes256gcm16-prfsha384-ecp384", "aes128gcm16-prfsha256-ecp256", "chacha20poly1305-prfsha512-x25519",
        "aes256-sha512-modp2048",       "aes128-sha256-modp3072",       "aes256-sha384-prfsha256-x25519",
    };
    static const char *const esp[] = {
        "aes256gcm16-esn", "aes128gcm16-noesn",    "chacha20poly1305",
        "aes256-sha512",   "aes128-sha256-x25519", "aes256-sha384-ecp256",
    };
    for (unsigned i = 0; i < ARRAY_COUNT(ike); i++)
        world_destroy(connected(ike[i], esp[i]));
}

/* The tunnel does not come up; the sentence has these words and the next try is so far away. */
static void assert_refused(struct world *w, const char *words)
{
    world_connect(w);
    world_run(w, 3000);
    assert_int_equal(w->ups, 0);
    assert_true(w->downs >= 1);
    if (!strstr(w->why, words))
        fail_msg("\"%s\" lacks \"%s\"", w->why, words);
    assert_true(w->again >= 1000);
    assert_int_equal(world_child_count(w), 0);
    world_destroy(w);
}

static void takes_cookies_and_other_groups(void **state)
{
    (void)state;
    struct world *w = world_create("aes256gcm16-prfsha256-x25519-ecp256", DEFAULT_ESP);
    w->peer.script.demand_cookie = true;
    w->peer.script.insist = algorithm_find(TRANSFORM_KE, 19, 0);
    w->peer.script.ike = proposal_of("aes256gcm16-prfsha256-ecp256", PROTOCOL_IKE);
    world_connect(w);
    world_settle(w);
    assert_int_equal(w->ups, 1);
    assert_tunnel(w);
    world_destroy(w);

    w = world_create(DEFAULT_IKE, DEFAULT_ESP);
    w->peer.script.insist = algorithm_find(TRANSFORM_KE, 14, 0);
    assert_refused(w, "the gateway chose group 14; the policy allows 31");
}

static void names_each_refusal(void **state)
{
    (void)state;
    struct world *w = world_create(DEFAULT_IKE, DEFAULT_ESP);
    w->peer.script.refuse_init = NOTIFY_NO_PROPOSAL_CHOSEN;
    assert_refused(w, "begins no IKE SA: it accepts none of the policy's proposals");

    w = world_create(DEFAULT_IKE, DEFAULT_ESP);
    w->peer.script.refuse_auth = NOTIFY_AUTHENTICATION_FAILED;
    assert_refused(w, "AUTHENTICATION_FAILED");

    w = world_create(DEFAULT_IKE, DEFAULT_ESP);
    w->peer.script.refuse_child = NOTIFY_NO_PROPOSAL_CHOSEN;
    assert_refused(w, "opens no CHILD SA: it accepts none of the policy's proposals");

    w = world_create(DEFAULT_IKE, DEFAULT_ESP);
    w->peer.script.refuse_child = NOTIFY_TS_UNACCEPTABLE;
    assert_refused(w, "traffic selectors");

    w = world_create(DEFAULT_IKE, DEFAULT_ESP);
    w->peer.script.no_address = true;
    assert_refused(w, "no inner address");

    w = world_create(DEFAULT_IKE, DEFAULT_ESP);
    w->peer.script.widen = true;
    assert_refused(w, "beyond those");

    w = world_create(DEFAULT_IKE, DEFAULT_ESP);
    w->peer.script.unknown_critical = true;
    assert_refused(w, "critical");

    w = world_create(DEFAULT_IKE, DEFAULT_ESP);
    w->peer.script.broken_answer = true;
    assert_refused(w, "malformed");
}

static void refuses_a_gateway_with_another_secret(void **state)
{
    (void)state;
    struct world *w = world_create(DEFAULT_IKE, DEFAULT_ESP);
    w->peer.script.wrong_secret = true;
    world_connect(w);
    world_run(w, 1000);
    assert_int_equal(w->ups, 0);
    assert_int_equal(w->downs, 1);
    assert_int_equal(w->added, 0);
    assert_true(w->why[0]);
    assert_null(w->peer.current); /* told by AUTHENTICATION_FAILED */
    world_destroy(w);
}

static void refuses_another_name(void **state)
{
    (void)state;
    struct world *w = world_create(DEFAULT_IKE, DEFAULT_ESP);
    w->config.remote_id.bytes[0] = 'x';
    assert_refused(w, "gw.example");
}

static void ignores_an_unknown_payload(void **state)
{
    (void)state;
    struct world *w = world_create(DEFAULT_IKE, DEFAULT_ESP);
    w->peer.script.unknown_plain = true;
    world_connect(w);
    world_settle(w);
    assert_int_equal(w->ups, 1);
    world_destroy(w);
}

/* Refusals double the wait up to a minute; a silent gateway is tried again soon. */
static void backs_off(void **state)
{
    (void)state;
    struct world *w = world_create(DEFAULT_IKE, DEFAULT_ESP);
    w->peer.script.refuse_auth = NOTIFY_AUTHENTICATION_FAILED;
    world_connect(w);
    uint64_t last = 0;
    for (unsigned i = 0; i < 8; i++) {
        world_run(w, last + 100);
        assert_int_equal(w->downs, i + 1);
        assert_true(w->again == 60000 || w->again >= 2 * last);
        last = w->again;
    }
    assert_int_equal(last, 60000);
    w->peer.script.refuse_auth = 0;
    world_run(w, last + 100);
    assert_int_equal(w->ups, 1);
    world_destroy(w);

    w = world_create(DEFAULT_IKE, DEFAULT_ESP);
    w->peer.script.silent = true;
    world_connect(w);
    world_run(w, 60000);
    assert_int_equal(w->ups, 0);
    assert_non_null(strstr(w->why, "does not answer"));
    assert_true(w->again <= 4000);
    w->peer.script.silent = false;
    world_run(w, 10000);
    assert_int_equal(w->ups, 1);
    world_destroy(w);
}

/* A forged refusal, which anybody can send, does not end what the gateway's answer continues. */
static void outlives_a_forged_refusal(void **state)
{
    (void)state;
    struct world *w = world_create(DEFAULT_IKE, DEFAULT_ESP);
    w->peer.script.refuse_init = NOTIFY_NO_PROPOSAL_CHOSEN;
    world_connect(w);
    struct wire_datagram first = *w->to_peer.item[0];
    assert_true(world_to_peer(w));
    assert_true(world_to_us(w));
    assert_int_equal(w->downs, 0);
    w->peer.script.refuse_init = 0;
    peer_receive(&w->peer, &first.local, &first.remote, first.data, first.size);
    world_settle(w);
    assert_int_equal(w->ups, 1);
    assert_int_equal(w->downs, 0);
    world_destroy(w);
}

/* An answer to our IKE_SA_INIT that demands a cookie; anybody on the way can send one. */
static void forge_cookie(struct world *w, const struct wire_datagram *first, uint8_t cookie)
{
    uint8_t message[64];
    struct builder b = {.w = writer_of(message + IKE_HEADER_BYTES, sizeof(message) - IKE_HEADER_BYTES)};
    struct ike_header header;
    assert_true(header_read(first->data, first->size, &header));
    put_notify(&b, NOTIFY_COOKIE, &cookie, sizeof(cookie));
    header.next = b.first;
    header.flags = IKE_FLAG_RESPONSE;
    header.length = (uint32_t)(IKE_HEADER_BYTES + b.w.at);
    header_write(&header, message);
    const struct ike_datagram datagram = {first->local, first->remote, message, header.length};
    ike_receive(w->ike, &datagram, w->now);
}

/* So many demands are not followed; the gateway's answer to the last message is still waited for. */
static void outlives_forged_cookies(void **state)
{
    (void)state;
    struct world *w = world_create(DEFAULT_IKE, DEFAULT_ESP);
    world_connect(w);
    for (uint8_t cookie = 1; cookie <= 20; cookie++)
        forge_cookie(w, w->to_peer.item[0], cookie);
    assert_in_range(w->to_peer.count, 2, 10);
    struct wire_datagram last = *w->to_peer.item[w->to_peer.count - 1];
    world_drop(&w->to_peer);
    peer_receive(&w->peer, &last.local, &last.remote, last.data, last.size);
    world_settle(w);
    assert_int_equal(w->ups, 1);
    assert_int_equal(w->downs, 0);
    world_destroy(w);
}

/* A demand after an answer whose keys could not be derived, for want of memory. */
static void begins_again_without_keys(void **state)
{
    (void)state;
    struct world *w = world_create(DEFAULT_IKE, DEFAULT_ESP);
    struct algorithm broken = *proposal_first(&w->config.ike.item[0], TRANSFORM_PRF);
    const struct ike_proposals good = w->config.ike;
    broken.digest = "none";
    for (unsigned i = 0; i < good.item[0].count; i++)
        if (good.item[0].item[i]->type == TRANSFORM_PRF)
            w->config.ike.item[0].item[i] = &broken;
    world_connect(w);
    struct wire_datagram first = *w->to_peer.item[0];
    assert_true(world_to_peer(w));
    assert_true(world_to_us(w));
    assert_int_equal(w->to_peer.count, 0);
    w->config.ike = good;
    forge_cookie(w, &first, 1);
    world_settle(w);
    assert_int_equal(w->ups, 1);
    world_destroy(w);
}

static void lives_with_loss_and_doubles(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 40; seed++) {
        struct world *w = world_create(DEFAULT_IKE, DEFAULT_ESP);
        w->seed = seed;
        w->loss = 60;
        w->doubling = 60;
        w->peer.script.demand_cookie = seed & 1;
        w->config.child_lifetime = 20;
        w->config.ike_lifetime = 47;
        world_connect(w);
        world_run(w, 300000);
        assert_true(w->ups >= 1);
        w->loss = 0;
        world_run(w, 60000);
        assert_tunnel(w);
        world_destroy(w);
    }
}

static void fragments_and_reassembles(void **state)
{
    (void)state;
    struct world *w = world_create(DEFAULT_IKE, DEFAULT_ESP);
    w->peer.script.fragments = true;
    w->peer.script.fragment_size = 300;
    w->config.fragment_size = 320;
    w->doubling = 128;
    world_connect(w);
    world_settle(w);
    assert_int_equal(w->ups, 1);
    assert_tunnel(w);
    w->largest = 0;
    peer_act(&w->peer, ACT_REKEY_CHILD);
    world_settle(w);
    world_run(w, 5000);
    assert_true(w->largest <= 320);
    assert_int_equal(w->added, 2);
    assert_tunnel(w);
    world_destroy(w);
}

static void finds_nats(void **state)
{
    (void)state;
    struct world *w = connected(DEFAULT_IKE, DEFAULT_ESP);
    assert_false(world_child(w, w->sending)->p.udp_encapsulated);
    assert_int_equal(world_child(w, w->sending)->p.outer_remote.port, IKE_NAT_PORT);
    world_run(w, 100000);
    assert_int_equal(w->keepalives, 0);
    world_destroy(w);

    w = world_create(DEFAULT_IKE, DEFAULT_ESP);
    w->peer.script.sees_nat = true;
    world_connect(w);
    world_run(w, 100000);
    assert_true(world_child(w, w->sending)->p.udp_encapsulated);
    assert_true(w->keepalives >= 3);
    world_destroy(w);

    w = world_create(DEFAULT_IKE, DEFAULT_ESP);
    w->peer.script.behind_nat = true;
    world_connect(w);
    world_run(w, 100000);
    assert_true(world_child(w, w->sending)->p.udp_encapsulated);
    assert_int_equal(w->keepalives, 0);
    world_destroy(w);

    w = world_create(DEFAULT_IKE, DEFAULT_ESP);
    w->config.force_udp = true;
    world_connect(w);
    world_settle(w);
    assert_true(world_child(w, w->sending)->p.udp_encapsulated);
    world_destroy(w);
}

/* Each number is read once, and numbers that nobody knows are one bit (RFC 7427 section 4). */
static void knows_the_gateways_hashes(void **state)
{
    (void)state;
    static const uint8_t numbers[] = {0, HASH_SHA2_512, 0x40, 3, 0, HASH_SHA2_384, 0xff, 0xff, 1};
    struct world *w = world_create(DEFAULT_IKE, DEFAULT_ESP);
    w->peer.script.hashes = (struct bytes_view){numbers, sizeof(numbers)};
    world_connect(w);
    world_settle(w);
    assert_int_equal(w->ups, 1);
    assert_int_equal(w->ike->current->peer_hashes, BIT(HASH_SHA2_512) | BIT(HASH_SHA2_384) | BIT(31));
    world_destroy(w);
}

static void count_line(void *context, const char *text)
{
    assert_true(strlen(text) > 0);
    ++*(unsigned *)context;
}

static void describes_itself(void **state)
{
    (void)state;
    unsigned lines = 0;
    struct world *w = connected(DEFAULT_IKE, DEFAULT_ESP);
    ike_describe(w->ike, &(struct describer){.line = count_line, .context = &lines, .now = w->now});
    assert_true(lines > 5);
    world_destroy(w);
}

static void find_gone(void *context, const char *text)
{
    *(bool *)context |= strstr(text, "last error: the CHILD SA is gone") != NULL;
}

/* The tunnel is down though the IKE SA stands: the state says why, until there is a CHILD SA again. */
static void describes_the_loss_of_its_child(void **state)
{
    (void)state;
    bool gone = false;
    struct world *w = connected(DEFAULT_IKE, DEFAULT_ESP);
    const struct describer d = {.line = find_gone, .context = &gone, .now = w->now};
    peer_act(&w->peer, ACT_DELETE_CHILD);
    world_settle(w);
    assert_int_equal(w->downs, 1);
    ike_describe(w->ike, &d);
    assert_true(gone);
    world_run(w, 3000);
    assert_int_equal(w->ups, 2);
    gone = false;
    ike_describe(w->ike, &d);
    assert_false(gone);
    world_destroy(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_up),
        cmocka_unit_test(speaks_each_proposal),
        cmocka_unit_test(takes_cookies_and_other_groups),
        cmocka_unit_test(names_each_refusal),
        cmocka_unit_test(refuses_a_gateway_with_another_secret),
        cmocka_unit_test(refuses_another_name),
        cmocka_unit_test(ignores_an_unknown_payload),
        cmocka_unit_test(backs_off),
        cmocka_unit_test(outlives_a_forged_refusal),
        cmocka_unit_test(outlives_forged_cookies),
        cmocka_unit_test(begins_again_without_keys),
        cmocka_unit_test(lives_with_loss_and_doubles),
        cmocka_unit_test(fragments_and_reassembles),
        cmocka_unit_test(knows_the_gateways_hashes),
        cmocka_unit_test(finds_nats),
        cmocka_unit_test(describes_itself),
        cmocka_unit_test(describes_the_loss_of_its_child),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
