/* SPDX-License-Identifier: Apache-2.0 */
/* Entry points of all vectors, and the way into a piece of code that is tried and out of it again. */

#define CODE64       0x08
#define USER_FLAT    0x3b
#define USER_CODE64  0x43
#define VECTOR_DONE  0x30
#define FLAGS_AT     128
#define ERROR_VECTORS 0x40227d00 /* which exceptions push an error code: 8, 10-14, 17, 21, 30 */

    .text

/* Registers in the order of their numbers; gpr[RSP] stays empty. */
    .macro save_registers
    sub     $FLAGS_AT + 8, %rsp
    mov     %rax, 0(%rsp)
    mov     %rcx, 8(%rsp)
    mov     %rdx, 16(%rsp)
    mov     %rbx, 24(%rsp)
    mov     %rbp, 40(%rsp)
    mov     %rsi, 48(%rsp)
    mov     %rdi, 56(%rsp)
    mov     %r8, 64(%rsp)
    mov     %r9, 72(%rsp)
    mov     %r10, 80(%rsp)
    mov     %r11, 88(%rsp)
    mov     %r12, 96(%rsp)
    mov     %r13, 104(%rsp)
    mov     %r14, 112(%rsp)
    mov     %r15, 120(%rsp)
    .endm

    .macro load_registers from
    mov     0(\from), %rax
    mov     8(\from), %rcx
    mov     16(\from), %rdx
    mov     24(\from), %rbx
    mov     40(\from), %rbp
    mov     48(\from), %rsi
    mov     64(\from), %r8
    mov     72(\from), %r9
    mov     80(\from), %r10
    mov     88(\from), %r11
    mov     96(\from), %r12
    mov     104(\from), %r13
    mov     112(\from), %r14
    mov     120(\from), %r15
    mov     56(\from), %rdi
    .endm

    .globl vector_entries
    .balign 16
vector_entries:
    .set vector, 0
    .rept 64
    .balign 16
    .if vector >= 32 || !((ERROR_VECTORS >> vector) & 1)
    push    $0
    .endif
    push    $vector
    jmp     vector_common
    .set vector, vector + 1
    .endr

vector_common:
    save_registers
    mov     %rsp, %rdi
    cld
    call    vector_arrived
    mov     %rsp, %rdi
    load_registers %rdi
    add     $FLAGS_AT + 8 + 16, %rsp
    iretq

    .macro save_callee
    push    %rbx
    push    %rbp
    push    %r12
    push    %r13
    push    %r14
    push    %r15
    pushfq
    .endm

/* void code_enter(const void *code, struct registers *r, uint64_t *recover_rsp) */
    .globl code_enter
code_enter:
    save_callee
    push    %rsi
    mov     %rsp, (%rdx)
    push    %rdi
    mov     %rsi, %rdi
    load_registers %rdi
    call    *(%rsp)
    pushfq                              /* of the code; then where its address was */
    push    %rdi
    mov     24(%rsp), %rdi
    mov     %rax, 0(%rdi)
    mov     %rcx, 8(%rdi)
    mov     %rdx, 16(%rdi)
    mov     %rbx, 24(%rdi)
    mov     %rbp, 40(%rdi)
    mov     %rsi, 48(%rdi)
    mov     %r8, 64(%rdi)
    mov     %r9, 72(%rdi)
    mov     %r10, 80(%rdi)
    mov     %r11, 88(%rdi)
    mov     %r12, 96(%rdi)
    mov     %r13, 104(%rdi)
    mov     %r14, 112(%rdi)
    mov     %r15, 120(%rdi)
    pop     %rax
    mov     %rax, 56(%rdi)
    pop     %rax
    mov     %rax, FLAGS_AT(%rdi)
    pop     %rax
    /* fall through */

/* Where an exception of the code goes on, with the stack pointer that code_enter stored. */
    .globl code_recover
code_recover:
    pop     %rsi
    popfq
    pop     %r15
    pop     %r14
    pop     %r13
    pop     %r12
    pop     %rbp
    pop     %rbx
    cld
    ret

/* void code_enter_user(const void *code, struct registers *r, uint64_t *recover_rsp, void *user_stack) */
    .globl code_enter_user
code_enter_user:
    save_callee
    push    %rsi
    mov     %rsp, (%rdx)
    lea     user_done(%rip), %rax
    mov     %rax, -8(%rcx)
    sub     $8, %rcx
    push    $USER_FLAT
    push    %rcx
    push    $2
    push    $USER_CODE64
    push    %rdi
    mov     %rsi, %rdi
    load_registers %rdi
    iretq
user_done:
    int     $VECTOR_DONE

/* void on_stack(void *stack_top, void (*run)(void *), void *argument): does not come back. */
    .globl on_stack
on_stack:
    mov     %rdi, %rsp
    xor     %ebp, %ebp
    mov     %rdx, %rdi
    call    *%rsi
1:  cli
    hlt
    jmp     1b

    .section .note.GNU-stack, "", @progbits
