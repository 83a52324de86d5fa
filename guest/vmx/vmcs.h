/* SPDX-License-Identifier: Apache-2.0 */
/* The virtual machine control structure: field encodings (SDM volume 3D, appendix B), controls (volume 3C,
 * chapter 24) and exit reasons (appendix C). */
#ifndef SHOJI_GUEST_VMX_VMCS_H
#define SHOJI_GUEST_VMX_VMCS_H

#include "lib/base.h"

/* Guest segment registers have four fields each, two apart, in the order of enum segment, then LDTR and TR.
 */
#define SEGMENT_FIELD(first, segment) ((first) + 2u * (segment))
#define SEGMENT_LDTR                  6u
#define SEGMENT_TR                    7u
#define SEGMENT_REGISTERS             8u

enum vmcs_field {
    VMCS_VPID = 0x0000,
    VMCS_GUEST_SELECTORS = 0x0800,
    VMCS_HOST_ES = 0x0c00,
    VMCS_HOST_CS = 0x0c02,
    VMCS_HOST_SS = 0x0c04,
    VMCS_HOST_DS = 0x0c06,
    VMCS_HOST_FS = 0x0c08,
    VMCS_HOST_GS = 0x0c0a,
    VMCS_HOST_TR = 0x0c0c,
    VMCS_IO_BITMAP_A = 0x2000,
    VMCS_IO_BITMAP_B = 0x2002,
    VMCS_MSR_BITMAP = 0x2004,
    VMCS_EXIT_MSR_STORE = 0x2006,
    VMCS_EXIT_MSR_LOAD = 0x2008,
    VMCS_ENTRY_MSR_LOAD = 0x200a,
    VMCS_TSC_OFFSET = 0x2010,
    VMCS_EPT_POINTER = 0x201a,
    VMCS_XSS_EXITING = 0x202c,
    VMCS_GUEST_PHYSICAL = 0x2400,
    VMCS_LINK_POINTER = 0x2800,
    VMCS_GUEST_DEBUG_CONTROL = 0x2802,
    VMCS_GUEST_PAT = 0x2804,
    VMCS_GUEST_EFER = 0x2806,
    VMCS_GUEST_PDPTE0 = 0x280a,
    VMCS_HOST_PAT = 0x2c00,
    VMCS_HOST_EFER = 0x2c02,
    VMCS_PIN_CONTROLS = 0x4000,
    VMCS_PROCESSOR_CONTROLS = 0x4002,
    VMCS_EXCEPTION_BITMAP = 0x4004,
    VMCS_PAGE_FAULT_MASK = 0x4006,
    VMCS_PAGE_FAULT_MATCH = 0x4008,
    VMCS_CR3_TARGET_COUNT = 0x400a,
    VMCS_EXIT_CONTROLS = 0x400c,
    VMCS_EXIT_MSR_STORE_COUNT = 0x400e,
    VMCS_EXIT_MSR_LOAD_COUNT = 0x4010,
    VMCS_ENTRY_CONTROLS = 0x4012,
    VMCS_ENTRY_MSR_LOAD_COUNT = 0x4014,
    VMCS_ENTRY_EVENT = 0x4016,
    VMCS_ENTRY_EVENT_ERROR = 0x4018,
    VMCS_ENTRY_INSTRUCTION_LENGTH = 0x401a,
    VMCS_SECONDARY_CONTROLS = 0x401e,
    VMCS_INSTRUCTION_ERROR = 0x4400,
    VMCS_EXIT_REASON = 0x4402,
    VMCS_EXIT_EVENT = 0x4404,
    VMCS_EXIT_EVENT_ERROR = 0x4406,
    VMCS_VECTORING_EVENT = 0x4408,
    VMCS_VECTORING_EVENT_ERROR = 0x440a,
    VMCS_EXIT_INSTRUCTION_LENGTH = 0x440c,
    VMCS_EXIT_INSTRUCTION_INFO = 0x440e,
    VMCS_GUEST_LIMITS = 0x4800,
    VMCS_GUEST_GDTR_LIMIT = 0x4810,
    VMCS_GUEST_IDTR_LIMIT = 0x4812,
    VMCS_GUEST_RIGHTS = 0x4814,
    VMCS_GUEST_INTERRUPTIBILITY = 0x4824,
    VMCS_GUEST_ACTIVITY = 0x4826,
    VMCS_GUEST_SYSENTER_CS = 0x482a,
    VMCS_HOST_SYSENTER_CS = 0x4c00,
    VMCS_CR0_MASK = 0x6000,
    VMCS_CR4_MASK = 0x6002,
    VMCS_CR0_SHADOW = 0x6004,
    VMCS_CR4_SHADOW = 0x6006,
    VMCS_EXIT_QUALIFICATION = 0x6400,
    VMCS_GUEST_LINEAR = 0x640a,
    VMCS_GUEST_CR0 = 0x6800,
    VMCS_GUEST_CR3 = 0x6802,
    VMCS_GUEST_CR4 = 0x6804,
    VMCS_GUEST_BASES = 0x6806,
    VMCS_GUEST_GDTR_BASE = 0x6816,
    VMCS_GUEST_IDTR_BASE = 0x6818,
    VMCS_GUEST_DR7 = 0x681a,
    VMCS_GUEST_RSP = 0x681c,
    VMCS_GUEST_RIP = 0x681e,
    VMCS_GUEST_RFLAGS = 0x6820,
    VMCS_GUEST_PENDING_DEBUG = 0x6822,
    VMCS_GUEST_SYSENTER_ESP = 0x6824,
    VMCS_GUEST_SYSENTER_EIP = 0x6826,
    VMCS_HOST_CR0 = 0x6c00,
    VMCS_HOST_CR3 = 0x6c02,
    VMCS_HOST_CR4 = 0x6c04,
    VMCS_HOST_FS_BASE = 0x6c06,
    VMCS_HOST_GS_BASE = 0x6c08,
    VMCS_HOST_TR_BASE = 0x6c0a,
    VMCS_HOST_GDTR_BASE = 0x6c0c,
    VMCS_HOST_IDTR_BASE = 0x6c0e,
    VMCS_HOST_SYSENTER_ESP = 0x6c10,
    VMCS_HOST_SYSENTER_EIP = 0x6c12,
    VMCS_HOST_RSP = 0x6c14,
    VMCS_HOST_RIP = 0x6c16,
};

#define PIN_EXTERNAL_INTERRUPT BIT(0)
#define PIN_NMI                BIT(3)
#define PIN_VIRTUAL_NMIS       BIT(5)
#define PIN_PREEMPTION_TIMER   BIT(6)

#define PROCESSOR_INTERRUPT_WINDOW BIT(2)
#define PROCESSOR_HLT              BIT(7)
#define PROCESSOR_INVLPG           BIT(9)
#define PROCESSOR_MWAIT            BIT(10)
#define PROCESSOR_RDPMC            BIT(11)
#define PROCESSOR_RDTSC            BIT(12)
#define PROCESSOR_CR3_LOAD         BIT(15)
#define PROCESSOR_CR3_STORE        BIT(16)
#define PROCESSOR_CR8_LOAD         BIT(19)
#define PROCESSOR_CR8_STORE        BIT(20)
#define PROCESSOR_NMI_WINDOW       BIT(22)
#define PROCESSOR_MOV_DR           BIT(23)
#define PROCESSOR_IO_ALWAYS        BIT(24)
#define PROCESSOR_IO_BITMAPS       BIT(25)
#define PROCESSOR_MONITOR_TRAP     BIT(27)
#define PROCESSOR_MSR_BITMAPS      BIT(28)
#define PROCESSOR_MONITOR          BIT(29)
#define PROCESSOR_PAUSE            BIT(30)
#define PROCESSOR_SECONDARY        BIT(31)

#define SECONDARY_EPT                BIT(1)
#define SECONDARY_DESCRIPTOR_TABLES  BIT(2)
#define SECONDARY_RDTSCP             BIT(3)
#define SECONDARY_VPID               BIT(5)
#define SECONDARY_WBINVD             BIT(6)
#define SECONDARY_UNRESTRICTED_GUEST BIT(7)
#define SECONDARY_RDRAND             BIT(11)
#define SECONDARY_INVPCID            BIT(12)
#define SECONDARY_RDSEED             BIT(16)
#define SECONDARY_XSAVES             BIT(20)
#define SECONDARY_USER_WAIT          BIT(26)

#define EXIT_SAVE_DEBUG BIT(2)
#define EXIT_HOST_64    BIT(9)
#define EXIT_SAVE_PAT   BIT(18)
#define EXIT_LOAD_PAT   BIT(19)
#define EXIT_SAVE_EFER  BIT(20)
#define EXIT_LOAD_EFER  BIT(21)

#define ENTRY_LOAD_DEBUG BIT(2)
#define ENTRY_GUEST_64   BIT(9)
#define ENTRY_SMM        BIT(10)
#define ENTRY_DUAL_SMM   BIT(11)
#define ENTRY_LOAD_PAT   BIT(14)
#define ENTRY_LOAD_EFER  BIT(15)

/* Events: the fields 4016h, 4404h and 4408h. */
#define EVENT_VECTOR          0xffu
#define EVENT_TYPE            0x700u
#define EVENT_TYPE_EXTERNAL   0x000u
#define EVENT_TYPE_NMI        0x200u
#define EVENT_TYPE_HARDWARE   0x300u /* exception */
#define EVENT_TYPE_SOFTWARE   0x400u /* INT n */
#define EVENT_TYPE_PRIVILEGED 0x500u /* INT1 */
#define EVENT_TYPE_EXCEPTION  0x600u /* INT3, INTO */
#define EVENT_TYPE_OTHER      0x700u
#define EVENT_ERROR_VALID     0x800u
#define EVENT_NMI_UNBLOCKED                                                                                  \
    BIT(12) /* by an IRET that then faulted; of an EPT violation's qualification, too */
#define EVENT_VALID      0x80000000u
#define EVENT_REINJECTED (EVENT_VALID | EVENT_ERROR_VALID | EVENT_TYPE | EVENT_VECTOR)

#define INTERRUPTIBILITY_STI    BIT(0)
#define INTERRUPTIBILITY_MOV_SS BIT(1)
#define INTERRUPTIBILITY_SMI    BIT(2)
#define INTERRUPTIBILITY_NMI    BIT(3)

enum activity { ACTIVITY_ACTIVE, ACTIVITY_HLT, ACTIVITY_SHUTDOWN, ACTIVITY_WAIT_FOR_SIPI };

#define PENDING_DEBUG_BS BIT(14)

/* Access rights of a segment: the descriptor's bits 40-47 and 52-55, and that it cannot be used. */
#define RIGHTS_TYPE      0xfu
#define RIGHTS_CODE      BIT(4) /* or data; else a system segment */
#define RIGHTS_DPL       0x60u
#define RIGHTS_PRESENT   BIT(7)
#define RIGHTS_RESERVED  0xfffe0f00u
#define RIGHTS_L         BIT(13)
#define RIGHTS_DB        BIT(14)
#define RIGHTS_G         BIT(15)
#define RIGHTS_UNUSABLE  BIT(16)
#define RIGHTS_DPL_SHIFT 5

#define SYSTEM_TYPE_LDT      2u
#define SYSTEM_TYPE_TSS_BUSY 11u /* 32-bit, 64-bit in IA-32e mode */

#define EPT_POINTER_WRITE_BACK  6u
#define EPT_POINTER_FOUR_LEVELS (3u << 3)

#define EXIT_REASON_ENTRY_FAILED BIT(31)
#define EXIT_REASON_BASIC        0xffffu

enum vmx_exit_reason {
    VMX_EXIT_EXCEPTION = 0,
    VMX_EXIT_TRIPLE_FAULT = 2,
    VMX_EXIT_INIT = 3,
    VMX_EXIT_SIPI = 4,
    VMX_EXIT_NMI_WINDOW = 8,
    VMX_EXIT_TASK_SWITCH = 9,
    VMX_EXIT_CPUID = 10,
    VMX_EXIT_GETSEC = 11,
    VMX_EXIT_INVD = 13,
    VMX_EXIT_VMCALL = 18,
    VMX_EXIT_VMCLEAR = 19,
    VMX_EXIT_VMXON = 27,
    VMX_EXIT_CONTROL_REGISTER = 28,
    VMX_EXIT_PORT = 30,
    VMX_EXIT_RDMSR = 31,
    VMX_EXIT_WRMSR = 32,
    VMX_EXIT_GUEST_STATE = 33,
    VMX_EXIT_MSR_LOADING = 34,
    VMX_EXIT_EPT_VIOLATION = 48,
    VMX_EXIT_INVEPT = 50,
    VMX_EXIT_INVVPID = 53,
    VMX_EXIT_XSETBV = 55,
    VMX_EXIT_VMFUNC = 59,
    VMX_EXIT_COUNT = 70,
};

/* Exit qualifications (SDM 3C section 27.2.1). */
#define PORT_QUALIFICATION_SIZE       7u /* bytes less one */
#define PORT_QUALIFICATION_IN         BIT(3)
#define PORT_QUALIFICATION_STRING     BIT(4)
#define PORT_QUALIFICATION_PORT_SHIFT 16

#define EPT_QUALIFICATION_WRITE      BIT(1)
#define EPT_QUALIFICATION_FETCH      BIT(2)
#define EPT_QUALIFICATION_LINEAR     BIT(7)
#define EPT_QUALIFICATION_TRANSLATED BIT(8) /* the access itself, not the walk to it */

#define CR_QUALIFICATION_REGISTER  0xfu
#define CR_QUALIFICATION_TYPE      0x30u /* 0: MOV to a control register */
#define CR_QUALIFICATION_GPR_SHIFT 8

#endif
