/* SPDX-License-Identifier: Apache-2.0 */
/* Turning VT-x on, and the firmware's live state into a VMCS (SDM volume 3C, sections 23.7 and 31.6). */
#include "core/exceptions.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/paging.h"
#include "guest/firmware_state.h"
#include "guest/trap_maps.h"
#include "guest/vmx/vmx.h"
#include "lib/decode.h"

#define BASIC_REVISION  0x7fffffffull
#define GUEST_VPID      1u
#define LINK_NONE       (~0ull)
#define SPEC_CTRL_IBRS  1ull
#define TSS_LIMIT_LEAST 0x67u
#define PAGES_VMXON     0u
#define PAGES_VMCS      1u
#define PAGES_OWN       2u
#define PAGES           3u

static_assert(sizeof(struct vmx_cpu) <= PAGE_SIZE, "one page");

uint64_t vmcs_read(enum vmcs_field field)
{
    uint64_t value;
    bool failed;
    __asm__ volatile("vmread %2, %0" : "=r"(value), "=@ccbe"(failed) : "r"((uint64_t)field) : "memory");
    if (failed)
        panic("VMCS field %x cannot be read", field);
    return value;
}

void vmcs_write(enum vmcs_field field, uint64_t value)
{
    bool failed;
    __asm__ volatile("vmwrite %1, %2" : "=@ccbe"(failed) : "r"(value), "r"((uint64_t)field) : "memory");
    if (failed)
        panic("VMCS field %x cannot be written with %llx", field, (unsigned long long)value);
}

/* VMXON, VMCLEAR and VMPTRLD of a page's physical address; each returns false when it fails. */
#define REGION_INSTRUCTION(name)                                                                             \
    static bool name(uint64_t physical)                                                                      \
    {                                                                                                        \
        bool failed;                                                                                         \
        __asm__ volatile(#name " %1" : "=@ccbe"(failed) : "m"(physical) : "memory");                         \
        return !failed;                                                                                      \
    }
REGION_INSTRUCTION(vmxon)
REGION_INSTRUCTION(vmclear)
REGION_INSTRUCTION(vmptrld)

/* Whether the firmware lets this CPU have VMX; where it left the choice open, makes it and locks it. */
static bool allow_vmx(void)
{
    uint64_t control = 0;
    if (!msr_read_safe(MSR_INTEL_FEATURE_CONTROL, &control))
        return false;
    if (control & FEATURE_CONTROL_LOCK)
        return control & FEATURE_CONTROL_VMX;
    return msr_write_safe(MSR_INTEL_FEATURE_CONTROL, control | FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX);
}

static void describe_segment(unsigned segment, uint16_t selector, uint64_t base)
{
    struct firmware_segment s = firmware_segment(selector);
    vmcs_write(SEGMENT_FIELD(VMCS_GUEST_SELECTORS, segment), selector);
    vmcs_write(SEGMENT_FIELD(VMCS_GUEST_BASES, segment), base);
    vmcs_write(SEGMENT_FIELD(VMCS_GUEST_LIMITS, segment), s.limit);
    vmcs_write(SEGMENT_FIELD(VMCS_GUEST_RIGHTS, segment),
               s.usable ? s.rights >> 8 & ~RIGHTS_RESERVED & 0xffff : RIGHTS_UNUSABLE);
}

static void describe_segments(const struct cpu *cpu)
{
    const struct handoff_cpu *in = &cpu->entry;
    describe_segment(SEGMENT_ES, in->es, 0);
    describe_segment(SEGMENT_CS, in->cs, 0);
    describe_segment(SEGMENT_SS, in->ss, 0);
    describe_segment(SEGMENT_DS, in->ds, 0);
    describe_segment(SEGMENT_FS, in->fs, msr_read(MSR_FS_BASE));
    describe_segment(SEGMENT_GS, in->gs, cpu->entry_gs_base);
    describe_segment(SEGMENT_LDTR, in->ldtr, in->ldtr ? firmware_system_base(&in->gdt, in->ldtr) : 0);
    describe_segment(SEGMENT_TR, in->tr, in->tr ? firmware_system_base(&in->gdt, in->tr) : 0);
    if (!(in->tr & ~3u)) { /* firmware has none, and a guest must have one */
        vmcs_write(SEGMENT_FIELD(VMCS_GUEST_LIMITS, SEGMENT_TR), TSS_LIMIT_LEAST);
        vmcs_write(SEGMENT_FIELD(VMCS_GUEST_RIGHTS, SEGMENT_TR), RIGHTS_PRESENT | SYSTEM_TYPE_TSS_BUSY);
    }
    vmcs_write(VMCS_GUEST_GDTR_BASE, in->gdt.base);
    vmcs_write(VMCS_GUEST_GDTR_LIMIT, in->gdt.limit);
    vmcs_write(VMCS_GUEST_IDTR_BASE, in->idt.base);
    vmcs_write(VMCS_GUEST_IDTR_LIMIT, in->idt.limit);
}

static void describe_guest(struct vcpu *vcpu, uint64_t cr0, uint64_t cr4)
{
    const struct handoff_cpu *in = &vcpu->cpu->entry;
    uint64_t dr7;
    __asm__ volatile("mov %%dr7, %0" : "=r"(dr7));
    describe_segments(vcpu->cpu);
    vmcs_write(VMCS_CR0_MASK, vmx_features.cr0_owned);
    vmx_set_cr0(cr0);
    vmcs_write(VMCS_CR4_MASK, CR4_VMXE | CR4_SMXE);
    vmcs_write(VMCS_CR4_SHADOW, cr4 & ~(CR4_VMXE | CR4_SMXE));
    vmcs_write(VMCS_GUEST_CR4, cr4 | CR4_VMXE);
    vmcs_write(VMCS_GUEST_CR3, in->cr3);
    vmcs_write(VMCS_GUEST_DR7, dr7);
    vmcs_write(VMCS_GUEST_EFER, vcpu->cpu->entry_efer);
    vmcs_write(VMCS_GUEST_PAT, msr_read(MSR_PAT));
    vmcs_write(VMCS_GUEST_DEBUG_CONTROL, msr_read(MSR_INTEL_DEBUG_CONTROL));
    vmcs_write(VMCS_GUEST_SYSENTER_CS, msr_read(MSR_INTEL_SYSENTER_CS));
    vmcs_write(VMCS_GUEST_SYSENTER_ESP, msr_read(MSR_INTEL_SYSENTER_ESP));
    vmcs_write(VMCS_GUEST_SYSENTER_EIP, msr_read(MSR_INTEL_SYSENTER_EIP));
    vmcs_write(VMCS_GUEST_PENDING_DEBUG, 0);
    vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, 0);
    vmcs_write(VMCS_GUEST_ACTIVITY, ACTIVITY_ACTIVE);
    vmcs_write(VMCS_LINK_POINTER, LINK_NONE);
    vcpu->rip = in->rip;
    vcpu->rflags = in->rflags;
    vcpu->gpr[RSP] = in->rsp;
    vcpu->gpr[RAX] = CORE_OK;
}

static void describe_host(const struct cpu *cpu)
{
    vmcs_write(VMCS_HOST_CR0, cpu_host_cr0());
    vmcs_write(VMCS_HOST_CR3, paging_host_cr3());
    vmcs_write(VMCS_HOST_CR4, cpu_host_cr4() | CR4_VMXE);
    vmcs_write(VMCS_HOST_EFER, EFER_LME | EFER_LMA | EFER_NXE);
    vmcs_write(VMCS_HOST_PAT, PAT_RESET);
    vmcs_write(VMCS_HOST_CS, SELECTOR_CODE);
    vmcs_write(VMCS_HOST_ES, SELECTOR_DATA);
    vmcs_write(VMCS_HOST_SS, SELECTOR_DATA);
    vmcs_write(VMCS_HOST_DS, SELECTOR_DATA);
    vmcs_write(VMCS_HOST_FS, 0);
    vmcs_write(VMCS_HOST_GS, 0);
    vmcs_write(VMCS_HOST_TR, SELECTOR_TSS);
    vmcs_write(VMCS_HOST_FS_BASE, 0);
    vmcs_write(VMCS_HOST_GS_BASE, (uint64_t)cpu);
    vmcs_write(VMCS_HOST_TR_BASE, (uint64_t)&cpu->tss);
    vmcs_write(VMCS_HOST_GDTR_BASE, (uint64_t)cpu->gdt);
    vmcs_write(VMCS_HOST_IDTR_BASE, exceptions_idt().base);
    vmcs_write(VMCS_HOST_SYSENTER_CS, 0);
    vmcs_write(VMCS_HOST_SYSENTER_ESP, 0);
    vmcs_write(VMCS_HOST_SYSENTER_EIP, 0);
    vmcs_write(VMCS_HOST_RIP, (uint64_t)vmx_exit_point);
}

/* MSRs that have one value for the guest and one for the host: stored and loaded at exits, loaded at
 * entries. */
static void describe_msrs(struct vmx_cpu *vmx)
{
    unsigned count = 0;
    if (vmx_features.load_spec_ctrl) {
        vmx->guest_msrs[count] =
            (struct vmx_msr){.index = MSR_INTEL_SPEC_CTRL, .value = msr_read(MSR_INTEL_SPEC_CTRL)};
        vmx->host_msrs[count++] = (struct vmx_msr){.index = MSR_INTEL_SPEC_CTRL, .value = SPEC_CTRL_IBRS};
    }
    if (vmx_features.stop_counters) {
        /* Else an event sample (PEBS) could be written in the host's name, to an address of the guest's
         * choice. */
        vmx->guest_msrs[count] =
            (struct vmx_msr){.index = MSR_INTEL_PERF_CONTROL, .value = msr_read(MSR_INTEL_PERF_CONTROL)};
        vmx->host_msrs[count++] = (struct vmx_msr){.index = MSR_INTEL_PERF_CONTROL};
    }
    vmcs_write(VMCS_EXIT_MSR_STORE, physical_of(vmx->guest_msrs));
    vmcs_write(VMCS_EXIT_MSR_LOAD, physical_of(vmx->host_msrs));
    vmcs_write(VMCS_ENTRY_MSR_LOAD, physical_of(vmx->guest_msrs));
    vmcs_write(VMCS_EXIT_MSR_STORE_COUNT, count);
    vmcs_write(VMCS_EXIT_MSR_LOAD_COUNT, count);
    vmcs_write(VMCS_ENTRY_MSR_LOAD_COUNT, count);
}

static void describe_controls(const struct vcpu *vcpu)
{
    const uint32_t *c = vmx_features.controls;
    bool long_mode = vcpu->cpu->entry_efer & EFER_LMA;
    vmcs_write(VMCS_PIN_CONTROLS, c[CONTROLS_PIN]);
    vmcs_write(VMCS_PROCESSOR_CONTROLS, c[CONTROLS_PROCESSOR]);
    vmcs_write(VMCS_SECONDARY_CONTROLS, c[CONTROLS_SECONDARY]);
    vmcs_write(VMCS_EXIT_CONTROLS, c[CONTROLS_EXIT]);
    vmcs_write(VMCS_ENTRY_CONTROLS, c[CONTROLS_ENTRY] | (long_mode ? ENTRY_GUEST_64 : 0));
    vmcs_write(VMCS_EXCEPTION_BITMAP, 0);
    vmcs_write(VMCS_PAGE_FAULT_MASK, 0);
    vmcs_write(VMCS_PAGE_FAULT_MATCH, 0);
    vmcs_write(VMCS_CR3_TARGET_COUNT, 0);
    vmcs_write(VMCS_ENTRY_EVENT, 0);
    vmcs_write(VMCS_IO_BITMAP_A, trap_io_map());
    vmcs_write(VMCS_IO_BITMAP_B, trap_io_map() + PAGE_SIZE);
    vmcs_write(VMCS_MSR_BITMAP, trap_msr_map());
    vmcs_write(VMCS_EPT_POINTER,
               physical_of(vcpu->nested_root) | EPT_POINTER_FOUR_LEVELS | EPT_POINTER_WRITE_BACK);
    if (c[CONTROLS_SECONDARY] & SECONDARY_VPID)
        vmcs_write(VMCS_VPID, GUEST_VPID);
    if (c[CONTROLS_SECONDARY] & SECONDARY_XSAVES)
        vmcs_write(VMCS_XSS_EXITING, 0);
}

uint64_t vmx_prepare(struct vcpu *vcpu)
{
    uint64_t cr0 = cr0_read(), cr4 = cr4_read();
    uint32_t revision = (uint32_t)(msr_read(MSR_VMX_BASIC) & BASIC_REVISION);
    uint8_t *pages = pages_allocate(PAGES);
    if (!pages)
        return CORE_NO_MEMORY;
    if (!allow_vmx())
        return CORE_VIRTUALIZATION_LOCKED;
    struct vmx_cpu *vmx = (struct vmx_cpu *)(pages + PAGES_OWN * PAGE_SIZE);
    *(uint32_t *)(pages + PAGES_VMXON * PAGE_SIZE) = *(uint32_t *)(pages + PAGES_VMCS * PAGE_SIZE) = revision;
    vmx->vmcs_physical = physical_of(pages + PAGES_VMCS * PAGE_SIZE);
    vmx->flush_due = true;
    vcpu->backend = vmx;
    cr0_write(cr0 | vmx_features.cr0_fixed);
    cr4_write(cr4 | CR4_VMXE);
    if (!vmxon(physical_of(pages + PAGES_VMXON * PAGE_SIZE))) {
        cr4_write(cr4);
        cr0_write(cr0);
        return CORE_NO_VIRTUALIZATION;
    }
    if (!vmclear(vmx->vmcs_physical) || !vmptrld(vmx->vmcs_physical))
        panic("VT-x does not take its control structure");
    describe_controls(vcpu);
    describe_msrs(vmx);
    describe_host(vcpu->cpu);
    describe_guest(vcpu, cr0, cr4);
    return CORE_OK;
}

void vmx_enter(struct vcpu *vcpu)
{
    struct cpu *cpu = vcpu->cpu;
    cpu->nmi_window = (uint64_t)vmx_window;
    cpu->nmi_window_bytes = (uint64_t)(vmx_window_end - vmx_window);
    cpu->nmi_restart = (uint64_t)vmx_restart;
    __asm__ volatile("cli");
    cpu_load_tables(cpu);
    vmx_run(vcpu, cpu->stack_top, paging_host_cr3(), cpu_host_cr4() | CR4_VMXE, cpu_host_cr0());
}
