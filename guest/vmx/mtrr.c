/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/vmx/mtrr.h"

#define FIXED_END      MIB(1)
#define FIXED_16K      0x80000ull /* below: units of 64 KiB */
#define FIXED_4K       0xc0000ull
#define UNITS_OF_64K   8u
#define UNITS_OF_16K   16u
#define UNIT_SHIFT_64K 16
#define UNIT_SHIFT_16K 14

static enum memory_type fixed_type(const struct mtrr *mtrr, uint64_t address)
{
    uint64_t unit;
    if (address < FIXED_16K)
        unit = address >> UNIT_SHIFT_64K;
    else if (address < FIXED_4K)
        unit = UNITS_OF_64K + ((address - FIXED_16K) >> UNIT_SHIFT_16K);
    else
        unit = UNITS_OF_64K + UNITS_OF_16K + ((address - FIXED_4K) >> PAGE_SHIFT);
    return mtrr->fixed[unit];
}

/* Two ranges over one page (SDM 3A section 11.11.4.1): what it leaves undefined is uncached here. */
static enum memory_type combine(enum memory_type a, enum memory_type b)
{
    if (a == b)
        return a;
    if ((a == MEMORY_WT && b == MEMORY_WB) || (a == MEMORY_WB && b == MEMORY_WT))
        return MEMORY_WT;
    return MEMORY_UC;
}

enum memory_type mtrr_type(const struct mtrr *mtrr, uint64_t address, uint64_t bytes, bool *uniform)
{
    *uniform = true;
    if (!mtrr->enabled)
        return MEMORY_UC;
    if (mtrr->fixed_enabled && address < FIXED_END) {
        *uniform = bytes <= PAGE_SIZE;
        return *uniform ? fixed_type(mtrr, address) : MEMORY_UC;
    }
    bool found = false;
    enum memory_type type = mtrr->default_type;
    for (unsigned i = 0; i < mtrr->count; i++) {
        const struct mtrr_range *r = &mtrr->range[i];
        if ((address ^ r->base) & r->mask & ~(bytes - 1))
            continue; /* not an address of the page matches */
        if (r->mask & (bytes - 1)) {
            *uniform = false;
            return MEMORY_UC;
        }
        type = found ? combine(type, r->type) : r->type;
        found = true;
    }
    return type;
}
