/* SPDX-License-Identifier: Apache-2.0 */
/* IP packets for tests. */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/support/ip_maker.h"

struct ip_address ip_of(const char *text)
{
    struct ip_address ip;
    if (!ip_parse(text, strlen(text), &ip))
        abort();
    return ip;
}

struct ip_endpoint endpoint_of(const char *text, uint16_t port)
{
    return (struct ip_endpoint){.ip = ip_of(text), .port = port};
}

static void put16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static unsigned get16(const uint8_t *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

/* The plain way of RFC 1071, byte by byte. */
static unsigned add(unsigned sum, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        sum += i % 2 ? data[i] : (unsigned)data[i] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

static size_t header_size(const uint8_t *packet)
{
    return packet[0] >> 4 == 4 ? (packet[0] & 15u) * 4 : 40;
}

static unsigned upper_sum(const uint8_t *packet, size_t size, uint8_t protocol)
{
    size_t header = header_size(packet), length = size - header;
    unsigned sum = 0;
    if (protocol != 1) {
        uint8_t rest[4] = {0, protocol, (uint8_t)(length >> 8), (uint8_t)length};
        sum = packet[0] >> 4 == 4 ? add(0, packet + 12, 8) : add(0, packet + 8, 32);
        sum = add(sum, rest, sizeof(rest));
    }
    return add(sum, packet + header, length);
}

static void make_tcp(const struct ip_recipe *r, uint8_t *tcp)
{
    tcp[12] = 0x50;
    if (r->mss == 0)
        return;
    tcp[12] = 0x70;
    tcp[13] = 0x02;
    memset(tcp + 20, 1, 8);
    uint8_t *option = tcp + 20 + (r->odd ? 1 : 0);
    option[0] = 2;
    option[1] = 4;
    put16(option + 2, r->mss);
}

static void make_upper(const struct ip_recipe *r, uint8_t *packet, size_t size)
{
    size_t header = header_size(packet);
    uint8_t *upper = packet + header;
    size_t sum_at = r->protocol == 6 ? 16 : r->protocol == 17 ? 6 : 2;
    if (r->fragment_offset > 0 ||
        (r->protocol != 6 && r->protocol != 17 && r->protocol != 1 && r->protocol != 58))
        return;
    if (r->protocol == 1 || r->protocol == 58) {
        upper[0] = (uint8_t)r->source_port;
        upper[1] = (uint8_t)r->destination_port;
    } else {
        put16(upper, r->source_port);
        put16(upper + 2, r->destination_port);
    }
    if (r->protocol == 6)
        make_tcp(r, upper);
    if (r->protocol == 17)
        put16(upper + 4, (unsigned)(size - header));
    put16(upper + sum_at, 0);
    put16(upper + sum_at, ~upper_sum(packet, size, r->protocol) & 0xffff);
}

void make_ip(const struct ip_recipe *r, uint8_t *out, size_t size)
{
    struct ip_address from = ip_of(r->from), to = ip_of(r->to);
    for (size_t i = 0; i < size; i++)
        out[i] = (uint8_t)(i * 13 + 5);
    if (from.version == 4) {
        memset(out, 0, 20);
        out[0] = 0x45;
        out[1] = r->traffic_class;
        put16(out + 2, (unsigned)size);
        put16(out + 4, 0x1234);
        put16(out + 6, (r->dont_fragment ? 0x4000u : 0) | (r->more ? 0x2000u : 0) | r->fragment_offset / 8u);
        out[8] = 64;
        out[9] = r->protocol;
        memcpy(out + 12, from.bytes, 4);
        memcpy(out + 16, to.bytes, 4);
        put16(out + 10, ~add(0, out, 20) & 0xffff);
    } else {
        memset(out, 0, 40);
        out[0] = (uint8_t)(0x60 | r->traffic_class >> 4);
        out[1] = (uint8_t)(r->traffic_class << 4);
        put16(out + 4, (unsigned)(size - 40));
        out[6] = r->protocol;
        out[7] = 64;
        memcpy(out + 8, from.bytes, 16);
        memcpy(out + 24, to.bytes, 16);
    }
    make_upper(r, out, size);
}

bool ip_sums_hold(const uint8_t *packet, size_t size)
{
    size_t header = header_size(packet);
    bool ipv4 = packet[0] >> 4 == 4;
    uint8_t protocol = ipv4 ? packet[9] : packet[6];
    if (ipv4 && add(0, packet, header) != 0xffff)
        return false;
    if (protocol == 17 && ipv4 && get16(packet + header + 6) == 0)
        return true;
    if (protocol != 6 && protocol != 17 && protocol != 1 && protocol != 58)
        return true;
    return upper_sum(packet, size, protocol) == 0xffff;
}
