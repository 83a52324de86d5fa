/* SPDX-License-Identifier: Apache-2.0 */
/* Reassembly of fragments: any order gives the datagram back; contradictions, holes, bounds and time do not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/ipsec/ip_fragment.h"
#include "tests/unit/support/ip_maker.h"

#define PIECES_MAX 32
#define PIECE_MAX  1600
#define NOW        1000

struct pieces {
    unsigned count;
    size_t size[PIECES_MAX];
    uint8_t piece[PIECES_MAX][PIECE_MAX];
};

static struct reassembly table;
static uint8_t whole[IP_PACKET_MAX];

static void keep(void *context, uint8_t *fragment, size_t size)
{
    struct pieces *pieces = context;
    assert_true(pieces->count < PIECES_MAX);
    memcpy(pieces->piece[pieces->count], fragment, size);
    pieces->size[pieces->count++] = size;
}

/* Cuts a datagram of `size` bytes, IPv4 or IPv6, into pieces. */
static void cut(struct pieces *pieces, bool ipv6, size_t size, size_t mtu, uint16_t id)
{
    struct ip_recipe r = {
        .from = ipv6 ? "2001:db8::1" : "192.0.2.1", .to = ipv6 ? "2001:db8::2" : "192.0.2.2", .protocol = 50};
    uint8_t scratch[PIECE_MAX];
    struct ip_packet packet;
    make_ip(&r, whole, size);
    if (!ipv6) {
        ip_put16(whole + IPV4_ID, id);
        ip_set_header_checksum(whole);
    }
    pieces->count = 0;
    assert_true(ip_packet_parse(whole, size, &packet));
    packet.dont_fragment = false; /* of IPv6 too: who cuts is its source */
    struct ip_cut how = {.packet = &packet, .mtu = mtu, .id = id, .scratch = scratch};
    assert_true(ip_fragment(&how, keep, pieces));
}

static enum reassembly_result put_at(const uint8_t *piece, size_t size, uint64_t now, uint8_t **out,
                                     size_t *out_size)
{
    uint8_t *copy = malloc(size);
    struct ip_packet fragment;
    memcpy(copy, piece, size);
    assert_true(ip_packet_parse(copy, size, &fragment));
    assert_true(fragment.fragment);
    enum reassembly_result result = reassembly_take(&table, &fragment, now, out, out_size);
    free(copy);
    return result;
}

static enum reassembly_result put(const struct pieces *pieces, unsigned n)
{
    uint8_t *out;
    size_t size;
    return put_at(pieces->piece[n], pieces->size[n], NOW, &out, &size);
}

static void clear(void)
{
    memset(&table, 0, sizeof(table));
}

static void test_any_order(void **state)
{
    (void)state;
    static const unsigned orders[][4] = {{0, 1, 2, 3}, {3, 2, 1, 0}, {2, 0, 3, 1}, {1, 3, 0, 2}};
    for (unsigned i = 0; i < 2 * ARRAY_COUNT(orders); i++) {
        struct pieces pieces;
        bool ipv6 = i % 2;
        size_t total = 2000 + i, size;
        uint8_t *out;
        clear();
        cut(&pieces, ipv6, total, 576, 7);
        assert_int_equal(pieces.count, 4);
        for (unsigned n = 0; n < 4; n++) {
            unsigned at = orders[i / 2][n];
            enum reassembly_result result = put_at(pieces.piece[at], pieces.size[at], NOW, &out, &size);
            assert_int_equal(result, n < 3 ? REASSEMBLY_WAITS : REASSEMBLY_WHOLE);
            if (n < 3) /* a duplicate changes nothing */
                assert_int_equal(put(&pieces, at), REASSEMBLY_WAITS);
        }
        assert_int_equal(size, total);
        if (!ipv6) /* as it was, but for the flags' checksum */
            assert_memory_equal(out, whole, 10);
        assert_memory_equal(out + (ipv6 ? 0 : 12), whole + (ipv6 ? 0 : 12), total - (ipv6 ? 0 : 12));
        struct ip_packet parsed;
        assert_true(ip_packet_parse(out, size, &parsed));
        assert_false(parsed.fragment);
    }
}

static void set_offset(struct pieces *pieces, unsigned n, unsigned bytes, bool more)
{
    ip_put16(pieces->piece[n] + IPV4_FRAGMENT, (uint16_t)(bytes / 8 | (more ? 0x2000 : 0)));
    ip_set_header_checksum(pieces->piece[n]);
}

/* Once two pieces disagree, the whole datagram is lost, whatever else comes (RFC 5722). */
static void test_contradictions(void **state)
{
    (void)state;
    struct pieces pieces;
    for (unsigned kind = 0; kind < 5; kind++) {
        clear();
        cut(&pieces, false, 2000, 576, 7); /* data at 0, 552, 1104, 1656 */
        assert_int_equal(put(&pieces, 0), REASSEMBLY_WAITS);
        if (kind == 0)
            set_offset(&pieces, 1, 544, true); /* overlaps in part */
        if (kind == 1) {
            assert_int_equal(put(&pieces, 1), REASSEMBLY_WAITS);
            pieces.piece[1][100] ^= 1; /* the same place, other bytes */
        }
        if (kind == 2) {
            assert_int_equal(put(&pieces, 3), REASSEMBLY_WAITS);
            set_offset(&pieces, 1, 1984, true); /* behind the end */
        }
        if (kind == 3) {
            assert_int_equal(put(&pieces, 3), REASSEMBLY_WAITS);
            set_offset(&pieces, 1, 552, false); /* another end */
        }
        if (kind == 4) {
            assert_int_equal(put(&pieces, 2), REASSEMBLY_WAITS);
            set_offset(&pieces, 1, 552, false); /* an end in front of what is there */
        }
        assert_int_equal(put(&pieces, 1), REASSEMBLY_DROPPED);
        cut(&pieces, false, 2000, 576, 7);
        for (unsigned n = 0; n < 4; n++)
            assert_int_equal(put(&pieces, n), REASSEMBLY_DROPPED);
    }
}

static void test_bounds(void **state)
{
    (void)state;
    struct pieces pieces;
    clear();
    cut(&pieces, false, 2000, 576, 7);
    set_offset(&pieces, 1, REASSEMBLY_DATA_MAX - 544, true);
    assert_int_equal(put(&pieces, 1), REASSEMBLY_DROPPED);
    clear();
    set_offset(&pieces, 1, REASSEMBLY_DATA_MAX - 552, false);
    assert_int_equal(put(&pieces, 1), REASSEMBLY_WAITS);
    clear();
    pieces.size[1] -= 4; /* not the last one, and no multiple of 8 */
    ip_put16(pieces.piece[1] + IPV4_TOTAL_LENGTH, (uint16_t)pieces.size[1]);
    set_offset(&pieces, 1, 552, true);
    assert_int_equal(put(&pieces, 1), REASSEMBLY_DROPPED);
    clear();
    cut(&pieces, false, 17000, 1500, 7); /* the largest kind that is carried: a message of IKE */
    for (unsigned n = 0; n < pieces.count; n++)
        assert_int_equal(put(&pieces, n), n + 1 < pieces.count ? REASSEMBLY_WAITS : REASSEMBLY_WHOLE);
}

static void test_slots_and_time(void **state)
{
    (void)state;
    struct pieces pieces[REASSEMBLY_SLOTS + 1];
    uint8_t *out;
    size_t size;
    clear();
    for (unsigned i = 0; i <= REASSEMBLY_SLOTS; i++) {
        cut(&pieces[i], false, 900, 576, (uint16_t)i);
        assert_int_equal(put_at(pieces[i].piece[0], pieces[i].size[0], NOW + i, &out, &size),
                         REASSEMBLY_WAITS);
    }
    for (unsigned i = REASSEMBLY_SLOTS; i > 0; i--) /* the oldest one had to go, the others stand */
        assert_int_equal(put_at(pieces[i].piece[1], pieces[i].size[1], NOW + 9, &out, &size),
                         REASSEMBLY_WHOLE);
    assert_int_equal(put_at(pieces[0].piece[1], pieces[0].size[1], NOW + 9, &out, &size), REASSEMBLY_WAITS);

    clear();
    assert_int_equal(put(&pieces[0], 0), REASSEMBLY_WAITS);
    assert_int_equal(
        put_at(pieces[0].piece[1], pieces[0].size[1], NOW + REASSEMBLY_TIMEOUT_MS + 1, &out, &size),
        REASSEMBLY_WAITS);
}

/* IPv4 options: those without the copy flag stand in the first fragment alone. */
static void test_options(void **state)
{
    (void)state;
    static const uint8_t options[] = {0x94, 4, 0, 0, 7, 4, 4, 0, 1, 0, 0, 0}; /* router alert, record route */
    static const uint8_t later[] = {0x94, 4, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0};
    struct ip_recipe r = {.from = "192.0.2.1", .to = "192.0.2.2", .protocol = 50};
    uint8_t packet[800], scratch[PIECE_MAX];
    struct pieces pieces = {0};
    struct ip_packet parsed;
    make_ip(&r, packet, sizeof(packet));
    memcpy(packet + 20, options, sizeof(options));
    packet[0] = 0x48;
    ip_set_header_checksum(packet);
    assert_true(ip_packet_parse(packet, sizeof(packet), &parsed));
    struct ip_cut how = {.packet = &parsed, .mtu = 576, .scratch = scratch};
    assert_true(ip_fragment(&how, keep, &pieces));
    assert_int_equal(pieces.count, 2);
    assert_memory_equal(pieces.piece[0] + 20, options, sizeof(options));
    assert_memory_equal(pieces.piece[1] + 20, later, sizeof(later));
    parsed.dont_fragment = true;
    assert_false(ip_fragment(&how, keep, &pieces));
    parsed.dont_fragment = false;
    how.mtu = 39;
    assert_false(ip_fragment(&how, keep, &pieces));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_order), cmocka_unit_test(test_contradictions),
        cmocka_unit_test(test_bounds),    cmocka_unit_test(test_slots_and_time),
        cmocka_unit_test(test_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
