/* SPDX-License-Identifier: Apache-2.0 */
/* Device register access. */
#include "core/device.h"

#include "core/cpu.h"

uint32_t device_read32(const volatile void *at)
{
    return *(const volatile uint32_t *)at;
}

void device_write32(volatile void *at, uint32_t value)
{
    *(volatile uint32_t *)at = value;
}

uint32_t device_in(uint16_t port, unsigned bytes)
{
    return port_read(port, bytes);
}

void device_out(uint16_t port, unsigned bytes, uint32_t value)
{
    port_write(port, bytes, value);
}

uint64_t device_clock(void)
{
    __builtin_ia32_pause();
    return __builtin_ia32_rdtsc();
}
