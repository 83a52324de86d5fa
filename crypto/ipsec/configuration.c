/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration payload (RFC 7296 section 3.15): inner addresses, DNS, split subnets. */
#include "crypto/ipsec/connection.h"
#include "lib/strings.h"

#define CFG_REQUEST      1
#define CFG_REPLY        2
#define ATTRIBUTE_MASK   0x7fff
#define PREFIX_BYTES_MAX 17 /* an IPv6 address and a prefix length */

/* What we ask for and take. An IPv6 address may have its prefix length behind it; a subnet has it, or a mask.
 */
enum content { ADDRESS, DNS, SUBNET };
static const struct attribute {
    uint16_t type;
    uint8_t version, size_min, size_max;
    enum content content;
} attributes[] = {
    {1, 4, 4, 4, ADDRESS},   {3, 4, 4, 4, DNS},    {13, 4, 8, 8, SUBNET},
    {8, 6, 16, 17, ADDRESS}, {10, 6, 16, 16, DNS}, {15, 6, 17, 17, SUBNET},
};

static const struct ip_address *previous(const struct ike *ike, uint8_t version)
{
    for (unsigned i = 0; i < ike->inner.address_count; i++)
        if (ike->inner.address[i].version == version)
            return &ike->inner.address[i];
    return NULL;
}

/* Asks for the address that we had, so that the guest's connections live on. */
static void put_attribute(struct writer *w, const struct attribute *a, const struct ip_address *had)
{
    uint8_t value[PREFIX_BYTES_MAX] = {[IP_BYTES_MAX] = 128};
    bool known = a->content == ADDRESS && had;
    if (known)
        memcpy(value, had->bytes, ip_bytes(a->version));
    writer_be(w, a->type, 2);
    writer_be(w, known ? a->size_max : 0, 2);
    writer_bytes(w, value, known ? a->size_max : 0);
}

void put_configuration_request(const struct ike *ike, struct builder *b)
{
    const struct ike_configuration *config = ike->config;
    if (!config->want_inner4 && !config->want_inner6)
        return;
    payload_begin(b, PAYLOAD_CP);
    writer_be(&b->w, CFG_REQUEST, 1);
    writer_zero(&b->w, 3);
    for (unsigned i = 0; i < ARRAY_COUNT(attributes); i++)
        if (attributes[i].version == 4 ? config->want_inner4 : config->want_inner6)
            put_attribute(&b->w, &attributes[i], previous(ike, attributes[i].version));
    payload_end(b);
}

static void add_address(struct ip_address *list, unsigned *count, unsigned most, struct ip_address ip)
{
    if (*count < most)
        list[(*count)++] = ip;
}

/* IPv4 brings a mask, IPv6 a prefix length. */
static void add_subnet(struct ike_inner *out, struct ip_address ip, const uint8_t *mask)
{
    if (out->subnet_count == IKE_SUBNETS_MAX || (ip.version == 6 && mask[0] > 128))
        return;
    struct traffic_selector *s = &out->subnets[out->subnet_count++];
    *s = (struct traffic_selector){.first_port = 0, .last_port = UINT16_MAX, .first = ip, .last = ip};
    for (unsigned i = 0; i < ip_bytes(ip.version); i++) {
        unsigned left = mask[0] > 8 * i ? MIN(mask[0] - 8 * i, 8u) : 0;
        uint8_t kept = ip.version == 4 ? mask[i] : (uint8_t)(0xff00 >> left);
        s->first.bytes[i] &= kept;
        s->last.bytes[i] |= (uint8_t)~kept;
    }
}

static void take_attribute(uint16_t type, const uint8_t *data, size_t size, struct ike_inner *out)
{
    for (unsigned i = 0; i < ARRAY_COUNT(attributes); i++) {
        const struct attribute *a = &attributes[i];
        struct ip_address ip = {.version = a->version};
        if (a->type != type || size < a->size_min || size > a->size_max)
            continue;
        memcpy(ip.bytes, data, ip_bytes(a->version));
        if (a->content == ADDRESS)
            add_address(out->address, &out->address_count, IKE_INNER_MAX, ip);
        else if (a->content == DNS)
            add_address(out->dns, &out->dns_count, IKE_DNS_MAX, ip);
        else
            add_subnet(out, ip, data + ip_bytes(a->version));
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
    for (unsigned i = 0; i < out->address_count; i++) {
        char text[IP_TEXT_MAX];
        ip_format(&out->address[i], text);
        if (unusable(&out->address[i]))
            return report(problem, "the gateway gave us the inner address %s, which no host can have", text);
    }
    return true;
}
