/* SPDX-License-Identifier: Apache-2.0 */
/* The bounce pool: hypervisor pages that devices read ciphertext from and write data to. Shared by all
 * controllers; taken at start, so that a command never fails for want of memory: the largest one fits, and
 * others wait. */
#include "core/memory.h"
#include "drivers/storage/nvme/nvme.h"

#define POOL_BYTES_MAX MIB(12)
#define POOL_BYTES_MIN MIB(2)
#define POOL_SHARE     3 /* of the memory that is left, at most one part in this many */
static_assert(POOL_BYTES_MIN >= 2 * NVME_TRANSFER_MAX, "the largest command fits");

static struct {
    struct spinlock lock; /* covers the stack */
    uint8_t *base;
    uint64_t physical;
    uint16_t *stack; /* indices of free pages */
    uint32_t free, pages;
} pool;
static_assert(POOL_BYTES_MAX / PAGE_SIZE <= UINT16_MAX, "indices fit");

bool bounce_start(void)
{
    if (pool.base)
        return true;
    uint64_t bytes = MIN(POOL_BYTES_MAX, pages_left() / POOL_SHARE);
    uint32_t pages = (uint32_t)(MAX(bytes, POOL_BYTES_MIN) / PAGE_SIZE);
    size_t stack_pages = ROUND_UP(pages * sizeof(*pool.stack), PAGE_SIZE) / PAGE_SIZE;
    pool.stack = pages_allocate(stack_pages);
    if (!pool.stack)
        return false;
    pool.base = pages_allocate(pages);
    if (!pool.base) {
        pages_free(pool.stack, stack_pages);
        return false;
    }
    pool.physical = physical_of(pool.base);
    pool.pages = pool.free = pages;
    for (uint32_t i = 0; i < pages; i++)
        pool.stack[i] = (uint16_t)i;
    return true;
}

bool bounce_take(uint64_t *physical, unsigned count)
{
    spin_lock(&pool.lock);
    bool enough = pool.free >= count;
    for (unsigned i = 0; enough && i < count; i++)
        physical[i] = pool.physical + pool.stack[--pool.free] * PAGE_SIZE;
    spin_unlock(&pool.lock);
    return enough;
}

void bounce_release(const uint64_t *physical, unsigned count)
{
    spin_lock(&pool.lock);
    for (unsigned i = 0; i < count; i++)
        pool.stack[pool.free++] = (uint16_t)((physical[i] - pool.physical) / PAGE_SIZE);
    spin_unlock(&pool.lock);
}
