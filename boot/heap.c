/* SPDX-License-Identifier: Apache-2.0 */
/* Memory from AllocatePool and AllocatePages. */
#include "boot/heap.h"

#include "boot/firmware.h"
#include "boot/memory_map.h"
#include "lib/strings.h"

/* What the firmware and the OS loader need besides; the map's largest piece is not used up to the last page.
 */
#define FIRMWARE_MARGIN MIB(8)

/* Stands before each piece. Sixteen bytes, so that what follows keeps the alignment of the pool with one more
 * step of 8. */
struct piece {
    void *pool;
    size_t size;
};
static_assert(sizeof(struct piece) == 16, "the piece after it stays aligned to 16 bytes");

void *heap_allocate(void *context, size_t size)
{
    (void)context;
    const size_t extra = sizeof(struct piece) + 15; /* the pool is aligned to 8 only */
    void *pool;
    if (size > SIZE_MAX - extra ||
        EFI_ERROR(firmware.services->AllocatePool(EfiLoaderData, size + extra, &pool)))
        return NULL;
    struct piece *piece = (struct piece *)ROUND_UP((uintptr_t)pool, 16);
    *piece = (struct piece){.pool = pool, .size = size};
    return piece + 1;
}

void heap_release(void *context, void *memory)
{
    (void)context;
    if (!memory)
        return;
    struct piece *piece = (struct piece *)memory - 1;
    wipe(memory, piece->size);
    firmware.services->FreePool(piece->pool);
}

static UINTN pages_of(size_t size)
{
    return size / PAGE_SIZE + (size % PAGE_SIZE != 0);
}

void *heap_pages(void *context, size_t size)
{
    (void)context;
    EFI_PHYSICAL_ADDRESS address;
    if (!size || EFI_ERROR(firmware.services->AllocatePages(AllocateAnyPages, EfiLoaderData, pages_of(size),
                                                            &address)))
        return NULL;
    return (void *)address;
}

void heap_pages_release(void *context, void *memory, size_t size)
{
    (void)context;
    if (memory)
        firmware.services->FreePages((EFI_PHYSICAL_ADDRESS)memory, pages_of(size));
}

uint64_t heap_largest(void *context)
{
    (void)context;
    struct memory_map map;
    if (!memory_map_take(&map))
        return 0;
    uint64_t largest = 0;
    for (size_t i = 0; i < map.count; i++) {
        const EFI_MEMORY_DESCRIPTOR *piece = memory_map_at(&map, i);
        if (piece->Type == EfiConventionalMemory)
            largest = MAX(largest, piece->NumberOfPages * PAGE_SIZE);
    }
    memory_map_release(&map);
    return largest > FIRMWARE_MARGIN ? largest - FIRMWARE_MARGIN : 0;
}
