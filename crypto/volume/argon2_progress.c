/* SPDX-License-Identifier: Apache-2.0 */
/* Progress of argon2, which libargon2 does not report: every call that its core makes to fill_segment (one
 * per pass, slice and lane) goes through here. Needs the linker's --wrap=fill_segment. */
#include "crypto/volume/kdf.h"

/* libargon2's argon2_position_t, which its installed header does not show; passed on by value and not looked
 * at. */
struct argon2_position {
    uint32_t pass, lane;
    uint8_t slice;
    uint32_t index;
};
static_assert(sizeof(struct argon2_position) == 16, "it is passed in two registers");

void __real_fill_segment(const void *instance, struct argon2_position position);
void __wrap_fill_segment(const void *instance, struct argon2_position position);

/* Owned by the one computation that runs. */
static struct progress_meter *running;

void argon2_progress_begin(struct progress_meter *meter)
{
    running = meter;
}

void argon2_progress_end(void)
{
    running = NULL;
}

void __wrap_fill_segment(const void *instance, struct argon2_position position)
{
    __real_fill_segment(instance, position);
    if (running)
        progress_advance(running, 1);
}
