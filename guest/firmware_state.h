/* SPDX-License-Identifier: Apache-2.0 */
/* What cannot be read from a CPU directly: the hidden parts of the segment registers that the firmware had,
 * read back from its own descriptor table. */
#ifndef SHOJI_GUEST_FIRMWARE_STATE_H
#define SHOJI_GUEST_FIRMWARE_STATE_H

#include "include/handoff.h"
#include "lib/base.h"

struct firmware_segment {
    bool usable;     /* not a null selector */
    uint32_t rights; /* as LAR gives them: bits 8-15 and 20-23 of the descriptor's upper word */
    uint32_t limit;
};

/* While the CPU still has the firmware's GDT. */
struct firmware_segment firmware_segment(uint16_t selector);

/* The base address in the 16-byte descriptor of an LDT or a task state segment. */
uint64_t firmware_system_base(const struct handoff_table *gdt, uint16_t selector);

#endif
