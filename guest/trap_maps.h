/* SPDX-License-Identifier: Apache-2.0 */
/* The I/O and MSR permission maps that the CPU looks at, shared by all CPUs: a set bit is an exit. */
#ifndef SHOJI_GUEST_TRAP_MAPS_H
#define SHOJI_GUEST_TRAP_MAPS_H

#include "lib/base.h"

/* False when memory is short. */
bool trap_maps_create(void) must_check;

/* Physical addresses. */
uint64_t trap_io_map(void);
uint64_t trap_msr_map(void);

#endif
