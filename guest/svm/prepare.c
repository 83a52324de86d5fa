/* SPDX-License-Identifier: Apache-2.0 */
/* Turning SVM on, and the firmware's live state into a VMCB (AMD APM volume 2, sections 15.4 and 15.5). */
#include "core/log.h"
#include "core/memory.h"
#include "core/paging.h"
#include "core/probe.h"
#include "guest/firmware_state.h"
#include "guest/svm/svm.h"
#include "guest/trap_maps.h"

#define LEAF_VENDOR         0u
#define LEAF_AMD_FEATURES   0x80000001u
#define LEAF_SVM            0x8000000au
#define LEAF_AMD_FEATURES_8 0x80000008u
#define AMD_ECX_SVM         BIT(2)
#define AMD_EDX_1G_PAGES    BIT(26)
#define SVM_EDX_NESTED      BIT(0)
#define AMD_8_EBX_IBPB      BIT(12)
#define LEAF_AMD_FEATURES_2 0x80000021u
#define AMD_21_EAX_AIBRS    BIT(8) /* automatic IBRS: EFER.AIBRSE */

static struct nested_format npt = {
    .table = PTE_PRESENT | PTE_WRITE | PTE_USER,
    .leaf = PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_ACCESSED | PTE_DIRTY,
    .write = PTE_WRITE,
    .present = PTE_PRESENT,
    .large = PTE_LARGE,
};
static bool automatic_ibrs, barrier_needed; /* constant after svm_start */

bool svm_barrier_needed(void)
{
    return barrier_needed;
}

/* What the guest has trained may not steer the host: automatic IBRS where there is one, else a prediction
 * barrier at each exit. Retpolines alone do not keep returns from being mispredicted on AMD. */
static void choose_speculation_defence(void)
{
    uint32_t last = cpuid(LEAF_AMD_FEATURES & 0x80000000u, 0).eax;
    automatic_ibrs = last >= LEAF_AMD_FEATURES_2 && (cpuid(LEAF_AMD_FEATURES_2, 0).eax & AMD_21_EAX_AIBRS);
    barrier_needed = !automatic_ibrs && last >= LEAF_AMD_FEATURES_8 &&
                     (cpuid(LEAF_AMD_FEATURES_8, 0).ebx & AMD_8_EBX_IBPB);
}

bool svm_offered(void)
{
    return cpuid(LEAF_AMD_FEATURES & 0x80000000u, 0).eax >= LEAF_SVM &&
           (cpuid(LEAF_AMD_FEATURES, 0).ecx & AMD_ECX_SVM);
}

uint64_t svm_start(void)
{
    if (!(cpuid(LEAF_SVM, 0).edx & SVM_EDX_NESTED))
        return CORE_NO_NESTED_PAGING;
    uint64_t vm_cr = 0;
    if (msr_read_safe(MSR_AMD_VM_CR, &vm_cr) && (vm_cr & VM_CR_DISABLED))
        return CORE_VIRTUALIZATION_LOCKED;
    choose_speculation_defence();
    npt.gigabyte_pages = cpuid(LEAF_AMD_FEATURES, 0).edx & AMD_EDX_1G_PAGES;
    return CORE_OK;
}

const struct nested_format *svm_nested_format(void)
{
    return &npt;
}

static struct vmcb_segment segment_of(uint16_t selector)
{
    struct firmware_segment s = firmware_segment(selector);
    /* The VMCB has the two parts of the access rights side by side. */
    return (struct vmcb_segment){.selector = selector,
                                 .attributes = (s.rights >> 8 & 0xff) | (s.rights >> 12 & 0xf00),
                                 .limit = s.limit};
}

static void describe_control(struct vcpu *vcpu)
{
    struct vmcb *vmcb = vmcb_of(vcpu);
    vmcb->intercept1 = INTERCEPT1_NMI | INTERCEPT1_INIT | INTERCEPT1_CPUID | INTERCEPT1_INVD |
                       INTERCEPT1_INVLPGA | INTERCEPT1_IO | INTERCEPT1_MSR | (uint32_t)INTERCEPT1_SHUTDOWN;
    vmcb->intercept2 = INTERCEPT2_VMRUN | INTERCEPT2_VMMCALL | INTERCEPT2_VMLOAD | INTERCEPT2_VMSAVE |
                       INTERCEPT2_STGI | INTERCEPT2_CLGI | INTERCEPT2_SKINIT;
    vmcb->exceptions = ALWAYS_EXCEPTIONS;
    vmcb->io_map = trap_io_map();
    vmcb->msr_map = trap_msr_map();
    vmcb->asid = GUEST_ASID;
    vmcb->tlb_control = TLB_FLUSH_ALL;
    vmcb->nested_control = NESTED_PAGING_ENABLE;
    vmcb->nested_cr3 = physical_of(vcpu->nested_root);
}

static void describe(struct vcpu *vcpu)
{
    const struct handoff_cpu *in = &vcpu->cpu->entry;
    struct vmcb *vmcb = vmcb_of(vcpu);
    describe_control(vcpu);
    /* FS, GS, LDTR, TR and the system-call MSRs are still the firmware's. */
    __asm__ volatile("vmsave" : : "a"(svm_of(vcpu)->vmcb_physical) : "memory");
    vmcb->gs.base = vcpu->cpu->entry_gs_base;
    vmcb->cs = segment_of(in->cs);
    vmcb->ds = segment_of(in->ds);
    vmcb->es = segment_of(in->es);
    vmcb->ss = segment_of(in->ss);
    vmcb->gdtr = (struct vmcb_segment){.base = in->gdt.base, .limit = (uint32_t)in->gdt.limit};
    vmcb->idtr = (struct vmcb_segment){.base = in->idt.base, .limit = (uint32_t)in->idt.limit};
    vmcb->cr0 = cr0_read();
    vmcb->cr2 = cr2_read();
    vmcb->cr3 = in->cr3;
    vmcb->cr4 = cr4_read();
    __asm__ volatile("mov %%dr6, %0" : "=r"(vmcb->dr6));
    __asm__ volatile("mov %%dr7, %0" : "=r"(vmcb->dr7));
    vmcb->efer = vcpu->cpu->entry_efer | EFER_SVME;
    vmcb->pat = msr_read(MSR_PAT);
    vcpu->rip = in->rip;
    vcpu->rflags = in->rflags;
    vcpu->gpr[RSP] = in->rsp;
    vcpu->gpr[RAX] = CORE_OK;
}

uint64_t svm_prepare(struct vcpu *vcpu)
{
    /* VMCB, the host's VMLOAD area, the CPU's own host save area, and what we keep ourselves. */
    uint8_t *pages = pages_allocate(4);
    if (!pages)
        return CORE_NO_MEMORY;
    struct svm_cpu *svm = (struct svm_cpu *)(pages + 3 * PAGE_SIZE);
    *svm = (struct svm_cpu){.vmcb_physical = physical_of(pages),
                            .host_physical = physical_of(pages + PAGE_SIZE),
                            .vmcb = (struct vmcb *)pages};
    vcpu->backend = svm;
    msr_write(MSR_EFER, msr_read(MSR_EFER) | EFER_SVME | (automatic_ibrs ? EFER_AIBRSE : 0));
    msr_write(MSR_AMD_VM_HSAVE_PA, physical_of(pages + 2 * PAGE_SIZE));
    describe(vcpu);
    return CORE_OK;
}

/* A physical INIT must not take the CPU out of the hypervisor: with R_INIT it is #SX instead. Where the bit
 * does not stay (emulators), only a closed APIC page keeps the guest from sending one. */
static void redirect_init(const struct vcpu *vcpu)
{
    uint64_t vm_cr;
    bool redirected = msr_read_safe(MSR_AMD_VM_CR, &vm_cr) &&
                      msr_write_safe(MSR_AMD_VM_CR, vm_cr | VM_CR_R_INIT) &&
                      msr_read_safe(MSR_AMD_VM_CR, &vm_cr) && (vm_cr & VM_CR_R_INIT);
    if (!redirected && vcpu->cpu->index == 0 && the_handoff()->apic != HANDOFF_APIC_TRAP)
        log_line("INIT cannot be redirected on this CPU; [cpu] apic = trap keeps the guest from sending it");
}

void svm_enter(struct vcpu *vcpu)
{
    redirect_init(vcpu);
    __asm__ volatile("cli");
    cpu_load_tables(vcpu->cpu);
    svm_run(vcpu, vcpu->cpu->stack_top, paging_host_cr3(), cpu_host_cr4(), cpu_host_cr0());
}

void svm_before_first_entry(struct vcpu *vcpu)
{
    __asm__ volatile("vmsave" : : "a"(svm_of(vcpu)->host_physical) : "memory");
    svm_before_entry(vcpu);
}
