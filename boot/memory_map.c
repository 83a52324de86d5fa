/* SPDX-License-Identifier: Apache-2.0 */
/* Takes the firmware's memory map (UEFI 2.10, 7.2.3) and turns it into the list of RAM that the core works
 * with. */
#include "boot/memory_map.h"

#include "boot/heap.h"

#define TYPE_PERSISTENT_MEMORY 14 /* EfiPersistentMemory; GNU-EFI's list may end before it */
#define GROWTH                                                                                               \
    (8 * sizeof(EFI_MEMORY_DESCRIPTOR)) /* allocating the copy may itself split an entry or two              \
                                         */

bool memory_map_take(struct memory_map *map)
{
    UINTN size = 0, key, step = 0;
    UINT32 version;
    *map = (struct memory_map){0};
    EFI_STATUS status = firmware.services->GetMemoryMap(&size, NULL, &key, &step, &version);
    while (status == EFI_BUFFER_TOO_SMALL) {
        memory_map_release(map);
        map->size = size + GROWTH;
        map->bytes = heap_allocate(NULL, map->size);
        if (!map->bytes)
            return false;
        size = map->size;
        status = firmware.services->GetMemoryMap(&size, (EFI_MEMORY_DESCRIPTOR *)map->bytes, &key, &step,
                                                 &version);
    }
    if (EFI_ERROR(status) || step < sizeof(EFI_MEMORY_DESCRIPTOR)) {
        memory_map_release(map);
        return false;
    }
    map->step = step;
    map->count = size / step;
    return true;
}

void memory_map_release(struct memory_map *map)
{
    heap_release(NULL, map->bytes);
    *map = (struct memory_map){0};
}

const EFI_MEMORY_DESCRIPTOR *memory_map_at(const struct memory_map *map, size_t index)
{
    return (const EFI_MEMORY_DESCRIPTOR *)(map->bytes + index * map->step);
}

/* Reserved memory is RAM where the firmware says that it can be cached (the idle loops of parked CPUs live
 * there, and the hypervisor reads their instructions); windows of devices cannot. */
static bool is_ram(const EFI_MEMORY_DESCRIPTOR *piece)
{
    switch (piece->Type) {
    case EfiReservedMemoryType:
        return piece->Attribute & EFI_MEMORY_WB;
    case EfiLoaderCode:
    case EfiLoaderData:
    case EfiBootServicesCode:
    case EfiBootServicesData:
    case EfiRuntimeServicesCode:
    case EfiRuntimeServicesData:
    case EfiConventionalMemory:
    case EfiACPIReclaimMemory:
    case EfiACPIMemoryNVS:
    case TYPE_PERSISTENT_MEMORY:
        return true;
    default:
        return false;
    }
}

/* Puts a range into the sorted list and joins it with neighbours that it touches. False when the list is
 * full. */
static bool add_range(struct handoff *handoff, uint64_t base, uint64_t length)
{
    struct handoff_range *ram = handoff->ram;
    uint32_t at = 0;
    while (at < handoff->ram_count && ram[at].base < base)
        at++;
    bool joins_before = at > 0 && ram[at - 1].base + ram[at - 1].length == base;
    bool joins_after = at < handoff->ram_count && base + length == ram[at].base;

    if (joins_before && joins_after) {
        ram[at - 1].length += length + ram[at].length;
        handoff->ram_count--;
        for (uint32_t i = at; i < handoff->ram_count; i++)
            ram[i] = ram[i + 1];
    } else if (joins_before) {
        ram[at - 1].length += length;
    } else if (joins_after) {
        ram[at].base = base;
        ram[at].length += length;
    } else {
        if (handoff->ram_count == HANDOFF_RAM_MAX)
            return false;
        for (uint32_t i = handoff->ram_count; i > at; i--)
            ram[i] = ram[i - 1];
        ram[at] = (struct handoff_range){.base = base, .length = length};
        handoff->ram_count++;
    }
    return true;
}

/* Adds what of the range lies below and above the hypervisor's block: the map may have joined it with its
 * neighbours. */
static bool add_without_block(struct handoff *handoff, uint64_t base, uint64_t end)
{
    uint64_t block_end = handoff->block_base + handoff->block_length;
    if (base < handoff->block_base && end > handoff->block_base) {
        if (!add_range(handoff, base, handoff->block_base - base))
            return false;
        base = handoff->block_base;
    }
    if (base >= handoff->block_base && base < block_end)
        base = block_end;
    return base >= end || add_range(handoff, base, end - base);
}

bool memory_map_fill(struct handoff *handoff, struct report *problem)
{
    struct memory_map map;
    handoff->ram_count = 0;
    if (!memory_map_take(&map))
        return report(problem, "The firmware does not tell what memory there is; it cannot run Shoji.");

    bool fits = true;
    for (size_t i = 0; i < map.count && fits; i++) {
        const EFI_MEMORY_DESCRIPTOR *piece = memory_map_at(&map, i);
        uint64_t length = piece->NumberOfPages * PAGE_SIZE;
        if (is_ram(piece) && length)
            fits = add_without_block(handoff, piece->PhysicalStart, piece->PhysicalStart + length);
    }
    memory_map_release(&map);
    if (!fits)
        return report(problem,
                      "The firmware's memory map has more than %u separate pieces of memory; Shoji cannot "
                      "work with it.",
                      (unsigned)HANDOFF_RAM_MAX);
    return true;
}
