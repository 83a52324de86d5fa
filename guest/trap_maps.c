/* SPDX-License-Identifier: Apache-2.0 */
/* One bit a port on both kinds of CPU (AMD APM volume 2, sections 15.10.1 and 15.11; SDM volume 3C, sections
 * 24.6.4 and 24.6.9). Where an MSR's bit lies is the back end's to say. */
#include "guest/trap_maps.h"

#include "core/memory.h"
#include "guest/backend.h"

#define IO_MAP_PAGES  3u /* AMD looks at up to three bits beyond the last port's */
#define MSR_MAP_PAGES 2u /* Intel's is one page */

static uint8_t *io_map, *msr_map; /* bits change before the first CPU runs; the x2APIC's alone later, under
                                     guest/apic_page.c's lock */

bool trap_maps_create(void)
{
    io_map = pages_allocate(IO_MAP_PAGES);
    msr_map = pages_allocate(MSR_MAP_PAGES);
    return io_map && msr_map;
}

uint64_t trap_io_map(void)
{
    return physical_of(io_map);
}

uint64_t trap_msr_map(void)
{
    return physical_of(msr_map);
}

void vcpu_trap_port(uint16_t port)
{
    io_map[port / 8] |= 1u << (port % 8);
}

static void set_msr_bit(uint32_t msr, bool write, bool on)
{
    uint32_t bit = the_backend()->msr_bit(msr, write);
    if (bit == MSR_NO_BIT)
        return;
    if (on)
        msr_map[bit / 8] |= (uint8_t)(1u << bit % 8);
    else
        msr_map[bit / 8] &= (uint8_t) ~(1u << bit % 8);
}

void vcpu_trap_msr(uint32_t msr, bool reads, bool writes)
{
    if (reads)
        set_msr_bit(msr, false, true);
    if (writes)
        set_msr_bit(msr, true, true);
}

void vcpu_trap_msr_write(uint32_t msr, bool on)
{
    set_msr_bit(msr, true, on);
}
