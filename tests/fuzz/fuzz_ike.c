/* SPDX-License-Identifier: Apache-2.0 */
/* IKE datagrams before decryption: whatever anybody on the way can send. Input: a byte of choices, then
 * datagrams, each with its length in two bytes. */
#include <stdlib.h>
#include <string.h>

#include "crypto/ipsec/connection.h"
#include "tests/unit/support/ike_world.h"

/* Bits of the first byte. */
#define ESTABLISHED  BIT(0) /* else the connection waits for IKE_SA_INIT's answer */
#define MEND_HEADERS BIT(1) /* SPIs, length and version are made right, so that more is reached */

#define SPI_BYTES  8
#define VERSION_AT 17
#define LENGTH_AT  24

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void mend(struct world *w, uint8_t *message, size_t size)
{
    const struct ike_sa *sa = w->ike->sas;
    if (!sa || size < IKE_HEADER_BYTES)
        return;
    struct builder b = {.w = writer_of(message, SPI_BYTES)};
    writer_be(&b.w, sa->spi_i, SPI_BYTES);
    message[VERSION_AT] = IKE_VERSION;
    b = (struct builder){.w = writer_of(message + LENGTH_AT, 4)};
    writer_be(&b.w, size, 4);
    if (sa->spi_r) {
        b = (struct builder){.w = writer_of(message + SPI_BYTES, SPI_BYTES)};
        writer_be(&b.w, sa->spi_r, SPI_BYTES);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct reader r = reader_of(data, size);
    uint8_t choices = reader_u8(&r);
    struct world *w = world_create("aes256gcm16-prfsha256-x25519-ecp256", "aes256gcm16");
    static uint8_t message[KIB(16)];
    world_connect(w);
    if (choices & ESTABLISHED)
        world_settle(w);
    while (reader_left(&r) > 2) {
        size_t length = (size_t)reader_be(&r, 2);
        length = MIN(MIN(length, reader_left(&r)), sizeof(message));
        memcpy(message, reader_bytes(&r, length), length);
        if (choices & MEND_HEADERS)
            mend(w, message, length);
        struct ike_datagram datagram = {{w->here, IKE_PORT}, {w->there, IKE_PORT}, message, length};
        ike_receive(w->ike, &datagram, w->now);
        w->next = ike_tick(w->ike, w->now += 10);
        world_drop(&w->to_peer);
    }
    /* Nobody without the keys brings a tunnel up, or takes one down. */
    require(w->ups == ((choices & ESTABLISHED) ? 1 : 0));
    require(!(choices & ESTABLISHED) || (w->downs == 0 && w->ike->current && world_child(w, w->sending)));
    world_destroy(w);
    return 0;
}
