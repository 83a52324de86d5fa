/* SPDX-License-Identifier: Apache-2.0 */
/* The world switch (SDM volume 3C, chapters 26 and 27). Offsets are those of struct vcpu, struct vmx_cpu and struct cpu, asserted where these are. */

#define VCPU_GPR(n) (8 * (n))
#define VCPU_BACKEND 128
#define VMX_LAUNCHED 0
#define CPU_NMI_ARRIVED 32
#define VMCS_HOST_RSP 0x6c14
#define SELECTOR_DATA 0x10

    .text

    .global vmx_run
/* no_return void vmx_run(struct vcpu *vcpu, void *stack_top, uint64_t cr3, uint64_t cr4, uint64_t cr0): leaves the loader's stack and page tables. */
vmx_run:
    mov %rsi, %rsp
    mov %rdx, %cr3
    mov %rcx, %cr4
    mov %r8, %cr0
    push $0
    push %rdi
    mov $VMCS_HOST_RSP, %eax
    vmwrite %rsp, %rax
    jmp vmx_restart

    .global vmx_exit_point
vmx_exit_point:
    xchg %rdi, (%rsp)
    mov %rax, VCPU_GPR(0)(%rdi)
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
    call vmx_exit

    .global vmx_restart
vmx_restart:
    mov (%rsp), %rdi
    call vmx_before_entry
    mov (%rsp), %rdi
    mov VCPU_BACKEND(%rdi), %rax

    .global vmx_window
/* From here on an NMI leads back to vmx_restart. Nothing is pushed, and the guest's registers are only copied. */
vmx_window:
    cmpq $0, %gs:CPU_NMI_ARRIVED
    jne vmx_restart
    cmpq $0, VMX_LAUNCHED(%rax)
    mov VCPU_GPR(0)(%rdi), %rax
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
    mov VCPU_GPR(7)(%rdi), %rdi
    jne 1f
    vmlaunch
    jmp 2f
1:  vmresume
    .global vmx_window_end
vmx_window_end:
2:  mov (%rsp), %rdi
    call vmx_entry_refused

    .global vmx_unblock_nmis
/* An exit by NMI leaves NMIs blocked until the next IRET; one that waits comes right after this one. */
vmx_unblock_nmis:
    mov %rsp, %rax
    push $SELECTOR_DATA
    push %rax
    pushf
    mov %cs, %eax
    push %rax
    lea 1f(%rip), %rax
    push %rax
    iretq
1:  ret

    .section .note.GNU-stack, "", @progbits
