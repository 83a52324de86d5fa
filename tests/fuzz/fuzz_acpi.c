/* SPDX-License-Identifier: Apache-2.0 */
/* The ACPI reader on arbitrary memory. Input: a byte of choices, then what lies at MEMORY_BASE, with the RSDP
 * first. */
#include <stdlib.h>
#include <string.h>

#include "lib/acpi.h"

#define MEMORY_BASE 0x100000ull
#define MAPPINGS    4096u

/* Bit of the first byte: each mapping's checksums are made right, so that the checks behind them are reached.
 */
#define MEND_SUMS BIT(0)

struct machine {
    const uint8_t *data;
    size_t size;
    bool mend;
    unsigned count;
    void *mappings[MAPPINGS];
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void mend_sum(uint8_t *data, size_t size, size_t at)
{
    uint8_t sum = 0;
    data[at] = 0;
    for (size_t i = 0; i < size; i++)
        sum = (uint8_t)(sum + data[i]);
    data[at] = (uint8_t)-sum;
}

/* A copy of exactly the length asked for, so that the sanitizer sees a read past it. */
static const void *map_copy(void *context, uint64_t address, size_t length)
{
    struct machine *m = context;
    if (m->count == MAPPINGS || address < MEMORY_BASE || !range_fits(address - MEMORY_BASE, length, m->size))
        return NULL;
    uint8_t *copy = malloc(length);
    require(copy);
    memcpy(copy, m->data + (address - MEMORY_BASE), length);
    if (m->mend && address == MEMORY_BASE) {
        mend_sum(copy, 20, 8);
        if (length >= 36)
            mend_sum(copy, length, 32);
    } else if (m->mend) {
        mend_sum(copy, length, 9);
    }
    m->mappings[m->count++] = copy;
    return copy;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct machine m;
    if (size < 1)
        return 0;
    m = (struct machine){.data = data + 1, .size = size - 1, .mend = data[0] & MEND_SUMS};
    struct acpi_memory memory = {.map = map_copy, .context = &m};
    struct handoff_acpi out;
    bool good = acpi_read(&memory, MEMORY_BASE, &out);
    require(out.mcfg_count <= HANDOFF_MCFG_MAX && (good || out.mcfg_count == 0));
    for (uint32_t i = 0; i < out.mcfg_count; i++)
        require(out.mcfg[i].base != 0 && out.mcfg[i].first_bus <= out.mcfg[i].last_bus);
    require(out.pm1a_control <= 0xffff && out.pm1b_control <= 0xffff);
    require(out.s3_type <= 7 && out.s5_type <= 7 && out.sleep_type_known <= 3);
    require(!out.reset_is_port || out.reset_register <= 0xffff);
    if (out.dsdt_s3_offset != 0) {
        uint64_t at = out.dsdt - MEMORY_BASE + out.dsdt_s3_offset;
        require(range_fits(at, 4, m.size) && memcmp(m.data + at, "_S3_", 4) == 0);
    }
    while (m.count > 0)
        free(m.mappings[--m.count]);
    return 0;
}
