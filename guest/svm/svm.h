/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this folder share. */
#ifndef SHOJI_GUEST_SVM_H
#define SHOJI_GUEST_SVM_H

#include "guest/svm/vmcb.h"
#include "guest/vcpu.h"

/* The exceptions that always exit: #GP, which hides that SVM is on (exits.c). */
#define ALWAYS_EXCEPTIONS ((uint32_t)BIT(EXCEPTION_GP))

/* run.S */
no_return void svm_run(struct vcpu *vcpu, void *stack_top, uint64_t cr3, uint64_t cr4, uint64_t cr0);
void svm_nmi_window(void);

/* Called by run.S. */
void svm_before_first_entry(struct vcpu *vcpu);
void svm_exit(struct vcpu *vcpu);

/* The permission maps, shared by all CPUs. */
bool svm_maps_create(void) must_check;
uint64_t svm_io_map(void);
uint64_t svm_msr_map(void);

/* Fills a VMCB from the state in which the CPU came in. */
void svm_describe(struct vcpu *vcpu);

/* True when branch predictions must be flushed at each exit (IBPB). */
bool svm_barrier_needed(void);

/* The exit table's common frame around a handler; see exits.c. */
void svm_before_entry(struct vcpu *vcpu);

#endif
