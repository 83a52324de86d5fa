/* SPDX-License-Identifier: Apache-2.0 */
/* Sealing and opening of IKE messages, one datagram at a time, by the ciphers of ESP. */
#include "crypto/ipsec/protect.h"
#include "crypto/ipsec/esp_transform.h"
#include "lib/strings.h"

#define FRAGMENT_HEADER_BYTES 4 /* number and total (RFC 7383 section 2.5) */
#define UDP_HEADER_BYTES      8
#define MARKER_BYTES          4 /* of port 4500 */
#define FRAGMENT_PLAIN_MIN    64

/* The side that a message comes from seals with its own keys. */
static bool transform_init(struct esp_transform *t, const struct ike_keys *keys,
                           const struct ike_header *header, bool seal)
{
    const struct child_keys *sender = header->flags & IKE_FLAG_INITIATOR ? &keys->i : &keys->r;
    bool good = esp_transform_init(t, keys->choice.cipher, keys->choice.integrity, sender, seal);
    t->alignment = keys->choice.cipher->block_bytes;
    return good;
}

static bool seal_piece(struct seal *s, struct esp_transform *t, const struct piece *piece, struct outbox *out)
{
    size_t more = piece->fragment ? FRAGMENT_HEADER_BYTES : 0;
    t->front = (uint8_t)(IKE_HEADER_BYTES + PAYLOAD_HEADER_BYTES + more);
    struct esp_plain plain = {.packet = piece->data, .size = piece->size};
    plain.trailer_size = ROUND_UP(piece->size + 1, t->alignment) - piece->size;
    plain.trailer[plain.trailer_size - 1] = (uint8_t)(plain.trailer_size - 1);
    size_t length = (size_t)t->front + t->iv_bytes + piece->size + plain.trailer_size + t->icv_bytes;
    if (out->count == FRAGMENTS_MAX || length > UINT16_MAX || length > sizeof(out->data) - out->used)
        return false;
    struct writer w = writer_of(out->data + out->used, t->front);
    s->header.next = piece->fragment ? PAYLOAD_SKF : PAYLOAD_SK;
    s->header.length = (uint32_t)length;
    header_write(&s->header, writer_room(&w, IKE_HEADER_BYTES));
    writer_be(&w, piece->first, 1);
    writer_be(&w, 0, 1);
    writer_be(&w, length - IKE_HEADER_BYTES, 2);
    writer_be(&w, piece->fragment, more / 2);
    writer_be(&w, piece->total, more / 2);
    if (w.failed || !t->seal(t, &plain, w.data, (*s->counter)++))
        return false;
    out->size[out->count++] = (uint16_t)length;
    out->used += length;
    return true;
}

/* How much plaintext fits into one fragment. */
static size_t fragment_room(const struct seal *s, const struct esp_transform *t)
{
    size_t over = UDP_HEADER_BYTES + MARKER_BYTES + IKE_HEADER_BYTES + PAYLOAD_HEADER_BYTES +
                  FRAGMENT_HEADER_BYTES + t->iv_bytes + t->icv_bytes;
    if (s->fragment_size < over + FRAGMENT_PLAIN_MIN)
        return FRAGMENT_PLAIN_MIN;
    return ROUND_DOWN(s->fragment_size - over, (size_t)t->alignment) - 1;
}

static bool put_clear(struct seal *s, const struct builder *payloads, struct outbox *out)
{
    struct writer w = writer_of(out->data, sizeof(out->data));
    s->header.next = payloads->first;
    s->header.length = (uint32_t)(IKE_HEADER_BYTES + payloads->w.at);
    header_write(&s->header, writer_room(&w, IKE_HEADER_BYTES));
    writer_bytes(&w, payloads->w.data, payloads->w.at);
    out->size[out->count++] = (uint16_t)w.at;
    return !w.failed;
}

bool protect_seal(struct seal *seal, const struct builder *payloads, struct outbox *out)
{
    struct esp_transform t;
    out->count = 0;
    out->used = 0;
    if (payloads->w.failed)
        return false;
    if (!seal->keys)
        return put_clear(seal, payloads, out);
    if (!transform_init(&t, seal->keys, &seal->header, true))
        return false;
    bool good = true;
    size_t room = fragment_room(seal, &t), size = payloads->w.at;
    bool whole = seal->fragment_size == 0 || size <= room;
    size_t total = whole ? 1 : (size + room - 1) / room;
    for (size_t i = 0; good && i < total; i++) {
        struct piece piece = {.data = payloads->w.data + i * room,
                              .size = whole ? size : MIN(room, size - i * room),
                              .first = i == 0 ? payloads->first : PAYLOAD_NONE,
                              .fragment = (uint16_t)(whole ? 0 : i + 1),
                              .total = (uint16_t)total};
        good = seal_piece(seal, &t, &piece, out);
    }
    esp_transform_end(&t);
    return good;
}

bool protect_open(const struct ike_keys *keys, uint8_t *datagram, size_t size, struct piece *out)
{
    struct ike_header header;
    struct payload_list list;
    if (!header_read(datagram, size, &header) || (header.next != PAYLOAD_SK && header.next != PAYLOAD_SKF) ||
        !payloads_read(header.next, datagram + IKE_HEADER_BYTES, size - IKE_HEADER_BYTES, &list))
        return false;
    struct reader r = payload_reader(&list, header.next);
    *out = (struct piece){.first = datagram[IKE_HEADER_BYTES]};
    if (header.next == PAYLOAD_SKF) {
        out->fragment = (uint16_t)reader_be(&r, 2);
        out->total = (uint16_t)reader_be(&r, 2);
        if (out->fragment == 0 || out->fragment > out->total || out->total > FRAGMENTS_MAX)
            return false;
    }
    struct esp_transform t;
    if (r.failed || !transform_init(&t, keys, &header, false))
        return false;
    size_t over = (size_t)t.iv_bytes + t.icv_bytes;
    size_t text = reader_left(&r) > over ? reader_left(&r) - over : 0;
    t.front = (uint8_t)(size - reader_left(&r));
    out->data = datagram + t.front + t.iv_bytes;
    bool good = text > 0 && text % t.alignment == 0 && t.open(&t, datagram, text, 0);
    esp_transform_end(&t);
    if (!good || out->data[text - 1] >= text)
        return false;
    out->size = text - 1 - out->data[text - 1]; /* without the padding and its length */
    return true;
}

bool reassembly_add(struct reassembly *r, uint32_t message_id, struct piece *piece,
                    uint8_t out[IKE_MESSAGE_MAX])
{
    /* More fragments than before: the peer has begun anew with smaller ones (RFC 7383 section 2.6). */
    if (r->total == 0 || r->message_id != message_id || piece->total > r->total) {
        memset(r->item, 0, sizeof(r->item));
        r->message_id = message_id;
        r->total = piece->total;
        r->have = 0;
        r->used = 0;
    }
    struct piece *item = &r->item[piece->fragment - 1];
    if (piece->total != r->total || item->data || piece->size > sizeof(r->data) - r->used)
        return false;
    *item = *piece;
    item->data = memcpy(r->data + r->used, piece->data, piece->size);
    r->used += piece->size;
    if (++r->have < r->total)
        return false;
    *piece = (struct piece){.first = r->item[0].first, .data = out};
    for (item = r->item; item < r->item + r->total; piece->size += item++->size)
        memcpy(out + piece->size, item->data, item->size);
    wipe(r->data, r->used);
    r->total = 0;
    return true;
}
