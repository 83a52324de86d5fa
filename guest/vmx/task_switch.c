/* SPDX-License-Identifier: Apache-2.0 */
/* Hardware task switches (SDM volume 3A, section 7.3). VT-x has no guest that makes them by itself: each one
 * exits, after the checks of privilege and of the new task's descriptor (volume 3C, section 25.4.2). */
#include "guest/exit.h"
#include "guest/vmx/task.h"
#include "guest/vmx/vmx.h"
#include "lib/decode.h"

#define QUALIFICATION_SOURCE_SHIFT 30
#define QUALIFICATION_SOURCE       3u
#define QUALIFICATION_SELECTOR     0xffffu
#define RFLAGS_NT                  BIT(14)
#define RFLAGS_LOADED              0x3f7fd7u /* what exists */
#define CR0_TS                     BIT(3)
#define DR6_BT                     BIT(15)
#define DR7_LOCAL                  0x155ull /* L0 to L3 and LE, which end with the task */
#define TYPE_BUSY                  2u
#define RIGHTS_V86                 0xf3u
#define LIMIT_V86                  0xffffu

enum source { SOURCE_CALL, SOURCE_IRET, SOURCE_JMP, SOURCE_GATE };

struct switching {
    struct vcpu *vcpu;
    enum source source;
    uint16_t old_selector, new_selector;
    struct descriptor descriptor; /* of the new task */
    struct task old, task;
    bool old_is_32, new_is_32;
    bool pushes_error;
    uint32_t error;
};

static uint16_t selector_of(unsigned segment)
{
    return (uint16_t)vmcs_read(SEGMENT_FIELD(VMCS_GUEST_SELECTORS, segment));
}

/* What stopped the old task: an instruction, behind which it goes on, or an event, before which it does. */
static void note_cause(struct switching *s)
{
    uint32_t event = (uint32_t)vmcs_read(VMCS_VECTORING_EVENT), type = event & EVENT_TYPE;
    bool by_event = s->source == SOURCE_GATE && (event & EVENT_VALID) && type < EVENT_TYPE_SOFTWARE;
    if (!by_event)
        s->vcpu->rip += vmcs_read(VMCS_EXIT_INSTRUCTION_LENGTH);
    s->pushes_error = by_event && (event & EVENT_ERROR_VALID);
    if (s->pushes_error)
        s->error = (uint32_t)vmcs_read(VMCS_VECTORING_EVENT_ERROR);
}

static void collect_old(struct switching *s)
{
    const struct vcpu *vcpu = s->vcpu;
    s->old = (struct task){.eip = (uint32_t)vcpu->rip, .eflags = (uint32_t)vcpu->rflags};
    if (s->source == SOURCE_IRET)
        s->old.eflags &= ~(uint32_t)RFLAGS_NT;
    for (unsigned i = 0; i < TASK_GPRS; i++)
        s->old.gpr[i] = (uint32_t)vcpu->gpr[i];
    for (unsigned i = 0; i < TASK_SEGMENTS; i++)
        s->old.segment[i] = selector_of(i);
}

/* All memory that the switch needs, so that a page fault finds the old task as it was. */
static bool exchange_tasks(struct switching *s)
{
    struct vcpu *vcpu = s->vcpu;
    uint64_t old_base = vmcs_read(SEGMENT_FIELD(VMCS_GUEST_BASES, SEGMENT_TR));
    uint64_t old_type = vmcs_read(SEGMENT_FIELD(VMCS_GUEST_RIGHTS, SEGMENT_TR)) & RIGHTS_TYPE;
    bool nests = s->source == SOURCE_CALL || s->source == SOURCE_GATE;
    s->old_is_32 = old_type == SYSTEM_TYPE_TSS_BUSY;
    if (!descriptor_read(vcpu, s->new_selector, &s->descriptor))
        return false;
    s->new_is_32 = (descriptor_rights(&s->descriptor) & RIGHTS_TYPE) >= SYSTEM_TYPE_TSS_BUSY - TYPE_BUSY;
    uint64_t new_base = descriptor_base(&s->descriptor);
    if (!task_read(vcpu, new_base, s->new_is_32, &s->task) ||
        !task_write(vcpu, old_base, s->old_is_32, &s->old))
        return false;
    if (nests && !linear_write(vcpu, new_base, &s->old_selector, sizeof s->old_selector))
        return false;
    if (!nests && !descriptor_set_type(vcpu, s->old_selector, TYPE_BUSY, false))
        return false;
    return s->source == SOURCE_IRET || descriptor_set_type(vcpu, s->new_selector, TYPE_BUSY, true);
}

static void load_task_register(const struct switching *s)
{
    vmcs_write(SEGMENT_FIELD(VMCS_GUEST_SELECTORS, SEGMENT_TR), s->new_selector);
    vmcs_write(SEGMENT_FIELD(VMCS_GUEST_BASES, SEGMENT_TR), descriptor_base(&s->descriptor));
    vmcs_write(SEGMENT_FIELD(VMCS_GUEST_LIMITS, SEGMENT_TR), descriptor_limit(&s->descriptor));
    vmcs_write(SEGMENT_FIELD(VMCS_GUEST_RIGHTS, SEGMENT_TR), descriptor_rights(&s->descriptor) | TYPE_BUSY);
}

/* False with an exception of the new task raised. */
static bool load_registers(struct switching *s)
{
    struct vcpu *vcpu = s->vcpu;
    const struct task *t = &s->task;
    vcpu->rip = t->eip;
    vcpu->rflags = (t->eflags & RFLAGS_LOADED) | RFLAGS_ONE;
    if (s->source == SOURCE_CALL || s->source == SOURCE_GATE)
        vcpu->rflags |= RFLAGS_NT;
    for (unsigned i = 0; i < TASK_GPRS; i++)
        vcpu->gpr[i] = t->gpr[i];
    vmx_set_cr0(vmx_cr0() | CR0_TS);
    vmcs_write(VMCS_GUEST_DR7, vmcs_read(VMCS_GUEST_DR7) & ~DR7_LOCAL);
    /* Selectors stand before they are looked up: an exception finds them so, and nothing behind them. */
    for (unsigned i = 0; i < TASK_SEGMENTS; i++)
        segment_set_null(i, t->segment[i]);
    segment_set_null(SEGMENT_LDTR, t->ldtr);
    if (s->new_is_32 && (vmx_cr0() & CR0_PG)) {
        vmcs_write(VMCS_GUEST_CR3, t->cr3);
        vcpu_flush(vcpu);
        if ((vcpu_cr(vcpu, CR4) & CR4_PAE) && !vmx_load_pdptes(vcpu)) {
            vcpu_inject(vcpu, EXCEPTION_TS, s->new_selector & SELECTOR_ERROR);
            return false;
        }
    }
    return true;
}

static void load_virtual_8086(const struct task *t)
{
    for (unsigned i = 0; i < TASK_SEGMENTS; i++) {
        vmcs_write(SEGMENT_FIELD(VMCS_GUEST_BASES, i), (uint64_t)t->segment[i] << 4);
        vmcs_write(SEGMENT_FIELD(VMCS_GUEST_LIMITS, i), LIMIT_V86);
        vmcs_write(SEGMENT_FIELD(VMCS_GUEST_RIGHTS, i), RIGHTS_V86);
    }
}

static bool load_segments(struct switching *s)
{
    /* CS first of the six, since its RPL is the new privilege level. */
    static const uint8_t order[TASK_SEGMENTS] = {SEGMENT_CS, SEGMENT_SS, SEGMENT_DS,
                                                 SEGMENT_ES, SEGMENT_FS, SEGMENT_GS};
    const struct task *t = &s->task;
    unsigned level = t->segment[SEGMENT_CS] & SELECTOR_RPL;
    if (!segment_load_ldt(s->vcpu, t->ldtr))
        return false;
    if (s->vcpu->rflags & RFLAGS_VM) {
        load_virtual_8086(t);
        return true;
    }
    for (unsigned i = 0; i < TASK_SEGMENTS; i++)
        if (!segment_load(s->vcpu, order[i], t->segment[order[i]], level))
            return false;
    return true;
}

static bool push_error(struct switching *s)
{
    struct vcpu *vcpu = s->vcpu;
    unsigned bytes = s->new_is_32 ? 4 : 2;
    struct vcpu_segment ss = vcpu_segment(vcpu, SEGMENT_SS);
    uint64_t mask = ss.default_32 ? 0xffffffffull : 0xffffull;
    uint64_t top = (vcpu->gpr[RSP] - bytes) & mask;
    if (!linear_write(vcpu, (ss.base + top) & 0xffffffffull, &s->error, bytes))
        return false;
    vcpu->gpr[RSP] = (vcpu->gpr[RSP] & ~mask) | top;
    return true;
}

/* An NMI whose handler is a task blocks others until an IRET, and so does the switch back end it. */
static void settle_nmi(const struct switching *s)
{
    uint32_t event = (uint32_t)vmcs_read(VMCS_VECTORING_EVENT);
    uint64_t state =
        vmcs_read(VMCS_GUEST_INTERRUPTIBILITY) & ~(INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS);
    if (s->source == SOURCE_IRET)
        state &= ~INTERRUPTIBILITY_NMI;
    if (s->source == SOURCE_GATE && (event & EVENT_VALID) && (event & EVENT_TYPE) == EVENT_TYPE_NMI)
        state |= INTERRUPTIBILITY_NMI;
    vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, state);
    s->vcpu->nmi_blocked = state & INTERRUPTIBILITY_NMI;
}

void exit_task_switch(struct vcpu *vcpu)
{
    uint64_t qualification = vmcs_read(VMCS_EXIT_QUALIFICATION), rip = vcpu->rip;
    struct switching s = {
        .vcpu = vcpu,
        .source = qualification >> QUALIFICATION_SOURCE_SHIFT & QUALIFICATION_SOURCE,
        .old_selector = selector_of(SEGMENT_TR),
        .new_selector = qualification & QUALIFICATION_SELECTOR,
    };
    count_exit(vcpu, EXIT_TASK_SWITCH);
    note_cause(&s);
    collect_old(&s);
    vmx_of(vcpu)->event = 0; /* an event that led here is delivered by the switch itself */
    if (!exchange_tasks(&s)) {
        vcpu->rip = rip;
        return;
    }
    settle_nmi(&s);
    load_task_register(&s);
    if (!load_registers(&s) || !load_segments(&s) || (s.pushes_error && !push_error(&s)))
        return;
    if (s.task.trap) {
        vcpu_set_dr6(vcpu, vcpu_dr6(vcpu) | DR6_BT);
        vcpu_inject(vcpu, EXCEPTION_DB, 0);
    }
}
