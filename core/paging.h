/* SPDX-License-Identifier: Apache-2.0 */
/* The host's own address space: the block at CORE_VIRTUAL_BASE (W^X, guard pages), guest RAM in a window that
 * is no-execute and user (so that SMAP guards it), device registers uncached. Built by the boot CPU before
 * any other CPU enters; then constant but for device_map. */
#ifndef SHOJI_CORE_PAGING_H
#define SHOJI_CORE_PAGING_H

#include "include/handoff.h"
#include "lib/base.h"

/* Guest-physical address a is at GUEST_WINDOW_BASE + a, where it is RAM. */
#define GUEST_WINDOW_BASE  0xffff800000000000ull
#define DEVICE_WINDOW_BASE 0xffffffffc0000000ull
#define DEVICE_WINDOW_SIZE MIB(16)

/* Builds the tables. False when memory is short. */
bool paging_build(const struct handoff *handoff) must_check;

/* Loads tables that also map what the firmware's (`firmware_cr3`) map in the lower half: for the time until
 * the CPU is a guest. Sets EFER.NXE. */
void paging_load_for_launch(uint64_t firmware_cr3);

/* CR3 with the host alone. */
uint64_t paging_host_cr3(void);

/* Takes the page at this hypervisor address out of the map, as a guard. */
void paging_guard(void *page);

#endif
