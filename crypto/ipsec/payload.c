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
    struct writer w = writer_of(out, IKE_HEADER_BYTES);
    writer_be(&w, header->spi_i, 8);
    writer_be(&w, header->spi_r, 8);
    writer_be(&w, header->next, 1);
    writer_be(&w, IKE_VERSION, 1);
    writer_be(&w, header->exchange, 1);
    writer_be(&w, header->flags, 1);
    writer_be(&w, header->message_id, 4);
    writer_be(&w, header->length, 4);
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

struct reader payload_reader(const struct payload_list *list, uint8_t type)
{
    const struct payload *p = payload_find(list, type);
    return p ? reader_of(p->data, p->size) : (struct reader){.failed = true};
}

static struct bytes_view rest_of(struct reader *r)
{
    size_t size = reader_left(r);
    return (struct bytes_view){reader_bytes(r, size), size};
}

bool notify_read(const struct payload *payload, struct notify *out)
{
    struct reader r = reader_of(payload->data, payload->size);
    if (payload->type != PAYLOAD_NOTIFY)
        return false;
    out->protocol = reader_u8(&r);
    out->spi_bytes = reader_u8(&r);
    out->type = (uint16_t)reader_be(&r, 2);
    uint32_t spi = (uint32_t)reader_be(&r, out->spi_bytes);
    out->spi = out->spi_bytes == sizeof(spi) ? spi : 0;
    out->data = rest_of(&r);
    return !r.failed;
}

static bool find_within(const struct payload_list *list, uint16_t least, uint16_t most, struct notify *out)
{
    for (unsigned i = 0; i < list->count; i++)
        if (notify_read(&list->item[i], out) && out->type >= least && out->type <= most)
            return true;
    return false;
}

bool notify_find(const struct payload_list *list, uint16_t type, struct notify *out)
{
    return find_within(list, type, type, out);
}

bool notify_error(const struct payload_list *list, struct notify *out)
{
    return find_within(list, 1, NOTIFY_STATUS_FIRST - 1, out);
}

void payload_begin(struct builder *b, uint8_t type)
{
    if (b->first == PAYLOAD_NONE)
        b->first = type;
    else if (!b->w.failed)
        b->w.data[b->last] = type;
    b->last = b->w.at;
    writer_be(&b->w, 0, PAYLOAD_HEADER_BYTES);
}

void put_length(struct builder *b, size_t start)
{
    size_t length = b->w.at - start;
    if (length > UINT16_MAX)
        b->w.failed = true;
    struct writer field = {.data = b->w.data, .size = b->w.size, .at = start + 2, .failed = b->w.failed};
    writer_be(&field, length, 2);
}

void payload_end(struct builder *b)
{
    put_length(b, b->last);
}

void put_headed(struct builder *b, uint8_t type, uint64_t head, unsigned head_bytes, struct bytes_view rest)
{
    payload_begin(b, type);
    writer_be(&b->w, head, head_bytes);
    writer_bytes(&b->w, rest.data, rest.size);
    payload_end(b);
}

void put_payload(struct builder *b, uint8_t type, const void *data, size_t size)
{
    put_headed(b, type, 0, 0, (struct bytes_view){data, size});
}

void put_notify(struct builder *b, uint16_t type, const void *data, size_t size)
{
    put_headed(b, PAYLOAD_NOTIFY, type, 4, (struct bytes_view){data, size}); /* no protocol, no SPI */
}

void put_notify_spi(struct builder *b, uint16_t type, uint32_t spi)
{
    uint64_t head = (uint64_t)PROTOCOL_ESP << 24 | sizeof(spi) << 16 | type;
    put_headed(b, PAYLOAD_NOTIFY, head << 32 | spi, 8, (struct bytes_view){0});
}

void put_ke(struct builder *b, uint16_t group, const uint8_t *data, size_t size)
{
    put_headed(b, PAYLOAD_KE, (uint64_t)group << 16, 4, (struct bytes_view){data, size});
}

void put_delete(struct builder *b, uint32_t spi)
{
    uint64_t child = ((uint64_t)PROTOCOL_ESP << 24 | sizeof(spi) << 16 | 1) << 32 | spi;
    put_headed(b, PAYLOAD_DELETE, spi ? child : PROTOCOL_IKE << 24, spi ? 8 : 4, (struct bytes_view){0});
}

void put_selectors(struct builder *b, uint8_t type, const struct selector_list *list)
{
    payload_begin(b, type);
    writer_be(&b->w, (uint64_t)list->count << 24, 4);
    for (unsigned i = 0; i < list->count; i++) {
        const struct traffic_selector *s = &list->item[i];
        unsigned bytes = ip_bytes(s->first.version);
        writer_be(&b->w, bytes == 4 ? SELECTOR_IPV4 : SELECTOR_IPV6, 1);
        writer_be(&b->w, s->protocol, 1);
        writer_be(&b->w, SELECTOR_HEADER_BYTES + 2 * bytes, 2);
        writer_be(&b->w, s->first_port, 2);
        writer_be(&b->w, s->last_port, 2);
        writer_bytes(&b->w, s->first.bytes, bytes);
        writer_bytes(&b->w, s->last.bytes, bytes);
    }
    payload_end(b);
}

bool ke_read(const struct payload_list *list, uint16_t *group, struct bytes_view *value)
{
    struct reader r = payload_reader(list, PAYLOAD_KE);
    *group = (uint16_t)(reader_be(&r, 4) >> 16);
    *value = rest_of(&r);
    return !r.failed;
}

bool nonce_read(const struct payload_list *list, struct nonce *out)
{
    const struct payload *p = payload_find(list, PAYLOAD_NONCE);
    if (!p || p->size < NONCE_MIN || p->size > NONCE_MAX)
        return false;
    out->size = p->size;
    memcpy(out->bytes, p->data, p->size);
    return true;
}

static bool read_selector(struct reader *r, struct traffic_selector *out)
{
    uint8_t type = reader_u8(r), version = type == SELECTOR_IPV4 ? 4 : 6;
    unsigned bytes = ip_bytes(version);
    *out = (struct traffic_selector){.protocol = reader_u8(r)};
    size_t length = (size_t)reader_be(r, 2);
    out->first_port = (uint16_t)reader_be(r, 2);
    out->last_port = (uint16_t)reader_be(r, 2);
    const uint8_t *first = reader_bytes(r, bytes), *last = reader_bytes(r, bytes);
    if ((type != SELECTOR_IPV4 && type != SELECTOR_IPV6) || !last ||
        length != SELECTOR_HEADER_BYTES + 2 * bytes || memcmp(first, last, bytes) > 0)
        return false;
    out->first.version = out->last.version = version;
    memcpy(out->first.bytes, first, bytes);
    memcpy(out->last.bytes, last, bytes);
    bool opaque = out->first_port == UINT16_MAX && out->last_port == 0;
    return opaque || out->first_port <= out->last_port;
}

bool selectors_read(const struct payload_list *list, uint8_t type, struct selector_list *out)
{
    struct reader r = payload_reader(list, type);
    uint64_t count = reader_be(&r, 4) >> 24;
    if (r.failed || count == 0 || count > SELECTORS_MAX)
        return false;
    for (out->count = 0; out->count < count; out->count++)
        if (!read_selector(&r, &out->item[out->count]))
            return false;
    return reader_left(&r) == 0;
}
