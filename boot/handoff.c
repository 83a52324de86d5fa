/* SPDX-License-Identifier: Apache-2.0 */
/* Gathers what the core has to know about the machine. */
#include "boot/handoff.h"

#include "boot/memory_map.h"
#include "boot/screen.h"
#include "lib/acpi.h"

#define PHYSICAL_LIMIT BIT(52)

/* Boot services run with all memory mapped one to one. */
static const void *identity(void *context, uint64_t address, size_t length)
{
    (void)context;
    return address && range_fits(address, length, PHYSICAL_LIMIT) ? (const void *)address : NULL;
}

static bool fill_acpi(struct handoff *handoff, struct report *problem)
{
    const struct acpi_memory memory = {.map = identity};
    void *rsdp = configuration_table(&acpi_20_guid);
    if (!rsdp)
        rsdp = configuration_table(&acpi_10_guid);
    handoff->rsdp = (uint64_t)rsdp;
    if (rsdp && !acpi_read(&memory, handoff->rsdp, &handoff->acpi))
        return report(problem, "The firmware's ACPI tables are damaged; update the firmware.");
    return true;
}

bool handoff_fill(struct handoff *handoff, const struct policy *policy, const struct volume *volumes,
                  uint32_t cpu_count, struct report *problem)
{
    handoff->cpu_count = cpu_count;
    handoff->log_port = policy->log_port;
    static const uint8_t apic[] = {[APIC_AUTO] = HANDOFF_APIC_AUTO,
                                   [APIC_STARTS] = HANDOFF_APIC_STARTS,
                                   [APIC_TRAP] = HANDOFF_APIC_TRAP};
    handoff->apic = apic[policy->apic];
    handoff->volume_count = (uint8_t)policy->volume_count;
    for (unsigned i = 0; i < policy->volume_count; i++)
        handoff->volumes[i] = volumes[i].place;
    screen_read(&handoff->screen);
    return fill_acpi(handoff, problem) && memory_map_fill(handoff, problem);
}
