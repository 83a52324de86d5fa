/* SPDX-License-Identifier: Apache-2.0 */
/* Logical IDs are the guest's to choose, each on its own CPU's APIC, which no other CPU can read. The flat model numbers them by APIC ID in every system that
 * has been seen (bit n for CPU n, up to eight), and x2APIC's are fixed by hardware; so they are computed. */
#include "guest/destination.h"

#include "core/apic.h"
#include "guest/trap.h"

#define FLAT_CPUS           8u
#define X2_CLUSTER_SHIFT    16u
#define X2_CLUSTER_CPUS     16u
#define X2_BROADCAST        0xffffffffu
#define MSI_DESTINATION_SHIFT 12
#define MSI_LOGICAL         BIT(2)

static bool matches_x2(const struct vcpu *vcpu, uint32_t destination, bool logical)
{
    uint32_t id = vcpu->cpu->apic_id;
    if (destination == X2_BROADCAST)
        return true;
    if (!logical)
        return id == destination;
    return destination >> X2_CLUSTER_SHIFT == id / X2_CLUSTER_CPUS && (destination >> (id % X2_CLUSTER_CPUS) & 1);
}

bool destination_matches(const struct vcpu *vcpu, uint32_t destination, bool logical)
{
    if (apic_is_x2())
        return matches_x2(vcpu, destination, logical);
    if (destination == DESTINATION_BROADCAST_8)
        return true;
    if (!logical)
        return vcpu->cpu->apic_id == destination;
    return vcpu->cpu->index < FLAT_CPUS && (destination >> vcpu->cpu->index & 1);
}

unsigned cpu_of_message(uint64_t msi_address)
{
    uint32_t destination = msi_address >> MSI_DESTINATION_SHIFT & 0xff;
    for (unsigned i = 0; i < ARRAY_COUNT(vcpus); i++)
        if (vcpus[i] && vcpus[i]->state == VCPU_RUNNING && destination != DESTINATION_BROADCAST_8 &&
            destination_matches(vcpus[i], destination, msi_address & MSI_LOGICAL))
            return i;
    return 0;
}

uint64_t nmi_message_address(unsigned cpu)
{
    return APIC_DEFAULT_BASE | (uint64_t)vcpus[cpu]->cpu->apic_id << MSI_DESTINATION_SHIFT;
}

uint32_t nmi_message_data(void)
{
    return ICR_MODE_NMI;
}

unsigned this_cpu_index(void)
{
    return this_cpu()->index;
}

void vector_raise(uint8_t vector)
{
    this_vcpu()->vectors_raised++;
    apic_send_self(vector);
}

void vector_raise_on(unsigned cpu, uint8_t vector)
{
    if (cpu == this_cpu_index()) {
        vector_raise(vector);
        return;
    }
    this_vcpu()->vectors_raised++;
    apic_send(vcpus[cpu]->cpu->apic_id, vector);
}
