/* SPDX-License-Identifier: Apache-2.0 */
/* Memory types by the memory type range registers (SDM volume 3A, section 11.11). With EPT the CPU itself no
 * longer looks at them. */
#ifndef SHOJI_GUEST_VMX_MTRR_H
#define SHOJI_GUEST_VMX_MTRR_H

#include "lib/base.h"

#define MTRR_RANGES_MAX 16
#define MTRR_FIXED      88u /* eight in each of eleven registers */

enum memory_type { MEMORY_UC = 0, MEMORY_WC = 1, MEMORY_WT = 4, MEMORY_WP = 5, MEMORY_WB = 6 };

/* As one CPU has them; no padding, so that two can be compared as bytes. */
struct mtrr {
    uint8_t enabled, fixed_enabled, default_type, count;
    uint8_t fixed[MTRR_FIXED]; /* of the first MiB, in the order of their addresses */
    uint8_t reserved[4];
    struct mtrr_range {
        uint64_t base, mask; /* address bits alone; an unused one is not counted */
        uint64_t type;
    } range[MTRR_RANGES_MAX];
};
static_assert(sizeof(struct mtrr) == 96 + 24 * MTRR_RANGES_MAX, "no padding");

/* The type of a naturally aligned page. Where parts of it differ *uniform becomes false, and the answer is
 * uncached, which is always safe. */
enum memory_type mtrr_type(const struct mtrr *mtrr, uint64_t address, uint64_t bytes, bool *uniform);

#endif
