/* SPDX-License-Identifier: Apache-2.0 */
/* Finds a place for the block, and loads the core there. */
#include "boot/block.h"

#include <shoji-config.h>

#include "boot/core_elf.h"
#include "boot/firmware.h"
#include "boot/memory_map.h"
#include "crypto/volume/hash.h"
#include "lib/strings.h"

#define BLOCK_BYTES MIB(CONFIG_CORE_BLOCK_MIB)
static_assert(BLOCK_BYTES % CORE_BLOCK_ALIGN == 0, "the block is a multiple of its alignment");
static_assert(BLOCK_BYTES <= MIB(256), "the core's allocator and the loader's page tables end there");

/* The firmware's own use of memory differs a little from boot to boot. A block on a coarse grid stays where
 * it was, which hibernation needs. */
#define COARSE_GRID  MIB(16)
#define LOW_LIMIT    GIB(4)
#define STARTUP_LAST 0x9ffffull /* below the legacy video memory */

extern const uint8_t core_image_start[], core_image_end[], core_image_digest[];

bool core_image_check(struct report *problem)
{
    uint8_t digest[HASH_DIGEST_MAX];
    struct hash hash;
    hash_start(&hash, LUKS2_SHA256);
    hash_add(&hash, core_image_start, (size_t)(core_image_end - core_image_start));
    hash_finish(&hash, digest);
    if (memcmp(digest, core_image_digest, hash_digest_bytes(LUKS2_SHA256)) != 0)
        return report(problem, "The hypervisor's image inside shoji.efi is damaged (its SHA-256 is wrong); "
                               "install Shoji again.");
    return true;
}

/* The highest place for the block in this piece of memory, on the grid and below the limit; 0: none. */
static uint64_t place_in(const EFI_MEMORY_DESCRIPTOR *piece, uint64_t grid, uint64_t limit)
{
    uint64_t end = MIN(piece->PhysicalStart + piece->NumberOfPages * PAGE_SIZE, limit);
    if (end < BLOCK_BYTES)
        return 0;
    uint64_t place = ROUND_DOWN(end - BLOCK_BYTES, grid);
    return place >= piece->PhysicalStart ? place : 0;
}

static uint64_t highest_place(const struct memory_map *map, uint64_t grid, uint64_t limit)
{
    uint64_t highest = 0;
    for (size_t i = 0; i < map->count; i++) {
        const EFI_MEMORY_DESCRIPTOR *piece = memory_map_at(map, i);
        if (piece->Type == EfiConventionalMemory)
            highest = MAX(highest, place_in(piece, grid, limit));
    }
    return highest;
}

static uint64_t choose_place(void)
{
    struct memory_map map;
    if (!memory_map_take(&map))
        return 0;
    uint64_t place = highest_place(&map, COARSE_GRID, LOW_LIMIT);
    if (!place)
        place = highest_place(&map, CORE_BLOCK_ALIGN, LOW_LIMIT);
    if (!place)
        place = highest_place(&map, CORE_BLOCK_ALIGN, UINT64_MAX);
    memory_map_release(&map);
    return place;
}

static bool reserve(EFI_ALLOCATE_TYPE type, uint64_t bytes, EFI_PHYSICAL_ADDRESS *address)
{
    return !EFI_ERROR(
        firmware.services->AllocatePages(type, EfiReservedMemoryType, bytes / PAGE_SIZE, address));
}

bool block_reserve(struct block *block, struct report *problem)
{
    *block = (struct block){0};
    EFI_PHYSICAL_ADDRESS base = choose_place();
    if (!base || !reserve(AllocateAddress, BLOCK_BYTES, &base))
        return report(problem, "There is not enough memory: Shoji needs %u MiB in one piece.",
                      (unsigned)CONFIG_CORE_BLOCK_MIB);
    block->base = base;
    block->length = BLOCK_BYTES;
    EFI_PHYSICAL_ADDRESS page = STARTUP_LAST;
    if (!reserve(AllocateMaxAddress, PAGE_SIZE, &page)) {
        block_release(block);
        return report(problem, "There is not enough memory below 1 MiB to start the other CPUs.");
    }
    block->startup_page = page;
    memset((void *)block->base, 0, block->length);
    memset((void *)block->startup_page, 0, PAGE_SIZE);
    return true;
}

bool block_load(struct block *block, struct report *problem)
{
    struct core_layout layout;
    uint64_t handoff_bytes = ROUND_UP(sizeof(struct handoff), PAGE_SIZE);
    if (!core_elf_load(core_image_start, (size_t)(core_image_end - core_image_start), (void *)block->base,
                       block->length - handoff_bytes, &layout, problem))
        return false;
    block->entry = layout.entry;
    block->handoff = (struct handoff *)(block->base + layout.image_bytes);
    block->image_bytes = layout.image_bytes + handoff_bytes;
    *block->handoff = (struct handoff){
        .magic = HANDOFF_MAGIC,
        .size = sizeof(struct handoff),
        .block_base = block->base,
        .block_length = block->length,
        .image_bytes = block->image_bytes,
        .startup_page = block->startup_page,
    };
    return true;
}

void block_release(struct block *block)
{
    if (block->base) {
        wipe((void *)block->base, block->length);
        firmware.services->FreePages(block->base, block->length / PAGE_SIZE);
    }
    if (block->startup_page)
        firmware.services->FreePages(block->startup_page, 1);
    *block = (struct block){0};
}
