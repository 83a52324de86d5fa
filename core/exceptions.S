/* SPDX-License-Identifier: Apache-2.0 */
/* Exception stubs, and the accesses to MSRs and XCRs that may fault. */

    .text

/* Offsets in struct cpu, asserted in core/cpu.h. */
#define CPU_NMI_WINDOW       8
#define CPU_NMI_WINDOW_BYTES 16
#define CPU_NMI_RESTART      24
#define CPU_NMI_ARRIVED      32

/* An NMI is only noted: the guest's side looks at the note before it enters the guest. Code that stands behind that look and before the
 * entry is sent back to it. (Where the CPU holds NMIs back until a window is opened for them, there is no such code, and the note is not read.) */
nmi_stub:
    push %rax
    movq $1, %gs:CPU_NMI_ARRIVED
    mov 8(%rsp), %rax
    sub %gs:CPU_NMI_WINDOW, %rax
    cmp %gs:CPU_NMI_WINDOW_BYTES, %rax
    jae 1f
    mov %gs:CPU_NMI_RESTART, %rax
    mov %rax, 8(%rsp)
1:  pop %rax
    iretq

exception_common:
    push %rax
    push %rcx
    push %rdx
    push %rbx
    push %rbp
    push %rsi
    push %rdi
    push %r8
    push %r9
    push %r10
    push %r11
    push %r12
    push %r13
    push %r14
    push %r15
    cld
    mov %rsp, %rdi
    mov %rsp, %rbx
    and $-16, %rsp
    call exception_taken
    mov %rbx, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rdi
    pop %rsi
    pop %rbp
    pop %rbx
    pop %rdx
    pop %rcx
    pop %rax
    add $16, %rsp
    iretq

/* Vectors 8, 10-14, 17, 21, 29 and 30 push an error code themselves. */
#define ERROR_CODE_VECTORS 0x60227d00

    .altmacro
    .macro stub vector
stub_\vector:
    .if ((ERROR_CODE_VECTORS >> \vector) & 1) == 0
    push $0
    .endif
    push $\vector
    jmp exception_common
    .endm

    .macro stub_address vector
    .if \vector == 2
    .quad nmi_stub
    .else
    .quad stub_\vector
    .endif
    .endm

    .set i, 0
    .rept 32
    stub %i
    .set i, i + 1
    .endr

    .global msr_read_safe
/* bool msr_read_safe(uint32_t msr, uint64_t *value) */
msr_read_safe:
    mov %edi, %ecx
msr_read_at:
    rdmsr
    shl $32, %rdx
    or %rdx, %rax
    mov %rax, (%rsi)
    mov $1, %eax
    ret
msr_read_fault:
    xor %eax, %eax
    ret

    .global msr_write_safe
/* bool msr_write_safe(uint32_t msr, uint64_t value) */
msr_write_safe:
    mov %edi, %ecx
    mov %esi, %eax
    mov %rsi, %rdx
    shr $32, %rdx
msr_write_at:
    wrmsr
    mov $1, %eax
    ret
msr_write_fault:
    xor %eax, %eax
    ret

    .global xcr_write_safe
/* bool xcr_write_safe(uint32_t index, uint64_t value) */
xcr_write_safe:
    mov %edi, %ecx
    mov %esi, %eax
    mov %rsi, %rdx
    shr $32, %rdx
xcr_write_at:
    xsetbv
    mov $1, %eax
    ret
xcr_write_fault:
    xor %eax, %eax
    ret

    .section .rodata
    .global exception_fixups
    .balign 8
exception_fixups:
    .quad msr_read_at, msr_read_fault
    .quad msr_write_at, msr_write_fault
    .quad xcr_write_at, xcr_write_fault
    .quad 0, 0

    .global exception_stubs
    .balign 8
exception_stubs:
    .set i, 0
    .rept 32
    stub_address %i
    .set i, i + 1
    .endr

    .section .note.GNU-stack, "", @progbits
