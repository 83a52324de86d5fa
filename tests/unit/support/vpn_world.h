/* SPDX-License-Identifier: Apache-2.0 */
/* The VPN service's surroundings on virtual time: queues of frames in, a record of all frames out. */
#ifndef SHOJI_TESTS_VPN_WORLD_H
#define SHOJI_TESTS_VPN_WORLD_H

#include "services/vpn/surroundings.h"

#define WORLD_FRAMES 128

struct world_frame {
    size_t size;
    uint8_t bytes[FRAME_MAX];
};

/* One end of a cable: what waits to be received, and what was sent (the last WORLD_FRAMES of it). */
struct world_side {
    struct world_frame in[WORLD_FRAMES];
    unsigned in_first, in_count;
    struct world_frame out[WORLD_FRAMES];
    unsigned out_count; /* all that were ever sent; frame i is out[i % WORLD_FRAMES] */
    bool carrier, link;
    unsigned carrier_drops;
};

struct world {
    uint64_t now, stop_at; /* vpn_wait returns false from then on */
    struct world_side sides[2];
    char log[8192];
    uint8_t psk[32]; /* the one secret, whatever its name; size 0: none */
    size_t psk_size;
};
extern struct world world;

/* Both cables plugged in, nothing waits. Time goes on from where it was: lwIP keeps its timers. */
void world_reset(void);
/* A frame that will be received on a side. */
void world_put(enum vpn_side side, const void *frame, size_t size);
/* Is this byte string in any frame that was sent on the side? */
bool world_sent_contains(enum vpn_side side, const void *bytes, size_t size);

#endif
