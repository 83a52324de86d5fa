/* SPDX-License-Identifier: Apache-2.0 */
/* Turns CPUs into the guest in place, first the boot CPU, then all others. */
#ifndef SHOJI_BOOT_LAUNCH_H
#define SHOJI_BOOT_LAUNCH_H

#include "boot/block.h"
#include "boot/pagetable.h"
#include "boot/smp.h"

/* What every CPU needs to enter; read by the other CPUs while the boot CPU waits for them. */
struct launch {
    struct pagetable table;
    uint64_t entry, handoff;
    struct handoff_cpu cpus[HANDOFF_CPUS_MAX]; /* each written by its own CPU alone */
};

/* Builds what the CPUs enter with. */
bool launch_prepare(struct launch *launch, const struct block *block, struct report *problem) must_check;
void launch_release(struct launch *launch);

/* Enters the core on this CPU. Returns CORE_OK as a guest, any other enum core_status where the CPU could not
 * be taken. */
uint64_t launch_this_cpu(struct launch *launch, uint64_t index);

/* One sentence for a core_status. */
const char *launch_sentence(uint64_t status);

#endif
