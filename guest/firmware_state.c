/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/firmware_state.h"

#define SELECTOR_INDEX ((uint16_t)~7u)

struct firmware_segment firmware_segment(uint16_t selector)
{
    struct firmware_segment s = {.usable = selector & ~3u};
    if (!s.usable)
        return s;
    __asm__ volatile("lar %1, %0" : "=r"(s.rights) : "r"((uint32_t)selector));
    __asm__ volatile("lsl %1, %0" : "=r"(s.limit) : "r"((uint32_t)selector));
    return s;
}

uint64_t firmware_system_base(const struct handoff_table *gdt, uint16_t selector)
{
    const uint64_t *descriptor = (const uint64_t *)(gdt->base + (selector & SELECTOR_INDEX));
    return (descriptor[0] >> 16 & 0xffffff) | (descriptor[0] >> 56 & 0xff) << 24 | descriptor[1] << 32;
}
