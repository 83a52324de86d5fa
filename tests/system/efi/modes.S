/* SPDX-License-Identifier: Apache-2.0 */
/* Down from long mode through every other mode and up again; in each, the same probes. Runs as a copy in low memory, in segments that
 * begin where the copy does: addresses here count from modes_start. */

#define CODE64      0x08
#define FLAT        0x10
#define CODE32_LOW  0x20
#define CODE16_LOW  0x28
#define DATA_LOW    0x30
#define TASK_A      0x58
#define TASK_B      0x60
#define DEVICE      0x70
#define MSR_EFER    0xc0000080
#define EFER_LME    0x100
#define CR0_PE      0x1
#define CR0_TS      0x8
#define CR0_PG      0x80000000
#define CR4_PSE     0x10
#define CR4_PAE     0x20
#define STACK       0xff0   /* of the page behind the code */
#define STACK_B     0xe00
#define PLACE       0x404   /* in the device's page */
#define VARIABLES   0x1800  /* struct modes of modes.c */
#define V_DEVICE    (VARIABLES + 0)
#define V_RESUME    (VARIABLES + 4)
#define V_LAST      (VARIABLES + 8)
#define V_LINEAR    (VARIABLES + 12)
#define V_CR3_LONG  (VARIABLES + 16)
#define V_CR3_32    (VARIABLES + 20)
#define V_CR3_PAE   (VARIABLES + 24)
#define V_TASKS     (VARIABLES + 28)
#define V_RSP       (VARIABLES + 32)
#define V_IDT64     (VARIABLES + 40)
#define V_IDT32     (VARIABLES + 56)
#define V_IVT       (VARIABLES + 64)
#define V_FAR_REAL  (VARIABLES + 72)
#define V_FAR_LONG  (VARIABLES + 80)
#define V_TASK_AT   (VARIABLES + 88)
#define V_RESULTS   (VARIABLES + 0x100)
#define V_FAULTS    (VARIABLES + 0x200)
#define V_TASK_RESULTS (VARIABLES + 0x300)
#define AT(label)   (label - modes_start)
#define STACK_AT    0x2000

    .section .rodata
    .globl modes_start, modes_end, modes_handlers_32, modes_handlers_16, modes_real, modes_long, modes_task_b
    .balign 16
modes_start:

    .macro put n, k, reg
    movl    \reg, (V_RESULTS + 32 * \n + 4 * \k)
    .endm

/* CPUID, an MSR, a port, the device by two segments: all that a hypervisor may have to decode in this mode. */
    .macro probe n
    movl    $0, %eax
    movl    $0, %ecx
    cpuid
    put     \n, 0, %ebx
    put     \n, 1, %ecx
    put     \n, 2, %edx
    movl    $MSR_EFER, %ecx
    rdmsr
    put     \n, 3, %eax
    movl    $0x80000000, %eax
    movw    $0xcf8, %dx
    outl    %eax, %dx
    movw    $0xcfc, %dx
    inl     %dx, %eax
    put     \n, 4, %eax
    movl    V_DEVICE, %ebx
    movl    $0x12345600 + \n, %eax
    movl    %eax, %fs:PLACE(%ebx)
    addl    $0x100, %fs:PLACE(%ebx)
    movzwl  %fs:PLACE(%ebx), %eax
    put     \n, 5, %eax
    movl    %gs:PLACE, %eax
    put     \n, 6, %eax
    movl    $0x600d, %eax
    put     \n, 7, %eax
    .endm

    .macro fault n, k, code:vararg
    movl    $0xff, V_LAST
    movl    $AT(1f), V_RESUME
    \code
1:  movl    V_LAST, %eax
    movb    %al, (V_FAULTS + 16 * \n + \k)
    .endm

    .macro faults n
    fault   \n, 0, ud2
    fault   \n, 1, .byte 0x0f, 0x01, 0xc1       /* VMCALL */
    fault   \n, 2, .byte 0x0f, 0x01, 0xd9       /* VMMCALL */
    xorl    %ecx, %ecx
    fault   \n, 3, divl %ecx
    movw    $0x7ff8, %bx
    fault   \n, 4, lldt %bx
    fault   \n, 5, .byte 0x0f, 0x22, 0xe8       /* MOV to CR5 */
    movl    $3, %eax
    fault   \n, 6, .byte 0x0f, 0x01, 0xdd       /* CLGI */
    movl    $2, %eax
    xorl    %edx, %edx
    xorl    %ecx, %ecx
    fault   \n, 7, xsetbv
    .endm

    .code64
/* void modes_start(void), in the copy. */
    push    %rbx
    push    %rbp
    push    %r12
    push    %r13
    push    %r14
    push    %r15
    pushfq
    mov     %rsp, modes_start + V_RSP(%rip)
    sidt    modes_start + V_IDT64(%rip)
    pushq   $CODE32_LOW
    pushq   $AT(compatibility)
    lretq

    .code32
compatibility:
    movl    $DATA_LOW, %eax
    movl    %eax, %ds
    movl    %eax, %es
    movl    %eax, %ss
    movl    $STACK_AT + STACK, %esp
    movl    $FLAT, %eax
    movl    %eax, %fs
    movl    $DEVICE, %eax
    movl    %eax, %gs
    probe   0
    faults  0

    /* Protected mode without paging. */
    lidtl   V_IDT32
    movl    %cr0, %eax
    andl    $~CR0_PG, %eax
    movl    %eax, %cr0
    movl    $MSR_EFER, %ecx
    rdmsr
    andl    $~EFER_LME, %eax
    wrmsr
    movl    $DEVICE, %eax
    movl    %eax, %gs
    probe   1
    faults  1
    movl    $V_TASK_RESULTS, V_TASK_AT
    cmpl    $0, V_TASKS
    je      1f
    call    tasks

    /* Two levels of tables. */
1:  movl    %cr4, %eax
    andl    $~CR4_PAE, %eax
    orl     $CR4_PSE, %eax
    movl    %eax, %cr4
    movl    V_CR3_32, %eax
    movl    %eax, %cr3
    movl    %cr0, %eax
    orl     $CR0_PG, %eax
    movl    %eax, %cr0
    probe   2
    faults  2
    movl    $V_TASK_RESULTS + 64, V_TASK_AT
    cmpl    $0, V_TASKS
    je      1f
    call    tasks
1:  movl    %cr0, %eax
    andl    $~CR0_PG, %eax
    movl    %eax, %cr0

    /* Three levels. */
    movl    %cr4, %eax
    orl     $CR4_PAE, %eax
    movl    %eax, %cr4
    movl    V_CR3_PAE, %eax
    movl    %eax, %cr3
    movl    %cr0, %eax
    orl     $CR0_PG, %eax
    movl    %eax, %cr0
    probe   3
    faults  3
    movl    %cr0, %eax
    andl    $~CR0_PG, %eax
    movl    %eax, %cr0
    ljmpl   $CODE16_LOW, $AT(protected_16)

    .code16
protected_16:
    probe   4
    faults  4
    movl    %cr0, %eax
    andl    $~CR0_PE, %eax
    movl    %eax, %cr0
    ljmpw   *V_FAR_REAL

modes_real:
    movw    %cs, %ax
    movw    %ax, %ds
    movw    %ax, %es
    movw    %ax, %ss
    movl    $STACK_AT + STACK, %esp
    lidtl   V_IVT
    /* FS and GS still have the limits and bases of protected mode. */
    probe   5
    faults  5
    fault   5, 8, int $0x60
    pushfw
    popw    %ax
    movw    %ax, (V_FAULTS + 16 * 5 + 10)
    lidtl   V_IDT32
    movl    %cr0, %eax
    orl     $CR0_PE, %eax
    movl    %eax, %cr0
    ljmpl   $CODE32_LOW, $AT(up)

    .code32
up: movl    $DATA_LOW, %eax
    movl    %eax, %ds
    movl    %eax, %es
    movl    %eax, %ss
    movl    $DEVICE, %eax
    movl    %eax, %gs
    movl    $FLAT, %eax
    movl    %eax, %fs
    probe   6
    movl    V_CR3_LONG, %eax
    movl    %eax, %cr3
    movl    $MSR_EFER, %ecx
    rdmsr
    orl     $EFER_LME, %eax
    wrmsr
    movl    %cr0, %eax
    orl     $CR0_PG, %eax
    movl    %eax, %cr0
    ljmpl   *V_FAR_LONG

    .code64
modes_long:
    lidt    modes_start + V_IDT64(%rip)
    mov     $FLAT, %eax
    mov     %eax, %ds
    mov     %eax, %es
    mov     %eax, %ss
    xor     %eax, %eax
    mov     %eax, %fs
    mov     %eax, %gs
    mov     modes_start + V_RSP(%rip), %rsp
    popfq
    pop     %r15
    pop     %r14
    pop     %r13
    pop     %r12
    pop     %rbp
    pop     %rbx
    ret

/* ---- Task switches: a jump to task B and back, a call and IRET, an exception through a task gate ---- */

    .code32
tasks:
    pushl   %ebx
    str     %eax
    cmpl    $TASK_A, %eax
    je      1f                      /* the second time */
    movl    $TASK_A, %eax
    ltr     %ax
1:  movl    V_TASK_AT, %edi
    movl    $0x5a5a5a5a, %ebx
    ljmpl   $TASK_B, $0
    movl    V_TASK_AT, %edi
    movl    %ebx, 0(%edi)           /* as it was */
    movl    %cr0, %eax
    movl    %eax, 4(%edi)           /* TS is set */
    clts
    movl    $1, %ebp
    lcall   $TASK_B, $0
    movl    V_TASK_AT, %edi
    str     %eax
    movl    %eax, 8(%edi)           /* task A again */
    pushfl
    popl    %eax
    andl    $0x4000, %eax
    movl    %eax, 12(%edi)          /* not nested */
    clts
    int     $0x40                   /* a task gate */
    movl    V_TASK_AT, %edi
    movl    $0x600d, 16(%edi)
    clts
    popl    %ebx
    ret

modes_task_b:
    movl    V_TASK_AT, %edi
    str     %eax
    movl    %eax, 20(%edi)
    pushfl
    popl    %eax
    andl    $0x4000, %eax
    movl    %eax, 24(%edi)          /* jumped to: not nested */
    movl    %esp, 28(%edi)
    movl    %cr3, %eax
    movl    %eax, 32(%edi)
    clts
    ljmpl   $TASK_A, $0
    pushfl                          /* called: nested */
    popl    %eax
    andl    $0x4000, %eax
    movl    %eax, 36(%edi)
    clts
    iretl
    pushfl                          /* by the gate: nested */
    popl    %eax
    andl    $0x4000, %eax
    movl    %eax, 40(%edi)
    iretl
    jmp     modes_task_b

/* ---- Handlers of the legacy modes: note the vector, go on at V_RESUME ---- */

    .balign 32
modes_handlers_32:
    .set vector, 0
    .rept 32
    .balign 32
    movl    $vector, V_LAST
    .if (0x40227d00 >> vector) & 1
    addl    $4, %esp
    .endif
    jmp     handler_32
    .set vector, vector + 1
    .endr
handler_32:
    pushl   %eax
    movl    V_RESUME, %eax
    movl    %eax, 4(%esp)
    popl    %eax
    iretl

    .code16
    .balign 16
modes_handlers_16:
    .set vector, 0
    .rept 32
    .balign 16
    movl    $vector, V_LAST
    jmp     handler_16
    .set vector, vector + 1
    .endr
    .balign 16
    movl    $0x60, V_LAST
handler_16:
    pushw   %bp
    movw    %sp, %bp
    pushl   %eax
    movl    V_RESUME, %eax
    movw    %ax, 2(%bp)
    popl    %eax
    popw    %bp
    iretw
modes_end:

    .section .note.GNU-stack, "", @progbits
