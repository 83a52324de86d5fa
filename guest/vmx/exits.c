/* SPDX-License-Identifier: Apache-2.0 */
/* The exit table of Intel VT-x. Each entry turns the VMCS's answer into the arguments of a common handler of
 * guest/. */
#include "core/log.h"
#include "core/panic.h"
#include "guest/destination.h"
#include "guest/exit.h"
#include "guest/nested.h"
#include "guest/nmi.h"
#include "guest/step.h"
#include "guest/vmx/vmx.h"

typedef void (*exit_handler)(struct vcpu *vcpu);

#define PRED_CMD_IBPB  1u
#define FLUSH_CMD_L1D  1u
#define INVALIDATE_ONE 1ull /* INVEPT and INVVPID: of one context */
#define DR6_QUALIFIED  (DR6_TRAPS | DR6_BD | DR6_BS)

static bool is_nmi(uint64_t event)
{
    return (event & EVENT_TYPE) == EVENT_TYPE_NMI;
}

/* An IRET that unblocked NMIs and then faulted has not run: they are blocked again. */
static void keep_nmi_blocking(struct vcpu *vcpu, uint64_t event)
{
    if (!(event & EVENT_NMI_UNBLOCKED) || (vmcs_read(VMCS_VECTORING_EVENT) & EVENT_VALID))
        return;
    vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, vmcs_read(VMCS_GUEST_INTERRUPTIBILITY) | INTERRUPTIBILITY_NMI);
    vcpu->nmi_blocked = true;
}

static void on_exception(struct vcpu *vcpu)
{
    uint64_t event = vmcs_read(VMCS_EXIT_EVENT), first = vmcs_read(VMCS_VECTORING_EVENT);
    if (is_nmi(event)) {
        exit_nmi(vcpu);
        return;
    }
    struct exception_exit e = {
        .vector = event & EVENT_VECTOR,
        .first_vector = first & EVENT_VECTOR,
        .address = vmcs_read(VMCS_EXIT_QUALIFICATION),
        .during_exception = (first & EVENT_VALID) && (first & EVENT_TYPE) == EVENT_TYPE_HARDWARE,
    };
    if (event & EVENT_ERROR_VALID)
        e.error_code = (uint32_t)vmcs_read(VMCS_EXIT_EVENT_ERROR);
    if (e.vector != EXCEPTION_DF)
        keep_nmi_blocking(vcpu, event);
    if (e.vector == EXCEPTION_DB) /* which is not yet in DR6 */
        vcpu_set_dr6(vcpu, vcpu_dr6(vcpu) | (e.address & DR6_QUALIFIED));
    exit_exception(vcpu, &e);
}

/* An INIT that came while the CPU waited for a start-up IPI is held back until it runs. It meant nothing
 * then, and means nothing before the first instruction. */
static void on_init(struct vcpu *vcpu)
{
    if (vmx_of(vcpu)->just_started && vcpu->rip == 0)
        return;
    exit_init(vcpu);
}

static void on_startup(struct vcpu *vcpu)
{
    exit_startup(vcpu, (uint8_t)vmcs_read(VMCS_EXIT_QUALIFICATION));
    vmx_of(vcpu)->just_started = true;
}

static void on_nmi_window(struct vcpu *vcpu)
{
    count_exit(vcpu, EXIT_NMI_WINDOW); /* what waits is delivered before the entry */
}

/* Nobody traps the APIC here; operating systems ask CPUID right after they have set it up. */
static void on_cpuid(struct vcpu *vcpu)
{
    destination_note(vcpu);
    exit_cpuid(vcpu);
}

static void on_port(struct vcpu *vcpu)
{
    uint64_t qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);
    struct port_access access = {
        .port = (uint16_t)(qualification >> PORT_QUALIFICATION_PORT_SHIFT),
        .bytes = (qualification & PORT_QUALIFICATION_SIZE) + 1,
        .write = !(qualification & PORT_QUALIFICATION_IN),
        .string = qualification & PORT_QUALIFICATION_STRING,
        .length = (uint8_t)vmcs_read(VMCS_EXIT_INSTRUCTION_LENGTH),
    };
    exit_port(vcpu, &access);
}

static void on_ept_violation(struct vcpu *vcpu)
{
    uint64_t qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);
    struct nested_fault fault = {
        .address = vmcs_read(VMCS_GUEST_PHYSICAL),
        .write = qualification & EPT_QUALIFICATION_WRITE,
        .fetch = qualification & EPT_QUALIFICATION_FETCH,
        .during_walk =
            !(qualification & EPT_QUALIFICATION_LINEAR) || !(qualification & EPT_QUALIFICATION_TRANSLATED),
    };
    keep_nmi_blocking(vcpu, qualification);
    exit_nested_fault(vcpu, &fault);
}

static const exit_handler handlers[VMX_EXIT_COUNT] = {
    [VMX_EXIT_EXCEPTION] = on_exception,
    [VMX_EXIT_TRIPLE_FAULT] = exit_shutdown,
    [VMX_EXIT_INIT] = on_init,
    [VMX_EXIT_SIPI] = on_startup,
    [VMX_EXIT_NMI_WINDOW] = on_nmi_window,
    [VMX_EXIT_TASK_SWITCH] = exit_task_switch,
    [VMX_EXIT_CPUID] = on_cpuid,
    [VMX_EXIT_GETSEC] = exit_undefined,
    [VMX_EXIT_INVD] = exit_invd,
    [VMX_EXIT_VMCALL] = exit_hypercall,
    [VMX_EXIT_VMCLEAR... VMX_EXIT_VMXON] = exit_undefined,
    [VMX_EXIT_CONTROL_REGISTER] = exit_control_register,
    [VMX_EXIT_PORT] = on_port,
    [VMX_EXIT_RDMSR] = exit_msr_read,
    [VMX_EXIT_WRMSR] = exit_msr_write,
    [VMX_EXIT_EPT_VIOLATION] = on_ept_violation,
    [VMX_EXIT_INVEPT] = exit_undefined,
    [VMX_EXIT_INVVPID] = exit_undefined,
    [VMX_EXIT_XSETBV] = exit_xsetbv,
    [VMX_EXIT_VMFUNC] = exit_undefined,
};

static void unexpected(struct vcpu *vcpu, uint32_t reason)
{
    panic_begin();
    panic_line("The guest left for a reason that Shoji does not know: %u", reason);
    vcpu_dump(vcpu);
    panic_end();
}

/* An event that the CPU was delivering when it exited is delivered again, unless the instruction itself will
 * raise it anew. */
static void keep_interrupted_event(struct vmx_cpu *vmx)
{
    uint32_t event = (uint32_t)vmcs_read(VMCS_VECTORING_EVENT);
    uint32_t type = event & EVENT_TYPE;
    bool raised_anew = type >= EVENT_TYPE_SOFTWARE; /* INT n, INT1, INT3 and INTO */
    vmx->event = (event & EVENT_VALID) && !raised_anew ? event & EVENT_REINJECTED : 0;
    if (vmx->event & EVENT_ERROR_VALID)
        vmx->event_error = (uint32_t)vmcs_read(VMCS_VECTORING_EVENT_ERROR);
}

/* An exit between two instructions. At any other exit an instruction has not run, so it has trapped nothing:
 * its single step is still to come (SDM 3C section 27.3.4; Bochs says that it is pending). */
static bool is_between_instructions(uint32_t reason)
{
    return reason == VMX_EXIT_INIT || reason == VMX_EXIT_SIPI || reason == VMX_EXIT_NMI_WINDOW ||
           (reason == VMX_EXIT_EXCEPTION && is_nmi(vmcs_read(VMCS_EXIT_EVENT)));
}

/* The NMI blocking is the CPU's own; an NMI cannot be injected into an interrupt shadow either. */
static void note_interruptibility(struct vcpu *vcpu, uint32_t reason)
{
    uint64_t now = vmcs_read(VMCS_GUEST_INTERRUPTIBILITY);
    if (!(now & INTERRUPTIBILITY_MOV_SS) && !is_between_instructions(reason))
        vmcs_write(VMCS_GUEST_PENDING_DEBUG, 0);
    vcpu->nmi_blocked = now & (INTERRUPTIBILITY_NMI | INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS);
    if (now & INTERRUPTIBILITY_SMI) /* Bochs leaves it after INIT; outside SMM it cannot be entered with */
        vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, now & ~INTERRUPTIBILITY_SMI);
}

void vmx_exit(struct vcpu *vcpu)
{
    struct vmx_cpu *vmx = vmx_of(vcpu);
    __atomic_store_n(&vcpu->in_guest, false, __ATOMIC_SEQ_CST);
    if (vmx_features.flush_predictions)
        msr_write(MSR_PRED_CMD, PRED_CMD_IBPB);
    uint32_t reason = (uint32_t)vmcs_read(VMCS_EXIT_REASON);
    if (panicking())
        halt_forever();
    if (reason & EXIT_REASON_ENTRY_FAILED)
        vmx_entry_failed(vcpu, "The CPU does not take the guest's state");
    vmx->launched = true;
    vcpu->rip = vmcs_read(VMCS_GUEST_RIP);
    vcpu->rflags = vmcs_read(VMCS_GUEST_RFLAGS);
    vcpu->gpr[RSP] = vmcs_read(VMCS_GUEST_RSP);
    vcpu->exit_total++;
    note_interruptibility(vcpu, reason);
    keep_interrupted_event(vmx);
    bool may_step = reason == VMX_EXIT_EPT_VIOLATION ||
                    (reason == VMX_EXIT_EXCEPTION && !is_nmi(vmcs_read(VMCS_EXIT_EVENT)));
    if (!may_step)
        step_abandon(vcpu); /* the instruction has not run; what happens now must not see its flags */
    if (reason < VMX_EXIT_COUNT && handlers[reason])
        handlers[reason](vcpu);
    else
        unexpected(vcpu, reason);
    if (reason != VMX_EXIT_SIPI)
        vmx->just_started = false;
}

/* ---- Before an entry ---- */

static void settle(struct vcpu *vcpu)
{
    requests_settle(vcpu);
    /* NMIs that came while the hypervisor ran: as if they came right behind the entry. */
    while (__atomic_load_n(&vcpu->cpu->nmi_arrived, __ATOMIC_SEQ_CST)) {
        __atomic_store_n(&vcpu->in_guest, false, __ATOMIC_SEQ_CST);
        exit_nmi(vcpu);
        requests_settle(vcpu);
    }
}

static void set_up_event(struct vcpu *vcpu)
{
    struct vmx_cpu *vmx = vmx_of(vcpu);
    uint64_t controls = vmx_features.controls[CONTROLS_PROCESSOR];
    vmcs_write(VMCS_ENTRY_EVENT, vmx->event);
    vmcs_write(VMCS_PROCESSOR_CONTROLS, vcpu->nmi_pending ? controls | PROCESSOR_NMI_WINDOW : controls);
    if (!(vmx->event & EVENT_VALID))
        return;
    vmcs_write(VMCS_ENTRY_EVENT_ERROR, vmx->event_error);
    vmcs_write(VMCS_ENTRY_INSTRUCTION_LENGTH, vmx->event_length);
    if (is_nmi(vmx->event)) /* also one that is delivered again: the injection blocks the next by itself */
        vmcs_write(VMCS_GUEST_INTERRUPTIBILITY,
                   vmcs_read(VMCS_GUEST_INTERRUPTIBILITY) & ~INTERRUPTIBILITY_NMI);
    if (vmcs_read(VMCS_GUEST_ACTIVITY) == ACTIVITY_HLT)
        vmcs_write(VMCS_GUEST_ACTIVITY, ACTIVITY_ACTIVE);
}

/* The CPU waits as a guest, where it leaves for nothing but a start-up IPI. It looks at its requests and its
 * translations when it comes back. */
static void wait_for_startup(struct vcpu *vcpu)
{
    vmx_of(vcpu)->event = 0;
    vcpu->nmi_pending = false;
    vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, 0);
    vmcs_write(VMCS_GUEST_PENDING_DEBUG, 0);
    vmcs_write(VMCS_GUEST_ACTIVITY, ACTIVITY_WAIT_FOR_SIPI);
    __atomic_store_n(&vcpu->in_guest, false, __ATOMIC_SEQ_CST);
}

static void flush_translations(struct vmx_cpu *vmx)
{
    const uint64_t ept[2] = {vmcs_read(VMCS_EPT_POINTER), 0};
    bool failed;
    __asm__ volatile("invept %1, %2" : "=@ccbe"(failed) : "m"(ept), "r"(INVALIDATE_ONE) : "memory");
    if (!failed && vmx_features.invvpid) {
        const uint64_t vpid[2] = {vmcs_read(VMCS_VPID), 0};
        __asm__ volatile("invvpid %1, %2" : "=@ccbe"(failed) : "m"(vpid), "r"(INVALIDATE_ONE) : "memory");
    }
    if (failed)
        panic("VT-x does not flush its translations");
    vmx->flush_due = false;
}

/* What the hypervisor's work left in buffers and caches is not the guest's to find. */
static void clean_up(void)
{
    static const uint16_t selector = SELECTOR_DATA;
    if (vmx_features.flush_l1d)
        msr_write(MSR_INTEL_FLUSH_CMD, FLUSH_CMD_L1D);
    if (vmx_features.clear_buffers)
        __asm__ volatile("verw %0" : : "m"(selector) : "cc");
}

void vmx_before_entry(struct vcpu *vcpu)
{
    settle(vcpu);
    if (vcpu->state == VCPU_WAIT_FOR_SIPI)
        wait_for_startup(vcpu);
    set_up_event(vcpu);
    vmcs_write(VMCS_GUEST_RIP, vcpu->rip);
    vmcs_write(VMCS_GUEST_RFLAGS, vcpu->rflags);
    vmcs_write(VMCS_GUEST_RSP, vcpu->gpr[RSP]);
    nested_look(vcpu);
    if (vmx_of(vcpu)->flush_due)
        flush_translations(vmx_of(vcpu));
    clean_up();
}
