/* SPDX-License-Identifier: Apache-2.0 */
/* What another CPU runs from its start-up IPI on: notes what it finds, then goes to long mode. Copied to the page that the vector names. */

#define CODE64 0x08
#define FLAT   0x10
#define MSR_EFER 0xc0000080

    .section .rodata
    .globl start_code, start_code_end, start_values
    .balign 16
start_code:
    .code16
    cli
    cld
    movl    %eax, %cs:(start_record_low - start_code)
    movl    %edx, %cs:(start_record_low - start_code + 4)
    /* no stack yet: the flags by way of one at the end of the page, once SS and SP are noted */
    movw    %ds, %cs:(start_record_low - start_code + 42)
    movw    %ss, %cs:(start_record_low - start_code + 44)
    movw    %sp, %cs:(start_record_low - start_code + 46)
    movw    %cs, %ax
    movw    %ax, %cs:(start_record_low - start_code + 40)
    movw    %ax, %ds
    movw    %ax, %ss
    movw    $0xff0, %sp
    pushfl
    popl    start_record_low - start_code + 8
    movl    %cr0, %eax
    movl    %eax, start_record_low - start_code + 12
    movl    %cr2, %eax
    movl    %eax, start_record_low - start_code + 16
    movl    %cr3, %eax
    movl    %eax, start_record_low - start_code + 20
    movl    %cr4, %eax
    movl    %eax, start_record_low - start_code + 24
    movl    %dr6, %eax
    movl    %eax, start_record_low - start_code + 28
    movl    %dr7, %eax
    movl    %eax, start_record_low - start_code + 32
    movl    $MSR_EFER, %ecx
    rdmsr
    movl    %eax, start_record_low - start_code + 36
    sgdtl   start_table_found - start_code
    movzwl  start_table_found - start_code, %eax
    movl    %eax, start_record_low - start_code + 48
    sidtl   start_table_found - start_code
    movzwl  start_table_found - start_code, %eax
    movl    %eax, start_record_low - start_code + 52

    lgdtl   start_values - start_code + 16
    movl    start_values - start_code + 4, %eax
    movl    %eax, %cr4
    movl    start_values - start_code + 8, %eax
    movl    %eax, %cr3
    movl    $MSR_EFER, %ecx
    movl    start_values - start_code + 12, %eax
    xorl    %edx, %edx
    wrmsr
    movl    start_values - start_code, %eax
    movl    %eax, %cr0
    ljmpl   *(start_values - start_code + 24)

    .balign 8
start_table_found:
    .space 8
start_record_low:
    .space 56
/* Filled in by cpus.c: CR0, CR4, CR3, EFER; the GDT's limit and base; the far pointer. */
start_values:
    .space 32
start_code_end:

    .text
    .code64
    .globl start_long
start_long:
    mov     $FLAT, %eax
    mov     %eax, %ds
    mov     %eax, %es
    mov     %eax, %ss
    mov     start_stack(%rip), %rsp
    call    start_arrived
1:  cli
    hlt
    jmp     1b

    .section .note.GNU-stack, "", @progbits
