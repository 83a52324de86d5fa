/* SPDX-License-Identifier: Apache-2.0 */
/* Access to device registers, those that device_map of core/memory.h has mapped and those at ports: one bus
 * access of exactly the given size. Host tests put a device model here. */
#ifndef SHOJI_CORE_DEVICE_H
#define SHOJI_CORE_DEVICE_H

#include "lib/base.h"

/* Naturally aligned. Any CPU; ordering is x86's own for uncached memory. */
uint32_t device_read32(const volatile void *at);
void device_write32(volatile void *at, uint32_t value);

/* I/O ports: 1, 2 or 4 bytes. */
uint32_t device_in(uint16_t port, unsigned bytes);
void device_out(uint16_t port, unsigned bytes, uint32_t value);

/* The time stamp counter, to bound the few waits of the start. */
uint64_t device_clock(void);

#endif
