/* SPDX-License-Identifier: Apache-2.0 */
/* One CPU's way into the core, and what its refusals mean. */
#include "boot/launch.h"

#include "lib/strings.h"

static_assert(offsetof(struct handoff_cpu, rip) == 0 && offsetof(struct handoff_cpu, rsp) == 8 &&
                  offsetof(struct handoff_cpu, rflags) == 16 && offsetof(struct handoff_cpu, cr3) == 24 &&
                  offsetof(struct handoff_cpu, gdt) == 32 && offsetof(struct handoff_cpu, idt) == 48 &&
                  offsetof(struct handoff_cpu, cs) == 64 && offsetof(struct handoff_cpu, tr) == 78 &&
                  offsetof(struct handoff_table, base) == 0 && offsetof(struct handoff_table, limit) == 8,
              "boot/enter.S knows these offsets");

uint64_t enter_core(struct handoff_cpu *cpu, uint64_t entry, uint64_t cr3);

bool launch_prepare(struct launch *launch, const struct block *block, struct report *problem)
{
    *launch = (struct launch){.entry = block->entry, .handoff = (uint64_t)block->handoff};
    return pagetable_build(&launch->table, block->base, block->length, problem);
}

void launch_release(struct launch *launch)
{
    pagetable_release(&launch->table);
}

uint64_t launch_this_cpu(struct launch *launch, uint64_t index)
{
    if (index >= HANDOFF_CPUS_MAX)
        return CORE_TOO_MANY_CPUS;
    struct handoff_cpu *cpu = &launch->cpus[index];
    cpu->handoff = launch->handoff;
    cpu->index = index;
    return enter_core(cpu, launch->entry, launch->table.cr3);
}

const char *launch_sentence(uint64_t status)
{
    switch (status) {
    case CORE_BAD_HANDOFF:
        return "The hypervisor does not fit its loader; install Shoji again.";
    case CORE_NO_VIRTUALIZATION:
        return "A CPU offers no virtualization (AMD SVM, Intel VT-x) that Shoji can use; enable it in the "
               "firmware's setup.";
    case CORE_NO_NESTED_PAGING:
        return "A CPU has no nested paging, which Shoji needs; use another machine.";
    case CORE_NO_UNRESTRICTED_GUEST:
        return "A CPU has virtualization (VT-x) without unrestricted guests, which Shoji needs; use another "
               "machine.";
    case CORE_VIRTUALIZATION_LOCKED:
        return "Virtualization (SVM, VT-x) is switched off; enable it in the firmware's setup.";
    case CORE_NO_MEMORY:
        return "There is not enough memory for the hypervisor; build Shoji with a larger CORE_BLOCK_MIB.";
    case CORE_TOO_MANY_CPUS:
        return "There are more CPUs than Shoji can protect; switch some off in the firmware's setup.";
    case CORE_NO_AES:
        return "A CPU has no AES instructions (AES-NI), which Shoji needs; use another machine.";
    case CORE_DEVICE:
        return "A disk with an encrypted volume cannot be taken over; see the hypervisor's log for the "
               "reason.";
    case CORE_ALREADY_GUEST:
        return "Shoji is already running on this machine; start the operating system itself.";
    default:
        return "The hypervisor could not start for an unknown reason; see its log.";
    }
}
