/* SPDX-License-Identifier: Apache-2.0 */
/* What AMD's SVM and Intel's VT-x each answer in their own way. The boot CPU chooses one table for good; the
 * common handlers call it through the functions of guest/vcpu.h and never ask which it is. */
#ifndef SHOJI_GUEST_BACKEND_H
#define SHOJI_GUEST_BACKEND_H

#include "guest/nested.h"

#define MSR_NO_BIT (~0u)

/* Functions without a comment are described in guest/vcpu.h. All but `offered`, `start` and `msr_bit` run on
 * the CPU that the vCPU is of. */
struct backend {
    const char *name;
    /* INIT and start-up IPIs exit by themselves, and a CPU can wait for one as a guest: nobody has to watch
     * who sends them. */
    bool starts_natively;

    /* Whether the boot CPU has this kind of virtualization. */
    bool (*offered)(void);
    /* Checks the boot CPU, chooses the defence against trained predictions. Returns a core_status. */
    uint64_t (*start)(void);
    const struct nested_format *(*nested_format)(void);
    /* Which bit of the MSR permission map makes reads or writes exit; MSR_NO_BIT: they always do. */
    uint32_t (*msr_bit)(uint32_t msr, bool write);

    /* Turns virtualization on and describes the firmware's present state as the guest's. Returns a
     * core_status; a failure leaves the CPU as it was. */
    uint64_t (*prepare)(struct vcpu *vcpu);
    /* Leaves the firmware's environment for the host's and enters the guest. */
    no_return void (*run)(struct vcpu *vcpu);

    uint64_t (*cr)(const struct vcpu *vcpu, enum control_register cr);
    void (*set_cr2)(struct vcpu *vcpu, uint64_t address);
    uint64_t (*efer)(const struct vcpu *vcpu);
    void (*set_efer)(struct vcpu *vcpu, uint64_t efer);
    unsigned (*cpl)(const struct vcpu *vcpu);
    struct vcpu_segment (*segment)(const struct vcpu *vcpu, unsigned segment);
    void (*end_shadow)(struct vcpu *vcpu); /* of STI and MOV SS */
    void (*inject)(struct vcpu *vcpu, enum exception exception, bool has_error_code, uint32_t error_code);
    void (*inject_nmi)(struct vcpu *vcpu);
    bool (*injection_due)(const struct vcpu *vcpu);
    void (*trap_iret)(struct vcpu *vcpu, bool on);
    void (*trap_step)(struct vcpu *vcpu, bool on);
    uint64_t (*dr6)(const struct vcpu *vcpu);
    void (*set_dr6)(struct vcpu *vcpu, uint64_t dr6);
    void (*reset_to_vector)(struct vcpu *vcpu, uint8_t vector);
    void (*flush)(struct vcpu *vcpu);
    void (*consume_nmi)(void);
    void (*memory_types_changed)(void);
    void (*dump)(const struct vcpu *vcpu);
};

extern const struct backend svm_backend, vmx_backend;

/* Chooses by what the boot CPU offers and starts it. Returns a core_status. */
uint64_t backend_start(void);

/* The one that was chosen; constant after backend_start. */
const struct backend *the_backend(void);

#endif
