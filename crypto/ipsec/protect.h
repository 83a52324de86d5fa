/* SPDX-License-Identifier: Apache-2.0 */
/* The encrypted payload (RFC 7296 section 3.14, RFC 5282) and message fragmentation (RFC 7383). */
#ifndef SHOJI_CRYPTO_IPSEC_PROTECT_H
#define SHOJI_CRYPTO_IPSEC_PROTECT_H

#include "crypto/ipsec/keys.h"

#define FRAGMENTS_MAX 32

/* A message as the datagrams that carry it, kept for retransmission. */
struct outbox {
    unsigned count;
    uint16_t size[FRAGMENTS_MAX];
    size_t used;
    uint8_t data[IKE_MESSAGE_MAX + FRAGMENTS_MAX * 128];
};

/* What sealing needs beside the payloads. */
struct seal {
    const struct ike_keys *keys; /* NULL: the message stays in clear, as IKE_SA_INIT does */
    uint64_t *counter;           /* the next IV of this direction; never repeats */
    struct ike_header header;    /* next, length: filled in here; the flags say whose keys seal */
    size_t fragment_size;        /* of a datagram's IP payload; 0: in one piece */
};
/* Seals the chain of payloads into the outbox. False when it does not fit or libcrypto fails. */
bool protect_seal(struct seal *seal, const struct builder *payloads, struct outbox *out) must_check;

/* What one SK or SKF payload holds. */
struct piece {
    uint8_t first; /* type of the first payload inside; 0 in later fragments */
    const uint8_t *data;
    size_t size;
    uint16_t fragment, total; /* from 1; 0: not a fragment */
};
/* Opens a datagram in place. False when it has no SK or SKF payload first, is malformed, or its ICV is wrong.
 */
bool protect_open(const struct ike_keys *keys, uint8_t *datagram, size_t size, struct piece *out) must_check;

/* Fragments of one message as they come, in any order. All of them are authentic, but may be too many or too
 * large: the bounds are FRAGMENTS_MAX and IKE_MESSAGE_MAX. */
struct reassembly {
    uint32_t message_id;
    uint16_t total; /* 0: nothing is being put together */
    unsigned have;
    size_t used;
    struct piece item[FRAGMENTS_MAX]; /* in `data`; NULL: not there yet */
    uint8_t data[IKE_MESSAGE_MAX];
};
/* Takes a fragment. True when the message is whole: *piece is then all of it, in order, in `out`. */
bool reassembly_add(struct reassembly *r, uint32_t message_id, struct piece *piece,
                    uint8_t out[IKE_MESSAGE_MAX]) must_check;

#endif
