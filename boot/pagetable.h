/* SPDX-License-Identifier: Apache-2.0 */
/* The address space in which a CPU enters the core: the firmware's, and the block at CORE_VIRTUAL_BASE. */
#ifndef SHOJI_BOOT_PAGETABLE_H
#define SHOJI_BOOT_PAGETABLE_H

#include "lib/base.h"
#include "lib/report.h"

/* One page each; `pml5` is used with 5-level paging alone. */
struct pagetable {
    uint64_t *pages; /* from heap_pages; NULL: not built */
    uint64_t cr3;    /* what a CPU loads to enter */
};

bool pagetable_build(struct pagetable *table, uint64_t block_base, uint64_t block_length,
                     struct report *problem) must_check;
void pagetable_release(struct pagetable *table);

/* True when the firmware maps this address and it may be written: firmware keeps unmapped guard pages amid
 * its data. */
bool pagetable_is_writable(uint64_t address);

#endif
