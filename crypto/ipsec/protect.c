/* SPDX-License-Identifier: Apache-2.0 */
/* Sealing and opening of IKE messages, one datagram at a time. */
#include "crypto/ipsec/protect.h"
#include "lib/strings.h"
#include <openssl/evp.h>

#define FRAGMENT_HEADER_BYTES 4 /* number and total (RFC 7383 section 2.5) */
#define UDP_HEADER_BYTES      8
#define MARKER_BYTES          4 /* of port 4500 */
#define FRAGMENT_PLAIN_MIN    64
#define NONCE_BYTES_MAX       16

/* ---- The cipher over a message in place: [front][IV][text][ICV] ---- */

static size_t icv_bytes_of(const struct sk_keys *keys)
{
    return keys->integrity ? keys->integrity->icv_bytes : keys->cipher->icv_bytes;
}

static bool integrity_icv(const struct sk_keys *keys, const uint8_t *message, size_t size,
                          uint8_t out[PRF_BYTES_MAX])
{
    struct bytes_view key = {keys->integrity_key, keys->integrity->key_bytes}, all = {message, size};
    return prf_compute(keys->integrity, key, all, out);
}

/* Encrypts and makes the ICV, or checks the ICV and decrypts: AEAD (RFC 5282), or CBC with HMAC. False when
 * the ICV is wrong; the text is then not to be used. Rare enough to make a context each time. */
static bool run_cipher(const struct sk_keys *keys, uint8_t *message, size_t front, size_t text, bool seal)
{
    const struct algorithm *cipher = keys->cipher;
    uint8_t nonce[NONCE_BYTES_MAX], rest[NONCE_BYTES_MAX], icv[PRF_BYTES_MAX], *iv = message + front;
    uint8_t *data = iv + cipher->iv_bytes, *end = data + text;
    int done = 0, tag = cipher->icv_bytes;
    if (keys->integrity && !seal &&
        (!integrity_icv(keys, message, (size_t)(end - message), icv) ||
         !equal_constant_time(icv, end, keys->integrity->icv_bytes)))
        return false;
    memcpy(nonce, keys->cipher_key + cipher->key_bytes, cipher->salt_bytes);
    memcpy(nonce + cipher->salt_bytes, iv, cipher->iv_bytes);
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    bool good = context && EVP_CipherInit_ex(context, cipher->evp(), NULL, keys->cipher_key, nonce, seal);
    if (tag == 0)
        good = good && EVP_CIPHER_CTX_set_padding(context, 0);
    else
        good = good && (seal || EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, tag, end) > 0) &&
               EVP_CipherUpdate(context, NULL, &done, message, (int)front);
    good = good && EVP_CipherUpdate(context, data, &done, data, (int)text) && done == (int)text &&
           EVP_CipherFinal_ex(context, rest, &done) > 0 &&
           (tag == 0 || !seal || EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, tag, end) > 0);
    EVP_CIPHER_CTX_free(context);
    if (good && keys->integrity && seal) {
        good = integrity_icv(keys, message, (size_t)(end - message), icv);
        memcpy(end, icv, good ? keys->integrity->icv_bytes : 0);
    }
    return good;
}

/* ---- Messages ---- */

/* One datagram's worth of plaintext; fragment 0: whole. */
struct piece {
    const uint8_t *data;
    size_t size;
    uint8_t first;
    uint16_t fragment, total;
};

static bool seal_piece(struct seal *s, const struct piece *piece, struct outbox *out)
{
    const struct algorithm *cipher = s->keys.cipher;
    size_t more = piece->fragment ? FRAGMENT_HEADER_BYTES : 0;
    size_t front = IKE_HEADER_BYTES + PAYLOAD_HEADER_BYTES + more;
    size_t text = ROUND_UP(piece->size + 1, (size_t)cipher->block_bytes), padding = text - piece->size - 1;
    size_t length = front + cipher->iv_bytes + text + icv_bytes_of(&s->keys);
    if (out->count == FRAGMENTS_MAX || length > UINT16_MAX || length > sizeof(out->data) - out->used)
        return false;
    uint8_t *message = out->data + out->used;
    struct writer w = writer_of(message, length);
    s->header.next = piece->fragment ? PAYLOAD_SKF : PAYLOAD_SK;
    s->header.length = (uint32_t)length;
    header_write(&s->header, writer_room(&w, IKE_HEADER_BYTES));
    writer_be(&w, piece->first, 1);
    writer_be(&w, 0, 1);
    writer_be(&w, length - IKE_HEADER_BYTES, 2);
    writer_be(&w, piece->fragment, more / 2);
    writer_be(&w, piece->total, more / 2);
    uint8_t iv[NONCE_BYTES_MAX];
    if (s->keys.integrity && !s->entropy(s->owner, iv, cipher->iv_bytes))
        return false;
    if (s->keys.integrity)
        writer_bytes(&w, iv, cipher->iv_bytes);
    else
        writer_be(&w, (*s->counter)++, cipher->iv_bytes);
    writer_bytes(&w, piece->data, piece->size);
    writer_zero(&w, padding);
    writer_be(&w, padding, 1);
    if (w.failed || !run_cipher(&s->keys, message, front, text, true))
        return false;
    out->size[out->count++] = (uint16_t)length;
    out->used += length;
    return true;
}

/* How much plaintext fits into one fragment. */
static size_t fragment_room(const struct seal *s)
{
    const struct algorithm *cipher = s->keys.cipher;
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
    size_t room = fragment_room(seal), size = payloads->w.at;
    bool whole = seal->fragment_size == 0 || size <= room;
    if (payloads->w.failed)
        return false;
    size_t total = whole ? 1 : (size + room - 1) / room;
    for (size_t i = 0; i < total; i++) {
        struct piece piece = {.data = payloads->w.data + i * room,
                              .size = whole ? size : MIN(room, size - i * room),
                              .first = i == 0 ? payloads->first : PAYLOAD_NONE,
                              .fragment = (uint16_t)(whole ? 0 : i + 1),
                              .total = (uint16_t)total};
        if (!seal_piece(seal, &piece, out))
            return false;
    }
    return true;
}

bool protect_open(const struct sk_keys *keys, uint8_t *datagram, size_t size, struct opened *out)
{
    struct ike_header header;
    struct payload_list list;
    if (!header_read(datagram, size, &header) || (header.next != PAYLOAD_SK && header.next != PAYLOAD_SKF) ||
        !payloads_read(header.next, datagram + IKE_HEADER_BYTES, size - IKE_HEADER_BYTES, &list))
        return false;
    struct reader r = payload_reader(&list, header.next);
    *out = (struct opened){.first = datagram[IKE_HEADER_BYTES]};
    if (header.next == PAYLOAD_SKF) {
        out->fragment = (uint16_t)reader_be(&r, 2);
        out->total = (uint16_t)reader_be(&r, 2);
        if (out->fragment == 0 || out->fragment > out->total || out->total > FRAGMENTS_MAX)
            return false;
    }
    size_t over = (size_t)keys->cipher->iv_bytes + icv_bytes_of(keys);
    if (r.failed || reader_left(&r) < over + 1)
        return false;
    size_t text = reader_left(&r) - over, front = size - reader_left(&r);
    if (text % keys->cipher->block_bytes != 0 || !run_cipher(keys, datagram, front, text, false))
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
