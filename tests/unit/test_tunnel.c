/* SPDX-License-Identifier: Apache-2.0 */
/* The tunnel between a guest and a gateway: forms of the outer packet, the choice of the SA, DSCP, ECN, MSS,
 * and what is not for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/port/port.h"
#include "tests/unit/support/tunnel_rig.h"

static const struct ip_recipe udp4 = {
    .from = GUEST4, .to = SERVER4, .protocol = 17, .source_port = 4000, .destination_port = 53};
static const struct ip_recipe udp6 = {
    .from = GUEST6, .to = SERVER6, .protocol = 17, .source_port = 4000, .destination_port = 53};
static const struct ip_recipe back4 = {
    .from = SERVER4, .to = GUEST4, .protocol = 17, .source_port = 53, .destination_port = 4000};

/* ---- Outer forms ---- */

static void check_outer(const struct rig_queue *wire, const struct rig_form *form)
{
    const uint8_t *p = wire->packet[0];
    size_t header = form->outer6 ? 40 : 20;
    assert_int_equal(p[0], form->outer6 ? 0x60 : 0x45);
    assert_int_equal(p[form->outer6 ? 6 : 9], form->udp ? 17 : 50);
    assert_int_equal(p[form->outer6 ? 7 : 8], 64);
    assert_int_equal(ip_get16(p + (form->outer6 ? 4 : 2)), wire->size[0] - (form->outer6 ? 40 : 0));
    assert_true(ip_sums_hold(p, wire->size[0]));
    if (form->udp) {
        assert_int_equal(ip_get16(p + header), 4500);
        assert_int_equal(ip_get16(p + header + 2), 4500);
        assert_int_equal(ip_get16(p + header + 4), wire->size[0] - header);
        assert_int_equal(ip_get16(p + header + 6) != 0, form->outer6);
        header += 8;
    }
    static const uint8_t spi[] = {0, 0, 0x20, 0x01};
    assert_memory_equal(p + header, spi, sizeof(spi));
}

static void check_passage(struct rig *rig, const struct ip_recipe *recipe, const struct rig_form *form)
{
    static const size_t sizes[] = {60, 61, 100, 576, 1280, 1300};
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        uint8_t expected[RIG_BYTES];
        make_ip(recipe, expected, sizes[i]);
        assert_int_equal(rig_send(rig, recipe, sizes[i]), 1);
        check_outer(&rig->ours.wire, form);
        struct rig_queue *out = rig_pass(rig);
        assert_int_equal(out->count, 1);
        assert_int_equal(out->size[0], sizes[i]);
        assert_memory_equal(out->packet[0], expected, sizes[i]);
        assert_int_equal(rig->ours.guest.count, 0);
    }
}

static void test_outer_forms(void **state)
{
    (void)state;
    static const struct rig_form suites[] = {{.esn = true},
                                             {.cipher = "chacha20poly1305"},
                                             {.cipher = "aes256", .integrity = "sha512", .esn = true}};
    for (size_t i = 0; i < 4 * ARRAY_COUNT(suites); i++) {
        struct rig_form form = suites[i / 4];
        form.outer6 = i & 1;
        form.udp = i & 2;
        struct rig *rig = rig_new();
        rig_add(rig, &form, 1);
        check_passage(rig, &udp4, &form);
        check_passage(rig, &udp6, &form);
        assert_int_equal(rig_reply(rig, &back4, 700)->count, 1);
        assert_true(ip_sums_hold(rig->ours.guest.packet[0], 700));
        rig_free(rig);
    }
}

/* An SA that asks for UDP takes bare ESP too, and the other way round (RFC 7296 section 2.23). */
static void test_either_form(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    rig_add(rig, &(struct rig_form){.udp = true}, 1);
    struct ip_endpoint local = endpoint_of(OUR_OUTER4, 4500), remote = endpoint_of(GATEWAY_OUTER4, 4500);
    tunnel_move(rig->ours.tunnel, 0x1001, &local, &remote, false);
    assert_int_equal(rig_send(rig, &udp4, 100), 1);
    assert_int_equal(rig->ours.wire.packet[0][9], 50);
    assert_int_equal(rig_pass(rig)->count, 1);
    rig_free(rig);

    rig = rig_new();
    rig_add(rig, &(struct rig_form){0}, 1);
    tunnel_move(rig->ours.tunnel, 0x1001, &local, &remote, true);
    assert_int_equal(rig_send(rig, &udp4, 100), 1);
    assert_int_equal(rig->ours.wire.packet[0][9], 17);
    assert_int_equal(rig_pass(rig)->count, 1);
    rig_free(rig);
}

/* ---- The choice of the SA ---- */

static unsigned spi_used(const struct rig *rig)
{
    return (unsigned)ip_get16(rig->ours.wire.packet[0] + 22);
}

static void test_rekeying(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    struct rig_form form = {0};
    assert_null(tunnel_sending(rig->ours.tunnel, NULL));
    rig_add(rig, &form, 1);
    assert_non_null(tunnel_sending(rig->ours.tunnel, NULL));
    struct child_parameters second = rig_child(&form, 2);
    assert_true(tunnel_add(rig->ours.tunnel, &second, 0x1001));
    assert_false(tunnel_add(rig->ours.tunnel, &second, 0x1001)); /* the SPI is taken */
    rig_send(rig, &udp4, 100);
    assert_int_equal(spi_used(rig), 0x2001); /* not before it is told to */
    tunnel_use(rig->ours.tunnel, 0x1002);
    rig_send(rig, &udp4, 100);
    assert_int_equal(spi_used(rig), 0x2002);
    tunnel_remove(rig->ours.tunnel, 0x1002);
    rig_send(rig, &udp4, 100);
    assert_int_equal(spi_used(rig), 0x2001); /* the older one still stands */
    tunnel_remove(rig->ours.tunnel, 0x1001);
    assert_int_equal(rig_send(rig, &udp4, 100), 0);
    assert_null(tunnel_sending(rig->ours.tunnel, NULL));
    rig_free(rig);
}

/* Whoever asks what the tunnel carries is told of the SA that sends, wherever it stands in the table. */
static void test_which_sends(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    struct tunnel *tunnel = rig->ours.tunnel;
    struct child_parameters first = rig_child(&(struct rig_form){0}, 1),
                            next = rig_child(&(struct rig_form){0}, 2);
    assert_null(tunnel_sending(tunnel, NULL));
    assert_true(tunnel_add(tunnel, &first, 0));
    assert_int_equal(tunnel_sending(tunnel, NULL)->parameters.spi_in, first.spi_in);
    assert_true(tunnel_add(tunnel, &next, first.spi_in));
    assert_int_equal(tunnel_sending(tunnel, NULL)->parameters.spi_in, first.spi_in);
    tunnel_use(tunnel, next.spi_in);
    tunnel_remove(tunnel, first.spi_in);
    assert_int_equal(tunnel_sending(tunnel, NULL)->parameters.spi_in, next.spi_in);
    tunnel_remove(tunnel, next.spi_in);
    assert_null(tunnel_sending(tunnel, NULL));
    rig_free(rig);
}

static void test_table_is_bounded(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    for (unsigned i = 0; i < TUNNEL_SAS_MAX; i++)
        rig_add(rig, &(struct rig_form){0}, i);
    struct child_parameters more = rig_child(&(struct rig_form){0}, 99);
    assert_false(tunnel_add(rig->ours.tunnel, &more, 0));
    assert_ptr_equal(tunnel_sending(rig->ours.tunnel, NULL), rig->ours.tunnel->sas[TUNNEL_SAS_MAX - 1]);
    rig_send(rig, &udp4, 100);
    const struct esp_sa *last = tunnel_find(rig->ours.tunnel, 0x1000 + TUNNEL_SAS_MAX - 1);
    assert_int_equal(last->counters.packets_out, 1);
    assert_false(last->counters.rekey_due);
    assert_null(tunnel_find(rig->ours.tunnel, 0x1063));
    rig_free(rig);
}

static void test_selectors_choose(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    rig_add(rig, &(struct rig_form){.local = GUEST4, .remote = "203.0.113.0/24"}, 1);
    rig_add(rig, &(struct rig_form){.local = GUEST4, .remote = "198.18.0.0/15"}, 2);
    struct ip_recipe r = udp4;
    rig_send(rig, &r, 100);
    assert_int_equal(spi_used(rig), 0x2001);
    r.to = "198.19.255.255";
    rig_send(rig, &r, 100);
    assert_int_equal(spi_used(rig), 0x2002);
    r.to = "198.20.0.0";
    assert_int_equal(rig_send(rig, &r, 100), 0);
    r = udp4;
    r.from = "10.9.0.6"; /* not the guest's address */
    assert_int_equal(rig_send(rig, &r, 100), 0);
    struct tunnel_counters counters;
    tunnel_counters(rig->ours.tunnel, &counters);
    assert_int_equal(counters.guest_refused, 2);
    rig_free(rig);
}

/* What the gateway sends outside of the selectors does not reach the guest (RFC 4301 section 5.2). */
static void test_inbound_selectors(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    struct child_parameters ours =
        rig_child(&(struct rig_form){.local = GUEST4, .remote = "203.0.113.0/24"}, 1);
    rig_add(rig, &(struct rig_form){0}, 1);
    tunnel_remove(rig->ours.tunnel, 0x1001);
    assert_true(tunnel_add(rig->ours.tunnel, &ours, 0));
    assert_int_equal(rig_reply(rig, &back4, 100)->count, 1);
    struct ip_recipe r = back4;
    r.from = "198.51.100.7";
    assert_int_equal(rig_reply(rig, &r, 100)->count, 0);
    r = back4;
    r.to = "10.9.0.4";
    assert_int_equal(rig_reply(rig, &r, 100)->count, 0);
    assert_int_equal(tunnel_find(rig->ours.tunnel, 0x1001)->counters.selector_refused, 2);
    rig_free(rig);
}

/* ---- DSCP, ECN, MSS ---- */

static void test_traffic_class_out(void **state)
{
    (void)state;
    for (unsigned outer6 = 0; outer6 < 2; outer6++)
        for (unsigned copied = 0; copied < 2; copied++) {
            struct rig *rig = rig_new();
            rig_add(rig, &(struct rig_form){.outer6 = outer6}, 1);
            rig->ours.tunnel->copy_dscp = copied;
            for (unsigned class = 0; class < 256; class += 5) {
                struct ip_recipe r = class % 2 ? udp6 : udp4;
                r.traffic_class = (uint8_t) class;
                rig_send(rig, &r, 100);
                const uint8_t *p = rig->ours.wire.packet[0];
                unsigned outer = outer6 ? (unsigned)(p[0] & 15) << 4 | p[1] >> 4 : p[1];
                assert_int_equal(outer, copied ? class : class & 3);
            }
            rig_free(rig);
        }
}

/* RFC 6040 figure 4. Rows: the inner mark (Not-ECT, ECT(1), ECT(0), CE by value); columns: the outer one. */
#define DROP 9
static const unsigned decapsulated[4][4] = {{0, 0, 0, DROP}, {1, 1, 1, 3}, {2, 1, 2, 3}, {3, 3, 3, 3}};

static void test_ecn_in(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 64; i++) {
        unsigned inner = i & 3, outer = i >> 2 & 3, inner6 = i >> 4 & 1, outer6 = i >> 5;
        struct rig *rig = rig_new();
        rig_add(rig, &(struct rig_form){.outer6 = outer6}, 1);
        struct ip_recipe r = inner6 ? udp6 : udp4;
        r.traffic_class = (uint8_t)(0xb8 | inner);
        assert_int_equal(rig_send(rig, &r, 100), 1);
        uint8_t *p = rig->ours.wire.packet[0];
        if (outer6) {
            p[1] = (uint8_t)((p[1] & 0xcf) | outer << 4);
        } else {
            p[1] = (uint8_t)((p[1] & ~3u) | outer);
            ip_set_header_checksum(p);
        }
        struct rig_queue *out = rig_pass(rig);
        assert_int_equal(out->count, decapsulated[inner][outer] != DROP);
        if (out->count) {
            const uint8_t *q = out->packet[0];
            unsigned class = inner6 ? (unsigned)(q[0] & 15) << 4 | q[1] >> 4 : q[1];
            assert_int_equal(class, 0xb8 | decapsulated[inner][outer]);
            assert_true(ip_sums_hold(q, 100));
        }
        rig_free(rig);
    }
}

static unsigned mss_of(const struct rig_queue *queue, bool ipv6, bool odd)
{
    assert_int_equal(queue->count, 1);
    assert_true(ip_sums_hold(queue->packet[0], queue->size[0]));
    return ip_get16(queue->packet[0] + (ipv6 ? 40 : 20) + 22 + (odd ? 1 : 0));
}

static void test_mss(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        bool ipv6 = i & 1, odd = i & 2;
        struct rig *rig = rig_new();
        rig_add(rig, &(struct rig_form){.udp = true}, 1);
        const struct esp_sa *sa = tunnel_sending(rig->ours.tunnel, NULL);
        unsigned room =
            (unsigned)tunnel_inner_mtu(rig->ours.tunnel, sa, ipv6 ? 6 : 4, rig->now) - (ipv6 ? 60 : 40);
        struct ip_recipe r = ipv6 ? udp6 : udp4, back = back4;
        if (ipv6) {
            back.from = SERVER6;
            back.to = GUEST6;
        }
        r.protocol = back.protocol = 6;
        r.odd = back.odd = odd;
        r.mss = back.mss = 8960;
        rig_send(rig, &r, 100);
        rig->gateway.tunnel->wire_mtu = 1600; /* only ours clamps */
        assert_int_equal(mss_of(rig_pass(rig), ipv6, odd), room);
        assert_int_equal(mss_of(rig_reply(rig, &back, 100), ipv6, odd), room);
        r.mss = back.mss = 1000;
        rig_send(rig, &r, 100);
        assert_int_equal(mss_of(rig_pass(rig), ipv6, odd), 1000);
        assert_int_equal(mss_of(rig_reply(rig, &back, 100), ipv6, odd), 1000);
        /* A path below IPv6's minimum carries its packets in fragments, but TCP is spared that. */
        rig->ours.tunnel->wire_mtu = 1000;
        rig_send(rig, &r, 100);
        unsigned small = mss_of(rig_pass(rig), ipv6, odd) + (ipv6 ? 60 : 40);
        assert_true(esp_sealed_size(sa, small) <= 1000 - 28 && esp_sealed_size(sa, small + 1) > 1000 - 28);
        rig_free(rig);
    }
}

/* ---- What is not for the tunnel ---- */

static void test_not_ours(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    uint8_t p[RIG_BYTES];
    struct ip_recipe ike = {.from = GATEWAY_OUTER4,
                            .to = OUR_OUTER4,
                            .protocol = 17,
                            .source_port = 4500,
                            .destination_port = 4500};
    make_ip(&ike, p, 100);
    assert_false(rig_arrive(rig, &rig->ours, p, 100)); /* no SA, no interest */
    rig_add(rig, &(struct rig_form){.udp = true}, 1);
    memset(p + 28, 0, 4);
    assert_false(rig_arrive(rig, &rig->ours, p, 100)); /* IKE */
    memset(p + 28, 7, 4);
    assert_true(rig_arrive(rig, &rig->ours, p, 100)); /* ESP of an unknown SPI */
    assert_int_equal(rig->ours.suspected, 1);
    make_ip(&ike, p, 29);
    p[28] = 0xff;
    assert_true(rig_arrive(rig, &rig->ours, p, 29)); /* NAT keepalive */
    assert_int_equal(rig->ours.suspected, 1);
    ike.destination_port = 500;
    make_ip(&ike, p, 100);
    assert_false(rig_arrive(rig, &rig->ours, p, 100));
    ike.protocol = 6;
    make_ip(&ike, p, 100);
    assert_false(rig_arrive(rig, &rig->ours, p, 100));
    assert_false(rig_arrive(rig, &rig->ours, p, 10));
    assert_int_equal(rig->ours.guest.count, 0);
    rig_free(rig);
}

/* A long message of IKE in fragments comes back whole, before there is an SA and after; from a stranger only
 * before. */
static void test_long_ike(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < 3; kind++) {
        struct rig *rig = rig_new();
        uint8_t whole[RIG_BYTES], scratch[RIG_BYTES];
        struct ip_recipe r = {.from = kind == 2 ? "198.51.100.9" : GATEWAY_OUTER4,
                              .to = OUR_OUTER4,
                              .protocol = 17,
                              .source_port = 4500,
                              .destination_port = 4500};
        make_ip(&r, whole, 2000);
        memset(whole + 28, 0, 4);
        struct ip_packet packet;
        assert_true(ip_packet_parse(whole, 2000, &packet));
        if (kind > 0)
            rig_add(rig, &(struct rig_form){.udp = true}, 1);
        for (size_t at = 0; at < 1980; at += 1480) {
            struct tunnel_rest rest;
            size_t data = MIN((size_t)1480, 1980 - at);
            memcpy(scratch, whole, 20);
            memcpy(scratch + 20, whole + 20 + at, data);
            ip_put16(scratch + 2, (uint16_t)(20 + data));
            ip_put16(scratch + 6, (uint16_t)(at / 8 | (at == 0 ? 0x2000 : 0)));
            ip_set_header_checksum(scratch);
            bool taken = tunnel_from_wire(rig->ours.tunnel, scratch, 20 + data, rig->now, &rest);
            assert_int_equal(taken, at == 0 && kind < 2);
            assert_int_equal(rest.size, kind == 2 || at == 0 ? 20 + data : 2000);
            if (at > 0 && kind < 2)
                assert_memory_equal(rest.packet + 12, whole + 12, 1988);
        }
        rig_free(rig);
    }
}

/* Replays and forgeries of real packets do not reach the guest. */
static void test_forgeries(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    rig_add(rig, &(struct rig_form){.udp = true}, 1);
    assert_int_equal(rig_send(rig, &udp4, 200), 1);
    uint8_t *p = rig->ours.wire.packet[0];
    size_t size = rig->ours.wire.size[0];
    for (size_t at = 28; at < size; at++) {
        p[at] ^= 1;
        rig_arrive(rig, &rig->gateway, p, size);
        p[at] ^= 1;
    }
    assert_int_equal(rig->gateway.guest.count, 0);
    assert_true(rig_arrive(rig, &rig->gateway, p, size));
    assert_int_equal(rig->gateway.guest.count, 1);
    assert_true(rig_arrive(rig, &rig->gateway, p, size));
    assert_int_equal(rig->gateway.guest.count, 1);
    rig_free(rig);
}

static int start(void **state)
{
    (void)state;
    static const struct crypto_surroundings surroundings = {.entropy = crypto_cpu_entropy};
    return crypto_start(&surroundings) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outer_forms),
        cmocka_unit_test(test_either_form),
        cmocka_unit_test(test_rekeying),
        cmocka_unit_test(test_which_sends),
        cmocka_unit_test(test_table_is_bounded),
        cmocka_unit_test(test_selectors_choose),
        cmocka_unit_test(test_inbound_selectors),
        cmocka_unit_test(test_traffic_class_out),
        cmocka_unit_test(test_ecn_in),
        cmocka_unit_test(test_mss),
        cmocka_unit_test(test_not_ours),
        cmocka_unit_test(test_forgeries),
        cmocka_unit_test(test_long_ike),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
