/* SPDX-License-Identifier: Apache-2.0 */
/* ESP packets in tunnel mode: header, padding, sequence numbers and the order of checks (RFC 4303). */
#include "crypto/ipsec/esp.h"
#include "lib/reader.h"
#include "lib/strings.h"
#include <openssl/crypto.h>

#define TRAILER_BYTES 2 /* pad length, next header */
#define PACKET_MAX    65535

/* Next header values: what tunnel mode carries, and a dummy (RFC 4303 section 2.6) */
#define NEXT_IPV4  4
#define NEXT_IPV6  41
#define NEXT_DUMMY 59

/* ---- The SA ---- */

struct esp_sa *esp_create(const struct child_parameters *parameters)
{
    struct esp_sa *sa = OPENSSL_zalloc(sizeof(*sa));
    if (!sa)
        return NULL;
    sa->parameters = *parameters; /* not by way of a compound literal, whose copy of the keys would stay */
    if (esp_transform_init(&sa->out, parameters->cipher, parameters->integrity, &parameters->out, true) &&
        esp_transform_init(&sa->in, parameters->cipher, parameters->integrity, &parameters->in, false)) {
        sa->out.esn = sa->in.esn = parameters->esn;
        wipe(&sa->parameters.in, sizeof(sa->parameters.in));
        wipe(&sa->parameters.out, sizeof(sa->parameters.out));
        return sa;
    }
    esp_destroy(sa);
    return NULL;
}

void esp_destroy(struct esp_sa *sa)
{
    if (!sa)
        return;
    esp_transform_end(&sa->out);
    esp_transform_end(&sa->in);
    OPENSSL_clear_free(sa, sizeof(*sa));
}

bool esp_exhausted(const struct esp_sa *sa)
{
    return sa->sequence >= (sa->parameters.esn ? SEQUENCE_LAST_ESN : SEQUENCE_LAST);
}

/* ---- Out ---- */

static size_t overhead(const struct esp_transform *t)
{
    return (size_t)ESP_HEADER_BYTES + t->iv_bytes + t->icv_bytes;
}

size_t esp_sealed_size(const struct esp_sa *sa, size_t inner)
{
    return overhead(&sa->out) + ROUND_UP(inner + TRAILER_BYTES, sa->out.alignment);
}

size_t esp_inner_fits(const struct esp_sa *sa, size_t room)
{
    size_t text = room > overhead(&sa->out) ? ROUND_DOWN(room - overhead(&sa->out), sa->out.alignment) : 0;
    return text > TRAILER_BYTES ? text - TRAILER_BYTES : 0;
}

/* Padding 1, 2, 3 ..., its length, and what the packet is. */
static void add_trailer(struct esp_plain *plain, unsigned alignment)
{
    size_t padding = ROUND_UP(plain->size + TRAILER_BYTES, alignment) - plain->size - TRAILER_BYTES;
    for (size_t i = 0; i < padding; i++)
        plain->trailer[i] = (uint8_t)(i + 1);
    plain->trailer[padding] = (uint8_t)padding;
    plain->trailer[padding + 1] = plain->packet[0] >> 4 == 4 ? NEXT_IPV4 : NEXT_IPV6;
    plain->trailer_size = padding + TRAILER_BYTES;
}

/* `packet` may be where its ciphertext will stand: out + ESP_HEADER_BYTES + the IV. Else the two must not
 * overlap. */
size_t esp_seal(struct esp_sa *sa, const uint8_t *packet, size_t size, uint8_t *out, size_t capacity)
{
    struct esp_plain plain = {.packet = packet, .size = size};
    if (size == 0 || size > PACKET_MAX || esp_sealed_size(sa, size) > capacity || esp_exhausted(sa))
        return 0;
    add_trailer(&plain, sa->out.alignment);
    sa->sequence++; /* is used up even when libcrypto fails: an IV never comes twice */
    sa->counters.rekey_due = sa->sequence >= (sa->parameters.esn ? SEQUENCE_REKEY_ESN : SEQUENCE_REKEY);
    put_be64(out, (uint64_t)sa->parameters.spi_out << 32 | (uint32_t)sa->sequence);
    if (!sa->out.seal(&sa->out, &plain, out, sa->sequence))
        return 0;
    sa->counters.packets_out++;
    sa->counters.bytes_out += size;
    return overhead(&sa->out) + size + plain.trailer_size;
}

/* ---- In ---- */

/* The inner packet in an authentic text: what is left in front of padding and trailer (RFC 4303 section
 * 2.4). */
static enum esp_result take_inner(uint8_t *text, size_t size, size_t *inner_size)
{
    size_t padding = text[size - 2];
    uint8_t next = text[size - 1];
    if (padding + TRAILER_BYTES > size)
        return ESP_MALFORMED;
    *inner_size = size - TRAILER_BYTES - padding;
    for (size_t i = 0; i < padding; i++)
        if (text[*inner_size + i] != i + 1)
            return ESP_MALFORMED;
    if (next == NEXT_DUMMY)
        return ESP_DUMMY;
    if (*inner_size == 0 ||
        !((next == NEXT_IPV4 && text[0] >> 4 == 4) || (next == NEXT_IPV6 && text[0] >> 4 == 6)))
        return ESP_MALFORMED;
    return ESP_OK;
}

static enum esp_result open_checked(struct esp_sa *sa, uint8_t *packet, size_t size, uint8_t **inner,
                                    size_t *inner_size)
{
    const struct esp_transform *t = &sa->in;
    struct reader r = reader_of(packet, size);
    uint32_t spi = (uint32_t)reader_be(&r, 4), low = (uint32_t)reader_be(&r, 4);
    uint64_t sequence;
    if (r.failed || spi != sa->parameters.spi_in || size <= overhead(t) || size > PACKET_MAX)
        return ESP_MALFORMED;
    size_t text = size - overhead(t);
    if (text % t->alignment != 0)
        return ESP_MALFORMED;
    if (!replay_sequence(&sa->replay, low, sa->parameters.esn, &sequence) ||
        !replay_fresh(&sa->replay, sequence))
        return ESP_REPLAYED;
    if (!sa->in.open(&sa->in, packet, text, sequence))
        return ESP_BAD_ICV;
    replay_accept(&sa->replay, sequence);
    *inner = packet + ESP_HEADER_BYTES + t->iv_bytes;
    return take_inner(*inner, text, inner_size);
}

enum esp_result esp_open(struct esp_sa *sa, uint8_t *packet, size_t size, uint64_t now, uint8_t **inner,
                         size_t *inner_size)
{
    enum esp_result result = open_checked(sa, packet, size, inner, inner_size);
    struct esp_counters *c = &sa->counters;
    uint64_t *const count[] = {[ESP_OK] = &c->packets_in,
                               [ESP_DUMMY] = &c->dummy,
                               [ESP_BAD_ICV] = &c->bad_icv,
                               [ESP_REPLAYED] = &c->replayed,
                               [ESP_MALFORMED] = &c->malformed};
    ++*count[result];
    if (result == ESP_OK)
        c->bytes_in += *inner_size;
    if (result == ESP_OK || result == ESP_DUMMY)
        c->last_in_ms = now;
    return result;
}
