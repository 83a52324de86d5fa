/* SPDX-License-Identifier: Apache-2.0 */
/* The vCPU's state as the common handlers ask for it (guest/vcpu.h), kept in the VMCB. */
#include "core/panic.h"
#include "guest/backend.h"
#include "guest/svm/svm.h"
#include "lib/decode.h"

#define ALL_EXCEPTIONS 0xffffffffu

static uint64_t control_register(const struct vcpu *vcpu, enum control_register cr)
{
    const struct vmcb *vmcb = vmcb_of(vcpu);
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

static void set_cr2(struct vcpu *vcpu, uint64_t address)
{
    vmcb_of(vcpu)->cr2 = address;
}

static uint64_t efer(const struct vcpu *vcpu)
{
    return vmcb_of(vcpu)->efer & ~EFER_SVME;
}

static void set_efer(struct vcpu *vcpu, uint64_t value)
{
    /* VMRUN wants SVME set; the guest never sees it. */
    vmcb_of(vcpu)->efer = value | EFER_SVME;
}

static unsigned cpl(const struct vcpu *vcpu)
{
    return vmcb_of(vcpu)->cpl;
}

static struct vcpu_segment segment(const struct vcpu *vcpu, unsigned which)
{
    const struct vmcb *vmcb = vmcb_of(vcpu);
    const struct vmcb_segment *all[] = {
        [SEGMENT_ES] = &vmcb->es, [SEGMENT_CS] = &vmcb->cs, [SEGMENT_SS] = &vmcb->ss,
        [SEGMENT_DS] = &vmcb->ds, [SEGMENT_FS] = &vmcb->fs, [SEGMENT_GS] = &vmcb->gs,
    };
    const struct vmcb_segment *s = all[which < ARRAY_COUNT(all) ? which : SEGMENT_DS];
    return (struct vcpu_segment){
        .base = s->base,
        .limit = s->limit,
        .selector = s->selector,
        .long_mode = s->attributes & SEGMENT_ATTRIBUTE_L,
        .default_32 = s->attributes & SEGMENT_ATTRIBUTE_D,
    };
}

static void end_shadow(struct vcpu *vcpu)
{
    vmcb_of(vcpu)->interrupt_state &= ~INTERRUPT_SHADOW;
}

static void inject(struct vcpu *vcpu, enum exception exception, bool has_error_code, uint32_t error_code)
{
    uint64_t event = EVENT_VALID | (uint64_t)EVENT_TYPE_EXCEPTION << EVENT_TYPE_SHIFT | (uint64_t)exception;
    if (has_error_code)
        event |= EVENT_ERROR_VALID | (uint64_t)error_code << EVENT_ERROR_SHIFT;
    vmcb_of(vcpu)->event_injection = event;
}

static void inject_nmi(struct vcpu *vcpu)
{
    vmcb_of(vcpu)->event_injection = EVENT_VALID | EVENT_TYPE_NMI << EVENT_TYPE_SHIFT | EXCEPTION_NMI;
}

static bool injection_due(const struct vcpu *vcpu)
{
    return vmcb_of(vcpu)->event_injection & EVENT_VALID;
}

static void trap_iret(struct vcpu *vcpu, bool on)
{
    if (on)
        vmcb_of(vcpu)->intercept1 |= INTERCEPT1_IRET;
    else
        vmcb_of(vcpu)->intercept1 &= ~(uint32_t)INTERCEPT1_IRET;
}

static void trap_step(struct vcpu *vcpu, bool on)
{
    vmcb_of(vcpu)->exceptions = on ? ALL_EXCEPTIONS : ALWAYS_EXCEPTIONS;
}

static uint64_t dr6(const struct vcpu *vcpu)
{
    return vmcb_of(vcpu)->dr6;
}

static void set_dr6(struct vcpu *vcpu, uint64_t value)
{
    vmcb_of(vcpu)->dr6 = value;
}

static void reset_to_vector(struct vcpu *vcpu, uint8_t vector)
{
    struct vmcb *vmcb = vmcb_of(vcpu);
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
    vmcb->star = vmcb->lstar = vmcb->cstar = vmcb->sfmask = vmcb->kernel_gs_base = 0;
    vmcb->sysenter_cs = vmcb->sysenter_esp = vmcb->sysenter_eip = 0;
    vmcb->event_injection = 0;
    vmcb->interrupt_state = 0;
    vmcb->exceptions = ALWAYS_EXCEPTIONS;
}

static void flush(struct vcpu *vcpu)
{
    vmcb_of(vcpu)->tlb_control = TLB_FLUSH_ALL;
}

static void dump(const struct vcpu *vcpu)
{
#define U(x) ((unsigned long long)(x))
    const struct vmcb *v = vmcb_of(vcpu);
    panic_line("VMCB: exit %llx info %llx %llx event %llx gdt %llx+%x idt %llx+%x", U(v->exit_code),
               U(v->exit_info1), U(v->exit_info2), U(v->exit_interrupt_info), U(v->gdtr.base), v->gdtr.limit,
               U(v->idtr.base), v->idtr.limit);
#undef U
}

#define MSR_RANGE      0x2000u
#define MSR_RANGE_BITS 0x4000u /* two an MSR: read, write */

static uint32_t msr_bit(uint32_t msr, bool write)
{
    static const uint32_t first[] = {0, 0xc0000000u, 0xc0010000u};
    for (uint32_t i = 0; i < ARRAY_COUNT(first); i++)
        if (msr - first[i] < MSR_RANGE)
            return i * MSR_RANGE_BITS + (msr - first[i]) * 2 + write;
    return MSR_NO_BIT;
}

const struct backend svm_backend = {
    .name = "SVM",
    .starts_natively = false,
    .offered = svm_offered,
    .start = svm_start,
    .nested_format = svm_nested_format,
    .msr_bit = msr_bit,
    .prepare = svm_prepare,
    .run = svm_enter,
    .cr = control_register,
    .set_cr2 = set_cr2,
    .efer = efer,
    .set_efer = set_efer,
    .cpl = cpl,
    .segment = segment,
    .end_shadow = end_shadow,
    .inject = inject,
    .inject_nmi = inject_nmi,
    .injection_due = injection_due,
    .trap_iret = trap_iret,
    .trap_step = trap_step,
    .dr6 = dr6,
    .set_dr6 = set_dr6,
    .reset_to_vector = reset_to_vector,
    .flush = flush,
    .consume_nmi = svm_nmi_window,
    .dump = dump,
};
