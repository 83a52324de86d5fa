/* SPDX-License-Identifier: Apache-2.0 */
/* The tunnel between an arbitrary guest and an arbitrary wire. Input: records of an operation, a length (two
 * bytes) and so many bytes. Whatever happens, only ESP for the gateway goes out, none of it as the guest
 * wrote it, nothing is larger than its link, and nothing comes in but by the key. */
#include <stdlib.h>
#include <string.h>

#include "crypto/ipsec/tunnel_parts.h"
#include "crypto/port/port.h"
#include "lib/reader.h"

#define MTU        1500
#define FRAME_ROOM 4096
#define SHOWN      16 /* so many bytes of a guest's packet must not be seen on the wire in a row */
#define SPI        0x1000u
#define IV_BYTES   8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static const uint8_t us[] = {192, 0, 2, 2}, gateway[] = {198, 51, 100, 1}, guest[] = {10, 9, 0, 5};
static struct child_keys keys;

/* One run. */
struct world {
    struct tunnel *tunnel;
    struct esp_sa *peer; /* seals what the gateway would */
    uint64_t now;
    const uint8_t *clear; /* what the guest just sent, NULL while the wire speaks */
    size_t clear_size;
    bool authentic; /* what the wire says was sealed by the peer */
    uint8_t last[FRAME_ROOM];
    size_t last_size; /* of the last outer packet */
};

static void require(bool condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    static const struct crypto_surroundings surroundings = {.entropy = crypto_cpu_entropy};
    require(crypto_start(&surroundings));
    return 0;
}

/* In the outer packet, behind what anybody can foresee: headers of IP, UDP and ESP, and GCM's IV. A fragment
 * that is not the first has no header but IP's. */
static bool shows(const uint8_t *packet, size_t size, const uint8_t *clear, size_t clear_size)
{
    bool first = (ip_get16(packet + IPV4_FRAGMENT) & IPV4_FRAGMENT_OFFSET) == 0;
    size_t udp = packet[IPV4_PROTOCOL] == PROTOCOL_UDP ? UDP_HEADER_BYTES : 0;
    size_t begin = IPV4_HEADER_BYTES + (first ? udp + ESP_HEADER_BYTES + IV_BYTES : 0);
    for (size_t at = begin; clear_size >= SHOWN && at + SHOWN <= size; at++)
        if (memcmp(packet + at, clear + clear_size - SHOWN, SHOWN) == 0)
            return true;
    return false;
}

static void to_wire(void *owner, const struct ip_address *destination, uint8_t *packet, size_t size)
{
    struct world *w = owner;
    memset(packet - TUNNEL_HEADROOM, 0, TUNNEL_HEADROOM);
    require(w->clear && size <= MTU && size > IPV4_HEADER_BYTES && packet[0] == 0x45);
    require(destination->version == 4 && memcmp(destination->bytes, gateway, 4) == 0);
    require(memcmp(packet + IPV4_SOURCE, us, 4) == 0 && memcmp(packet + IPV4_DESTINATION, gateway, 4) == 0);
    require(packet[IPV4_PROTOCOL] == PROTOCOL_ESP || packet[IPV4_PROTOCOL] == PROTOCOL_UDP);
    require(!shows(packet, size, w->clear, w->clear_size));
    memcpy(w->last, packet, size);
    w->last_size = size;
}

static void to_guest(void *owner, uint8_t *packet, size_t size)
{
    struct world *w = owner;
    memset(packet - TUNNEL_HEADROOM, 0, TUNNEL_HEADROOM);
    require(size <= MTU && size >= IPV4_HEADER_BYTES);
    require(w->clear || w->authentic); /* an answer to the guest, or what the peer sealed */
}

static void suspect(void *owner)
{
    require(!((struct world *)owner)->clear);
}

static const struct tunnel_callbacks callbacks = {
    .to_wire = to_wire, .to_guest = to_guest, .suspect = suspect};

static void add_sa(struct world *w, uint32_t number, bool udp)
{
    struct child_parameters child = {
        .spi_in = SPI + number, .spi_out = SPI + number, .udp_encapsulated = udp};
    child.cipher = algorithm_named("aes256gcm16", strlen("aes256gcm16"));
    child.in = child.out = keys;
    require(selector_parse("10.9.0.5", 8, &child.local.item[child.local.count++]));
    require(selector_parse("2001:db8::/32", 13, &child.local.item[child.local.count++]));
    require(selector_parse("0.0.0.0/0", 9, &child.remote.item[child.remote.count++]));
    require(selector_parse("::/0", 4, &child.remote.item[child.remote.count++]));
    child.outer_local.ip.version = child.outer_remote.ip.version = 4;
    child.outer_local.port = child.outer_remote.port = 4500;
    memcpy(child.outer_local.ip.bytes, us, 4);
    memcpy(child.outer_remote.ip.bytes, gateway, 4);
    (void)!tunnel_add(w->tunnel, &child, number ? SPI : 0); /* refused while there is one */
    if (!w->peer)
        w->peer = esp_create(&child);
    require(w->peer);
}

/* Makes length, addresses and checksum right where there is a header to mend, so that what is behind it is
 * reached. */
static void mend(uint8_t *packet, size_t size, const uint8_t *source, const uint8_t *destination)
{
    size_t header = (packet[0] & 15u) * 4;
    if (packet[0] >> 4 == 6 && size >= IPV6_HEADER_BYTES)
        ip_put16(packet + IPV6_LENGTH, (uint16_t)(size - IPV6_HEADER_BYTES));
    if (packet[0] >> 4 != 4 || header < IPV4_HEADER_BYTES || size < header)
        return;
    ip_put16(packet + IPV4_TOTAL_LENGTH, (uint16_t)size);
    if (source)
        memcpy(packet + IPV4_SOURCE, source, 4);
    if (destination)
        memcpy(packet + IPV4_DESTINATION, destination, 4);
    ip_set_header_checksum(packet);
}

static void guest_sends(struct world *w, uint8_t *packet, size_t size)
{
    uint8_t clear[FRAME_ROOM];
    memcpy(clear, packet, size);
    w->clear = clear;
    w->clear_size = size;
    tunnel_from_guest(w->tunnel, packet, size, w->now);
    w->clear = NULL;
}

static void wire_brings(struct world *w, uint8_t *packet, size_t size)
{
    struct tunnel_rest rest;
    if (!tunnel_from_wire(w->tunnel, packet, size, w->now, &rest)) {
        require(rest.packet && rest.size <= MAX(size, (size_t)IPV4_HEADER_MAX + REASSEMBLY_DATA_MAX));
        volatile uint8_t last = rest.size ? rest.packet[rest.size - 1] : 0;
        (void)last;
    }
}

/* The peer seals arbitrary bytes as an inner packet. */
static void peer_sends(struct world *w, const uint8_t *inner, size_t size, uint8_t traffic_class)
{
    uint8_t packet[FRAME_ROOM + 128] = {0x45, traffic_class};
    size_t sealed = esp_seal(w->peer, inner, size, packet + 20, sizeof(packet) - 20);
    packet[IPV4_TTL] = 1;
    packet[IPV4_PROTOCOL] = PROTOCOL_ESP;
    mend(packet, 20 + sealed, gateway, us);
    w->authentic = true;
    wire_brings(w, packet, 20 + sealed);
    w->authentic = false;
}

/* A router complains about the last outer packet, or about none. */
static void router_says(struct world *w, uint8_t code, uint16_t told)
{
    uint8_t packet[FRAME_ROOM] = {0x45};
    packet[IPV4_PROTOCOL] = PROTOCOL_ICMP;
    packet[20] = 3;
    packet[21] = code;
    ip_put16(packet + 26, told);
    size_t quoted = MIN(w->last_size, (size_t)100);
    memcpy(packet + 28, w->last, quoted);
    mend(packet, 28 + quoted, gateway, us);
    wire_brings(w, packet, 28 + quoted);
}

static void step(struct world *w, uint8_t operation, uint8_t *bytes, size_t size)
{
    uint8_t first = bytes[0];
    switch (operation % 9) {
    case 0:
        guest_sends(w, bytes, size);
        break;
    case 1:
        mend(bytes, size, guest, NULL);
        guest_sends(w, bytes, size);
        break;
    case 2:
        wire_brings(w, bytes, size);
        break;
    case 3:
        mend(bytes, size, gateway, us);
        wire_brings(w, bytes, size);
        break;
    case 4:
        mend(bytes, size, NULL, guest);
        peer_sends(w, bytes, size, operation / 9);
        break;
    case 5:
        router_says(w, first & 7, size > 2 ? ip_get16(bytes + 1) : 0);
        break;
    case 6:
        w->now += (uint64_t)first * 8192;
        break;
    case 7:
        add_sa(w, first & 3, first & 4);
        tunnel_use(w->tunnel, SPI + (first >> 4 & 3));
        break;
    default:
        tunnel_remove(w->tunnel, SPI + (first & 3));
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct ip_address gateway4 = {.version = 4, .bytes = {10, 9, 0, 1}};
    static const struct ip_address gateway6 = {.version = 6, .bytes = {0xfe, 0x80, [15] = 1}};
    static struct world w;
    struct reader r = reader_of(data, size);
    memset(&w, 0, sizeof(w));
    /* New ones each time: with the same, the fuzzer learns what the ciphertext will be and has the guest say
     * it. */
    require(crypto_cpu_entropy(NULL, &keys, sizeof(keys)));
    w.tunnel = tunnel_create(MTU, true, &callbacks, &w);
    require(w.tunnel);
    tunnel_set_gateway(w.tunnel, &gateway4, &gateway6);
    add_sa(&w, 0, false);
    while (reader_left(&r) > 3) {
        uint8_t operation = reader_u8(&r);
        size_t length = (size_t)reader_be(&r, 2);
        length = MIN(length, MIN(reader_left(&r), (size_t)FRAME_ROOM));
        if (length == 0)
            continue;
        uint8_t *frame = malloc(TUNNEL_HEADROOM + length);
        require(frame);
        memcpy(frame + TUNNEL_HEADROOM, reader_bytes(&r, length), length);
        step(&w, operation, frame + TUNNEL_HEADROOM, length);
        free(frame);
    }
    tunnel_destroy(w.tunnel);
    esp_destroy(w.peer);
    return 0;
}
