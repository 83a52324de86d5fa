/* SPDX-License-Identifier: Apache-2.0 */
/* How the page allocator of core/memory.h is given its block; for the start-up code alone. */
#ifndef SHOJI_CORE_ALLOCATOR_H
#define SHOJI_CORE_ALLOCATOR_H

#include "lib/base.h"

/* The first image_bytes of the block are taken. False when the block is too small or too large. */
bool memory_start(uint64_t base, uint64_t length, uint64_t image_bytes) must_check;

#endif
