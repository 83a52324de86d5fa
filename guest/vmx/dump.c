/* SPDX-License-Identifier: Apache-2.0 */
/* The VMCS in words: for panics and for entries that failed. */
#include "core/cpu.h"
#include "core/panic.h"
#include "guest/vmx/entry_check.h"
#include "guest/vmx/vmx.h"
#include "lib/format.h"

#define FIELDS_A_LINE      4u
#define LINE_MAX           160
#define PDPTE_STEP         2u
#define LEAF_SIZES         0x80000008u
#define PHYSICAL_BITS_MASK 0xffu

struct named_field {
    uint16_t field;
    char name[14];
};

static const struct named_field fields[] = {
    {VMCS_PIN_CONTROLS, "pin"},
    {VMCS_PROCESSOR_CONTROLS, "processor"},
    {VMCS_SECONDARY_CONTROLS, "secondary"},
    {VMCS_EXCEPTION_BITMAP, "exceptions"},
    {VMCS_PAGE_FAULT_MASK, "fault-mask"},
    {VMCS_PAGE_FAULT_MATCH, "fault-match"},
    {VMCS_CR3_TARGET_COUNT, "cr3-targets"},
    {VMCS_EXIT_CONTROLS, "exit"},
    {VMCS_ENTRY_CONTROLS, "entry"},
    {VMCS_ENTRY_EVENT, "event"},
    {VMCS_ENTRY_EVENT_ERROR, "event-error"},
    {VMCS_ENTRY_INSTRUCTION_LENGTH, "event-length"},
    {VMCS_EXIT_EVENT, "exit-event"},
    {VMCS_EXIT_EVENT_ERROR, "exit-error"},
    {VMCS_VECTORING_EVENT, "vectoring"},
    {VMCS_VECTORING_EVENT_ERROR, "vector.-error"},
    {VMCS_EXIT_INSTRUCTION_LENGTH, "length"},
    {VMCS_GUEST_PHYSICAL, "physical"},
    {VMCS_GUEST_LINEAR, "linear"},
    {VMCS_EPT_POINTER, "ept"},
    {VMCS_IO_BITMAP_A, "io-bitmap-a"},
    {VMCS_IO_BITMAP_B, "io-bitmap-b"},
    {VMCS_MSR_BITMAP, "msr-bitmap"},
    {VMCS_EXIT_MSR_STORE, "exit-store"},
    {VMCS_EXIT_MSR_STORE_COUNT, "exit-stores"},
    {VMCS_EXIT_MSR_LOAD, "exit-load"},
    {VMCS_EXIT_MSR_LOAD_COUNT, "exit-loads"},
    {VMCS_ENTRY_MSR_LOAD, "entry-load"},
    {VMCS_ENTRY_MSR_LOAD_COUNT, "entry-loads"},
    {VMCS_LINK_POINTER, "link"},
    {VMCS_CR0_MASK, "cr0-mask"},
    {VMCS_CR0_SHADOW, "cr0-shadow"},
    {VMCS_CR4_MASK, "cr4-mask"},
    {VMCS_CR4_SHADOW, "cr4-shadow"},
    {VMCS_GUEST_CR0, "cr0"},
    {VMCS_GUEST_CR3, "cr3"},
    {VMCS_GUEST_CR4, "cr4"},
    {VMCS_GUEST_PDPTE0, "pdpte0"},
    {VMCS_GUEST_PDPTE0 + PDPTE_STEP, "pdpte1"},
    {VMCS_GUEST_PDPTE0 + 2 * PDPTE_STEP, "pdpte2"},
    {VMCS_GUEST_PDPTE0 + 3 * PDPTE_STEP, "pdpte3"},
    {VMCS_GUEST_EFER, "efer"},
    {VMCS_GUEST_PAT, "pat"},
    {VMCS_GUEST_DR7, "dr7"},
    {VMCS_GUEST_DEBUG_CONTROL, "debugctl"},
    {VMCS_GUEST_PENDING_DEBUG, "pending-debug"},
    {VMCS_GUEST_ACTIVITY, "activity"},
    {VMCS_GUEST_INTERRUPTIBILITY, "interruptib."},
    {VMCS_GUEST_RIP, "rip"},
    {VMCS_GUEST_RFLAGS, "rflags"},
    {VMCS_GUEST_RSP, "rsp"},
    {VMCS_GUEST_SYSENTER_CS, "sysenter-cs"},
    {VMCS_GUEST_SYSENTER_ESP, "sysenter-esp"},
    {VMCS_GUEST_SYSENTER_EIP, "sysenter-eip"},
    {VMCS_GUEST_GDTR_BASE, "gdtr"},
    {VMCS_GUEST_GDTR_LIMIT, "gdtr-limit"},
    {VMCS_GUEST_IDTR_BASE, "idtr"},
    {VMCS_GUEST_IDTR_LIMIT, "idtr-limit"},
    {VMCS_HOST_CR0, "host-cr0"},
    {VMCS_HOST_CR3, "host-cr3"},
    {VMCS_HOST_CR4, "host-cr4"},
    {VMCS_HOST_EFER, "host-efer"},
    {VMCS_HOST_PAT, "host-pat"},
    {VMCS_HOST_SYSENTER_CS, "host-sys.-cs"},
    {VMCS_HOST_SYSENTER_ESP, "host-sys.-esp"},
    {VMCS_HOST_SYSENTER_EIP, "host-sys.-eip"},
    {VMCS_HOST_CS, "host-cs"},
    {VMCS_HOST_DS, "host-ds"},
    {VMCS_HOST_ES, "host-es"},
    {VMCS_HOST_FS, "host-fs"},
    {VMCS_HOST_GS, "host-gs"},
    {VMCS_HOST_SS, "host-ss"},
    {VMCS_HOST_TR, "host-tr"},
    {VMCS_HOST_TR_BASE, "host-tr-base"},
    {VMCS_HOST_FS_BASE, "host-fs-base"},
    {VMCS_HOST_GS_BASE, "host-gs-base"},
    {VMCS_HOST_GDTR_BASE, "host-gdtr"},
    {VMCS_HOST_IDTR_BASE, "host-idtr"},
    {VMCS_HOST_RSP, "host-rsp"},
    {VMCS_HOST_RIP, "host-rip"},
};

void vmx_dump(const struct vcpu *vcpu)
{
    static const char *const segments[SEGMENT_REGISTERS] = {"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"};
    char line[LINE_MAX];
    size_t used = 0;
    panic_line("VMCS of cpu %u: exit reason %llx, qualification %llx, instruction error %llu",
               vcpu->cpu->index, (unsigned long long)vmcs_read(VMCS_EXIT_REASON),
               (unsigned long long)vmcs_read(VMCS_EXIT_QUALIFICATION),
               (unsigned long long)vmcs_read(VMCS_INSTRUCTION_ERROR));
    for (unsigned i = 0; i < ARRAY_COUNT(fields); i++) {
        used += format(line + used, sizeof line - used, "%s %llx  ", fields[i].name,
                       (unsigned long long)vmcs_read(fields[i].field));
        if ((i + 1) % FIELDS_A_LINE == 0 || i + 1 == ARRAY_COUNT(fields)) {
            panic_line("%s", line);
            used = 0;
        }
    }
    for (unsigned s = 0; s < SEGMENT_REGISTERS; s++)
        panic_line("%s %04llx base %llx limit %llx rights %llx", segments[s],
                   (unsigned long long)vmcs_read(SEGMENT_FIELD(VMCS_GUEST_SELECTORS, s)),
                   (unsigned long long)vmcs_read(SEGMENT_FIELD(VMCS_GUEST_BASES, s)),
                   (unsigned long long)vmcs_read(SEGMENT_FIELD(VMCS_GUEST_LIMITS, s)),
                   (unsigned long long)vmcs_read(SEGMENT_FIELD(VMCS_GUEST_RIGHTS, s)));
}

static uint64_t read_field(const void *unused, enum vmcs_field field)
{
    (void)unused;
    return vmcs_read(field);
}

/* The rule that the CPU found broken, or so it seems to us. */
static const char *broken_rule(void)
{
    struct entry_state state = {
        .read = read_field,
        .physical_bits = cpuid(LEAF_SIZES, 0).eax & PHYSICAL_BITS_MASK,
        .cr0_fixed0 = msr_read(MSR_VMX_CR0_FIXED0),
        .cr0_fixed1 = msr_read(MSR_VMX_CR0_FIXED1),
        .cr4_fixed0 = msr_read(MSR_VMX_CR4_FIXED0),
        .cr4_fixed1 = msr_read(MSR_VMX_CR4_FIXED1),
    };
    vmx_capabilities(state.controls);
    const char *rule = entry_check(&state);
    return rule ? rule : "none that Shoji knows";
}

void vmx_entry_failed(const struct vcpu *vcpu, const char *how)
{
    panic_begin();
    panic_line("%s; the rule that is broken: %s", how, broken_rule());
    vcpu_dump(vcpu);
    panic_end();
}

void vmx_entry_refused(struct vcpu *vcpu)
{
    vmx_entry_failed(vcpu, "VT-x does not take the controls or the host's state");
}
