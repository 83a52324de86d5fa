/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this folder share. */
#ifndef SHOJI_GUEST_SVM_H
#define SHOJI_GUEST_SVM_H

#include "guest/nested.h"
#include "guest/svm/vmcb.h"
#include "guest/vcpu.h"

/* The exceptions that always exit: #GP, which hides that SVM is on (exits.c). */
#define ALWAYS_EXCEPTIONS ((uint32_t)BIT(EXCEPTION_GP))

/* Of one CPU. Owned by it; run.S knows the first two. */
struct svm_cpu {
    uint64_t vmcb_physical, host_physical; /* the VMCB, and what the host keeps by VMSAVE */
    struct vmcb *vmcb;
};
static_assert(offsetof(struct svm_cpu, host_physical) == 8, "run.S");

static inline struct svm_cpu *svm_of(const struct vcpu *vcpu)
{
    return vcpu->backend;
}

static inline struct vmcb *vmcb_of(const struct vcpu *vcpu)
{
    return svm_of(vcpu)->vmcb;
}

/* run.S */
no_return void svm_run(struct vcpu *vcpu, void *stack_top, uint64_t cr3, uint64_t cr4, uint64_t cr0);
void svm_nmi_window(void);

/* Called by run.S. */
void svm_before_first_entry(struct vcpu *vcpu);
void svm_exit(struct vcpu *vcpu);

/* prepare.c, for the table in state.c. */
bool svm_offered(void);
uint64_t svm_start(void);
const struct nested_format *svm_nested_format(void);
uint64_t svm_prepare(struct vcpu *vcpu);
no_return void svm_enter(struct vcpu *vcpu);

/* True when branch predictions must be flushed at each exit (IBPB). */
bool svm_barrier_needed(void);

/* The exit table's common frame around a handler; see exits.c. */
void svm_before_entry(struct vcpu *vcpu);

#endif
