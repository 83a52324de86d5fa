/* SPDX-License-Identifier: Apache-2.0 */
/* The anti-replay window (RFC 4303 section 3.4.3) and the high half of extended sequence numbers (appendix
 * A2). */
#ifndef SHOJI_CRYPTO_IPSEC_REPLAY_H
#define SHOJI_CRYPTO_IPSEC_REPLAY_H

#include "lib/base.h"

/* A ring of words: the window slides by whole words, so one word of the ring is always in transition and
 * does not count (the idea of RFC 6479). */
#define REPLAY_WORDS  32
#define REPLAY_WINDOW ((REPLAY_WORDS - 1) * 64)
static_assert(REPLAY_WINDOW >= 1024, "a window of at least 1024 packets");

/* All zero: nothing has come yet. */
struct replay {
    uint64_t top; /* the highest sequence number that was authentic */
    uint64_t seen[REPLAY_WORDS];
};

/* The whole sequence number that the 32 bits on the wire stand for. False: it lies before the first one. */
bool replay_sequence(const struct replay *replay, uint32_t low, bool esn, uint64_t *out) must_check;

/* Is the number new and not too old? To be asked before the ICV is checked. */
bool replay_fresh(const struct replay *replay, uint64_t sequence);

/* Marks a number that replay_fresh accepted, after its ICV held. */
void replay_accept(struct replay *replay, uint64_t sequence);

#endif
