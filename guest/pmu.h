/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's performance counters as a source of NMIs. */
#ifndef SHOJI_GUEST_PMU_H
#define SHOJI_GUEST_PMU_H

#include "lib/base.h"

/* Finds the counters of this kind of CPU. Before the first CPU runs. */
void pmu_start(void);

/* True when a performance counter of this CPU has overflowed and its interrupt is an NMI: one that the guest
 * must get even if something else explains the NMI that was taken. True until the guest reloads the counter.
 */
bool pmu_overflowed(void);

#endif
