/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this folder share. */
#ifndef SHOJI_GUEST_VMX_H
#define SHOJI_GUEST_VMX_H

#include "guest/vcpu.h"
#include "guest/vmx/controls.h"
#include "guest/vmx/vmcs.h"

/* An entry of the lists of MSRs that are loaded and stored at exits and entries (SDM 3C table 24-11). */
struct vmx_msr {
    uint32_t index, reserved;
    uint64_t value;
};
#define VMX_MSRS_MAX 2

/* Capability MSRs (SDM volume 3D, appendix A). */
#define MSR_VMX_BASIC      0x480u
#define MSR_VMX_PIN        0x481u
#define MSR_VMX_PROCESSOR  0x482u
#define MSR_VMX_EXIT       0x483u
#define MSR_VMX_ENTRY      0x484u
#define MSR_VMX_CR0_FIXED0 0x486u
#define MSR_VMX_CR0_FIXED1 0x487u
#define MSR_VMX_CR4_FIXED0 0x488u
#define MSR_VMX_CR4_FIXED1 0x489u
#define MSR_VMX_SECONDARY  0x48bu
#define MSR_VMX_EPT_VPID   0x48cu
#define MSR_VMX_TRUE_PIN   0x48du

/* Of one CPU. Owned by it; run.S knows the first. */
struct vmx_cpu {
    uint64_t launched; /* entered once: from then on by VMRESUME */
    uint64_t vmcs_physical;
    /* What the guest takes at its next entry; valid when EVENT_VALID is set. */
    uint32_t event, event_error, event_length;
    bool flush_due;
    bool just_started; /* a start-up IPI was taken and no instruction has exited since */
    uint64_t step_debug_control;
    struct vmx_msr guest_msrs[VMX_MSRS_MAX] aligned_to(16), host_msrs[VMX_MSRS_MAX] aligned_to(16);
};
static_assert(offsetof(struct vmx_cpu, launched) == 0, "run.S");

static inline struct vmx_cpu *vmx_of(const struct vcpu *vcpu)
{
    return vcpu->backend;
}

/* What the boot CPU offers; constant after vmx_start. */
struct vmx_features {
    uint32_t controls[CONTROL_GROUPS];
    uint64_t cr0_owned;     /* bits of CR0 that the guest sees in the shadow alone */
    uint64_t cr0_fixed;     /* of these, what is always set in truth */
    bool invvpid;           /* translations of the guest outlive exits */
    bool load_spec_ctrl;    /* IBRS is on in the hypervisor */
    bool flush_predictions; /* IBPB at each exit */
    bool clear_buffers;     /* VERW before each entry */
    bool flush_l1d;         /* before each entry */
    bool stop_counters;     /* the guest's performance counters stand still in the hypervisor */
};
extern struct vmx_features vmx_features;

/* The VMCS of this CPU. A field that does not exist is a bug: it panics. */
uint64_t vmcs_read(enum vmcs_field field);
void vmcs_write(enum vmcs_field field, uint64_t value);

/* start.c, prepare.c; for the table in state.c. */
bool vmx_offered(void);
uint64_t vmx_start(void);
const struct nested_format *vmx_nested_format(void);
void vmx_capabilities(uint64_t capabilities[CONTROL_GROUPS]);
uint64_t vmx_prepare(struct vcpu *vcpu);
no_return void vmx_enter(struct vcpu *vcpu);

/* memory_type.c */
void memory_types_start(void);
void memory_types_changed(void);
uint64_t memory_type_bits(uint64_t address, uint64_t bytes, bool *uniform);

/* control_registers.c */
void exit_control_register(struct vcpu *vcpu);
void exit_xsetbv(struct vcpu *vcpu);
bool vmx_load_pdptes(const struct vcpu *vcpu) must_check;
uint64_t vmx_cr0(void);           /* as the guest sees it */
void vmx_set_cr0(uint64_t value); /* what it sees; the truth follows */

/* task_switch.c */
void exit_task_switch(struct vcpu *vcpu);

/* run.S. The NMI window is the code between the last look for NMIs and the guest; an NMI in it leads back to
 * the restart. */
no_return void vmx_run(struct vcpu *vcpu, void *stack_top, uint64_t cr3, uint64_t cr4, uint64_t cr0);
void vmx_unblock_nmis(void);
extern const char vmx_exit_point[], vmx_restart[], vmx_window[], vmx_window_end[];

/* Called by run.S. */
void vmx_before_entry(struct vcpu *vcpu);
void vmx_exit(struct vcpu *vcpu);
no_return void vmx_entry_refused(struct vcpu *vcpu);

/* dump.c */
void vmx_dump(const struct vcpu *vcpu);
no_return void vmx_entry_failed(const struct vcpu *vcpu, const char *how);

#endif
