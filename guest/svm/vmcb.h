/* SPDX-License-Identifier: Apache-2.0 */
/* The virtual machine control block (AMD APM volume 2, appendix B) and its codes (appendix C). */
#ifndef SHOJI_GUEST_SVM_VMCB_H
#define SHOJI_GUEST_SVM_VMCB_H

#include "lib/base.h"

struct vmcb_segment {
    uint16_t selector, attributes;
    uint32_t limit;
    uint64_t base;
};
static_assert(sizeof(struct vmcb_segment) == 16, "APM 2 table B-2");

#define SEGMENT_ATTRIBUTE_L BIT(9)
#define SEGMENT_ATTRIBUTE_D BIT(10)

struct vmcb {
    /* Control area. */
    uint16_t cr_read, cr_write, dr_read, dr_write;
    uint32_t exceptions;
    uint32_t intercept1, intercept2, intercept3;
    uint8_t reserved1[0x3c - 0x18];
    uint16_t pause_threshold, pause_count;
    uint64_t io_map, msr_map, tsc_offset;
    uint32_t asid;
    uint8_t tlb_control, reserved2[3];
    uint64_t interrupt_control; /* 060h */
    uint64_t interrupt_state;   /* 068h: bit 0 interrupt shadow */
    uint64_t exit_code, exit_info1, exit_info2;
    uint64_t exit_interrupt_info;
    uint64_t nested_control; /* 090h */
    uint8_t reserved3[0xa8 - 0x98];
    uint64_t event_injection; /* 0a8h */
    uint64_t nested_cr3;
    uint64_t lbr_control;
    uint64_t clean; /* 0c0h */
    uint64_t next_rip;
    uint8_t fetched_bytes, instruction[15];
    uint8_t reserved4[0x400 - 0xe0];
    /* State save area. */
    struct vmcb_segment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
    uint8_t reserved5[0x4cb - 0x4a0];
    uint8_t cpl;
    uint32_t reserved6;
    uint64_t efer;
    uint8_t reserved7[0x548 - 0x4d8];
    uint64_t cr4, cr3, cr0, dr7, dr6, rflags, rip;
    uint8_t reserved8[0x5d8 - 0x580];
    uint64_t rsp;
    uint8_t reserved9[0x5f8 - 0x5e0];
    uint64_t rax, star, lstar, cstar, sfmask, kernel_gs_base, sysenter_cs, sysenter_esp, sysenter_eip, cr2;
    uint8_t reserved10[0x668 - 0x648];
    uint64_t pat, debug_control;
    uint8_t reserved11[0x1000 - 0x678];
} aligned_to(8);
static_assert(sizeof(struct vmcb) == PAGE_SIZE, "one page");
static_assert(offsetof(struct vmcb, interrupt_control) == 0x60, "APM 2 table B-1");
static_assert(offsetof(struct vmcb, event_injection) == 0xa8, "APM 2 table B-1");
static_assert(offsetof(struct vmcb, es) == 0x400, "APM 2 table B-2");
static_assert(offsetof(struct vmcb, efer) == 0x4d0, "APM 2 table B-2");
static_assert(offsetof(struct vmcb, rip) == 0x578, "APM 2 table B-2");
static_assert(offsetof(struct vmcb, rsp) == 0x5d8, "APM 2 table B-2");
static_assert(offsetof(struct vmcb, rax) == 0x5f8, "APM 2 table B-2");
static_assert(offsetof(struct vmcb, pat) == 0x668, "APM 2 table B-2");

/* Intercepts, offset 00Ch. */
#define INTERCEPT1_NMI      BIT(1)
#define INTERCEPT1_INIT     BIT(3)
#define INTERCEPT1_CPUID    BIT(18)
#define INTERCEPT1_IRET     BIT(20)
#define INTERCEPT1_INVD     BIT(22)
#define INTERCEPT1_INVLPGA  BIT(26)
#define INTERCEPT1_IO       BIT(27)
#define INTERCEPT1_MSR      BIT(28)
#define INTERCEPT1_SHUTDOWN BIT(31)
/* Offset 010h. */
#define INTERCEPT2_VMRUN   BIT(0)
#define INTERCEPT2_VMMCALL BIT(1)
#define INTERCEPT2_VMLOAD  BIT(2)
#define INTERCEPT2_VMSAVE  BIT(3)
#define INTERCEPT2_STGI    BIT(4)
#define INTERCEPT2_CLGI    BIT(5)
#define INTERCEPT2_SKINIT  BIT(6)

#define NESTED_PAGING_ENABLE BIT(0)
#define TLB_FLUSH_ALL        1u
#define INTERRUPT_SHADOW     BIT(0)
#define GUEST_ASID           1u /* one guest, and a TLB for each CPU */

/* EVENTINJ and EXITINTINFO. */
#define EVENT_VALID          BIT(31)
#define EVENT_ERROR_VALID    BIT(11)
#define EVENT_TYPE_SHIFT     8
#define EVENT_TYPE_MASK      7u
#define EVENT_TYPE_NMI       2u
#define EVENT_TYPE_EXCEPTION 3u
#define EVENT_TYPE_SOFTWARE  4u
#define EVENT_ERROR_SHIFT    32

/* Exit codes. */
#define VMEXIT_EXCEPTION      0x040u /* to 05fh */
#define VMEXIT_EXCEPTION_LAST 0x05fu
#define VMEXIT_NMI            0x061u
#define VMEXIT_INIT           0x063u
#define VMEXIT_CPUID          0x072u
#define VMEXIT_IRET           0x074u
#define VMEXIT_INVD           0x076u
#define VMEXIT_INVLPGA        0x07au
#define VMEXIT_IO             0x07bu
#define VMEXIT_MSR            0x07cu
#define VMEXIT_SHUTDOWN       0x07fu
#define VMEXIT_VMRUN          0x080u
#define VMEXIT_VMMCALL        0x081u
#define VMEXIT_VMLOAD         0x082u
#define VMEXIT_VMSAVE         0x083u
#define VMEXIT_STGI           0x084u
#define VMEXIT_CLGI           0x085u
#define VMEXIT_SKINIT         0x086u
#define VMEXIT_LAST           0x0a4u
#define VMEXIT_NPF            0x400u

/* EXITINFO1 of an I/O exit (APM 2 figure 15-2). */
#define IO_INFO_IN         BIT(0)
#define IO_INFO_STRING     BIT(2)
#define IO_INFO_SIZE_SHIFT 4
#define IO_INFO_SIZE_MASK  7u
#define IO_INFO_PORT_SHIFT 16

/* EXITINFO1 of a nested page fault (APM 2 section 15.25.6). */
#define NPF_WRITE BIT(1)
#define NPF_FETCH BIT(4)
#define NPF_WALK  BIT(33)

#endif
