/* SPDX-License-Identifier: Apache-2.0 */
/* The I/O and MSR permission maps (AMD APM volume 2, sections 15.10.1 and 15.11). */
#include "core/memory.h"
#include "guest/svm/svm.h"

#define IO_MAP_PAGES    3u
#define MSR_MAP_PAGES   2u
#define MSR_RANGE       0x2000u
#define MSR_RANGE_BYTES 0x800u

static uint8_t *io_map, *msr_map; /* bits change before the first CPU runs; the x2APIC's alone later, under
                                     guest/apic_page.c's lock */

bool svm_maps_create(void)
{
    io_map = pages_allocate(IO_MAP_PAGES);
    msr_map = pages_allocate(MSR_MAP_PAGES);
    return io_map && msr_map;
}

uint64_t svm_io_map(void)
{
    return physical_of(io_map);
}

uint64_t svm_msr_map(void)
{
    return physical_of(msr_map);
}

void vcpu_trap_port(uint16_t port)
{
    io_map[port / 8] |= 1u << (port % 8);
}

/* Two bits an MSR: read, write. Returns NULL for those outside the three ranges, which always exit. */
static uint8_t *msr_bits(uint32_t msr, unsigned *shift)
{
    static const uint32_t first[] = {0, 0xc0000000u, 0xc0010000u};
    for (unsigned i = 0; i < ARRAY_COUNT(first); i++)
        if (msr - first[i] < MSR_RANGE) {
            uint32_t bit = (msr - first[i]) * 2;
            *shift = bit % 8;
            return msr_map + i * MSR_RANGE_BYTES + bit / 8;
        }
    return NULL;
}

void vcpu_trap_msr(uint32_t msr, bool reads, bool writes)
{
    unsigned shift;
    uint8_t *bits = msr_bits(msr, &shift);
    if (bits)
        *bits |= (uint8_t)((reads | writes << 1) << shift);
}

void vcpu_trap_msr_write(uint32_t msr, bool on)
{
    unsigned shift;
    uint8_t *bits = msr_bits(msr, &shift);
    if (bits && on)
        *bits |= (uint8_t)(2u << shift);
    else if (bits)
        *bits &= (uint8_t) ~(2u << shift);
}
