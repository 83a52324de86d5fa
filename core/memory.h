/* SPDX-License-Identifier: Apache-2.0 */
/* The hypervisor's own memory: pages of its block, and device registers. */
#ifndef SHOJI_CORE_MEMORY_H
#define SHOJI_CORE_MEMORY_H

#include "lib/base.h"

/* Zeroed pages, physically contiguous, page aligned; NULL when the block is full. Any CPU; own lock. */
void *pages_allocate(size_t count) must_check;
void pages_free(void *pages, size_t count);
uint64_t pages_left(void); /* bytes */

/* The physical address of hypervisor memory, and back. */
uint64_t physical_of(const void *address);
void *virtual_of(uint64_t physical);

/* Maps device registers uncached, for good. NULL when the window is full. Only while the core starts, or
 * under the caller's lock. */
volatile void *device_map(uint64_t physical, size_t length) must_check;

#endif
