/* SPDX-License-Identifier: Apache-2.0 */
/* How guest/memory.c learns what is RAM; for the guest's start alone. */
#ifndef SHOJI_GUEST_MEMORY_START_H
#define SHOJI_GUEST_MEMORY_START_H

#include "include/handoff.h"

/* Keeps the pointer. */
void guest_memory_start(const struct handoff *handoff);

#endif
