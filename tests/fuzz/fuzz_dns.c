/* SPDX-License-Identifier: Apache-2.0 */
/* lwIP's resolver: what a hostile DNS server may answer when the gateway's name is asked for. */
#include <stdlib.h>
#include <string.h>

#include "lib/format.h"
#include "lib/writer.h"
#include "services/vpn/frame.h"
#include "services/vpn/wire.h"
#include "tests/unit/support/ip_maker.h"
#include "tests/unit/support/vpn_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NAME_BYTES     32
#define DNS_PORT       53
#define DNS_HEADER     12
#define QUESTION_BYTES 27 /* of a name of 21 characters: labels, type and class */

static unsigned answers, round;

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void no_ike(void *owner, const struct ike_datagram *datagram)
{
    (void)owner;
    (void)datagram;
}

static void resolved(void *owner, const struct ip_address *address)
{
    (void)owner;
    require(address->version == 0 || address->version == 4 || address->version == 6);
    answers++;
}

static void know_server(const struct ip_address *server)
{
    uint8_t arp[42] = {0};
    struct ip_address us = ip_of("192.0.2.2");
    vpn_mac(SIDE_WIRE, arp);
    memcpy(arp + 12, "\x08\x06\0\1\x08\0\6\4\0\2\2\0\0\0\0\x35", 16);
    memcpy(arp + 28, server->bytes, 4);
    vpn_mac(SIDE_WIRE, arp + 32);
    memcpy(arp + 38, us.bytes, 4);
    wire_receive(ETHTYPE_ARP, arp + SIZEOF_ETH_HDR, sizeof(arp) - SIZEOF_ETH_HDR);
}

/* The last query on the wire; NULL: none. */
static const uint8_t *find_query(uint16_t *port)
{
    const struct world_side *side = &world.sides[SIDE_WIRE];
    for (unsigned i = MIN(side->out_count, (unsigned)WORLD_FRAMES); i-- > 0;) {
        const struct world_frame *f = &side->out[i];
        if (f->size > 42 + DNS_HEADER && f->bytes[14 + 9] == PROTOCOL_UDP &&
            ip_get16(f->bytes + 36) == DNS_PORT) {
            *port = ip_get16(f->bytes + 34);
            return f->bytes + 42;
        }
    }
    return NULL;
}

static void respond(const struct ip_address *server, const uint8_t *data, size_t size)
{
    uint8_t message[FRAME_MAX], packet[FRAME_MAX];
    uint16_t port = 0;
    const uint8_t *query = find_query(&port);
    if (!query || size < DNS_HEADER || size > 1200)
        return;
    struct writer w = writer_of(message, sizeof(message));
    writer_bytes(&w, query, 2); /* the transaction, which an attacker would have to guess */
    writer_bytes(&w, data + 2, DNS_HEADER - 2);
    if (data[0] & 1) /* with the right question, so that the answers are reached */
        writer_bytes(&w, query + DNS_HEADER, QUESTION_BYTES);
    writer_bytes(&w, data + DNS_HEADER, size - DNS_HEADER);
    const struct packet_flow flow = {.source = *server,
                                     .destination = ip_of("192.0.2.2"),
                                     .protocol = PROTOCOL_UDP,
                                     .source_port = DNS_PORT,
                                     .destination_port = port};
    size_t length = packet_write(packet, sizeof(packet), &flow, message, w.at);
    require(!w.failed && length > 0);
    wire_receive(ETHTYPE_IP, packet, length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct wire_callbacks callbacks = {no_ike, resolved};
    struct wire_settings settings = {.mtu = 1500,
                                     .ipv4 = {.address = ip_of("192.0.2.2"), .prefix = 24},
                                     .dns = {ip_of("192.0.2.53")},
                                     .dns_count = 1};
    world_reset();
    answers = 0;
    require(wire_start(&settings, &callbacks, NULL));
    (void)wire_tick();
    know_server(&settings.dns[0]);
    char name[NAME_BYTES]; /* another one each time: lwIP remembers answers */
    (void)format(name, sizeof(name), "v%08x.example.com", round++);
    require(wire_resolve(name, data && size > 0 && data[0] & 2 ? 6 : 4));
    respond(&settings.dns[0], data, size);
    respond(&settings.dns[0], data, size); /* perhaps the fallback to the other kind of address */
    for (unsigned i = 0; i < 40; i++) {    /* until it gives up: no query is left for the next run */
        world.now += 1000;
        (void)wire_tick();
    }
    require(answers == 1);
    wire_stop();
    return 0;
}
