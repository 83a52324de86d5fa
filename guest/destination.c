/* SPDX-License-Identifier: Apache-2.0 */
/* Logical IDs are the guest's to choose, each in its own CPU's APIC, which no other CPU can read. So each CPU
 * notes its own when it writes it under the trap of the APIC page (which is closed while CPUs start), and
 * again at each NMI exit. */
#include "guest/destination.h"

#include "core/apic.h"
#include "guest/trap.h"

#define LOGICAL_ID_SHIFT      24
#define DFR_FLAT              0xfu /* in the destination format register's top four bits; 0: clusters of four */
#define DFR_SHIFT             28
#define CLUSTER_MASK          0xf0u
#define MEMBER_MASK           0x0fu
#define X2_CLUSTER_SHIFT      16u
#define X2_CLUSTER_CPUS       16u
#define X2_BROADCAST          0xffffffffu
#define MSI_DESTINATION_SHIFT 12
#define MSI_LOGICAL           BIT(2)

static bool matches_x2(const struct vcpu *vcpu, uint32_t destination, bool logical)
{
    uint32_t id = vcpu->cpu->apic_id;
    if (destination == X2_BROADCAST)
        return true;
    if (!logical)
        return id == destination;
    return destination >> X2_CLUSTER_SHIFT == id / X2_CLUSTER_CPUS &&
           (destination >> (id % X2_CLUSTER_CPUS) & 1);
}

bool destination_matches(const struct vcpu *vcpu, uint32_t destination, bool logical)
{
    if (apic_is_x2())
        return matches_x2(vcpu, destination, logical);
    if (destination == DESTINATION_BROADCAST_8)
        return true;
    if (!logical)
        return vcpu->cpu->apic_id == destination;
    uint32_t id = __atomic_load_n(&vcpu->logical_id, __ATOMIC_RELAXED);
    if (__atomic_load_n(&vcpu->destination_format, __ATOMIC_RELAXED) == DFR_FLAT)
        return id & destination;
    return (id & CLUSTER_MASK) == (destination & CLUSTER_MASK) && (id & destination & MEMBER_MASK);
}

void destination_note(struct vcpu *vcpu)
{
    if (apic_is_x2())
        return;
    __atomic_store_n(&vcpu->logical_id, (uint8_t)(apic_read(APIC_LDR) >> LOGICAL_ID_SHIFT), __ATOMIC_RELAXED);
    __atomic_store_n(&vcpu->destination_format, (uint8_t)(apic_read(APIC_DFR) >> DFR_SHIFT),
                     __ATOMIC_RELAXED);
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
