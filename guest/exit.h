/* SPDX-License-Identifier: Apache-2.0 */
/* The handlers that both exit tables name. Each leaves the vCPU ready to run on. */
#ifndef SHOJI_GUEST_EXIT_H
#define SHOJI_GUEST_EXIT_H

#include "guest/vcpu.h"

/* Instructions whose emulation starts from the exit reason: their opcode bytes give their length. */
void exit_cpuid(struct vcpu *vcpu);
void exit_msr_read(struct vcpu *vcpu);
void exit_msr_write(struct vcpu *vcpu);
void exit_hypercall(struct vcpu *vcpu);

/* One IN or OUT; `length` is the instruction's, and of no meaning for INS and OUTS, which are decoded. */
struct port_access {
    uint16_t port;
    uint8_t bytes;
    bool write, string;
    uint8_t length;
};
void exit_port(struct vcpu *vcpu, const struct port_access *access);

/* A nested page fault at a guest-physical address. */
struct nested_fault {
    uint64_t address;
    bool write, fetch, during_walk;
};
void exit_nested_fault(struct vcpu *vcpu, const struct nested_fault *fault);

/* Gives the vCPU, which runs this code, the access to a page that all vCPUs have: none to the block, to
 * trapped regions and watched pages. */
void mmio_page_restore(struct vcpu *vcpu, uint64_t page);

/* How often the guest touched the hypervisor's block. */
uint64_t mmio_blocked_accesses(void);

void exit_nmi(struct vcpu *vcpu);
void exit_init(struct vcpu *vcpu);
void exit_startup(struct vcpu *vcpu, uint8_t vector); /* a start-up IPI, for a CPU that waits for one */
void exit_iret(struct vcpu *vcpu);

/* #DB while one instruction is stepped; another exception, which the instruction raised and which is then
 * delivered. */
void exit_step(struct vcpu *vcpu);
void exit_step_fault(struct vcpu *vcpu);

/* An exception of the guest that exits: of a step, or always. */
struct exception_exit {
    unsigned vector, first_vector;
    uint32_t error_code;
    uint64_t address;          /* of a page fault */
    bool during_exception;     /* on the way to the handler of `first_vector` */
    bool always_exits;         /* also when no instruction is stepped */
    bool hides_virtualization; /* raised by a virtualization instruction, which is to be #UD */
};
void exit_exception(struct vcpu *vcpu, const struct exception_exit *exception);

void exit_invd(struct vcpu *vcpu);

/* A virtualization instruction: #UD. */
void exit_undefined(struct vcpu *vcpu);

/* Triple fault: the guest asked for a reset in its own way. */
void exit_shutdown(struct vcpu *vcpu);

/* Moves past an instruction whose opcode the exit reason tells; #GP when it cannot be read. */
void skip_known(struct vcpu *vcpu, const uint8_t *opcode, size_t opcode_bytes);

/* Counts an exit. */
static inline void count_exit(struct vcpu *vcpu, enum exit_reason reason)
{
    vcpu->exits[reason]++;
}

#endif
