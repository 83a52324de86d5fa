/* SPDX-License-Identifier: Apache-2.0 */
/* The vCPU's state as the common handlers ask for it (guest/vcpu.h), kept in the VMCB. */
#include "core/panic.h"
#include "guest/svm/svm.h"
#include "lib/decode.h"

#define ALL_EXCEPTIONS       0xffffffffu
#define CPUID_SIGNATURE_LEAF 1u

uint64_t vcpu_cr(const struct vcpu *vcpu, enum control_register cr)
{
    const struct vmcb *vmcb = vcpu->vmcb;
    switch (cr) {
    case CR0:
        return vmcb->cr0;
    case CR2:
        return vmcb->cr2;
    case CR3:
        return vmcb->cr3;
    default:
        return vmcb->cr4;
    }
}

void vcpu_set_cr2(struct vcpu *vcpu, uint64_t linear)
{
    vcpu->vmcb->cr2 = linear;
}

uint64_t vcpu_efer(const struct vcpu *vcpu)
{
    return vcpu->vmcb->efer & ~EFER_SVME;
}

void vcpu_set_efer(struct vcpu *vcpu, uint64_t efer)
{
    /* VMRUN wants SVME set; the guest never sees it. */
    vcpu->vmcb->efer = efer | EFER_SVME;
    vcpu_flush(vcpu);
}

unsigned vcpu_cpl(const struct vcpu *vcpu)
{
    return vcpu->vmcb->cpl;
}

struct vcpu_segment vcpu_segment(const struct vcpu *vcpu, unsigned segment)
{
    const struct vmcb *vmcb = vcpu->vmcb;
    const struct vmcb_segment *all[] = {
        [SEGMENT_ES] = &vmcb->es, [SEGMENT_CS] = &vmcb->cs, [SEGMENT_SS] = &vmcb->ss,
        [SEGMENT_DS] = &vmcb->ds, [SEGMENT_FS] = &vmcb->fs, [SEGMENT_GS] = &vmcb->gs,
    };
    const struct vmcb_segment *s = all[segment < ARRAY_COUNT(all) ? segment : SEGMENT_DS];
    return (struct vcpu_segment){
        .base = s->base,
        .limit = s->limit,
        .selector = s->selector,
        .long_mode = s->attributes & SEGMENT_ATTRIBUTE_L,
        .default_32 = s->attributes & SEGMENT_ATTRIBUTE_D,
    };
}

void vcpu_skip(struct vcpu *vcpu, unsigned length)
{
    vcpu->rip += length;
    struct vcpu_segment cs = vcpu_segment(vcpu, SEGMENT_CS);
    if (!((vcpu->vmcb->efer & EFER_LMA) && cs.long_mode))
        vcpu->rip &= 0xffffffffull;
    vcpu->vmcb->interrupt_state &= ~INTERRUPT_SHADOW;
    vcpu->rflags &= ~RFLAGS_RF;
    if ((vcpu->rflags & RFLAGS_TF) && !vcpu_injection_due(vcpu)) {
        vcpu->vmcb->dr6 |= DR6_BS;
        vcpu_inject(vcpu, EXCEPTION_DB, 0);
    }
}

static bool has_error_code(enum exception exception)
{
    switch (exception) {
    case EXCEPTION_DF:
    case EXCEPTION_TS:
    case EXCEPTION_NP:
    case EXCEPTION_SS:
    case EXCEPTION_GP:
    case EXCEPTION_PF:
    case EXCEPTION_AC:
    case EXCEPTION_CP:
        return true;
    default:
        return false;
    }
}

void vcpu_inject(struct vcpu *vcpu, enum exception exception, uint32_t error_code)
{
    uint64_t event = EVENT_VALID | (uint64_t)EVENT_TYPE_EXCEPTION << EVENT_TYPE_SHIFT | (uint64_t)exception;
    if (has_error_code(exception) && (vcpu_cr(vcpu, CR0) & CR0_PE)) /* real mode pushes none */
        event |= EVENT_ERROR_VALID | (uint64_t)error_code << EVENT_ERROR_SHIFT;
    vcpu->vmcb->event_injection = event;
}

void vcpu_inject_nmi(struct vcpu *vcpu)
{
    vcpu->vmcb->event_injection = EVENT_VALID | EVENT_TYPE_NMI << EVENT_TYPE_SHIFT | EXCEPTION_NMI;
}

bool vcpu_injection_due(const struct vcpu *vcpu)
{
    return vcpu->vmcb->event_injection & EVENT_VALID;
}

void vcpu_trap_iret(struct vcpu *vcpu, bool on)
{
    if (on)
        vcpu->vmcb->intercept1 |= INTERCEPT1_IRET;
    else
        vcpu->vmcb->intercept1 &= ~(uint32_t)INTERCEPT1_IRET;
}

void vcpu_trap_step(struct vcpu *vcpu, bool on)
{
    vcpu->vmcb->exceptions = on ? ALL_EXCEPTIONS : ALWAYS_EXCEPTIONS;
    if (!on)
        return;
    vcpu->rflags |= RFLAGS_TF;
    vcpu->rflags &= ~RFLAGS_IF;
}

uint64_t vcpu_dr6(const struct vcpu *vcpu)
{
    return vcpu->vmcb->dr6;
}

void vcpu_set_dr6(struct vcpu *vcpu, uint64_t dr6)
{
    vcpu->vmcb->dr6 = dr6;
}

/* DR0 to DR3 are not in the VMCB: they are the guest's while the hypervisor runs, too. */
static void clear_breakpoints(void)
{
    __asm__ volatile("mov %0, %%dr0\n\tmov %0, %%dr1\n\tmov %0, %%dr2\n\tmov %0, %%dr3" : : "r"(0ull));
}

void vcpu_reset_to_vector(struct vcpu *vcpu, uint8_t vector)
{
    struct vmcb *vmcb = vcpu->vmcb;
    const struct vmcb_segment data = {.attributes = 0x93, .limit = 0xffff};
    const struct vmcb_segment table = {.limit = 0xffff};
    vmcb->es = vmcb->ss = vmcb->ds = vmcb->fs = vmcb->gs = data;
    vmcb->cs = (struct vmcb_segment){.selector = (uint16_t)(vector << 8),
                                     .attributes = 0x9b,
                                     .limit = 0xffff,
                                     .base = (uint64_t)vector << 12};
    vmcb->gdtr = vmcb->idtr = table;
    vmcb->ldtr = (struct vmcb_segment){.attributes = 0x82, .limit = 0xffff};
    vmcb->tr = (struct vmcb_segment){.attributes = 0x8b, .limit = 0xffff};
    vmcb->cpl = 0;
    vmcb->efer = EFER_SVME;
    vmcb->cr0 = CR0_ET | CR0_NW | CR0_CD;
    vmcb->cr2 = vmcb->cr3 = vmcb->cr4 = 0;
    vmcb->dr6 = DR6_RESET;
    vmcb->dr7 = DR7_RESET;
    clear_breakpoints();
    vmcb->star = vmcb->lstar = vmcb->cstar = vmcb->sfmask = vmcb->kernel_gs_base = 0;
    vmcb->sysenter_cs = vmcb->sysenter_esp = vmcb->sysenter_eip = 0;
    vmcb->event_injection = 0;
    vmcb->interrupt_state = 0;
    vmcb->exceptions = ALWAYS_EXCEPTIONS;
    vcpu->rip = 0;
    vcpu->rflags = RFLAGS_ONE;
    for (unsigned i = 0; i < GPR_COUNT; i++)
        vcpu->gpr[i] = 0;
    vcpu->gpr[RDX] = cpuid(CPUID_SIGNATURE_LEAF, 0).eax;
    vcpu_flush(vcpu);
}

void vcpu_flush(struct vcpu *vcpu)
{
    vcpu->vmcb->tlb_control = TLB_FLUSH_ALL;
}

void vcpu_consume_nmi(void)
{
    svm_nmi_window();
}

const char *vcpu_backend_name(void)
{
    return "SVM";
}

void vcpu_dump(const struct vcpu *vcpu)
{
#define U(x) ((unsigned long long)(x))
    const struct vmcb *v = vcpu->vmcb;
    const uint64_t *r = vcpu->gpr;
    panic_line("guest cpu %u: exit %llx info %llx %llx event %llx", vcpu->cpu->index, U(v->exit_code),
               U(v->exit_info1), U(v->exit_info2), U(v->exit_interrupt_info));
    panic_line("rip %04x:%016llx rflags %llx cs.base %llx cpl %u", v->cs.selector, U(vcpu->rip),
               U(vcpu->rflags), U(v->cs.base), v->cpl);
    panic_line("rax %016llx rbx %016llx rcx %016llx rdx %016llx", U(r[RAX]), U(r[RBX]), U(r[RCX]), U(r[RDX]));
    panic_line("rsi %016llx rdi %016llx rbp %016llx rsp %016llx", U(r[RSI]), U(r[RDI]), U(r[RBP]), U(r[RSP]));
    panic_line("r8  %016llx r9  %016llx r10 %016llx r11 %016llx", U(r[R8]), U(r[R9]), U(r[R10]), U(r[R11]));
    panic_line("r12 %016llx r13 %016llx r14 %016llx r15 %016llx", U(r[R12]), U(r[R13]), U(r[R14]), U(r[R15]));
    panic_line("cr0 %llx cr2 %llx cr3 %llx cr4 %llx efer %llx", U(v->cr0), U(v->cr2), U(v->cr3), U(v->cr4),
               U(v->efer));
    panic_line("gdt %llx+%x idt %llx+%x", U(v->gdtr.base), v->gdtr.limit, U(v->idtr.base), v->idtr.limit);
#undef U
}
