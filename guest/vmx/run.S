/* SPDX-License-Identifier: Apache-2.0 */
/* The world switch (SDM volume 3C, chapters 26 and 27). Offsets are those of struct vcpu, struct vmx_cpu and struct cpu, asserted where these are. */

#include "guest/world_switch.inc"

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
    keep_guest_registers
    mov (%rsp), %rax
    mov %rax, VCPU_GPR(7)(%rdi)
    mov %rdi, (%rsp)
    forget_guest_registers
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
    load_guest_registers
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
