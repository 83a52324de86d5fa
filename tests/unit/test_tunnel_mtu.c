/* SPDX-License-Identifier: Apache-2.0 */
/* Packets that do not fit: ICMP too-big, inner and outer fragments, the path's MTU, and the limits of the
 * ICMP errors that the guest gets. */
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

static struct rig *rig_with(const struct rig_form *form)
{
    struct rig *rig = rig_new();
    rig_add(rig, form, 1);
    return rig;
}

static size_t mtu_of(struct rig *rig, uint8_t version)
{
    const struct tunnel *tunnel = rig->ours.tunnel;
    return tunnel_inner_mtu(tunnel, tunnel_sending(tunnel, NULL), version, rig->now);
}

/* ---- Too big ---- */

/* The one ICMP error that the guest got is of this kind and quotes what it sent. */
static void check_icmp(const struct rig *rig, uint8_t type, uint8_t code, const uint8_t *quoted)
{
    const struct rig_queue *guest = &rig->ours.guest;
    assert_int_equal(guest->count, 1);
    const uint8_t *p = guest->packet[0];
    bool ipv4 = p[0] >> 4 == 4;
    size_t header = ipv4 ? 20 : 40;
    struct ip_address from = ip_of(ipv4 ? VIRTUAL4 : VIRTUAL6), to = ip_of(ipv4 ? GUEST4 : GUEST6);
    assert_true(ip_sums_hold(p, guest->size[0]));
    assert_true(guest->size[0] <= (ipv4 ? 576 : 1280));
    assert_int_equal(p[ipv4 ? 9 : 6], ipv4 ? 1 : 58);
    assert_memory_equal(p + (ipv4 ? 12 : 8), from.bytes, ip_bytes(from.version));
    assert_memory_equal(p + (ipv4 ? 16 : 24), to.bytes, ip_bytes(to.version));
    assert_int_equal(p[header], type);
    assert_int_equal(p[header + 1], code);
    assert_memory_equal(p + header + 8, quoted, guest->size[0] - header - 8);
}

static void test_too_big(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        struct rig *rig = rig_with(&(struct rig_form){.outer6 = i & 1, .udp = i & 2});
        bool ipv6 = i & 4;
        struct ip_recipe r = ipv6 ? udp6 : udp4;
        size_t mtu = mtu_of(rig, ipv6 ? 6 : 4);
        uint8_t sent[RIG_BYTES];
        r.dont_fragment = true;
        assert_int_equal(rig_send(rig, &r, mtu), 1);
        assert_true(rig->ours.wire.size[0] <= 1500 && rig->ours.wire.size[0] > 1500 - 4);
        assert_int_equal(rig_pass(rig)->count, 1);

        make_ip(&r, sent, mtu + 1);
        assert_int_equal(rig_send(rig, &r, mtu + 1), 0);
        check_icmp(rig, ipv6 ? 2 : 3, ipv6 ? 0 : 4, sent);
        const uint8_t *told = rig->ours.guest.packet[0] + (ipv6 ? 44 : 24);
        assert_int_equal(ip_get16(told + 2), mtu);
        assert_int_equal(ip_get16(told), 0);
        rig_free(rig);
    }
}

/* IPv4 without DF is cut before it is sealed, so that no outer packet is a fragment. */
static void test_inner_fragments(void **state)
{
    (void)state;
    struct rig *rig = rig_with(&(struct rig_form){.udp = true});
    uint8_t sent[RIG_BYTES], joined[RIG_BYTES];
    make_ip(&udp4, sent, 1500);
    assert_int_equal(rig_send(rig, &udp4, 1500), 2);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(ip_get16(rig->ours.wire.packet[i] + 6) & 0xbfff, 0);
    struct rig_queue *out = rig_pass(rig);
    assert_int_equal(out->count, 2);
    size_t first = out->size[0] - 20;
    assert_int_equal(first % 8, 0);
    assert_int_equal(ip_get16(out->packet[0] + 6), 0x2000);
    assert_int_equal(ip_get16(out->packet[1] + 6), first / 8);
    assert_int_equal(ip_get16(out->packet[0] + 4), ip_get16(out->packet[1] + 4));
    struct ip_packet second;
    assert_true(ip_packet_parse(out->packet[1], out->size[1], &second)); /* its header's checksum holds */
    memcpy(joined, out->packet[0] + 20, first);
    memcpy(joined + first, out->packet[1] + 20, out->size[1] - 20);
    assert_int_equal(first + out->size[1] - 20, 1480);
    assert_memory_equal(joined, sent + 20, 1480);
    rig_free(rig);
}

/* ---- The path ---- */

/* An ICMP error of a router about the last packet on our wire. */
static bool router_says(struct rig *rig, uint8_t type, uint8_t code, unsigned told, size_t quoted)
{
    uint8_t p[RIG_BYTES];
    bool ipv4 = rig->ours.wire.packet[0][0] >> 4 == 4;
    struct ip_recipe r = {.from = ipv4 ? "192.0.2.1" : "2001:db8:1::1",
                          .to = ipv4 ? OUR_OUTER4 : OUR_OUTER6,
                          .protocol = ipv4 ? 1 : 58,
                          .source_port = type,
                          .destination_port = code};
    size_t header = ipv4 ? 20 : 40;
    make_ip(&r, p, header + 8 + quoted);
    p[header + 4] = p[header + 5] = 0;
    ip_put16(p + header + 6, (uint16_t)told);
    memcpy(p + header + 8, rig->ours.wire.packet[0], quoted);
    return rig_arrive(rig, &rig->ours, p, header + 8 + quoted);
}

static void test_path_mtu(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        bool outer6 = i & 1, udp = i & 2;
        struct rig *rig = rig_with(&(struct rig_form){.outer6 = outer6, .udp = udp});
        uint8_t type = outer6 ? 2 : 3, code = outer6 ? 0 : 4;
        size_t quoted = outer6 ? 48 : 28, before = mtu_of(rig, 4);
        rig_send(rig, &udp4, 1400);
        assert_false(router_says(rig, type, code, 1400, quoted - 1)); /* does not show what it is about */
        assert_int_equal(mtu_of(rig, 4), before);
        assert_true(router_says(rig, type, code, 1400, quoted));
        assert_true(mtu_of(rig, 4) <= before - 100 && mtu_of(rig, 4) > before - 108);
        assert_true(router_says(rig, type, code, 1450, quoted)); /* never up */
        assert_true(mtu_of(rig, 4) <= before - 100);
        assert_true(router_says(rig, type, code, 68, quoted)); /* nor below what every path carries */
        size_t least = outer6 || udp ? 1280 : 576;             /* ports alone are no proof */
        assert_true(mtu_of(rig, 4) <= before - 1500 + least && mtu_of(rig, 4) > before - 1508 + least);
        assert_true(router_says(rig, type, code, 68, quoted + 12)); /* with the SPI */
        least = outer6 ? 1280 : 576;
        assert_true(mtu_of(rig, 4) <= before - 1500 + least && mtu_of(rig, 4) > before - 1508 + least);
        assert_true(mtu_of(rig, 6) >= 1280);
        rig->now += PATH_MTU_LIFETIME_MS + 1;
        assert_int_equal(mtu_of(rig, 4), before);
        assert_true(router_says(rig, type, code, 1499, quoted)); /* more than what did not fit */
        assert_int_equal(mtu_of(rig, 4), before);
        assert_int_equal(rig->ours.suspected, 0);
        rig_free(rig);
    }
}

static void test_path_mtu_plateau(void **state)
{
    (void)state;
    struct rig *rig = rig_with(&(struct rig_form){0});
    rig_send(rig, &udp4, 1436);
    assert_true(router_says(rig, 3, 4, 0, 28)); /* an old router, that names no MTU */
    assert_int_equal(tunnel_path(rig->ours.tunnel, rig->now), 1400);
    rig_free(rig);
}

static void test_forged_reports(void **state)
{
    (void)state;
    static const struct {
        bool udp;
        size_t at; /* which byte of the quoted packet is another */
    } lies[] = {{false, 9}, {false, 12}, {false, 19}, {false, 20}, {false, 23},
                {true, 9},  {true, 16},  {true, 21},  {true, 23},  {true, 31}};
    for (size_t i = 0; i < ARRAY_COUNT(lies); i++) {
        struct rig *rig = rig_with(&(struct rig_form){.udp = lies[i].udp});
        size_t before = mtu_of(rig, 4);
        rig_send(rig, &udp4, 1400);
        rig->ours.wire.packet[0][lies[i].at] ^= 1;
        assert_false(router_says(rig, 3, 4, 1000, 40));
        assert_false(router_says(rig, 3, 1, 0, 40));
        assert_int_equal(mtu_of(rig, 4), before);
        assert_int_equal(rig->ours.suspected, 0);
        rig->ours.wire.packet[0][lies[i].at] ^= 1;
        assert_true(router_says(rig, 3, 1, 0, 40)); /* unreachable: the peer is asked whether it lives */
        assert_int_equal(rig->ours.suspected, 1);
        rig_free(rig);
    }
}

/* ---- Outer fragments ---- */

/* A path of less than IPv6's minimum still carries 1280 bytes. */
static void test_outer_fragments(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        bool outer6 = i & 1;
        struct rig *rig = rig_with(&(struct rig_form){.outer6 = outer6, .udp = i & 2});
        uint8_t sent[RIG_BYTES];
        make_ip(&udp6, sent, 1280);
        rig_send(rig, &udp6, 1280);
        assert_true(router_says(rig, outer6 ? 2 : 3, outer6 ? 0 : 4, outer6 ? 1280 : 700, 64));
        assert_int_equal(mtu_of(rig, 6), 1280);
        unsigned pieces = rig_send(rig, &udp6, 1280);
        assert_true(pieces > 1);
        for (unsigned n = 0; n < pieces; n++)
            assert_true(rig->ours.wire.size[n] <= (outer6 ? 1280 : 700));
        for (unsigned n = pieces; n-- > 0;) /* the last one first, each of them twice */
            for (unsigned again = 0; again < 2 && (n > 0 || again == 0); again++)
                assert_true(rig_arrive(rig, &rig->gateway, rig->ours.wire.packet[n], rig->ours.wire.size[n]));
        assert_int_equal(rig->gateway.guest.count, 1);
        assert_int_equal(rig->gateway.guest.size[0], 1280);
        assert_memory_equal(rig->gateway.guest.packet[0], sent, 1280);
        rig_free(rig);
    }
}

/* Congestion that one fragment met is told (RFC 3168 section 5.3). */
static void test_fragment_congestion(void **state)
{
    (void)state;
    struct rig *rig = rig_with(&(struct rig_form){0});
    struct ip_recipe r = udp6;
    r.traffic_class = 2;
    rig_send(rig, &r, 1280);
    assert_true(router_says(rig, 3, 4, 700, 64));
    assert_int_equal(rig_send(rig, &r, 1280), 2);
    rig->ours.wire.packet[1][1] |= 3;
    ip_set_header_checksum(rig->ours.wire.packet[1]);
    assert_int_equal(rig_pass(rig)->count, 1);
    assert_int_equal(rig->gateway.guest.packet[0][1] >> 4 & 3, 3);
    rig_free(rig);
}

/* ---- Errors to the guest, and their limits ---- */

static void test_refusals(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    uint8_t sent[RIG_BYTES];
    for (unsigned up = 0; up < 2; up++) {
        make_ip(&udp4, sent, 1200);
        assert_int_equal(rig_send(rig, &udp4, 1200), 0);
        check_icmp(rig, 3, up ? 13 : 0, sent);
        assert_int_equal(rig->ours.guest.size[0], 576);
        make_ip(&udp6, sent, 1400);
        assert_int_equal(rig_send(rig, &udp6, 1400), 0);
        check_icmp(rig, 1, up ? 1 : 0, sent);
        assert_int_equal(rig->ours.guest.size[0], 1280);
        if (!up)
            rig_add(rig, &(struct rig_form){.local = "10.99.0.1", .remote = "10.99.0.2"}, 1);
    }
    rig_free(rig);
}

static void test_no_answer(void **state)
{
    (void)state;
    static const struct ip_recipe silent[] = {
        {.from = GUEST4, .to = "224.0.0.251", .protocol = 17},
        {.from = GUEST4, .to = "255.255.255.255", .protocol = 17},
        {.from = GUEST4, .to = "169.254.3.4", .protocol = 17},
        {.from = GUEST4, .to = "127.0.0.1", .protocol = 17},
        {.from = GUEST6, .to = "ff02::fb", .protocol = 17},
        {.from = GUEST6, .to = "ff0e::1", .protocol = 17},
        {.from = GUEST6, .to = "fe80::7", .protocol = 17},
        {.from = GUEST6, .to = "::1", .protocol = 17},
        {.from = "0.0.0.0", .to = SERVER4, .protocol = 17},
        {.from = "239.1.2.3", .to = SERVER4, .protocol = 17},
        {.from = "127.0.0.1", .to = SERVER4, .protocol = 17},
        {.from = "250.1.2.3", .to = SERVER4, .protocol = 17},
        {.from = "::", .to = SERVER6, .protocol = 17},
        {.from = "ff02::1", .to = SERVER6, .protocol = 17},
        {.from = GUEST4, .to = SERVER4, .protocol = 17, .fragment_offset = 800},
        {.from = GUEST4, .to = SERVER4, .protocol = 1, .source_port = 3},
        {.from = GUEST4, .to = SERVER4, .protocol = 1, .source_port = 4},
        {.from = GUEST4, .to = SERVER4, .protocol = 1, .source_port = 5},
        {.from = GUEST4, .to = SERVER4, .protocol = 1, .source_port = 11},
        {.from = GUEST4, .to = SERVER4, .protocol = 1, .source_port = 12},
        {.from = GUEST6, .to = SERVER6, .protocol = 58, .source_port = 1},
        {.from = GUEST6, .to = SERVER6, .protocol = 58, .source_port = 2},
        {.from = GUEST6, .to = SERVER6, .protocol = 58, .source_port = 137},
    };
    struct rig *rig = rig_new();
    for (size_t i = 0; i < ARRAY_COUNT(silent); i++) {
        assert_int_equal(rig_send(rig, &silent[i], 120), 0);
        assert_int_equal(rig->ours.guest.count, 0);
    }
    struct ip_recipe echo4 = {.from = GUEST4, .to = SERVER4, .protocol = 1, .source_port = 8};
    struct ip_recipe echo6 = {.from = GUEST6, .to = SERVER6, .protocol = 58, .source_port = 128};
    struct ip_recipe first = {.from = GUEST4, .to = SERVER4, .protocol = 17, .more = true};
    assert_int_equal(rig_send(rig, &echo4, 120) + rig->ours.guest.count, 1);
    assert_int_equal(rig_send(rig, &echo6, 120) + rig->ours.guest.count, 1);
    assert_int_equal(rig_send(rig, &first, 120) + rig->ours.guest.count, 1);
    rig_free(rig);
}

/* With an SA for everything, what is of the link alone still does not go in. */
static void test_link_traffic_stays(void **state)
{
    (void)state;
    static const char *const to[] = {"224.0.0.251", "255.255.255.255", "169.254.3.4", "127.0.0.1"};
    struct rig *rig = rig_with(&(struct rig_form){0});
    for (size_t i = 0; i < ARRAY_COUNT(to); i++) {
        struct ip_recipe r = udp4;
        r.to = to[i];
        assert_int_equal(rig_send(rig, &r, 120), 0);
    }
    /* Reserved, but a network like any other to those who use it. */
    assert_int_equal(
        rig_send(rig, &(struct ip_recipe){.from = GUEST4, .to = "240.1.2.3", .protocol = 17}, 120), 1);
    rig_free(rig);
}

static void test_rate_limit(void **state)
{
    (void)state;
    struct rig *rig = rig_new();
    unsigned answers = 0;
    for (unsigned i = 0; i < 1000; i++) {
        rig_send(rig, &udp4, 100);
        answers += rig->ours.guest.count;
    }
    assert_int_equal(answers, ICMP_BURST);
    rig->now += 10 * ICMP_INTERVAL_MS;
    for (unsigned i = 0; i < 1000; i++) {
        rig_send(rig, &udp4, 100);
        answers += rig->ours.guest.count;
    }
    assert_int_equal(answers, ICMP_BURST + 10);
    struct tunnel_counters counters;
    tunnel_counters(rig->ours.tunnel, &counters);
    assert_int_equal(counters.icmp_made, answers);
    assert_int_equal(counters.icmp_suppressed, 2000 - answers);
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
        cmocka_unit_test(test_too_big),
        cmocka_unit_test(test_inner_fragments),
        cmocka_unit_test(test_path_mtu),
        cmocka_unit_test(test_path_mtu_plateau),
        cmocka_unit_test(test_forged_reports),
        cmocka_unit_test(test_outer_fragments),
        cmocka_unit_test(test_fragment_congestion),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_no_answer),
        cmocka_unit_test(test_link_traffic_stays),
        cmocka_unit_test(test_rate_limit),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
