/* SPDX-License-Identifier: Apache-2.0 */
#include "core/paging.h"

#include "core/cpu.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/registers.h"
#include "core/spinlock.h"
#include "lib/strings.h"

#define TOP_LOWER_HALF (TABLE_ENTRIES / 2)

extern char core_text_start[], core_text_end[], core_rodata_start[], core_rodata_end[];

static uint64_t *host_pml4;  /* the host's upper half                                  */
static uint64_t *host_top;   /* what CR3 holds: host_pml4, or a PML5 above it          */
static uint64_t *launch_top; /* the same with the firmware's lower half                */
static bool five_levels;
static uint64_t device_window_used; /* bytes; device_map's callers take turns under device_lock */
static struct spinlock device_lock;

static uint64_t *table_below(uint64_t *entry, uint64_t flags)
{
    if (!(*entry & PTE_PRESENT)) {
        uint64_t *table = pages_allocate(1);
        if (!table)
            return NULL;
        *entry = physical_of(table) | PTE_PRESENT | PTE_WRITE | flags;
    }
    return virtual_of(*entry & PTE_ADDRESS);
}

/* The entry that maps `address` with pages of 4 KiB (level 0), 2 MiB (1) or 1 GiB (2); makes the tables above
 * it. */
static uint64_t *entry_for(uint64_t address, unsigned level, uint64_t flags)
{
    uint64_t *table = host_pml4;
    for (unsigned l = 3; l > level && table; l--)
        table = table_below(&table[address >> (PAGE_SHIFT + 9 * l) & (TABLE_ENTRIES - 1)], flags);
    return table ? &table[address >> (PAGE_SHIFT + 9 * level) & (TABLE_ENTRIES - 1)] : NULL;
}

static uint64_t flags_of_core_page(uint64_t address)
{
    if (address >= (uint64_t)core_text_start && address < (uint64_t)core_text_end)
        return PTE_PRESENT;
    if (address >= (uint64_t)core_rodata_start && address < (uint64_t)core_rodata_end)
        return PTE_PRESENT | PTE_NX;
    return PTE_PRESENT | PTE_WRITE | PTE_NX;
}

static bool map_block(const struct handoff *handoff)
{
    for (uint64_t offset = 0; offset < handoff->block_length; offset += PAGE_SIZE) {
        uint64_t *entry = entry_for(CORE_VIRTUAL_BASE + offset, 0, 0);
        if (!entry)
            return false;
        *entry = (handoff->block_base + offset) | flags_of_core_page(CORE_VIRTUAL_BASE + offset);
    }
    return true;
}

/* Maps every 2 MiB page that touches this range of RAM and not the block (which is 2 MiB aligned, so none
 * does both). */
static bool map_ram(const struct handoff *handoff, const struct handoff_range *ram)
{
    uint64_t end = ram->base + ram->length;
    for (uint64_t at = ROUND_DOWN(ram->base, MIB(2)); at < end; at += MIB(2)) {
        if (ranges_overlap(at, MIB(2), handoff->block_base, handoff->block_length))
            continue;
        uint64_t *entry = entry_for(GUEST_WINDOW_BASE + at, 1, PTE_USER);
        if (!entry)
            return false;
        *entry = at | PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_LARGE | PTE_NX;
    }
    return true;
}

bool paging_build(const struct handoff *handoff)
{
    five_levels = cr4_read() & CR4_LA57;
    host_pml4 = pages_allocate(1);
    launch_top = pages_allocate(1);
    host_top = five_levels ? pages_allocate(1) : host_pml4;
    if (!host_pml4 || !launch_top || !host_top || !map_block(handoff))
        return false;
    for (unsigned i = 0; i < handoff->ram_count; i++)
        if (!map_ram(handoff, &handoff->ram[i]))
            return false;
    /* The device window's tables stand from the start, so that device_map needs no memory and no shoot-down.
     */
    for (uint64_t at = 0; at < DEVICE_WINDOW_SIZE; at += MIB(2))
        if (!entry_for(DEVICE_WINDOW_BASE + at, 0, 0))
            return false;
    if (five_levels)
        host_top[TABLE_ENTRIES - 1] = physical_of(host_pml4) | PTE_PRESENT | PTE_WRITE;
    return true;
}

void paging_load_for_launch(uint64_t firmware_cr3)
{
    msr_write(MSR_EFER, msr_read(MSR_EFER) | EFER_NXE);
    /* The firmware's top table is reachable under its own address here: the lower half is still the
     * firmware's. */
    const uint64_t *firmware_top = (const uint64_t *)(firmware_cr3 & PTE_ADDRESS);
    /* Another CPU may run on this table at the moment: each half is overwritten with what it holds already.
     */
    memcpy(launch_top + TOP_LOWER_HALF, host_top + TOP_LOWER_HALF, TOP_LOWER_HALF * sizeof(uint64_t));
    memcpy(launch_top, firmware_top, TOP_LOWER_HALF * sizeof(uint64_t));
    cr3_write(physical_of(launch_top));
}

uint64_t paging_host_cr3(void)
{
    return physical_of(host_top);
}

void paging_guard(void *page)
{
    uint64_t *entry = entry_for((uint64_t)page, 0, 0);
    if (entry)
        *entry = 0;
    __asm__ volatile("invlpg (%0)" : : "r"(page) : "memory");
}

volatile void *device_map(uint64_t physical, size_t length)
{
    uint64_t first = physical & ~PAGE_MASK;
    uint64_t bytes = ROUND_UP(physical + length - first, PAGE_SIZE);
    spin_lock(&device_lock);
    uint64_t at = DEVICE_WINDOW_BASE + device_window_used;
    bool room = bytes <= DEVICE_WINDOW_SIZE - device_window_used;
    if (room)
        device_window_used += bytes;
    spin_unlock(&device_lock);
    if (!room)
        return NULL;
    for (uint64_t offset = 0; offset < bytes; offset += PAGE_SIZE)
        *entry_for(at + offset, 0, 0) =
            (first + offset) | PTE_PRESENT | PTE_WRITE | PTE_PCD | PTE_PWT | PTE_NX;
    return (volatile void *)(at + (physical - first));
}
