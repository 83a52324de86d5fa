/* SPDX-License-Identifier: Apache-2.0 */
/* uint64_t enter_core(struct handoff_cpu *cpu, uint64_t entry, uint64_t cr3): calls the core on this CPU. It returns twice over: as a guest,
 * with 0, at `resume`; or, where the CPU was not taken, from the call itself with a core_status. */

/* Offsets in struct handoff_cpu; boot/launch.c asserts them. */
#define CPU_RIP       0
#define CPU_RSP       8
#define CPU_RFLAGS    16
#define CPU_CR3       24
#define CPU_GDT_BASE  32
#define CPU_GDT_LIMIT 40
#define CPU_IDT_BASE  48
#define CPU_IDT_LIMIT 56
#define CPU_CS        64
#define CPU_DS        66
#define CPU_ES        68
#define CPU_SS        70
#define CPU_FS        72
#define CPU_GS        74
#define CPU_LDTR      76
#define CPU_TR        78

/* Stores a descriptor-table register at the two given offsets; the ten bytes of the instruction pass through the stack. */
.macro store_table instruction, base, limit
    subq $16, %rsp
    \instruction (%rsp)
    movzwl (%rsp), %eax
    movq %rax, \limit(%rdi)
    movq 2(%rsp), %rax
    movq %rax, \base(%rdi)
    addq $16, %rsp
.endm

    .text
    .globl enter_core
    .hidden enter_core
    .type enter_core, @function
enter_core:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    pushfq
    cli
    cld

    store_table sgdt, CPU_GDT_BASE, CPU_GDT_LIMIT
    store_table sidt, CPU_IDT_BASE, CPU_IDT_LIMIT
    movw %cs, CPU_CS(%rdi)
    movw %ds, CPU_DS(%rdi)
    movw %es, CPU_ES(%rdi)
    movw %ss, CPU_SS(%rdi)
    movw %fs, CPU_FS(%rdi)
    movw %gs, CPU_GS(%rdi)
    sldt CPU_LDTR(%rdi)
    str CPU_TR(%rdi)
    pushfq
    popq %rax
    movq %rax, CPU_RFLAGS(%rdi)
    leaq resume(%rip), %rax
    movq %rax, CPU_RIP(%rdi)
    movq %rsp, CPU_RSP(%rdi)
    movq %cr3, %rbx
    movq %rbx, CPU_CR3(%rdi)

    movq %rsp, %r12
    andq $-16, %rsp
    movq %rdx, %cr3
    call *%rsi
    movq %rbx, %cr3
    movq %r12, %rsp
resume:
    popfq
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size enter_core, . - enter_core
    .section .note.GNU-stack, "", @progbits
