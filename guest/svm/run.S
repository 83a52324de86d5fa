/* SPDX-License-Identifier: Apache-2.0 */
/* The world switch (AMD APM volume 2, section 15.5). Offsets are those of struct vcpu and struct svm_cpu, asserted where these are. */

#include "guest/world_switch.inc"

#define SVM_VMCB 0
#define SVM_HOST 8

    .text

    .global svm_run
/* no_return void svm_run(struct vcpu *vcpu, void *stack_top, uint64_t cr3, uint64_t cr4, uint64_t cr0): leaves the loader's stack and page tables. */
svm_run:
    mov %rsi, %rsp
    mov %rdx, %cr3
    mov %rcx, %cr4
    mov %r8, %cr0
    push $0
    push %rdi
    clgi
    call svm_before_first_entry

enter_guest:
    mov (%rsp), %rdi
    load_guest_registers
    mov VCPU_BACKEND(%rdi), %rax
    mov SVM_VMCB(%rax), %rax
    mov VCPU_GPR(7)(%rdi), %rdi
    vmload
    vmrun
    vmsave

    /* RAX holds the VMCB's address again; the guest's own is in the VMCB, like its RSP. */
    xchg %rdi, (%rsp)
    keep_guest_registers
    mov (%rsp), %rax
    mov %rax, VCPU_GPR(7)(%rdi)
    mov %rdi, (%rsp)
    /* FS, GS, TR and their like are the guest's still. */
    mov VCPU_BACKEND(%rdi), %rax
    mov SVM_HOST(%rax), %rax
    vmload
    forget_guest_registers
    cld
    call svm_exit
    jmp enter_guest

    .global svm_nmi_window
/* Takes the NMIs that are pending: the global interrupt flag is open for one instruction (RFLAGS.IF is clear in the hypervisor at all times). */
svm_nmi_window:
    stgi
    nop
    clgi
    ret

    .section .note.GNU-stack, "", @progbits
