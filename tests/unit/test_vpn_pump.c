/* SPDX-License-Identifier: Apache-2.0 */
/* The whole service on virtual time: nothing of the guest reaches the wire but through ESP, whatever it
 * sends; leases only after the tunnel; the way of a packet in both directions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/support/vpn_rig.h"

/* Is this one of the frames that our own host sends: ARP, ND, MLD, or IKE? */
static bool is_our_own(const struct world_frame *f)
{
    uint8_t own[6];
    struct ip_packet p;
    uint8_t copy[FRAME_MAX];
    vpn_mac(SIDE_WIRE, own);
    if (memcmp(f->bytes + 6, own, 6) != 0)
        return false;
    if (frame_type(f->bytes) == ETHTYPE_ARP)
        return f->size == 42 && memcmp(f->bytes + 22, own, 6) == 0;
    memcpy(copy, f->bytes, f->size);
    if (!ip_packet_parse(copy + SIZEOF_ETH_HDR, f->size - SIZEOF_ETH_HDR, &p))
        return false;
    if (p.version == 6)
        return p.flow.protocol == PROTOCOL_ICMPV6;
    struct ip_address us = ip_of(OUR_OUTER4), gateway = ip_of(GATEWAY_OUTER4);
    return ip_equal(&p.flow.source, &us) && ip_equal(&p.flow.destination, &gateway) &&
           p.flow.protocol == PROTOCOL_UDP && (p.flow.source_port == 500 || p.flow.source_port == 4500);
}

static void check_wire_is_clean(void)
{
    const struct world_side *s = &world.sides[SIDE_WIRE];
    for (unsigned i = 0; i < MIN(s->out_count, (unsigned)WORLD_FRAMES); i++)
        assert_true(is_our_own(&s->out[i]));
    assert_false(world_sent_contains(SIDE_WIRE, marker, MARKER_BYTES - 1));
    assert_false(world_sent_contains(SIDE_WIRE, guest_mac, sizeof(guest_mac)));
}

/* ---- The kill switch ---- */

static const struct ip_recipe attempts[] = {
    {.from = GUEST4, .to = SERVER4, .protocol = 6, .source_port = 4000, .destination_port = 443},
    {.from = GUEST4, .to = SERVER4, .protocol = 17, .source_port = 4000, .destination_port = 53},
    {.from = GUEST4, .to = ROUTER, .protocol = 17, .source_port = 4000, .destination_port = 53},
    {.from = OUR_OUTER4, .to = GATEWAY_OUTER4, .protocol = 17, .source_port = 500, .destination_port = 500},
    {.from = OUR_OUTER4, .to = GATEWAY_OUTER4, .protocol = 50},
    {.from = OUR_OUTER4, .to = ROUTER, .protocol = 1, .source_port = 8},
    {.from = GUEST4, .to = OUR_OUTER4, .protocol = 17, .source_port = 4000, .destination_port = 4500},
    {.from = GUEST4, .to = "255.255.255.255", .protocol = 17, .source_port = 68, .destination_port = 67},
    {.from = GUEST4, .to = "224.0.0.251", .protocol = 17, .source_port = 5353, .destination_port = 5353},
    {.from = GUEST6, .to = SERVER6, .protocol = 17, .source_port = 4000, .destination_port = 53},
    {.from = GUEST6, .to = SERVER6, .protocol = 58, .source_port = 128},
    {.from = GUEST4, .to = "192.0.2.99", .protocol = 6, .source_port = 4000, .destination_port = 631},
    {.from = "fe80::77", .to = "ff02::1", .protocol = 58, .source_port = 134},
    {.from = "fe80::77", .to = "ff02::1:2", .protocol = 17, .source_port = 546, .destination_port = 547},
};

static void test_nothing_leaves(void **state)
{
    (void)state;
    start_service(POLICY);
    run_for(100);
    answer_arp();
    run_for(100);
    for (size_t i = 0; i < ARRAY_COUNT(attempts); i++)
        for (size_t size = 100; size <= 1500; size += 700)
            guest_sends(&attempts[i], size);
    run_for(3000);
    assert_true(world.sides[SIDE_WIRE].out_count > 0); /* IKE tries */
    check_wire_is_clean();
    service_stop(&service);
}

/* Frames with bytes turned over, addressed to anybody, of any type. */
static void test_nothing_leaves_by_chance(void **state)
{
    uint8_t frame[FRAME_MAX], macs[3][6] = {{0}, {0}, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
    (void)state;
    start_service(POLICY);
    vpn_mac(SIDE_WIRE, macs[0]);
    vpn_mac(SIDE_GUEST, macs[1]);
    srand(7);
    for (unsigned round = 0; round < 4000; round++) {
        size_t size =
            make_frame(frame, macs[rand() % 3], guest_mac, &attempts[(size_t)rand() % ARRAY_COUNT(attempts)],
                       100 + (size_t)rand() % 1400);
        memcpy(frame + size - sizeof(marker), marker, sizeof(marker));
        for (int i = rand() % 6; i > 0; i--)
            frame[rand() % 60] = (uint8_t)rand();
        guest_frame(&service.guest, frame, rand() % 8 ? size : (size_t)rand() % size, world.now);
        if (round % 16 == 0) {
            run_for(10);
            check_wire_is_clean();
        }
    }
    service_stop(&service);
}

/* What was sent while the tunnel is down is answered, so that the guest's programs do not wait. */
static void test_down_is_said(void **state)
{
    (void)state;
    start_service(POLICY);
    world.sides[SIDE_GUEST].out_count = 0;
    guest_sends(&attempts[0], 200);
    guest_sends(&attempts[9], 200);
    assert_int_equal(world.sides[SIDE_GUEST].out_count, 2);
    const uint8_t *ipv4 = world.sides[SIDE_GUEST].out[0].bytes, *ipv6 = world.sides[SIDE_GUEST].out[1].bytes;
    assert_memory_equal(ipv4, guest_mac, 6);
    assert_int_equal(ipv4[14 + 9], PROTOCOL_ICMP);
    assert_int_equal(ipv4[14 + 20], 3);
    assert_int_equal(ipv6[14 + 6], PROTOCOL_ICMPV6);
    assert_int_equal(ipv6[14 + 40], 1);
    service_stop(&service);
}

/* ---- Leases ---- */

static void ask_for_lease(void)
{
    uint8_t frame[14 + 28 + 244] = {0}, *message = frame + 42;
    const struct ip_recipe recipe = {.from = "0.0.0.0",
                                     .to = "255.255.255.255",
                                     .protocol = 17,
                                     .source_port = 68,
                                     .destination_port = 67};
    make_frame(frame, mac_broadcast.addr, guest_mac, &recipe, sizeof(frame) - 14);
    memset(message, 0, 244);
    memcpy(message, "\1\1\6", 3);
    memcpy(message + 28, guest_mac, 6);
    memcpy(message + 236, "\x63\x82\x53\x63\x35\1\1\xff", 8);
    memset(frame + 40, 0, 2); /* no UDP checksum */
    guest_frame(&service.guest, frame, sizeof(frame), world.now);
}

static void test_leases(void **state)
{
    (void)state;
    start_service(POLICY);
    run_for(10);
    assert_true(world.sides[SIDE_GUEST].carrier);
    world.sides[SIDE_GUEST].out_count = 0;
    ask_for_lease();
    assert_int_equal(world.sides[SIDE_GUEST].out_count, 0);

    inner_address("10.9.0.5");
    assert_false(world.sides[SIDE_GUEST].carrier);
    run_for(1100);
    assert_true(world.sides[SIDE_GUEST].carrier);
    world.sides[SIDE_GUEST].out_count = 0;
    ask_for_lease();
    assert_int_equal(world.sides[SIDE_GUEST].out_count, 1);
    const struct world_frame *offer = &world.sides[SIDE_GUEST].out[0];
    assert_memory_equal(offer->bytes, guest_mac, 6);
    assert_true(ip_sums_hold((const uint8_t *)offer->bytes + 14, offer->size - 14));
    assert_memory_equal(offer->bytes + 42 + 16, "\x0a\x09\x00\x05", 4);

    unsigned drops = world.sides[SIDE_GUEST].carrier_drops;
    inner_address("10.9.0.5"); /* the same again: the guest notices nothing */
    assert_int_equal(world.sides[SIDE_GUEST].carrier_drops, drops);
    inner_address("10.9.0.6");
    assert_int_equal(world.sides[SIDE_GUEST].carrier_drops, drops + 1);
    static const char *const nonsense[] = {"0.0.0.0", "255.255.255.255", "127.0.0.1", "224.0.0.1",
                                           "169.254.1.1"};
    for (size_t i = 0; i < ARRAY_COUNT(nonsense); i++) {
        inner_address(nonsense[i]);
        assert_int_equal(service.guest.network.address4.version, 0);
        world.sides[SIDE_GUEST].out_count = 0;
        ask_for_lease();
        assert_int_equal(world.sides[SIDE_GUEST].out_count, 0);
    }
    service_stop(&service);
}

/* ---- The way of a packet ---- */

static struct esp_sa *gateway_end(const struct child_parameters *ours)
{
    struct child_parameters peer = *ours;
    peer.spi_in = ours->spi_out;
    peer.spi_out = ours->spi_in;
    peer.in = ours->out;
    peer.out = ours->in;
    struct esp_sa *sa = esp_create(&peer);
    assert_non_null(sa);
    return sa;
}

/* Opens the last frame on the wire and compares what is inside with the packet that the guest sent. */
static void check_sealed(struct esp_sa *gateway, const uint8_t *packet, size_t size)
{
    struct world_frame f = world.sides[SIDE_WIRE].out[(world.sides[SIDE_WIRE].out_count - 1) % WORLD_FRAMES];
    uint8_t *inner;
    size_t inner_size;
    assert_memory_equal(f.bytes, router_mac, 6);
    assert_int_equal(f.bytes[14 + 9], PROTOCOL_UDP);
    assert_int_equal(esp_open(gateway, f.bytes + 42, f.size - 42, world.now, &inner, &inner_size), ESP_OK);
    assert_int_equal(inner_size, size);
    assert_memory_equal(inner, packet, size);
}

static void receive_sealed(struct esp_sa *gateway, const uint8_t *packet, size_t size)
{
    uint8_t frame[FRAME_MAX], own[6];
    vpn_mac(SIDE_WIRE, own);
    const struct ip_recipe recipe = {.from = GATEWAY_OUTER4,
                                     .to = OUR_OUTER4,
                                     .protocol = 17,
                                     .source_port = 4500,
                                     .destination_port = 4500};
    size_t sealed = esp_sealed_size(gateway, size);
    make_frame(frame, own, router_mac, &recipe, 28 + sealed);
    assert_int_equal(esp_seal(gateway, packet, size, frame + 42, sizeof(frame) - 42), sealed);
    memset(frame + 40, 0, 2);
    service_wire_frame(&service, frame, 42 + sealed);
}

static void test_passage(void **state)
{
    static const struct ip_recipe there = {
        .from = GUEST4, .to = SERVER4, .protocol = 17, .source_port = 4000, .destination_port = 53};
    static const struct ip_recipe back = {
        .from = SERVER4, .to = GUEST4, .protocol = 17, .source_port = 53, .destination_port = 4000};
    uint8_t packet[1500];
    (void)state;
    start_service(POLICY);
    run_for(10);
    answer_arp();
    run_for(10);
    inner_address(GUEST4);
    struct child_parameters child = rig_child(&(struct rig_form){.udp = true}, 1);
    assert_true(tunnel_add(service.tunnel, &child, 0));
    struct esp_sa *gateway = gateway_end(&child);
    for (unsigned i = 0; i < 20; i++) {
        size_t size = 60 + i * 70;
        make_ip(&there, packet, size);
        memcpy(packet + size - sizeof(marker), marker, sizeof(marker));
        for (unsigned way = 0; way < 2; way++) { /* lwIP's, as time has passed, and the short one */
            guest_sends(&there, size);
            check_sealed(gateway, packet, size);
        }
        world.sides[SIDE_GUEST].out_count = 0;
        make_ip(&back, packet, size);
        receive_sealed(gateway, packet, size);
        assert_int_equal(world.sides[SIDE_GUEST].out_count, 1);
        assert_int_equal(world.sides[SIDE_GUEST].out[0].size, 14 + size);
        assert_memory_equal(world.sides[SIDE_GUEST].out[0].bytes, guest_mac, 6);
        assert_memory_equal(world.sides[SIDE_GUEST].out[0].bytes + 14, packet, size);
        run_for(200);
        answer_arp();
    }
    assert_false(world_sent_contains(SIDE_WIRE, marker, MARKER_BYTES - 1));
    esp_destroy(gateway);
    service_stop(&service);
}

/* While the next hop is unknown lwIP asks for it; that question's own (multicast) MAC is not the next hop. */
static void test_next_hop_ipv6(void **state)
{
    static const struct ip_recipe there = {
        .from = GUEST4, .to = SERVER4, .protocol = 17, .source_port = 4000, .destination_port = 53};
    (void)state;
    start_service("[vpn test]\ngateway = " GATEWAY_OUTER6
                  "\nlocal-id = me.test\npsk = psk\nwire-address = off\n"
                  "wire-address6 = " OUR_OUTER6 "/64\nwire-router6 = 2001:db8:1::1\n");
    run_for(5000);
    assert_int_equal(service.local.version, 6);
    inner_address(GUEST4);
    struct child_parameters child = rig_child(&(struct rig_form){.udp = true, .outer6 = true}, 1);
    assert_true(tunnel_add(service.tunnel, &child, 0));
    world.sides[SIDE_WIRE].out_count = 0;
    for (unsigned i = 0; i < 5; i++)
        guest_sends(&there, 200);
    run_for(1500);
    guest_sends(&there, 200);
    assert_true(world.sides[SIDE_WIRE].out_count > 0);
    for (unsigned i = 0; i < world.sides[SIDE_WIRE].out_count; i++) {
        const uint8_t *frame = world.sides[SIDE_WIRE].out[i].bytes;
        assert_true(frame[0] & MAC_GROUP_BIT); /* nobody has told a MAC */
        assert_int_equal(frame[14 + 6], PROTOCOL_ICMPV6);
    }
    service_stop(&service);
}

/* Frames that are not ours to take, from a wire that means harm. */
static void test_wire_garbage(void **state)
{
    uint8_t frame[FRAME_MAX], own[6];
    (void)state;
    start_service(POLICY);
    vpn_mac(SIDE_WIRE, own);
    srand(11);
    for (unsigned round = 0; round < 4000; round++) {
        struct ip_recipe recipe = attempts[(size_t)rand() % ARRAY_COUNT(attempts)];
        size_t size = make_frame(frame, own, router_mac, &recipe, 100 + (size_t)rand() % 1400);
        for (int i = rand() % 8; i > 0; i--)
            frame[12 + rand() % 60] = (uint8_t)rand();
        world.sides[SIDE_GUEST].out_count = 0;
        service_wire_frame(&service, frame, rand() % 4 ? size : (size_t)rand() % size);
        assert_int_equal(world.sides[SIDE_GUEST].out_count, 0); /* nothing in clear gets in, either */
        if (round % 64 == 0)
            run_for(500);
    }
    service_stop(&service);
}

static void keep_line(void *context, const char *text)
{
    strncat(context, text, 200);
    strcat(context, "\n");
}

static void test_state_in_words(void **state)
{
    char text[8192] = "";
    (void)state;
    start_service(POLICY);
    run_for(100);
    service_describe(&service, &(struct describer){keep_line, text, world.now});
    assert_non_null(strstr(text, "VPN test: down"));
    assert_non_null(strstr(text, "gateway " GATEWAY_OUTER4 ", at " GATEWAY_OUTER4));
    assert_non_null(strstr(text, "our address on the wire " OUR_OUTER4));
    assert_null(strstr(text, "kkkk")); /* the pre-shared key */
    assert_null(strstr(world.log, "kkkk"));
    service_stop(&service);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_leaves), cmocka_unit_test(test_nothing_leaves_by_chance),
        cmocka_unit_test(test_down_is_said),   cmocka_unit_test(test_leases),
        cmocka_unit_test(test_passage),        cmocka_unit_test(test_wire_garbage),
        cmocka_unit_test(test_next_hop_ipv6),  cmocka_unit_test(test_state_in_words),
    };
    return cmocka_run_group_tests(tests, start_crypto, NULL);
}
