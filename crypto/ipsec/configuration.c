/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration payload (RFC 7296 section 3.15): inner addresses, DNS, split subnets. */
#include "crypto/ipsec/connection.h"

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

/* Asks for the address that we had, so that the guest's connections live on. */
static void put_attribute(struct writer *w, const struct attribute *a, const struct inner_list *had)
{
    uint8_t value[PREFIX_BYTES_MAX] = {[IP_BYTES_MAX] = 128};
    size_t size = 0;
    for (unsigned i = 0; i < had->count && size == 0; i++)
        if (a->content == ADDRESS && had->item[i].version == a->version) {
            memcpy(value, had->item[i].bytes, ip_bytes(a->version));
            size = a->size_max;
        }
    writer_be(w, a->type, 2);
    writer_be(w, size, 2);
    writer_bytes(w, value, size);
}

void put_configuration_request(const struct ike *ike, struct builder *b)
{
    const struct ike_configuration *config = ike->config;
    if (!config->want_inner4 && !config->want_inner6)
        return;
    payload_begin(b, PAYLOAD_CP);
    writer_be(&b->w, (uint64_t)CFG_REQUEST << 24, 4);
    for (unsigned i = 0; i < ARRAY_COUNT(attributes); i++)
        if (attributes[i].version == 4 ? config->want_inner4 : config->want_inner6)
            put_attribute(&b->w, &attributes[i], &ike->inner.address);
    payload_end(b);
}

static void add_address(struct inner_list *list, struct ip_address ip)
{
    if (list->count < IKE_INNER_MAX)
        list->item[list->count++] = ip;
}

/* IPv4 brings a mask, IPv6 a prefix length. */
static void add_subnet(struct selector_list *out, struct ip_address ip, const uint8_t *mask)
{
    if (out->count == SELECTORS_MAX || (ip.version == 6 && mask[0] > 128))
        return;
    struct traffic_selector *s = &out->item[out->count++];
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
            add_address(&out->address, ip);
        else if (a->content == DNS)
            add_address(&out->dns, ip);
        else
            add_subnet(&out->subnets, ip, data + ip_bytes(a->version));
    }
}

bool configuration_read(const struct payload_list *list, struct ike_inner *out, struct report *problem)
{
    const struct payload *p = payload_find(list, PAYLOAD_CP);
    *out = (struct ike_inner){0};
    if (!p)
        return true;
    struct reader r = reader_of(p->data, p->size);
    uint64_t kind = reader_be(&r, 4) >> 24;
    while (reader_left(&r) > 0) {
        uint16_t type = (uint16_t)reader_be(&r, 2) & ATTRIBUTE_MASK;
        size_t size = (size_t)reader_be(&r, 2);
        const uint8_t *data = reader_bytes(&r, size);
        if (data)
            take_attribute(type, data, size, out);
    }
    if (r.failed || kind != CFG_REPLY)
        return report(problem, "the gateway's configuration payload is malformed");
    for (unsigned i = 0; i < out->address.count; i++) {
        char text[IP_TEXT_MAX];
        const struct ip_address *ip = &out->address.item[i];
        ip_format(ip, text);
        if (ip_is_multicast(ip) || ip_is_link_local(ip) || (ip->version == 4 && ip->bytes[0] >= 240))
            return report(problem, "the gateway gave us the inner address %s, which no host can have", text);
    }
    return true;
}
