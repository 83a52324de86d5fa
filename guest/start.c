/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's side of the start: what all CPUs share, before the devices are probed. */
#include "core/log.h"
#include "core/memory.h"
#include "core/probe.h"
#include "core/serial.h"
#include "guest/apic_page.h"
#include "guest/backend.h"
#include "guest/cpuid.h"
#include "guest/destination.h"
#include "guest/hypercall.h"
#include "guest/memory_start.h"
#include "guest/msr.h"
#include "guest/nested.h"
#include "guest/pci_config.h"
#include "guest/pmu.h"
#include "guest/ports.h"
#include "guest/power.h"

struct vcpu *vcpus[HANDOFF_CPUS_MAX];

struct vcpu *this_vcpu(void)
{
    return this_cpu()->vcpu;
}

/* The log's UART is not there for the guest. */
static void hidden_port(struct vcpu *vcpu, uint16_t port, unsigned bytes, bool write, uint32_t *value)
{
    (void)vcpu, (void)port, (void)bytes;
    if (!write)
        *value = ~0u;
}

static bool create_vcpu(unsigned index)
{
    struct vcpu *vcpu = pages_allocate(ROUND_UP(sizeof *vcpu, PAGE_SIZE) / PAGE_SIZE);
    if (!vcpu || !nested_attach(vcpu))
        return false;
    vcpu->scratch_page = pages_allocate(1);
    vcpu->sipi_vector = SIPI_NONE;
    vcpus[index] = vcpu;
    return vcpu->scratch_page;
}

#define LEAF_SIZES                0x80000008u
#define PHYSICAL_BITS_MASK        0xffu
#define PHYSICAL_BITS_SMALL_PAGES 39u /* without 1 GiB pages, as far as 512 tables reach */

static unsigned physical_bits(void)
{
    unsigned bits = cpuid(LEAF_SIZES, 0).eax & PHYSICAL_BITS_MASK;
    return the_backend()->nested_format()->gigabyte_pages ? bits : MIN(bits, PHYSICAL_BITS_SMALL_PAGES);
}

static bool trap_ports(const struct handoff *handoff)
{
    if (handoff->log_port && !ports_trap((struct port_rule){
                                 .first = handoff->log_port, .count = SERIAL_PORTS, .access = hidden_port}))
        return false;
    return power_start(&handoff->acpi) && pci_config_start(&handoff->acpi);
}

static uint64_t start_guest(const struct handoff *unused)
{
    const struct handoff *handoff = the_handoff();
    struct handoff_range block = {handoff->block_base, handoff->block_length};
    (void)unused;
    uint64_t status = backend_start();
    if (status != CORE_OK)
        return status;
    guest_memory_start(handoff);
    cpuid_start();
    msr_start();
    pmu_start();
    if (!nested_start(the_backend()->nested_format(), physical_bits(), block))
        return CORE_NO_MEMORY;
    for (unsigned i = 0; i < handoff->cpu_count; i++)
        if (!create_vcpu(i))
            return CORE_NO_MEMORY;
    if (!trap_ports(handoff))
        return CORE_NO_MEMORY;
    hypercall_start();
    return CORE_OK;
}
EARLY_PROBE(guest_probe, "guest", start_guest);

static uint64_t prepare(struct cpu *cpu, const struct handoff *handoff)
{
    (void)handoff;
    struct vcpu *vcpu = vcpus[cpu->index];
    vcpu->cpu = cpu;
    cpu->vcpu = vcpu;
    destination_note(vcpu);
    return the_backend()->prepare(vcpu);
}

static no_return void run(struct cpu *cpu)
{
    const struct handoff *handoff = the_handoff();
    cpu->vcpu->state = VCPU_RUNNING;
    log_line("cpu %u: APIC ID %u, now the guest's", cpu->index, cpu->apic_id);
    if (__atomic_load_n(&cpu_count, __ATOMIC_ACQUIRE) == handoff->cpu_count &&
        !apic_page_start(handoff->cpu_count, handoff->apic == HANDOFF_APIC_TRAP))
        panic("No memory to trap the APIC page");
    the_backend()->run(cpu->vcpu);
}
LAUNCHER(guest_launcher, prepare, run);
