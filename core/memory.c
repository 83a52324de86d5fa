/* SPDX-License-Identifier: Apache-2.0 */
/* The page allocator: one bit a page of the block, first fit. Allocation happens at start-up and in rare slow
 * paths only. */
#include "core/memory.h"

#include "core/allocator.h"
#include "core/spinlock.h"
#include "include/handoff.h"
#include "lib/strings.h"

#define BITS            64u
#define BLOCK_PAGES_MAX (MIB(256) / PAGE_SIZE)

static uint64_t block_physical, block_pages; /* constant after memory_start */
static struct spinlock lock;                 /* of the rest */
static uint64_t used[BLOCK_PAGES_MAX / BITS];
static uint64_t free_pages;

static bool page_is_used(uint64_t page)
{
    return used[page / BITS] >> (page % BITS) & 1;
}

static void mark(uint64_t page, size_t count, bool in_use)
{
    for (uint64_t p = page; p < page + count; p++)
        if (in_use)
            used[p / BITS] |= BIT(p % BITS);
        else
            used[p / BITS] &= ~BIT(p % BITS);
}

bool memory_start(uint64_t base, uint64_t length, uint64_t image_bytes)
{
    uint64_t image_pages = ROUND_UP(image_bytes, PAGE_SIZE) / PAGE_SIZE;
    block_physical = base;
    block_pages = length / PAGE_SIZE;
    if (block_pages > BLOCK_PAGES_MAX || image_pages >= block_pages)
        return false;
    mark(0, image_pages, true);
    free_pages = block_pages - image_pages;
    return true;
}

/* Returns the first page of a free run, or block_pages. The caller holds the lock. */
static uint64_t find_run(size_t count)
{
    uint64_t run = 0;
    for (uint64_t page = 0; page < block_pages; page++) {
        run = page_is_used(page) ? 0 : run + 1;
        if (run == count)
            return page + 1 - count;
    }
    return block_pages;
}

void *pages_allocate(size_t count)
{
    if (!count)
        return NULL;
    spin_lock(&lock);
    uint64_t page = find_run(count);
    if (page < block_pages) {
        mark(page, count, true);
        free_pages -= count;
    }
    spin_unlock(&lock);
    if (page >= block_pages)
        return NULL;
    return memset((void *)(CORE_VIRTUAL_BASE + page * PAGE_SIZE), 0, count * PAGE_SIZE);
}

void pages_free(void *pages, size_t count)
{
    uint64_t page = ((uint64_t)pages - CORE_VIRTUAL_BASE) / PAGE_SIZE;
    spin_lock(&lock);
    mark(page, count, false);
    free_pages += count;
    spin_unlock(&lock);
}

uint64_t pages_left(void)
{
    return free_pages * PAGE_SIZE;
}

uint64_t physical_of(const void *address)
{
    return (uint64_t)address - CORE_VIRTUAL_BASE + block_physical;
}

void *virtual_of(uint64_t physical)
{
    return (void *)(physical - block_physical + CORE_VIRTUAL_BASE);
}
