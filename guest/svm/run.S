/* SPDX-License-Identifier: Apache-2.0 */
/* The world switch (AMD APM volume 2, section 15.5). Offsets are those of struct vcpu and struct svm_cpu, asserted where these are. */

#define VCPU_GPR(n) (8 * (n))
#define VCPU_BACKEND 128
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
    mov VCPU_GPR(1)(%rdi), %rcx
    mov VCPU_GPR(2)(%rdi), %rdx
    mov VCPU_GPR(3)(%rdi), %rbx
    mov VCPU_GPR(5)(%rdi), %rbp
    mov VCPU_GPR(6)(%rdi), %rsi
    mov VCPU_GPR(8)(%rdi), %r8
    mov VCPU_GPR(9)(%rdi), %r9
    mov VCPU_GPR(10)(%rdi), %r10
    mov VCPU_GPR(11)(%rdi), %r11
    mov VCPU_GPR(12)(%rdi), %r12
    mov VCPU_GPR(13)(%rdi), %r13
    mov VCPU_GPR(14)(%rdi), %r14
    mov VCPU_GPR(15)(%rdi), %r15
    mov VCPU_BACKEND(%rdi), %rax
    mov SVM_VMCB(%rax), %rax
    mov VCPU_GPR(7)(%rdi), %rdi
    vmload
    vmrun
    vmsave

    /* RAX holds the VMCB's address again; the guest's own is in the VMCB, like its RSP. */
    xchg %rdi, (%rsp)
    mov %rcx, VCPU_GPR(1)(%rdi)
    mov %rdx, VCPU_GPR(2)(%rdi)
    mov %rbx, VCPU_GPR(3)(%rdi)
    mov %rbp, VCPU_GPR(5)(%rdi)
    mov %rsi, VCPU_GPR(6)(%rdi)
    mov %r8, VCPU_GPR(8)(%rdi)
    mov %r9, VCPU_GPR(9)(%rdi)
    mov %r10, VCPU_GPR(10)(%rdi)
    mov %r11, VCPU_GPR(11)(%rdi)
    mov %r12, VCPU_GPR(12)(%rdi)
    mov %r13, VCPU_GPR(13)(%rdi)
    mov %r14, VCPU_GPR(14)(%rdi)
    mov %r15, VCPU_GPR(15)(%rdi)
    mov (%rsp), %rax
    mov %rax, VCPU_GPR(7)(%rdi)
    mov %rdi, (%rsp)
    /* FS, GS, TR and their like are the guest's still. */
    mov VCPU_BACKEND(%rdi), %rax
    mov SVM_HOST(%rax), %rax
    vmload
    /* No value of the guest steers a prediction or is left where host code may use it by mistake. */
    xor %eax, %eax
    xor %ebx, %ebx
    xor %ecx, %ecx
    xor %edx, %edx
    xor %esi, %esi
    xor %ebp, %ebp
    xor %r8d, %r8d
    xor %r9d, %r9d
    xor %r10d, %r10d
    xor %r11d, %r11d
    xor %r12d, %r12d
    xor %r13d, %r13d
    xor %r14d, %r14d
    xor %r15d, %r15d
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
