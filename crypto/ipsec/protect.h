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

/* The keys of one direction. */
struct sk_keys {
    const struct algorithm *cipher, *integrity;
    const uint8_t *cipher_key, *integrity_key; /* of struct ike_keys */
};

/* What sealing needs beside the payloads. */
struct seal {
    struct sk_keys keys;
    uint64_t *counter; /* the next AEAD IV of this direction; never repeats */
    bool (*entropy)(void *owner, void *out, size_t size);
    void *owner;
    struct ike_header header; /* next, length: filled in here */
    size_t fragment_size;     /* of a datagram's IP payload; 0: in one piece */
};
/* Seals the chain of payloads into the outbox. False when it does not fit or libcrypto fails. */
bool protect_seal(struct seal *seal, const struct builder *payloads, struct outbox *out) must_check;

/* One opened SK or SKF payload. */
struct opened {
    uint8_t first; /* type of the first payload inside; 0 in later fragments */
    uint8_t *data; /* inside the datagram */
    size_t size;
    uint16_t fragment, total; /* from 1; 0: not a fragment */
};
/* Opens a datagram in place. False when it has no SK or SKF payload first, is malformed, or its ICV is wrong.
 */
bool protect_open(const struct sk_keys *keys, uint8_t *datagram, size_t size, struct opened *out) must_check;

/* Fragments of one message as they come, in any order. All of them are authentic, but may be too many or too
 * large: the bounds are FRAGMENTS_MAX and IKE_MESSAGE_MAX. */
struct reassembly {
    uint32_t message_id;
    uint16_t total; /* 0: nothing is being put together */
    unsigned have;
    uint8_t first;
    size_t used;
    uint32_t offset[FRAGMENTS_MAX], size[FRAGMENTS_MAX]; /* offset + 1; 0: not there yet */
    uint8_t data[IKE_MESSAGE_MAX];
};
/* Takes a fragment. True when the message is whole: out holds it in order. */
bool reassembly_add(struct reassembly *r, uint32_t message_id, const struct opened *piece,
                    uint8_t out[IKE_MESSAGE_MAX], size_t *size, uint8_t *first) must_check;

#endif
