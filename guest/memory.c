/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/memory.h"

#include "core/cpu.h"
#include "core/paging.h"
#include "core/probe.h"
#include "guest/memory_start.h"
#include "lib/strings.h"

static const struct handoff *map; /* constant after start: RAM ranges, without the block */
static bool smap;

void guest_memory_start(const struct handoff *handoff)
{
    map = handoff;
    smap = cpu_has_smap();
}

bool guest_memory_is_ram(uint64_t address, uint64_t length)
{
    if (!length || address + length < address)
        return false;
    while (length) {
        const struct handoff_range *found = NULL;
        for (unsigned i = 0; i < map->ram_count && !found; i++)
            if (address - map->ram[i].base < map->ram[i].length)
                found = &map->ram[i];
        if (!found)
            return false;
        uint64_t here = MIN(length, found->base + found->length - address);
        if (ranges_overlap(address, here, map->block_base, map->block_length))
            return false;
        address += here;
        length -= here;
    }
    return true;
}

void *guest_memory_open(uint64_t address, size_t length)
{
    if (!guest_memory_is_ram(address, length))
        return NULL;
    if (smap)
        __asm__ volatile("stac" : : : "memory");
    return (void *)(GUEST_WINDOW_BASE + address);
}

void guest_memory_close(void)
{
    if (smap)
        __asm__ volatile("clac" : : : "memory");
}

bool guest_memory_read(uint64_t address, void *to, size_t length)
{
    const void *from = guest_memory_open(address, length);
    if (!from)
        return false;
    memcpy(to, from, length);
    guest_memory_close();
    return true;
}

bool guest_memory_write(uint64_t address, const void *from, size_t length)
{
    void *to = guest_memory_open(address, length);
    if (!to)
        return false;
    memcpy(to, from, length);
    guest_memory_close();
    return true;
}
