/* SPDX-License-Identifier: Apache-2.0 */
/* The VPN service's surroundings on virtual time. Entropy is a counter: the same in each run. */
#define _GNU_SOURCE /* memmem */
#include "tests/unit/support/vpn_world.h"

#include <stdlib.h>
#include <string.h>

struct world world;

void world_reset(void)
{
    uint64_t now = world.now ? world.now : 1000;
    memset(&world, 0, sizeof(world));
    world.now = now;
    world.stop_at = UINT64_MAX;
    world.sides[SIDE_WIRE].link = world.sides[SIDE_GUEST].link = true;
}

void world_put(enum vpn_side side, const void *frame, size_t size)
{
    struct world_side *s = &world.sides[side];
    if (s->in_count == WORLD_FRAMES || size > FRAME_MAX)
        abort();
    struct world_frame *f = &s->in[(s->in_first + s->in_count++) % WORLD_FRAMES];
    f->size = size;
    memcpy(f->bytes, frame, size);
}

bool world_sent_contains(enum vpn_side side, const void *bytes, size_t size)
{
    const struct world_side *s = &world.sides[side];
    unsigned kept = s->out_count < WORLD_FRAMES ? s->out_count : WORLD_FRAMES;
    for (unsigned i = 0; i < kept; i++)
        if (memmem(s->out[i].bytes, s->out[i].size, bytes, size))
            return true;
    return false;
}

size_t vpn_frame_receive(enum vpn_side side, uint8_t *frame, size_t capacity)
{
    struct world_side *s = &world.sides[side];
    if (s->in_count == 0)
        return 0;
    const struct world_frame *f = &s->in[s->in_first];
    if (f->size > capacity)
        abort();
    memcpy(frame, f->bytes, f->size);
    s->in_first = (s->in_first + 1) % WORLD_FRAMES;
    s->in_count--;
    return f->size;
}

void vpn_frame_send(enum vpn_side side, const uint8_t *frame, size_t size)
{
    struct world_side *s = &world.sides[side];
    if (size > FRAME_MAX)
        abort();
    struct world_frame *f = &s->out[s->out_count++ % WORLD_FRAMES];
    f->size = size;
    memcpy(f->bytes, frame, size);
}

void vpn_mac(enum vpn_side side, uint8_t out[6])
{
    static const uint8_t macs[2][6] = {{2, 0, 0, 0, 0, 0xaa}, {2, 0, 0, 0, 0, 0xbb}};
    memcpy(out, macs[side], 6);
}

void vpn_carrier(enum vpn_side side, bool on)
{
    world.sides[side].carrier_drops += world.sides[side].carrier && !on;
    world.sides[side].carrier = on;
}

bool vpn_link(enum vpn_side side)
{
    return world.sides[side].link;
}

/* Time goes on only while nothing waits. */
bool vpn_wait(uint64_t until)
{
    if (world.now >= world.stop_at)
        return false;
    if (world.sides[SIDE_WIRE].in_count + world.sides[SIDE_GUEST].in_count == 0 && until > world.now)
        world.now = until < world.stop_at ? until : world.stop_at;
    return true;
}

uint64_t vpn_now(void)
{
    return world.now;
}

uint64_t vpn_seconds(void *context)
{
    (void)context;
    return 1790000000 + world.now / 1000;
}

bool vpn_entropy(void *context, void *out, size_t size)
{
    (void)context;
    static uint8_t next;
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)out)[i] = next = (uint8_t)(next * 5 + 3 + i);
    return true;
}

void vpn_log(void *context, const char *sentence)
{
    (void)context;
    strncat(world.log, sentence, sizeof(world.log) - strlen(world.log) - 2);
    strcat(world.log, "\n");
}

bool vpn_secret(const char *name, uint8_t *out, size_t capacity, size_t *size)
{
    (void)name;
    if (world.psk_size == 0 || world.psk_size > capacity)
        return false;
    memcpy(out, world.psk, world.psk_size);
    *size = world.psk_size;
    return true;
}
