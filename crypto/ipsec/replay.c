/* SPDX-License-Identifier: Apache-2.0 */
/* The anti-replay window. */
#include "crypto/ipsec/esp.h"

#define WORD_BITS 64

static uint64_t *word_of(struct replay *replay, uint64_t sequence)
{
    return &replay->seen[sequence / WORD_BITS % REPLAY_WORDS];
}

/* RFC 4303 appendix A2.2: of the 2^32 numbers around the window, which one has these low bits? */
bool replay_sequence(const struct replay *replay, uint32_t low, bool esn, uint64_t *out)
{
    uint32_t top_low = (uint32_t)replay->top, bottom_low = top_low - REPLAY_WINDOW + 1;
    uint64_t high = esn ? replay->top >> 32 : 0;
    if (esn && top_low >= REPLAY_WINDOW - 1) {
        if (low < bottom_low)
            high++;
    } else if (esn && low >= bottom_low) {
        if (high == 0)
            return false;
        high--;
    }
    *out = high << 32 | low;
    return *out != 0 && high <= UINT32_MAX;
}

bool replay_fresh(const struct replay *replay, uint64_t sequence)
{
    if (sequence > replay->top)
        return true;
    if (sequence == 0 || replay->top - sequence >= REPLAY_WINDOW)
        return false;
    uint64_t word = replay->seen[sequence / WORD_BITS % REPLAY_WORDS];
    return !(word & BIT(sequence % WORD_BITS));
}

void replay_accept(struct replay *replay, uint64_t sequence)
{
    if (sequence > replay->top) {
        uint64_t steps = MIN(sequence / WORD_BITS - replay->top / WORD_BITS, (uint64_t)REPLAY_WORDS);
        for (uint64_t i = 0; i < steps; i++) /* the words that the window enters, the newest first */
            *word_of(replay, sequence - i * WORD_BITS) = 0;
        replay->top = sequence;
    }
    *word_of(replay, sequence) |= BIT(sequence % WORD_BITS);
}
