/* SPDX-License-Identifier: Apache-2.0 */
/* Builds the entry page tables (AMD APM volume 2, 5.3): a copy of the firmware's top table whose last entry
 * leads to the block. */
#include "boot/pagetable.h"

#include "boot/heap.h"
#include "include/handoff.h"
#include "lib/strings.h"

#define ENTRIES       512u
#define ENTRY_PRESENT BIT(0)
#define ENTRY_WRITE   BIT(1)
#define ENTRY_LARGE   BIT(7)
#define ENTRY_ADDRESS 0x000ffffffffff000ull
#define CR4_LA57      BIT(12)

#define LARGE_SHIFT 21 /* 2 MiB pages */
#define LEVEL_BITS  9

enum { PAGE_DIRECTORY, PAGE_POINTERS, PAGE_PML4, PAGE_PML5, PAGE_COUNT };

static uint64_t cr3_read(void)
{
    uint64_t value;
    __asm__ volatile("mov %%cr3, %0" : "=r"(value));
    return value;
}

static uint64_t cr4_read(void)
{
    uint64_t value;
    __asm__ volatile("mov %%cr4, %0" : "=r"(value));
    return value;
}

/* Which entry of a table maps the core; level 1 is the page directory. */
static unsigned core_index(unsigned level)
{
    return CORE_VIRTUAL_BASE >> (LARGE_SHIFT + LEVEL_BITS * (level - 1)) & (ENTRIES - 1);
}

static uint64_t *page_at(const struct pagetable *table, unsigned page)
{
    return table->pages + page * ENTRIES;
}

static uint64_t link_to(const uint64_t *page)
{
    return (uint64_t)page | ENTRY_PRESENT | ENTRY_WRITE;
}

bool pagetable_build(struct pagetable *table, uint64_t block_base, uint64_t block_length,
                     struct report *problem)
{
    table->pages = heap_pages(NULL, PAGE_COUNT * PAGE_SIZE);
    if (!table->pages)
        return report(problem, "There is not enough memory to start.");
    memset(table->pages, 0, PAGE_COUNT * PAGE_SIZE);
    uint64_t *directory = page_at(table, PAGE_DIRECTORY), *pointers = page_at(table, PAGE_POINTERS);
    uint64_t *pml4 = page_at(table, PAGE_PML4), *pml5 = page_at(table, PAGE_PML5);

    for (uint64_t at = 0; at < block_length; at += BIT(LARGE_SHIFT))
        directory[core_index(1) + (at >> LARGE_SHIFT)] =
            (block_base + at) | ENTRY_PRESENT | ENTRY_WRITE | ENTRY_LARGE;
    pointers[core_index(2)] = link_to(directory);

    const uint64_t *firmware_top = (const uint64_t *)(cr3_read() & ENTRY_ADDRESS);
    bool five_levels = cr4_read() & CR4_LA57;
    memcpy(five_levels ? pml5 : pml4, firmware_top, PAGE_SIZE);
    pml4[core_index(3)] = link_to(pointers);
    if (five_levels)
        pml5[core_index(4)] = link_to(pml4);
    table->cr3 = (uint64_t)(five_levels ? pml5 : pml4);
    return true;
}

void pagetable_release(struct pagetable *table)
{
    heap_pages_release(NULL, table->pages, PAGE_COUNT * PAGE_SIZE);
    *table = (struct pagetable){0};
}

bool pagetable_is_writable(uint64_t address)
{
    const uint64_t wanted = ENTRY_PRESENT | ENTRY_WRITE;
    const uint64_t *table = (const uint64_t *)(cr3_read() & ENTRY_ADDRESS);
    for (int level = cr4_read() & CR4_LA57 ? 4 : 3; level >= 0; level--) {
        uint64_t entry = table[address >> (PAGE_SHIFT + LEVEL_BITS * level) & (ENTRIES - 1)];
        if ((entry & wanted) != wanted)
            return false;
        if (level > 0 && entry & ENTRY_LARGE)
            return true;
        table = (const uint64_t *)(entry & ENTRY_ADDRESS);
    }
    return true;
}
