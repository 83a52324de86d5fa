/* SPDX-License-Identifier: Apache-2.0 */
/* DHCP from both sides: a guest's bytes to the servers and the virtual gateway, the wire's to lwIP's DHCP
 * client. The first byte says to whom the rest goes. */
#include <stdlib.h>
#include <string.h>

#include "lib/reader.h"
#include "services/vpn/guest.h"
#include "services/vpn/wire.h"
#include "tests/unit/support/ip_maker.h"
#include "tests/unit/support/vpn_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DHCP_XID_AT 4
#define CLIENT_AT   28 /* chaddr */
#define OPTIONS_AT  240

static const struct tunnel_callbacks nowhere; /* no SA: the tunnel has nothing to send to the wire */

static void require(bool condition)
{
    if (!condition)
        abort();
}

static struct guest_network network(void)
{
    struct guest_network n = {
        .mac = {{2, 0, 0, 0, 0, 0xbb}},
        .gateway6 = ip_of("fe80::ff:fe00:bb"),
        .address4 = ip_of("10.30.0.1"),
        .address6 = ip_of("fd30::1"),
        .mtu = 1400,
        .lease = 60,
        .inner = {.dns = {2, {ip_of("10.20.0.53"), ip_of("fd20::53")}},
                  .subnets = {1, {{.first = ip_of("10.20.0.0"), .last = ip_of("10.20.0.255")}}}},
        .everything4 = true};
    guest_network_choose4(&n);
    return n;
}

static void server4(const uint8_t *data, size_t size)
{
    struct guest_network n = network();
    struct dhcp_answer a;
    if (dhcp4_answer(&n, data, size, &a)) {
        require(a.size >= 300 && a.size <= DHCP_ANSWER_MAX && a.data[0] == 2);
        require(memcmp(a.data + DHCP_XID_AT, data + DHCP_XID_AT, 4) == 0);
    }
}

static void server6(const uint8_t *data, size_t size)
{
    struct guest_network n = network();
    struct dhcp_answer a;
    if (dhcp6_answer(&n, data, size, &a))
        require(a.size >= 4 && a.size <= DHCP_ANSWER_MAX && memcmp(a.data + 1, data + 1, 3) == 0);
}

static void to_guest(void *owner, uint8_t *packet, size_t size)
{
    guest_send(owner, packet, size);
}

/* A whole frame of the guest. Nothing may come out on the wire. */
static void frame(const uint8_t *data, size_t size)
{
    struct tunnel_callbacks callbacks = nowhere;
    struct guest g;
    uint8_t copy[FRAME_MAX];
    if (size > sizeof(copy))
        return;
    world_reset();
    callbacks.to_guest = to_guest;
    struct tunnel *tunnel = tunnel_create(1500, false, &callbacks, &g);
    require(tunnel != NULL);
    guest_start(&g, tunnel, 60, world.now);
    struct ike_inner inner = {.address = {2, {ip_of("10.30.0.1"), ip_of("fd30::1")}}};
    guest_set_inner(&g, &inner, world.now);
    memcpy(copy, data, size);
    guest_frame(&g, copy, size, world.now);
    require(world.sides[SIDE_WIRE].out_count == 0);
    tunnel_destroy(tunnel);
}

/* ---- lwIP's client ---- */

static void no_ike(void *owner, const struct ike_datagram *datagram)
{
    (void)owner;
    (void)datagram;
}

static void no_name(void *owner, const struct ip_address *address)
{
    (void)owner;
    (void)address;
}

/* An answer to the client's last message: its transaction and hardware address are put in. */
static void answer_client(const uint8_t *data, size_t size)
{
    struct world_side *side = &world.sides[SIDE_WIRE];
    uint8_t packet[FRAME_MAX], message[FRAME_MAX - 42] = {2, 1, 6};
    if (side->out_count == 0 || size > sizeof(message) - 4)
        return;
    const struct world_frame *sent = NULL;
    for (unsigned i = 0; i < MIN(side->out_count, (unsigned)WORLD_FRAMES); i++)
        if (side->out[i].size > 42 + OPTIONS_AT && side->out[i].bytes[14 + 9] == 17)
            sent = &side->out[i];
    if (!sent)
        return;
    memcpy(message + 4, data, size);
    memcpy(message, "\2\1\6", 3);
    memcpy(message + DHCP_XID_AT, sent->bytes + 42 + DHCP_XID_AT, 4);
    memcpy(message + CLIENT_AT, sent->bytes + 42 + CLIENT_AT, 6);
    memcpy(message + OPTIONS_AT - 4, "\x63\x82\x53\x63", 4);
    const struct packet_flow flow = {.source = ip_of("192.0.2.1"),
                                     .destination = ip_of("255.255.255.255"),
                                     .protocol = PROTOCOL_UDP,
                                     .source_port = 67,
                                     .destination_port = 68};
    size_t length = packet_write(packet, sizeof(packet), &flow, message, MAX(size + 4, (size_t)OPTIONS_AT));
    require(length > 0);
    wire_receive(ETHTYPE_IP, packet, length);
}

/* Two answers, to DISCOVER and REQUEST: a length in two bytes, then the first one's bytes. */
static void client(const uint8_t *data, size_t size)
{
    static const struct wire_callbacks callbacks = {no_ike, no_name};
    static const struct wire_settings settings = {.mtu = 1500, .ipv4.automatic = true};
    world_reset();
    require(wire_start(&settings, &callbacks, NULL));
    (void)wire_tick();
    struct reader r = reader_of(data, size);
    size_t first = (size_t)reader_be(&r, 2);
    first = MIN(first, reader_left(&r));
    const uint8_t *bytes = reader_bytes(&r, first);
    if (bytes)
        answer_client(bytes, first);
    for (unsigned i = 0; i < 6; i++) {
        world.now += 500;
        (void)wire_tick();
    }
    size_t rest = reader_left(&r);
    if (rest > 0)
        answer_client(reader_bytes(&r, rest), rest);
    for (unsigned i = 0; i < 6; i++) {
        world.now += 500;
        (void)wire_tick();
    }
    wire_stop();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const targets[])(const uint8_t *, size_t) = {server4, server6, frame, client};
    if (size == 0)
        return 0;
    targets[data[0] % ARRAY_COUNT(targets)](data + 1, size - 1);
    return 0;
}
