/* SPDX-License-Identifier: Apache-2.0 */
/* Between four and five levels of page tables: paging has to be off for that. Runs as a copy in low memory, like modes.S. */

#define FLAT        0x10
#define CODE32_LOW  0x20
#define DATA_LOW    0x30
#define CR0_PG      0x80000000
#define AT(label)   (label - paging5_start)

    .section .rodata
    .globl paging5_start, paging5_end, paging5_values, paging5_long
    .balign 16
paging5_start:
    .code64
    push    %rbx
    push    %rbp
    push    %r12
    push    %r13
    push    %r14
    push    %r15
    pushfq
    mov     %rsp, paging5_rsp(%rip)
    pushq   $CODE32_LOW
    pushq   $AT(compatibility)
    lretq

    .code32
compatibility:
    movl    $DATA_LOW, %eax
    movl    %eax, %ds
    movl    %cr0, %eax
    andl    $~CR0_PG, %eax
    movl    %eax, %cr0
    movl    AT(paging5_values), %eax
    movl    %eax, %cr4
    movl    AT(paging5_values) + 4, %eax
    movl    %eax, %cr3
    movl    %cr0, %eax
    orl     $CR0_PG, %eax
    movl    %eax, %cr0
    ljmpl   *(AT(paging5_values) + 8)

    .code64
paging5_long:
    mov     $FLAT, %eax
    mov     %eax, %ds
    mov     %eax, %es
    mov     %eax, %ss
    mov     paging5_rsp(%rip), %rsp
    popfq
    pop     %r15
    pop     %r14
    pop     %r13
    pop     %r12
    pop     %rbp
    pop     %rbx
    ret

    .balign 8
paging5_rsp:
    .space 8
/* CR4 and CR3 to come; where paging5_long is: offset, selector. */
paging5_values:
    .space 16
paging5_end:

    .section .note.GNU-stack, "", @progbits
