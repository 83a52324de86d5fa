/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration payload (RFC 7296 section 3.15): inner addresses, DNS, split subnets. */
#include "crypto/ipsec/connection.h"
#include "lib/strings.h"

#define CFG_REQUEST    1
#define CFG_REPLY      2
#define ATTRIBUTE_MASK 0x7fff
#define PREFIX6_BYTES  17
#define SUBNET4_BYTES  8

enum attribute {
    INTERNAL_IP4_ADDRESS = 1,
    INTERNAL_IP4_DNS = 3,
    INTERNAL_IP6_ADDRESS = 8,
    INTERNAL_IP6_DNS = 10,
    INTERNAL_IP4_SUBNET = 13,
    INTERNAL_IP6_SUBNET = 15
};

static const struct ip_address *previous(const struct ike *ike, uint8_t version)
{
    for (unsigned i = 0; i < ike->inner.address_count; i++)
        if (ike->inner.address[i].version == version)
            return &ike->inner.address[i];
    return NULL;
}

static void ask(struct builder *b, uint16_t attribute)
{
    put_be(b, attribute, 2);
    put_be(b, 0, 2);
}

/* Asks for the address that we had, so that the guest's connections live on. */
static void ask_address(struct builder *b, uint16_t attribute, const struct ip_address *had)
{
    if (!had) {
        ask(b, attribute);
        return;
    }
    bool six = had->version == 6;
    put_be(b, attribute, 2);
    put_be(b, ip_bytes(had->version) + six, 2);
    put_bytes(b, had->bytes, ip_bytes(had->version));
    if (six)
        put_be(b, 128, 1);
}

void put_configuration_request(const struct ike *ike, struct builder *b)
{
    const struct ike_configuration *config = ike->config;
    if (!config->want_inner4 && !config->want_inner6)
        return;
    payload_begin(b, PAYLOAD_CP);
    put_be(b, CFG_REQUEST, 1);
    put_be(b, 0, 3);
    if (config->want_inner4) {
        ask_address(b, INTERNAL_IP4_ADDRESS, previous(ike, 4));
        ask(b, INTERNAL_IP4_DNS);
        ask(b, INTERNAL_IP4_SUBNET);
    }
    if (config->want_inner6) {
        ask_address(b, INTERNAL_IP6_ADDRESS, previous(ike, 6));
        ask(b, INTERNAL_IP6_DNS);
        ask(b, INTERNAL_IP6_SUBNET);
    }
    payload_end(b);
}

static struct ip_address address_of(uint8_t version, const uint8_t *bytes)
{
    struct ip_address ip = {.version = version};
    memcpy(ip.bytes, bytes, ip_bytes(version));
    return ip;
}

static void add_address(struct ip_address *list, unsigned *count, unsigned most, struct ip_address ip)
{
    if (*count < most)
        list[(*count)++] = ip;
}

static void add_subnet(struct ike_inner *out, struct ip_address ip, const uint8_t mask[IP_BYTES_MAX])
{
    if (out->subnet_count == IKE_SUBNETS_MAX)
        return;
    struct traffic_selector *s = &out->subnets[out->subnet_count++];
    *s = (struct traffic_selector){.first_port = 0, .last_port = UINT16_MAX, .first = ip, .last = ip};
    for (unsigned i = 0; i < ip_bytes(ip.version); i++) {
        s->first.bytes[i] &= mask[i];
        s->last.bytes[i] |= (uint8_t)~mask[i];
    }
}

static void prefix_mask(unsigned bits, uint8_t mask[IP_BYTES_MAX])
{
    for (unsigned i = 0; i < IP_BYTES_MAX; i++) {
        unsigned left = bits > 8 * i ? MIN(bits - 8 * i, 8u) : 0;
        mask[i] = (uint8_t)(0xff00 >> left);
    }
}

static void take_attribute(uint16_t type, const uint8_t *data, size_t size, struct ike_inner *out)
{
    uint8_t mask[IP_BYTES_MAX];
    switch (type) {
    case INTERNAL_IP4_ADDRESS:
        if (size == 4)
            add_address(out->address, &out->address_count, IKE_INNER_MAX, address_of(4, data));
        break;
    case INTERNAL_IP6_ADDRESS:
        if (size == PREFIX6_BYTES || size == IP_BYTES_MAX)
            add_address(out->address, &out->address_count, IKE_INNER_MAX, address_of(6, data));
        break;
    case INTERNAL_IP4_DNS:
        if (size == 4)
            add_address(out->dns, &out->dns_count, IKE_DNS_MAX, address_of(4, data));
        break;
    case INTERNAL_IP6_DNS:
        if (size == IP_BYTES_MAX)
            add_address(out->dns, &out->dns_count, IKE_DNS_MAX, address_of(6, data));
        break;
    case INTERNAL_IP4_SUBNET:
        if (size == SUBNET4_BYTES)
            add_subnet(out, address_of(4, data), data + 4);
        break;
    case INTERNAL_IP6_SUBNET:
        if (size == PREFIX6_BYTES && data[IP_BYTES_MAX] <= 128) {
            prefix_mask(data[IP_BYTES_MAX], mask);
            add_subnet(out, address_of(6, data), mask);
        }
        break;
    default: /* others are not asked for */
        break;
    }
}

/* Unspecified, loopback, link-local, multicast, broadcast: no host can have it. */
static bool unusable(const struct ip_address *ip)
{
    static const uint8_t zero[IP_BYTES_MAX];
    const uint8_t *b = ip->bytes;
    if (ip->version == 4)
        return b[0] == 0 || b[0] == 127 || b[0] >= 224 || (b[0] == 169 && b[1] == 254);
    return b[0] == 0xff || (b[0] == 0xfe && (b[1] & 0xc0) == 0x80) ||
           (memcmp(b, zero, IP_BYTES_MAX - 1) == 0 && b[IP_BYTES_MAX - 1] <= 1);
}

static bool addresses_usable(const struct ike_inner *inner, struct report *problem)
{
    char text[IP_TEXT_MAX];
    for (unsigned i = 0; i < inner->address_count; i++)
        if (unusable(&inner->address[i])) {
            ip_format(&inner->address[i], text);
            return report(problem, "the gateway gave us the inner address %s, which no host can have", text);
        }
    return true;
}

bool configuration_read(const struct payload_list *list, struct ike_inner *out, struct report *problem)
{
    const struct payload *p = payload_find(list, PAYLOAD_CP);
    *out = (struct ike_inner){0};
    if (!p)
        return true;
    struct reader r = reader_of(p->data, p->size);
    uint8_t kind = reader_u8(&r);
    (void)reader_be(&r, 3);
    while (reader_left(&r) > 0) {
        uint16_t type = (uint16_t)reader_be(&r, 2) & ATTRIBUTE_MASK;
        size_t size = (size_t)reader_be(&r, 2);
        const uint8_t *data = reader_bytes(&r, size);
        if (data)
            take_attribute(type, data, size, out);
    }
    if (r.failed || kind != CFG_REPLY)
        return report(problem, "the gateway's configuration payload is malformed");
    return addresses_usable(out, problem);
}
