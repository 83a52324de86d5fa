/* SPDX-License-Identifier: Apache-2.0 */
/* The memory types of the EPT entries follow the guest's MTRRs. All CPUs have the same, so the last one that
 * changes its own decides. */
#include "core/cpu.h"
#include "core/log.h"
#include "core/spinlock.h"
#include "guest/nested.h"
#include "guest/vmx/mtrr.h"
#include "guest/vmx/vmx.h"
#include "lib/strings.h"

#define EPT_TYPE_SHIFT    3
#define MTRR_CAP_COUNT    0xffull
#define MTRR_DEFAULT_TYPE 0xffull
#define MTRR_FIXED_ENABLE BIT(10)
#define MTRR_ENABLE       BIT(11)
#define MTRR_RANGE_VALID  BIT(11)
#define FIXED_REGISTERS   (MTRR_FIXED / 8)

static struct spinlock lock;          /* of changes */
static struct mtrr kept[2];           /* one in use, one for the next change */
static const struct mtrr *now = kept; /* read under the lock of the nested tables */

static void read_fixed(struct mtrr *mtrr)
{
    static const uint16_t registers[FIXED_REGISTERS] = {0x250, 0x258, 0x259, 0x268, 0x269, 0x26a,
                                                        0x26b, 0x26c, 0x26d, 0x26e, 0x26f};
    for (unsigned i = 0; i < FIXED_REGISTERS; i++) {
        uint64_t types;
        if (msr_read_safe(registers[i], &types))
            memcpy(mtrr->fixed + 8 * i, &types, sizeof types);
    }
}

static void read_all(struct mtrr *mtrr)
{
    uint64_t capability = 0, control = 0;
    *mtrr = (struct mtrr){0};
    if (!msr_read_safe(MSR_MTRR_CAP, &capability) || !msr_read_safe(MSR_MTRR_DEF_TYPE, &control))
        return;
    mtrr->enabled = !!(control & MTRR_ENABLE);
    mtrr->fixed_enabled = !!(control & MTRR_FIXED_ENABLE);
    mtrr->default_type = control & MTRR_DEFAULT_TYPE;
    if (mtrr->fixed_enabled)
        read_fixed(mtrr);
    uint32_t count = MIN(capability & MTRR_CAP_COUNT, (uint64_t)MTRR_RANGES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t base, mask;
        if (!msr_read_safe(MSR_MTRR_VAR_BASE + 2 * i, &base) ||
            !msr_read_safe(MSR_MTRR_VAR_BASE + 2 * i + 1, &mask) || !(mask & MTRR_RANGE_VALID))
            continue;
        mtrr->range[mtrr->count++] = (struct mtrr_range){
            .base = base & PTE_ADDRESS, .mask = mask & PTE_ADDRESS, .type = base & MTRR_DEFAULT_TYPE};
    }
}

void memory_types_start(void)
{
    read_all(&kept[0]);
}

uint64_t memory_type_bits(uint64_t address, uint64_t bytes, bool *uniform)
{
    return (uint64_t)mtrr_type(now, address, bytes, uniform) << EPT_TYPE_SHIFT;
}

void memory_types_changed(void)
{
    spin_lock(&lock);
    struct mtrr *next = now == &kept[0] ? &kept[1] : &kept[0];
    read_all(next);
    if (memcmp(next, now, sizeof *next)) {
        now = next;
        if (!nested_retype())
            log_limited("no memory to follow the MTRRs: some memory is uncached now");
    }
    spin_unlock(&lock);
}
