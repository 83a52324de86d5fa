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

static void on_exception(struct vcpu *vcpu)
{
    const struct vmcb *vmcb = vmcb_of(vcpu);
    uint64_t event = vmcb->exit_interrupt_info;
    struct exception_exit e = {
        .vector = (unsigned)(vmcb->exit_code - VMEXIT_EXCEPTION),
        .first_vector = event & 0xff,
        .error_code = (uint32_t)vmcb->exit_info1,
        .address = vmcb->exit_info2,
        .during_exception =
            (event & EVENT_VALID) && (event >> EVENT_TYPE_SHIFT & EVENT_TYPE_MASK) == EVENT_TYPE_EXCEPTION,
    };
    e.always_exits = e.vector == EXCEPTION_GP;
    e.hides_virtualization = e.always_exits && !(event & EVENT_VALID) && is_svm_instruction(vcpu);
    exit_exception(vcpu, &e);
}

static void on_nmi(struct vcpu *vcpu)
{
    /* A CPU that takes an NMI right after STI and loses the interrupt shadow over the exit (QEMU's does)
     * would take an interrupt between STI and HLT, and sleep through it. Standing before the STI again is the
     * same to the guest. (A byte FBh before a MOV SS's shadow is taken for an STI too; with IF set and at
     * privilege level 0 it does no harm.) */
    uint8_t before;
    struct walk at;
    if ((vmcb_of(vcpu)->interrupt_state & INTERRUPT_SHADOW) && (vcpu->rflags & RFLAGS_IF) &&
        vcpu_cpl(vcpu) == 0) {
        uint64_t base = walk_decode_mode(vcpu) == DECODE_64 ? 0 : vcpu_segment(vcpu, SEGMENT_CS).base;
        if (walk_linear(vcpu, base + vcpu->rip - 1, &at) && walk_read_byte(at.physical, &before) &&
            before == OPCODE_STI) {
            vcpu->rip--;
            vcpu->rflags &= ~RFLAGS_IF;
            vmcb_of(vcpu)->interrupt_state &= ~INTERRUPT_SHADOW;
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

static void on_msr(struct vcpu *vcpu)
{
    if (vmcb_of(vcpu)->exit_info1 & 1)
        exit_msr_write(vcpu);
    else
        exit_msr_read(vcpu);
}

static void on_port(struct vcpu *vcpu)
{
    uint64_t info = vmcb_of(vcpu)->exit_info1;
    struct port_access access = {
        .port = (uint16_t)(info >> IO_INFO_PORT_SHIFT),
        .bytes = info >> IO_INFO_SIZE_SHIFT & IO_INFO_SIZE_MASK,
        .write = !(info & IO_INFO_IN),
        .string = info & IO_INFO_STRING,
        .length = (uint8_t)(vmcb_of(vcpu)->exit_info2 - vcpu->rip),
    };
    exit_port(vcpu, &access);
}

static void on_nested_fault(struct vcpu *vcpu)
{
    uint64_t info = vmcb_of(vcpu)->exit_info1;
    struct nested_fault fault = {
        .address = vmcb_of(vcpu)->exit_info2,
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
    [VMEXIT_INVD] = exit_invd,
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
               (unsigned long long)vmcb_of(vcpu)->exit_code);
    vcpu_dump(vcpu);
    panic_end();
}

void svm_before_entry(struct vcpu *vcpu)
{
    struct vmcb *vmcb = vmcb_of(vcpu);
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
    struct vmcb *vmcb = vmcb_of(vcpu);
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
