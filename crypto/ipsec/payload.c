/* SPDX-License-Identifier: Apache-2.0 */
/* The bounded codec of IKEv2 messages. */
#include "crypto/ipsec/payload.h"
#include "lib/strings.h"

#define CRITICAL_BIT          0x80
#define SELECTOR_IPV4         7 /* RFC 7296 section 3.13.1 */
#define SELECTOR_IPV6         8
#define SELECTOR_HEADER_BYTES 8

bool header_read(const uint8_t *data, size_t size, struct ike_header *out)
{
    struct reader r = reader_of(data, size);
    out->spi_i = reader_be(&r, 8);
    out->spi_r = reader_be(&r, 8);
    out->next = reader_u8(&r);
    out->version = reader_u8(&r);
    out->exchange = reader_u8(&r);
    out->flags = reader_u8(&r);
    out->message_id = (uint32_t)reader_be(&r, 4);
    out->length = (uint32_t)reader_be(&r, 4);
    return !r.failed && out->length == size && out->spi_i != 0;
}

void header_write(const struct ike_header *header, uint8_t out[IKE_HEADER_BYTES])
{
    struct builder b = builder_of(out, IKE_HEADER_BYTES);
    put_be(&b, header->spi_i, 8);
    put_be(&b, header->spi_r, 8);
    put_be(&b, header->next, 1);
    put_be(&b, IKE_VERSION, 1);
    put_be(&b, header->exchange, 1);
    put_be(&b, header->flags, 1);
    put_be(&b, header->message_id, 4);
    put_be(&b, header->length, 4);
}

static bool known(uint8_t type)
{
    return (type >= PAYLOAD_SA && type <= PAYLOAD_EAP) || type == PAYLOAD_SKF;
}

bool payloads_read(uint8_t first, const uint8_t *data, size_t size, struct payload_list *out)
{
    struct reader r = reader_of(data, size);
    out->count = 0;
    out->unknown_critical = 0;
    for (uint8_t type = first; type != PAYLOAD_NONE;) {
        uint8_t next = reader_u8(&r), flags = reader_u8(&r);
        size_t length = (size_t)reader_be(&r, 2);
        if (r.failed || length < PAYLOAD_HEADER_BYTES)
            return false;
        const uint8_t *body = reader_bytes(&r, length - PAYLOAD_HEADER_BYTES);
        if (!body)
            return false;
        if (known(type)) {
            if (out->count == PAYLOADS_MAX)
                return false;
            out->item[out->count++] = (struct payload){type, body, length - PAYLOAD_HEADER_BYTES};
        } else if ((flags & CRITICAL_BIT) && !out->unknown_critical) {
            out->unknown_critical = type;
        }
        /* The encrypted payload is the last one; its "next" names the first inside (section 3.14). */
        if (type == PAYLOAD_SK || type == PAYLOAD_SKF)
            break;
        type = next;
    }
    return reader_left(&r) == 0;
}

const struct payload *payload_find(const struct payload_list *list, uint8_t type)
{
    for (unsigned i = 0; i < list->count; i++)
        if (list->item[i].type == type)
            return &list->item[i];
    return NULL;
}

bool notify_read(const struct payload *payload, struct notify *out)
{
    struct reader r = reader_of(payload->data, payload->size);
    out->protocol = reader_u8(&r);
    out->spi_bytes = reader_u8(&r);
    out->type = (uint16_t)reader_be(&r, 2);
    const uint8_t *spi = reader_bytes(&r, out->spi_bytes);
    if (r.failed)
        return false;
    struct reader s = reader_of(spi, out->spi_bytes);
    out->spi = out->spi_bytes == 4 ? (uint32_t)reader_be(&s, 4) : 0;
    out->data.size = reader_left(&r);
    out->data.data = reader_bytes(&r, out->data.size);
    return true;
}

bool notify_find(const struct payload_list *list, uint16_t type, struct notify *out)
{
    for (unsigned i = 0; i < list->count; i++)
        if (list->item[i].type == PAYLOAD_NOTIFY && notify_read(&list->item[i], out) && out->type == type)
            return true;
    return false;
}

uint16_t notify_error(const struct payload_list *list, struct notify *out)
{
    for (unsigned i = 0; i < list->count; i++)
        if (list->item[i].type == PAYLOAD_NOTIFY && notify_read(&list->item[i], out) &&
            out->type < NOTIFY_STATUS_FIRST)
            return out->type;
    return 0;
}

struct builder builder_of(uint8_t *data, size_t capacity)
{
    return (struct builder){.data = data, .capacity = capacity};
}

void put_bytes(struct builder *b, const void *data, size_t size)
{
    if (b->failed || size > b->capacity - b->size) {
        b->failed = true;
        return;
    }
    if (size > 0)
        memcpy(b->data + b->size, data, size);
    b->size += size;
}

void put_be(struct builder *b, uint64_t value, unsigned bytes)
{
    uint8_t out[8];
    for (unsigned i = 0; i < bytes; i++)
        out[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
    put_bytes(b, out, bytes);
}

void payload_begin(struct builder *b, uint8_t type)
{
    if (b->first == PAYLOAD_NONE)
        b->first = type;
    else if (!b->failed)
        b->data[b->last] = type;
    b->last = b->size;
    put_be(b, 0, PAYLOAD_HEADER_BYTES);
}

void payload_end(struct builder *b)
{
    size_t length = b->size - b->last;
    if (b->failed || length > UINT16_MAX) {
        b->failed = true;
        return;
    }
    b->data[b->last + 2] = (uint8_t)(length >> 8);
    b->data[b->last + 3] = (uint8_t)length;
}

void put_payload(struct builder *b, uint8_t type, const void *data, size_t size)
{
    payload_begin(b, type);
    put_bytes(b, data, size);
    payload_end(b);
}

void put_notify(struct builder *b, uint16_t type, const void *data, size_t size)
{
    payload_begin(b, PAYLOAD_NOTIFY);
    put_be(b, PROTOCOL_NONE, 1);
    put_be(b, 0, 1);
    put_be(b, type, 2);
    put_bytes(b, data, size);
    payload_end(b);
}

void put_notify_spi(struct builder *b, uint16_t type, uint32_t spi)
{
    payload_begin(b, PAYLOAD_NOTIFY);
    put_be(b, PROTOCOL_ESP, 1);
    put_be(b, 4, 1);
    put_be(b, type, 2);
    put_be(b, spi, 4);
    payload_end(b);
}

void put_delete_children(struct builder *b, const uint32_t *spis, unsigned count)
{
    payload_begin(b, PAYLOAD_DELETE);
    put_be(b, PROTOCOL_ESP, 1);
    put_be(b, 4, 1);
    put_be(b, count, 2);
    for (unsigned i = 0; i < count; i++)
        put_be(b, spis[i], 4);
    payload_end(b);
}

void put_delete_ike(struct builder *b)
{
    payload_begin(b, PAYLOAD_DELETE);
    put_be(b, PROTOCOL_IKE, 1);
    put_be(b, 0, 3); /* no SPIs: this IKE SA */
    payload_end(b);
}

void put_ke(struct builder *b, uint16_t group, const uint8_t *data, size_t size)
{
    payload_begin(b, PAYLOAD_KE);
    put_be(b, group, 2);
    put_be(b, 0, 2);
    put_bytes(b, data, size);
    payload_end(b);
}

void put_selectors(struct builder *b, uint8_t type, const struct selector_list *list)
{
    payload_begin(b, type);
    put_be(b, list->count, 1);
    put_be(b, 0, 3);
    for (unsigned i = 0; i < list->count; i++) {
        const struct traffic_selector *s = &list->item[i];
        unsigned bytes = ip_bytes(s->first.version);
        put_be(b, bytes == 4 ? SELECTOR_IPV4 : SELECTOR_IPV6, 1);
        put_be(b, s->protocol, 1);
        put_be(b, SELECTOR_HEADER_BYTES + 2 * bytes, 2);
        put_be(b, s->first_port, 2);
        put_be(b, s->last_port, 2);
        put_bytes(b, s->first.bytes, bytes);
        put_bytes(b, s->last.bytes, bytes);
    }
    payload_end(b);
}

bool ke_read(const struct payload_list *list, uint16_t *group, struct bytes_view *value)
{
    const struct payload *p = payload_find(list, PAYLOAD_KE);
    if (!p)
        return false;
    struct reader r = reader_of(p->data, p->size);
    *group = (uint16_t)reader_be(&r, 2);
    (void)reader_be(&r, 2);
    value->size = reader_left(&r);
    value->data = reader_bytes(&r, value->size);
    return !r.failed;
}

bool nonce_read(const struct payload_list *list, struct bytes_view *nonce)
{
    const struct payload *p = payload_find(list, PAYLOAD_NONCE);
    if (!p || p->size < NONCE_MIN || p->size > NONCE_MAX)
        return false;
    *nonce = (struct bytes_view){p->data, p->size};
    return true;
}

static bool read_address(struct reader *r, uint8_t version, struct ip_address *out)
{
    unsigned bytes = ip_bytes(version);
    const uint8_t *from = reader_bytes(r, bytes);
    *out = (struct ip_address){.version = version};
    if (from)
        memcpy(out->bytes, from, bytes);
    return from != NULL;
}

static bool read_selector(struct reader *r, struct traffic_selector *out)
{
    uint8_t type = reader_u8(r);
    out->protocol = reader_u8(r);
    size_t length = (size_t)reader_be(r, 2);
    out->first_port = (uint16_t)reader_be(r, 2);
    out->last_port = (uint16_t)reader_be(r, 2);
    if (type != SELECTOR_IPV4 && type != SELECTOR_IPV6)
        return false;
    uint8_t version = type == SELECTOR_IPV4 ? 4 : 6;
    bool opaque = out->first_port == UINT16_MAX && out->last_port == 0;
    return length == SELECTOR_HEADER_BYTES + 2 * ip_bytes(version) && read_address(r, version, &out->first) &&
           read_address(r, version, &out->last) &&
           memcmp(out->first.bytes, out->last.bytes, IP_BYTES_MAX) <= 0 &&
           (opaque || out->first_port <= out->last_port);
}

bool selectors_read(const struct payload_list *list, uint8_t type, struct selector_list *out)
{
    const struct payload *p = payload_find(list, type);
    if (!p)
        return false;
    struct reader r = reader_of(p->data, p->size);
    unsigned count = reader_u8(&r);
    (void)reader_be(&r, 3);
    if (r.failed || count == 0 || count > SELECTORS_MAX)
        return false;
    for (out->count = 0; out->count < count; out->count++)
        if (!read_selector(&r, &out->item[out->count]))
            return false;
    return reader_left(&r) == 0;
}
