/* SPDX-License-Identifier: Apache-2.0 */
#include "core/apic.h"

#include "core/cpu.h"
#include "core/memory.h"
#include "core/registers.h"

#define X2APIC_MSR(offset) (MSR_X2APIC_BASE + (offset) / APIC_REGISTER_STEP)

static volatile uint8_t *page;

bool apic_start(void)
{
    page = device_map(msr_read(MSR_APIC_BASE) & APIC_BASE_ADDRESS, PAGE_SIZE);
    return page;
}

bool apic_is_x2(void)
{
    return msr_read(MSR_APIC_BASE) & APIC_BASE_EXTD;
}

uint32_t apic_read(unsigned offset)
{
    if (apic_is_x2())
        return (uint32_t)msr_read(X2APIC_MSR(offset));
    return *(volatile uint32_t *)(page + offset);
}

void apic_write(unsigned offset, uint32_t value)
{
    if (apic_is_x2())
        msr_write(X2APIC_MSR(offset), value);
    else
        *(volatile uint32_t *)(page + offset) = value;
}

static void wait_until_sent(void)
{
    while (apic_read(APIC_ICR_LOW) & ICR_PENDING)
        __builtin_ia32_pause();
}

void apic_send(uint32_t apic_id, uint32_t command)
{
    if (apic_is_x2()) {
        msr_write(MSR_X2APIC_ICR, (uint64_t)apic_id << 32 | command);
        return;
    }
    wait_until_sent();
    /* The guest may stand between its write of the destination and its write of the command. */
    uint32_t destination = apic_read(APIC_ICR_HIGH);
    apic_write(APIC_ICR_HIGH, apic_id << 24);
    apic_write(APIC_ICR_LOW, command);
    wait_until_sent();
    apic_write(APIC_ICR_HIGH, destination);
}

void apic_send_self(uint8_t vector)
{
    if (apic_is_x2()) {
        msr_write(MSR_X2APIC_SELF, vector);
        return;
    }
    wait_until_sent();
    apic_write(APIC_ICR_LOW, ICR_SELF | vector);
}

void apic_nmi_others(void)
{
    if (apic_is_x2()) {
        msr_write(MSR_X2APIC_ICR, ICR_ALL_BUT_SELF | ICR_MODE_NMI);
        return;
    }
    if (page)
        apic_write(APIC_ICR_LOW, ICR_ALL_BUT_SELF | ICR_MODE_NMI);
}
