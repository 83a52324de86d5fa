/* SPDX-License-Identifier: Apache-2.0 */
/* The vCPU's state as the common handlers ask for it (guest/backend.h), kept in the VMCS and, where VT-x does
 * not switch them, in the CPU itself: CR2, DR0 to DR3 and DR6 are the guest's all the time. */
#include "core/cpu.h"
#include "guest/backend.h"
#include "guest/vmx/vmx.h"
#include "lib/decode.h"

#define ALL_EXCEPTIONS    0xffffffffu
#define DEBUG_CONTROL_BTF BIT(1) /* RFLAGS.TF traps branches alone */
#define RIGHTS_DATA_RESET 0x93u
#define RIGHTS_CODE_RESET 0x9bu
#define LIMIT_RESET       0xffffu

static uint64_t control_register(const struct vcpu *vcpu, enum control_register cr)
{
    (void)vcpu;
    switch (cr) {
    case CR0:
        return vmx_cr0();
    case CR2:
        return cr2_read();
    case CR3:
        return vmcs_read(VMCS_GUEST_CR3);
    default: /* what is masked is never set for the guest */
        return vmcs_read(VMCS_GUEST_CR4) & ~(CR4_VMXE | CR4_SMXE);
    }
}

static void set_cr2(struct vcpu *vcpu, uint64_t address)
{
    (void)vcpu;
    __asm__ volatile("mov %0, %%cr2" : : "r"(address));
}

static uint64_t efer(const struct vcpu *vcpu)
{
    (void)vcpu;
    return vmcs_read(VMCS_GUEST_EFER);
}

static void set_efer(struct vcpu *vcpu, uint64_t value)
{
    (void)vcpu;
    vmcs_write(VMCS_GUEST_EFER, value);
}

static unsigned cpl(const struct vcpu *vcpu)
{
    (void)vcpu;
    uint64_t rights = vmcs_read(SEGMENT_FIELD(VMCS_GUEST_RIGHTS, SEGMENT_SS));
    return (rights & RIGHTS_DPL) >> RIGHTS_DPL_SHIFT;
}

static struct vcpu_segment segment(const struct vcpu *vcpu, unsigned which)
{
    (void)vcpu;
    unsigned s = which <= SEGMENT_GS ? which : SEGMENT_DS;
    uint64_t rights = vmcs_read(SEGMENT_FIELD(VMCS_GUEST_RIGHTS, s));
    return (struct vcpu_segment){
        .base = vmcs_read(SEGMENT_FIELD(VMCS_GUEST_BASES, s)),
        .limit = (uint32_t)vmcs_read(SEGMENT_FIELD(VMCS_GUEST_LIMITS, s)),
        .selector = (uint16_t)vmcs_read(SEGMENT_FIELD(VMCS_GUEST_SELECTORS, s)),
        .long_mode = rights & RIGHTS_L,
        .default_32 = rights & RIGHTS_DB,
    };
}

static void end_shadow(struct vcpu *vcpu)
{
    (void)vcpu;
    vmcs_write(VMCS_GUEST_INTERRUPTIBILITY,
               vmcs_read(VMCS_GUEST_INTERRUPTIBILITY) & ~(INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS));
}

static void inject(struct vcpu *vcpu, enum exception exception, bool has_error_code, uint32_t error_code)
{
    struct vmx_cpu *vmx = vmx_of(vcpu);
    /* INT3 and INTO are delivered as if they were just executed: behind the instruction. */
    bool software = exception == EXCEPTION_BP || exception == EXCEPTION_OF;
    vmx->event = EVENT_VALID | (software ? EVENT_TYPE_EXCEPTION : EVENT_TYPE_HARDWARE) | exception;
    vmx->event_length = software ? (uint32_t)vmcs_read(VMCS_EXIT_INSTRUCTION_LENGTH) : 0;
    vmx->event_error = error_code;
    if (has_error_code)
        vmx->event |= EVENT_ERROR_VALID;
}

static void inject_nmi(struct vcpu *vcpu)
{
    vmx_of(vcpu)->event = EVENT_VALID | EVENT_TYPE_NMI | EXCEPTION_NMI;
}

static bool injection_due(const struct vcpu *vcpu)
{
    return vmx_of(vcpu)->event & EVENT_VALID;
}

/* The CPU itself keeps NMIs blocked until the guest's IRET, and exits when one that waits may come. */
static void trap_iret(struct vcpu *vcpu, bool on)
{
    (void)vcpu, (void)on;
}

/* A trap flag that an interrupt shadow holds back is a state that cannot be entered, and one that waits for a
 * branch would let more than one instruction run. */
static void trap_step(struct vcpu *vcpu, bool on)
{
    struct vmx_cpu *vmx = vmx_of(vcpu);
    vmcs_write(VMCS_EXCEPTION_BITMAP, on ? ALL_EXCEPTIONS : 0);
    if (on) {
        end_shadow(vcpu);
        vmx->step_debug_control = vmcs_read(VMCS_GUEST_DEBUG_CONTROL);
        vmcs_write(VMCS_GUEST_DEBUG_CONTROL, vmx->step_debug_control & ~DEBUG_CONTROL_BTF);
    } else {
        vmcs_write(VMCS_GUEST_DEBUG_CONTROL, vmx->step_debug_control);
    }
}

static uint64_t dr6(const struct vcpu *vcpu)
{
    uint64_t value;
    (void)vcpu;
    __asm__ volatile("mov %%dr6, %0" : "=r"(value));
    return value;
}

static void set_dr6(struct vcpu *vcpu, uint64_t value)
{
    (void)vcpu;
    __asm__ volatile("mov %0, %%dr6" : : "r"(value));
}

static void reset_segment(unsigned which, uint32_t rights)
{
    vmcs_write(SEGMENT_FIELD(VMCS_GUEST_SELECTORS, which), 0);
    vmcs_write(SEGMENT_FIELD(VMCS_GUEST_BASES, which), 0);
    vmcs_write(SEGMENT_FIELD(VMCS_GUEST_LIMITS, which), LIMIT_RESET);
    vmcs_write(SEGMENT_FIELD(VMCS_GUEST_RIGHTS, which), rights);
}

static void reset_segments(uint8_t vector)
{
    for (unsigned s = SEGMENT_ES; s <= SEGMENT_GS; s++)
        reset_segment(s, s == SEGMENT_CS ? RIGHTS_CODE_RESET : RIGHTS_DATA_RESET);
    vmcs_write(SEGMENT_FIELD(VMCS_GUEST_SELECTORS, SEGMENT_CS), (uint64_t)vector << 8);
    vmcs_write(SEGMENT_FIELD(VMCS_GUEST_BASES, SEGMENT_CS), (uint64_t)vector << PAGE_SHIFT);
    reset_segment(SEGMENT_LDTR, RIGHTS_PRESENT | SYSTEM_TYPE_LDT);
    reset_segment(SEGMENT_TR, RIGHTS_PRESENT | SYSTEM_TYPE_TSS_BUSY);
    vmcs_write(VMCS_GUEST_GDTR_BASE, 0);
    vmcs_write(VMCS_GUEST_GDTR_LIMIT, LIMIT_RESET);
    vmcs_write(VMCS_GUEST_IDTR_BASE, 0);
    vmcs_write(VMCS_GUEST_IDTR_LIMIT, LIMIT_RESET);
}

static void reset_to_vector(struct vcpu *vcpu, uint8_t vector)
{
    reset_segments(vector);
    vmx_set_cr0(CR0_ET | CR0_NW | CR0_CD);
    set_cr2(vcpu, 0);
    vmcs_write(VMCS_GUEST_CR3, 0);
    vmcs_write(VMCS_GUEST_CR4, CR4_VMXE);
    vmcs_write(VMCS_GUEST_EFER, 0);
    vmcs_write(VMCS_ENTRY_CONTROLS, vmx_features.controls[CONTROLS_ENTRY]);
    set_dr6(vcpu, DR6_RESET);
    vmcs_write(VMCS_GUEST_DR7, DR7_RESET);
    vmcs_write(VMCS_GUEST_DEBUG_CONTROL, 0);
    vmcs_write(VMCS_GUEST_PENDING_DEBUG, 0);
    vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, 0);
    vmcs_write(VMCS_GUEST_ACTIVITY, ACTIVITY_ACTIVE);
    vmcs_write(VMCS_EXCEPTION_BITMAP, 0);
    vmx_of(vcpu)->event = 0;
}

static void flush(struct vcpu *vcpu)
{
    if (vcpu->backend) /* not before the CPU is prepared, which flushes itself */
        vmx_of(vcpu)->flush_due = true;
}

static void consume_nmi(void)
{
    vmx_unblock_nmis();
    __atomic_store_n(&this_cpu()->nmi_arrived, 0, __ATOMIC_SEQ_CST);
}

#define MSR_RANGE      0x2000u
#define MSR_HIGH_FIRST 0xc0000000u
#define MSR_HIGH_BITS  0x2000u /* where the second range's bits begin */
#define MSR_WRITE_BITS 0x4000u

static uint32_t msr_bit(uint32_t msr, bool write)
{
    uint32_t base = write ? MSR_WRITE_BITS : 0;
    if (msr < MSR_RANGE)
        return base + msr;
    return msr - MSR_HIGH_FIRST < MSR_RANGE ? base + MSR_HIGH_BITS + (msr - MSR_HIGH_FIRST) : MSR_NO_BIT;
}

const struct backend vmx_backend = {
    .name = "VT-x",
    .starts_natively = true,
    .offered = vmx_offered,
    .start = vmx_start,
    .nested_format = vmx_nested_format,
    .msr_bit = msr_bit,
    .prepare = vmx_prepare,
    .run = vmx_enter,
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
    .consume_nmi = consume_nmi,
    .memory_types_changed = memory_types_changed,
    .dump = vmx_dump,
};
