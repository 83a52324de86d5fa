/* SPDX-License-Identifier: Apache-2.0 */
/* Sealing and opening of IKE messages, one datagram at a time. */
#include "crypto/ipsec/protect.h"
#include "crypto/ipsec/sk_cipher.h"
#include "lib/strings.h"

#define FRAGMENT_HEADER_BYTES 4 /* number and total (RFC 7383 section 2.5) */
#define UDP_HEADER_BYTES      8
#define MARKER_BYTES          4 /* of port 4500 */
#define FRAGMENT_PLAIN_MIN    64

static size_t padding_of(const struct cipher *cipher, size_t plain)
{
    return ROUND_UP(plain + 1, (size_t)cipher->block_bytes) - plain - 1;
}

static size_t icv_bytes_of(const struct sk_keys *keys)
{
    return keys->integrity ? keys->integrity->icv_bytes : keys->cipher->icv_bytes;
}

/* One datagram's worth of plaintext; fragment 0: whole. */
struct piece {
    const uint8_t *data;
    size_t size;
    uint8_t first;
    uint16_t fragment, total;
};

static bool make_iv(struct seal *s, uint8_t *iv)
{
    if (s->keys.integrity)
        return s->entropy(s->owner, iv, s->keys.cipher->iv_bytes);
    struct builder b = builder_of(iv, s->keys.cipher->iv_bytes);
    put_be(&b, (*s->counter)++, s->keys.cipher->iv_bytes);
    return !b.failed;
}

static bool seal_piece(struct seal *s, const struct piece *piece, struct outbox *out)
{
    const struct cipher *cipher = s->keys.cipher;
    size_t more = piece->fragment ? FRAGMENT_HEADER_BYTES : 0;
    size_t front = IKE_HEADER_BYTES + PAYLOAD_HEADER_BYTES + more;
    size_t padding = padding_of(cipher, piece->size), text = piece->size + padding + 1;
    size_t length = front + cipher->iv_bytes + text + icv_bytes_of(&s->keys);
    if (out->count == FRAGMENTS_MAX || length > UINT16_MAX || length > sizeof(out->data) - out->used)
        return false;
    uint8_t *message = out->data + out->used;
    struct builder b = builder_of(message, length);
    s->header.next = piece->fragment ? PAYLOAD_SKF : PAYLOAD_SK;
    s->header.length = (uint32_t)length;
    header_write(&s->header, message);
    b.size = IKE_HEADER_BYTES;
    put_be(&b, piece->first, 1);
    put_be(&b, 0, 1);
    put_be(&b, length - IKE_HEADER_BYTES, 2);
    put_be(&b, piece->fragment, more / 2);
    put_be(&b, piece->total, more / 2);
    uint8_t *iv = message + b.size, *in = iv + cipher->iv_bytes;
    memcpy(in, piece->data, piece->size);
    memset(in + piece->size, 0, padding);
    in[piece->size + padding] = (uint8_t)padding;
    if (b.failed || !make_iv(s, iv) || !sk_encrypt(&s->keys, message, front, text))
        return false;
    out->size[out->count++] = (uint16_t)length;
    out->used += length;
    return true;
}

/* How much plaintext fits into one fragment. */
static size_t fragment_room(const struct seal *s)
{
    const struct cipher *cipher = s->keys.cipher;
    size_t over = UDP_HEADER_BYTES + MARKER_BYTES + IKE_HEADER_BYTES + PAYLOAD_HEADER_BYTES +
                  FRAGMENT_HEADER_BYTES + cipher->iv_bytes + icv_bytes_of(&s->keys);
    if (s->fragment_size < over + FRAGMENT_PLAIN_MIN)
        return FRAGMENT_PLAIN_MIN;
    return ROUND_DOWN(s->fragment_size - over, (size_t)cipher->block_bytes) - 1;
}

bool protect_seal(struct seal *seal, const struct builder *payloads, struct outbox *out)
{
    out->count = 0;
    out->used = 0;
    if (payloads->failed)
        return false;
    size_t room = fragment_room(seal);
    if (seal->fragment_size == 0 || payloads->size <= room) {
        struct piece whole = {.data = payloads->data, .size = payloads->size, .first = payloads->first};
        return seal_piece(seal, &whole, out);
    }
    size_t total = (payloads->size + room - 1) / room;
    if (total > FRAGMENTS_MAX)
        return false;
    for (size_t i = 0; i < total; i++) {
        struct piece piece = {.data = payloads->data + i * room,
                              .size = MIN(room, payloads->size - i * room),
                              .first = i == 0 ? payloads->first : PAYLOAD_NONE,
                              .fragment = (uint16_t)(i + 1),
                              .total = (uint16_t)total};
        if (!seal_piece(seal, &piece, out))
            return false;
    }
    return true;
}

bool protect_open(const struct sk_keys *keys, uint8_t *datagram, size_t size, struct opened *out)
{
    struct ike_header header;
    if (!header_read(datagram, size, &header) || (header.next != PAYLOAD_SK && header.next != PAYLOAD_SKF))
        return false;
    struct reader r = reader_of(datagram, size);
    reader_seek(&r, IKE_HEADER_BYTES);
    *out = (struct opened){.first = reader_u8(&r)};
    (void)reader_u8(&r);
    size_t length = (size_t)reader_be(&r, 2);
    if (header.next == PAYLOAD_SKF) {
        out->fragment = (uint16_t)reader_be(&r, 2);
        out->total = (uint16_t)reader_be(&r, 2);
        if (out->fragment == 0 || out->fragment > out->total || out->total > FRAGMENTS_MAX)
            return false;
    }
    size_t front = r.at, over = (size_t)keys->cipher->iv_bytes + icv_bytes_of(keys);
    if (r.failed || length != size - IKE_HEADER_BYTES || reader_left(&r) < over + 1)
        return false;
    size_t text = reader_left(&r) - over;
    if (text % keys->cipher->block_bytes != 0 || !sk_decrypt(keys, datagram, front, text))
        return false;
    out->data = datagram + front + keys->cipher->iv_bytes;
    size_t padding = out->data[text - 1];
    if (padding + 1 > text)
        return false;
    out->size = text - padding - 1;
    return true;
}

bool reassembly_add(struct reassembly *r, uint32_t message_id, const struct opened *piece,
                    uint8_t out[IKE_MESSAGE_MAX], size_t *size, uint8_t *first)
{
    /* More fragments than before: the peer has begun anew with smaller ones (RFC 7383 section 2.6). */
    if (r->total == 0 || r->message_id != message_id || piece->total > r->total) {
        memset(r->offset, 0, sizeof(r->offset));
        r->message_id = message_id;
        r->total = piece->total;
        r->have = 0;
        r->used = 0;
    }
    unsigned index = piece->fragment - 1u;
    if (piece->total != r->total || r->offset[index] || piece->size > sizeof(r->data) - r->used)
        return false;
    memcpy(r->data + r->used, piece->data, piece->size);
    r->offset[index] = (uint32_t)r->used + 1;
    r->size[index] = (uint32_t)piece->size;
    r->used += piece->size;
    r->have++;
    if (index == 0)
        r->first = piece->first;
    if (r->have < r->total)
        return false;
    *size = 0;
    *first = r->first;
    for (unsigned i = 0; i < r->total; i++) {
        memcpy(out + *size, r->data + r->offset[i] - 1, r->size[i]);
        *size += r->size[i];
    }
    wipe(r->data, r->used);
    r->total = 0;
    return true;
}
