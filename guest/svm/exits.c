/* SPDX-License-Identifier: Apache-2.0 */
/* The exit table of AMD SVM. Each entry turns the VMCB's answer into the arguments of a common handler of
 * guest/. */
#include "core/log.h"
#include "core/panic.h"
#include "guest/exit.h"
#include "guest/nested.h"
#include "guest/nmi.h"
#include "guest/step.h"
#include "guest/svm/svm.h"
#include "guest/walk.h"

typedef void (*exit_handler)(struct vcpu *vcpu);

#define OPCODE_STI 0xfbu

#define PRED_CMD_IBPB 1u

/* VMRUN, VMLOAD, VMSAVE, STGI, CLGI, SKINIT and INVLPGA look at privilege and operand before they exit (APM 2
 * table 15-7), and then raise #GP. With SVM off they are #UD, whoever runs them. */
static bool is_svm_instruction(const struct vcpu *vcpu)
{
    static const uint8_t last_bytes[] = {0xd8, 0xda, 0xdb, 0xdc, 0xdd, 0xde, 0xdf};
    uint8_t bytes[INSTRUCTION_MAX];
    size_t size = walk_fetch(vcpu, bytes);
    for (unsigned i = 0; i < ARRAY_COUNT(last_bytes); i++) {
        const uint8_t opcode[] = {0x0f, 0x01, last_bytes[i]};
        if (decode_length_of(bytes, size, walk_decode_mode(vcpu), opcode, sizeof opcode))
            return true;
    }
    return false;
}

/* Whether an exception on the way to an event's handler makes both of them a double fault (APM 2 table 8-3).
 */
static bool makes_double_fault(unsigned first, unsigned second)
{
    const uint32_t contributory =
        BIT(EXCEPTION_DE) | BIT(EXCEPTION_TS) | BIT(EXCEPTION_NP) | BIT(EXCEPTION_SS) | BIT(EXCEPTION_GP);
    if (first == EXCEPTION_PF)
        return second == EXCEPTION_PF || (contributory >> second & 1);
    return (contributory >> first & 1) && (contributory >> second & 1);
}

/* Hands an exception that was looked at on to the guest. */
static void pass_exception(struct vcpu *vcpu, unsigned vector)
{
    struct vmcb *vmcb = vcpu->vmcb;
    uint64_t event = vmcb->exit_interrupt_info;
    unsigned first = event & 0xff;
    bool during_exception =
        (event & EVENT_VALID) && (event >> EVENT_TYPE_SHIFT & EVENT_TYPE_MASK) == EVENT_TYPE_EXCEPTION;
    if (vector == EXCEPTION_PF)
        vmcb->cr2 = vmcb->exit_info2;
    if (during_exception && first == EXCEPTION_DF)
        exit_shutdown(vcpu);
    else if (during_exception && makes_double_fault(first, vector))
        vcpu_inject(vcpu, EXCEPTION_DF, 0);
    else
        vcpu_inject(vcpu, vector, (uint32_t)vmcb->exit_info1);
}

static void on_exception(struct vcpu *vcpu)
{
    struct vmcb *vmcb = vcpu->vmcb;
    unsigned vector = (unsigned)(vmcb->exit_code - VMEXIT_EXCEPTION);
    bool was_stepping = vcpu->stepping;
    if (was_stepping && vector == EXCEPTION_DB) {
        exit_step(vcpu);
        return;
    }
    if (was_stepping)
        exit_step_fault(vcpu);
    if (vector == EXCEPTION_GP && !(vmcb->exit_interrupt_info & EVENT_VALID) && is_svm_instruction(vcpu)) {
        exit_undefined(vcpu);
        return;
    }
    if (!was_stepping && vector != EXCEPTION_GP)
        panic("Exception %u of the guest exits, and nobody asked for it", vector);
    count_exit(vcpu, EXIT_OTHER);
    pass_exception(vcpu, vector);
}

static void on_nmi(struct vcpu *vcpu)
{
    /* A CPU that takes an NMI right after STI and loses the interrupt shadow over the exit (QEMU's does)
     * would take an interrupt between STI and HLT, and sleep through it. Standing before the STI again is the
     * same to the guest. (A byte FBh before a MOV SS's shadow is taken for an STI too; with IF set and at
     * privilege level 0 it does no harm.) */
    uint8_t before;
    struct walk at;
    if ((vcpu->vmcb->interrupt_state & INTERRUPT_SHADOW) && (vcpu->rflags & RFLAGS_IF) &&
        vcpu_cpl(vcpu) == 0) {
        uint64_t base = walk_decode_mode(vcpu) == DECODE_64 ? 0 : vcpu_segment(vcpu, SEGMENT_CS).base;
        if (walk_linear(vcpu, base + vcpu->rip - 1, &at) && walk_read_byte(at.physical, &before) &&
            before == OPCODE_STI) {
            vcpu->rip--;
            vcpu->rflags &= ~RFLAGS_IF;
            vcpu->vmcb->interrupt_state &= ~INTERRUPT_SHADOW;
        }
    }
    exit_nmi(vcpu);
}

static void on_init(struct vcpu *vcpu)
{
    /* The INIT is still pending: taken here as #SX, or it would come again. */
    vcpu_consume_nmi();
    vcpu->cpu->init_arrived = false;
    exit_init(vcpu);
}

/* INVD would throw away what the hypervisor's caches hold; written back, the guest's lines are as gone as it
 * wanted. */
static void on_invd(struct vcpu *vcpu)
{
    static const uint8_t opcode[] = {0x0f, 0x08};
    count_exit(vcpu, EXIT_OTHER);
    __asm__ volatile("wbinvd" : : : "memory");
    skip_known(vcpu, opcode, sizeof opcode);
}

static void on_msr(struct vcpu *vcpu)
{
    if (vcpu->vmcb->exit_info1 & 1)
        exit_msr_write(vcpu);
    else
        exit_msr_read(vcpu);
}

static void on_port(struct vcpu *vcpu)
{
    uint64_t info = vcpu->vmcb->exit_info1;
    struct port_access access = {
        .port = (uint16_t)(info >> IO_INFO_PORT_SHIFT),
        .bytes = info >> IO_INFO_SIZE_SHIFT & IO_INFO_SIZE_MASK,
        .write = !(info & IO_INFO_IN),
        .string = info & IO_INFO_STRING,
        .length = (uint8_t)(vcpu->vmcb->exit_info2 - vcpu->rip),
    };
    exit_port(vcpu, &access);
}

static void on_nested_fault(struct vcpu *vcpu)
{
    uint64_t info = vcpu->vmcb->exit_info1;
    struct nested_fault fault = {
        .address = vcpu->vmcb->exit_info2,
        .write = info & NPF_WRITE,
        .fetch = info & NPF_FETCH,
        .during_walk = info & NPF_WALK,
    };
    exit_nested_fault(vcpu, &fault);
}

static const exit_handler handlers[VMEXIT_LAST + 1] = {
    [VMEXIT_EXCEPTION... VMEXIT_EXCEPTION_LAST] = on_exception,
    [VMEXIT_NMI] = on_nmi,
    [VMEXIT_INIT] = on_init,
    [VMEXIT_CPUID] = exit_cpuid,
    [VMEXIT_IRET] = exit_iret,
    [VMEXIT_INVD] = on_invd,
    [VMEXIT_INVLPGA] = exit_undefined,
    [VMEXIT_IO] = on_port,
    [VMEXIT_MSR] = on_msr,
    [VMEXIT_SHUTDOWN] = exit_shutdown,
    [VMEXIT_VMRUN] = exit_undefined,
    [VMEXIT_VMMCALL] = exit_hypercall,
    [VMEXIT_VMLOAD] = exit_undefined,
    [VMEXIT_VMSAVE] = exit_undefined,
    [VMEXIT_STGI] = exit_undefined,
    [VMEXIT_CLGI] = exit_undefined,
    [VMEXIT_SKINIT] = exit_undefined,
};

/* An event that the CPU was delivering when it exited is delivered again, unless the instruction itself will
 * raise it anew. */
static void keep_interrupted_event(struct vmcb *vmcb)
{
    uint64_t event = vmcb->exit_interrupt_info;
    unsigned type = event >> EVENT_TYPE_SHIFT & EVENT_TYPE_MASK;
    unsigned vector = event & 0xff;
    bool raised_anew = type == EVENT_TYPE_SOFTWARE ||
                       (type == EVENT_TYPE_EXCEPTION && (vector == EXCEPTION_BP || vector == EXCEPTION_OF));
    vmcb->event_injection = (event & EVENT_VALID) && !raised_anew ? event : 0;
}

static void unexpected(struct vcpu *vcpu)
{
    panic_begin();
    panic_line("The guest left for a reason that Shoji does not know: %llx",
               (unsigned long long)vcpu->vmcb->exit_code);
    vcpu_dump(vcpu);
    panic_end();
}

void svm_before_entry(struct vcpu *vcpu)
{
    struct vmcb *vmcb = vcpu->vmcb;
    requests_settle(vcpu);
    vmcb->rip = vcpu->rip;
    vmcb->rflags = vcpu->rflags;
    vmcb->rsp = vcpu->gpr[RSP];
    vmcb->rax = vcpu->gpr[RAX];
    vmcb->clean = 0;
    nested_look(vcpu);
}

void svm_exit(struct vcpu *vcpu)
{
    struct vmcb *vmcb = vcpu->vmcb;
    __atomic_store_n(&vcpu->in_guest, false, __ATOMIC_SEQ_CST);
    vcpu->rip = vmcb->rip;
    vcpu->rflags = vmcb->rflags;
    vcpu->gpr[RSP] = vmcb->rsp;
    vcpu->gpr[RAX] = vmcb->rax;
    vcpu->exit_total++;
    vmcb->tlb_control = 0;
    keep_interrupted_event(vmcb);
    if (svm_barrier_needed())
        msr_write(MSR_PRED_CMD, PRED_CMD_IBPB);
    if (panicking())
        halt_forever();
    if (vmcb->exit_code != VMEXIT_NPF &&
        vmcb->exit_code - VMEXIT_EXCEPTION > VMEXIT_EXCEPTION_LAST - VMEXIT_EXCEPTION)
        step_abandon(vcpu); /* the instruction has not run; what happens now must not see its flags */
    if (vmcb->exit_code == VMEXIT_NPF)
        on_nested_fault(vcpu);
    else if (vmcb->exit_code < ARRAY_COUNT(handlers) && handlers[vmcb->exit_code])
        handlers[vmcb->exit_code](vcpu);
    else
        unexpected(vcpu);
    svm_before_entry(vcpu);
}
