/* SPDX-License-Identifier: Apache-2.0 */
/* Searches the firmware's data for typed keys. */
#include "boot/residue.h"

#include "boot/memory_map.h"
#include "boot/pagetable.h"
#include "lib/strings.h"

#define KEYS_MIN 6

/* How far one key lies from the next, and its size. */
static const struct form {
    uint8_t step, bytes;
} forms[] = {
    {1, 1},  /* bytes from a serial line                */
    {2, 2},  /* UCS-2                                   */
    {4, 2},  /* EFI_INPUT_KEY: scan code, character     */
    {12, 2}, /* EFI_KEY_DATA: the same and a shift state */
};

struct typed {
    const uint16_t *keys;
    size_t count;
};

static bool matches(const uint8_t *at, size_t size, const struct typed *typed, const struct form *form)
{
    if (size < (typed->count - 1) * form->step + form->bytes)
        return false;
    for (size_t i = 0; i < typed->count; i++)
        if (memcmp(at + i * form->step, &typed->keys[i], form->bytes) != 0)
            return false;
    return true;
}

static void overwrite(uint8_t *at, const struct typed *typed, const struct form *form)
{
    for (size_t i = 0; i < typed->count; i++)
        wipe(at + i * form->step, form->bytes);
}

static void wipe_in(uint8_t *memory, size_t size, const struct typed *typed)
{
    const uint8_t first = (uint8_t)typed->keys[0];
    for (size_t at = 0; at < size; at++) {
        if (memory[at] != first)
            continue;
        for (unsigned f = 0; f < ARRAY_COUNT(forms); f++)
            if (matches(memory + at, size - at, typed, &forms[f]))
                overwrite(memory + at, typed, &forms[f]);
    }
}

/* Each run of pages that can be written. */
static void wipe_in_pages(uint64_t start, uint64_t end, const struct typed *typed)
{
    while (start < end) {
        uint64_t run = start;
        while (run < end && pagetable_is_writable(run))
            run += PAGE_SIZE;
        wipe_in((uint8_t *)start, run - start, typed);
        start = run + PAGE_SIZE; /* the page that ended it */
    }
}

void residue_wipe(const uint16_t *keys, size_t count)
{
    const struct typed typed = {.keys = keys, .count = count};
    struct memory_map map;
    if (count < KEYS_MIN || !memory_map_take(&map))
        return;
    for (size_t i = 0; i < map.count; i++) {
        const EFI_MEMORY_DESCRIPTOR *piece = memory_map_at(&map, i);
        if (piece->Type == EfiBootServicesData)
            wipe_in_pages(piece->PhysicalStart, piece->PhysicalStart + piece->NumberOfPages * PAGE_SIZE,
                          &typed);
    }
    memory_map_release(&map);
}
