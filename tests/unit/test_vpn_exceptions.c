/* SPDX-License-Identifier: Apache-2.0 */
/* The policy's plain networks: what goes past the tunnel, what comes back, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/support/vpn_rig.h"

static const uint8_t printer_mac[] = {2, 0, 0, 0, 0, 0x33};
#define PRINTER "192.0.2.99"

static void answer_printer(const struct ip_recipe *recipe, size_t size)
{
    uint8_t frame[FRAME_MAX], own[6];
    vpn_mac(SIDE_WIRE, own);
    size = make_frame(frame, own, printer_mac, recipe, size);
    service_wire_frame(&service, frame, size);
}

/* The checksum 0 of a UDP packet means that there is none, and stays so. */
static void check_without_checksum(const struct ip_recipe *recipe)
{
    uint8_t frame[FRAME_MAX], gateway[6];
    struct ip_packet p;
    vpn_mac(SIDE_GUEST, gateway);
    size_t size = make_frame(frame, gateway, guest_mac, recipe, 100);
    memset(frame + 14 + 20 + 6, 0, 2);
    guest_frame(&service.guest, frame, size, world.now);
    const struct world_side *wire_side = &world.sides[SIDE_WIRE];
    struct world_frame sent = wire_side->out[(wire_side->out_count - 1) % WORLD_FRAMES];
    assert_int_equal(sent.size, 114);
    assert_true(ip_packet_parse(sent.bytes + 14, sent.size - 14, &p));
    assert_int_equal(ip_get16(sent.bytes + 14 + 20 + 6), 0);
}

/* What the policy calls plain goes out from our own address and comes back; everything else does not. */
static void check_exception(uint8_t protocol)
{
    const struct ip_recipe there = {
        .from = GUEST4, .to = PRINTER, .protocol = protocol, .source_port = 4000, .destination_port = 631};
    world.sides[SIDE_WIRE].out_count = world.sides[SIDE_GUEST].out_count = 0;
    guest_sends(&there, 300);
    run_for(10);
    answer_arp_of(PRINTER, printer_mac);
    run_for(10);
    const struct world_side *wire_side = &world.sides[SIDE_WIRE];
    struct world_frame sent = {0};
    for (unsigned i = 0; i < wire_side->out_count; i++)
        if (memcmp(wire_side->out[i].bytes, printer_mac, 6) == 0)
            sent = wire_side->out[i];
    struct ip_packet p;
    assert_int_equal(sent.size, 314);
    assert_true(ip_packet_parse(sent.bytes + 14, sent.size - 14, &p));
    struct ip_address us = ip_of(OUR_OUTER4), printer = ip_of(PRINTER);
    assert_true(ip_equal(&p.flow.source, &us) && ip_equal(&p.flow.destination, &printer));
    assert_true(p.flow.source_port >= EXCEPTION_FIRST_PORT && p.flow.destination_port == 631);

    if (protocol == 17)
        check_without_checksum(&there);

    struct ip_recipe back = {.from = PRINTER,
                             .to = OUR_OUTER4,
                             .protocol = protocol,
                             .source_port = 631,
                             .destination_port = p.flow.source_port};
    world.sides[SIDE_GUEST].out_count = 0;
    answer_printer(&back, 200);
    assert_int_equal(world.sides[SIDE_GUEST].out_count, 1);
    struct world_frame *got = &world.sides[SIDE_GUEST].out[0];
    assert_true(ip_sums_hold(got->bytes + 14, got->size - 14));
    assert_true(ip_packet_parse(got->bytes + 14, got->size - 14, &p));
    struct ip_address guest = ip_of(GUEST4);
    assert_true(ip_equal(&p.flow.destination, &guest) && p.flow.destination_port == 4000);

    back.to = "192.0.2.255"; /* not us alone */
    answer_printer(&back, 200);
    back.to = OUR_OUTER4;
    back.source_port = 632; /* not the one that was spoken to */
    answer_printer(&back, 200);
    back.source_port = 631;
    back.from = ROUTER;
    answer_printer(&back, 200);
    back.from = PRINTER;
    world.now = service.now += 200000; /* long forgotten */
    answer_printer(&back, 200);
    assert_int_equal(world.sides[SIDE_GUEST].out_count, 1);
}

static void test_exceptions(void **state)
{
    (void)state;
    start_service(POLICY "plain = 192.0.2.96/28\n");
    run_for(10);
    answer_arp();
    run_for(10);
    inner_address(GUEST4);
    run_for(1100);
    check_exception(6);
    check_exception(17);
    /* More flows than there is room for, and what is not TCP or UDP: refused, as without an exception. */
    world.sides[SIDE_WIRE].out_count = 0;
    struct ip_recipe ping = {.from = GUEST4, .to = PRINTER, .protocol = 1, .source_port = 8};
    guest_sends(&ping, 100);
    struct ip_recipe elsewhere = {.from = GUEST4, .to = SERVER4, .protocol = 6, .destination_port = 443};
    guest_sends(&elsewhere, 100);
    assert_int_equal(world.sides[SIDE_WIRE].out_count, 0);
    struct ip_recipe many = {.from = GUEST4, .to = PRINTER, .protocol = 17, .destination_port = 9100};
    for (unsigned i = 0; i < EXCEPTION_FLOWS + 10; i++) {
        many.source_port = (uint16_t)(5000 + i);
        guest_sends(&many, 100);
    }
    assert_int_equal(world.sides[SIDE_WIRE].out_count, EXCEPTION_FLOWS); /* the two before rested long */
    assert_false(world_sent_contains(SIDE_WIRE, guest_mac, sizeof(guest_mac)));
    service_stop(&service);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_exceptions)};
    return cmocka_run_group_tests(tests, start_crypto, NULL);
}
