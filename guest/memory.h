/* SPDX-License-Identifier: Apache-2.0 */
/* The only way to the guest's memory. Guest-physical equals host-physical; an address is good when all of it
 * is RAM that the guest has (not the hypervisor's block, not device memory). */
#ifndef SHOJI_GUEST_MEMORY_H
#define SHOJI_GUEST_MEMORY_H

#include "lib/base.h"

/* True when [address, address + length) lies in guest RAM. */
bool guest_memory_is_ram(uint64_t address, uint64_t length);

/* Copies; false (and nothing copied) when the range is not guest RAM. */
bool guest_memory_read(uint64_t address, void *to, size_t length) must_check;
bool guest_memory_write(uint64_t address, const void *from, size_t length) must_check;

/* Opens a window for in-place work on guest RAM, and closes it. Between the two calls the CPU may touch guest
 * memory through the returned pointer (SMAP is lifted); keep it short, take no other window meanwhile. NULL
 * when the range is not guest RAM. */
void *guest_memory_open(uint64_t address, size_t length) must_check;
void guest_memory_close(void);

#endif
