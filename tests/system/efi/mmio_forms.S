/* SPDX-License-Identifier: Apache-2.0 */
/* The instructions of mmio.c. RDI, RBX, R12 and R13 hold the place; RSI the area's start; R14 other memory; RCX an index; RDX, RAX, R8 values. */

/* form NAME, INSTRUCTIONS: code that returns, and its row in the table: offset of the code, offset of the name. */
    .macro form name, code:vararg
1:  \code
    ret
    .pushsection .rodata.mmio_names, "a", @progbits
2:  .asciz  "\name"
    .popsection
    .pushsection .rodata.mmio_forms, "a", @progbits
    .long   1b - mmio_code, 2b - mmio_names
    .popsection
    .endm

    .globl mmio_code, mmio_names, mmio_forms, mmio_forms_end
    .pushsection .rodata.mmio_names, "a", @progbits
mmio_names:
    .popsection
    .pushsection .rodata.mmio_forms, "a", @progbits
    .balign 4
mmio_forms:
    .popsection

    .text
mmio_code:
    form    "load-8", movb (%rdi), %al
    form    "load-16", movw (%rdi), %ax
    form    "load-32", movl (%rdi), %eax
    form    "load-64", movq (%rdi), %rax
    form    "load-high", movb (%rdi), %ah
    form    "load-r15", movq (%rdi), %r15
    form    "load-sil", movb (%rdi), %sil
    form    "load-r8b", movb (%rdi), %r8b
    form    "store-8", movb %al, (%rdi)
    form    "store-16", movw %ax, (%rdi)
    form    "store-32", movl %eax, (%rdi)
    form    "store-64", movq %rax, (%rdi)
    form    "store-high", movb %dh, (%rdi)
    form    "store-r8", movq %r8, (%rdi)
    form    "store-imm-8", movb $0x81, (%rdi)
    form    "store-imm-16", movw $0x8182, (%rdi)
    form    "store-imm-32", movl $0x81828384, (%rdi)
    form    "store-imm-64", movq $-3, (%rdi)
    form    "zero-extend-8-16", movzbw (%rdi), %ax
    form    "zero-extend-8-32", movzbl (%rdi), %eax
    form    "zero-extend-8-64", movzbq (%rdi), %rax
    form    "zero-extend-16-32", movzwl (%rdi), %eax
    form    "zero-extend-16-64", movzwq (%rdi), %rax
    form    "sign-extend-8-16", movsbw (%rdi), %ax
    form    "sign-extend-8-32", movsbl (%rdi), %eax
    form    "sign-extend-8-64", movsbq (%rdi), %rax
    form    "sign-extend-16-32", movswl (%rdi), %eax
    form    "sign-extend-16-64", movswq (%rdi), %rax
    form    "sign-extend-32-64", movslq (%rdi), %rax
    form    "disp-8", movl 4(%rdi), %eax
    form    "disp-8-negative", movl -8(%rdi), %eax
    form    "disp-32", movl 0x80(%rdi), %eax
    form    "index", movl (%rdi,%rcx), %eax
    form    "index-4", movl (%rdi,%rcx,4), %eax
    form    "index-8-disp", movq 8(%rdi,%rcx,8), %rax
    form    "index-alone", movl 0(,%rdi,1), %eax
    form    "base-r12", movl (%r12), %eax
    form    "base-r13", movl (%r13), %eax
    form    "base-rbp", xchg %rbp, %rdi; movl (%rbp), %eax; xchg %rbp, %rdi
    form    "base-32", addr32 movl (%edi), %eax
    form    "base-32-index", addr32 movl 4(%edi,%ecx,2), %eax
    form    "gs", movl %gs:(%rdi), %eax
    form    "xchg-8", xchgb %al, (%rdi)
    form    "xchg-32", xchgl %eax, (%rdi)
    form    "xchg-64", xchgq %rax, (%rdi)
    form    "add-32", addl %eax, (%rdi)
    form    "add-imm-8", addl $-1, (%rdi)
    form    "add-8", addb $0x7f, (%rdi)
    form    "or-32", orl $0x80, (%rdi)
    form    "and-32", andl $-17, (%rdi)
    form    "and-64", andq %rax, (%rdi)
    form    "sub-16", subw %ax, (%rdi)
    form    "xor-32", xorl %eax, (%rdi)
    form    "adc-32", stc; adcl %eax, (%rdi)
    form    "sbb-32", stc; sbbl %eax, (%rdi)
    form    "lock-or", lock orl %eax, (%rdi)
    form    "lock-and-imm", lock andl $0x7f, (%rdi)
    form    "add-to-register", addl (%rdi), %eax
    form    "and-to-register", andq (%rdi), %rax
    form    "xor-to-register", xorw (%rdi), %ax
    form    "cmp-register", cmpl %eax, (%rdi)
    form    "cmp-memory", cmpl (%rdi), %eax
    form    "cmp-imm", cmpl $0x13121110, (%rdi)
    form    "cmp-imm-8", cmpb $0, (%rdi)
    form    "test-imm", testl $0x10, (%rdi)
    form    "test-imm-8", testb $0x80, (%rdi)
    form    "test-register", testl %eax, (%rdi)
    form    "stosb", stosb
    form    "stosw", stosw
    form    "stosl", stosl
    form    "stosq", stosq
    form    "rep-stosl", mov $5, %ecx; rep stosl
    form    "rep-stosb-down", std; mov $5, %ecx; rep stosb; cld
    form    "rep-stos-none", xor %ecx, %ecx; rep stosl
    form    "movsl-from", mov %rdi, %rsi; mov %r14, %rdi; movsl
    form    "movsl-to", mov %r14, %rsi; movsl
    form    "rep-movsb-from", mov %rdi, %rsi; mov %r14, %rdi; mov $7, %ecx; rep movsb
    form    "rep-movsq-to", mov %r14, %rsi; mov $3, %ecx; rep movsq
    form    "movnti-32", movnti %eax, (%rdi)
    form    "movnti-64", movnti %rax, (%rdi)
    form    "straddling-qwords", movl 6(%rdi), %eax
    form    "odd", movw 1(%rdi), %ax
    form    "prefix-before-rex", .byte 0x66, 0x41, 0x8b, 0x04, 0x24

    .pushsection .rodata.mmio_forms, "a", @progbits
mmio_forms_end:
    .popsection
    .section .note.GNU-stack, "", @progbits
