/* SPDX-License-Identifier: Apache-2.0 */
/* Bits and numbers of x86's control registers and MSRs (AMD APM volume 2, SDM volume 3 and 4). */
#ifndef SHOJI_CORE_REGISTERS_H
#define SHOJI_CORE_REGISTERS_H

#include "lib/base.h"

#define CR0_PE BIT(0)
#define CR0_ET BIT(4)
#define CR0_NE BIT(5)
#define CR0_WP BIT(16)
#define CR0_NW BIT(29)
#define CR0_CD BIT(30)
#define CR0_PG BIT(31)

#define CR4_PSE        BIT(4)
#define CR4_PAE        BIT(5)
#define CR4_MCE        BIT(6)
#define CR4_PGE        BIT(7)
#define CR4_OSFXSR     BIT(9)
#define CR4_OSXMMEXCPT BIT(10)
#define CR4_VMXE       BIT(13)
#define CR4_SMXE       BIT(14)
#define CR4_PCIDE      BIT(17)
#define CR4_CET        BIT(23)
#define CR4_LA57       BIT(12)
#define CR4_OSXSAVE    BIT(18)
#define CR4_SMEP       BIT(20)
#define CR4_SMAP       BIT(21)
#define CR4_PKE        BIT(22)

#define CPUID_LEAF_SIGNATURE 1u

#define RFLAGS_ONE BIT(1)
#define RFLAGS_TF  BIT(8)
#define RFLAGS_IF  BIT(9)
#define RFLAGS_DF  BIT(10)
#define RFLAGS_RF  BIT(16)
#define RFLAGS_VM  BIT(17)
#define RFLAGS_AC  BIT(18)

#define DR6_TRAPS 0xfull /* B0-B3: which breakpoint */
#define DR6_BD    BIT(13)
#define DR6_BS    BIT(14)
#define DR6_RESET 0xffff0ff0ull
#define DR7_RESET 0x400ull

#define EFER_SCE    BIT(0)
#define EFER_LME    BIT(8)
#define EFER_LMA    BIT(10)
#define EFER_NXE    BIT(11)
#define EFER_SVME   BIT(12)
#define EFER_AIBRSE BIT(21)

#define MSR_APIC_BASE          0x1bu
#define MSR_PRED_CMD           0x49u
#define MSR_MTRR_CAP           0xfeu
#define MSR_MTRR_VAR_BASE      0x200u /* pairs: base, mask */
#define MSR_MTRR_FIX_64K       0x250u
#define MSR_MTRR_FIX_16K_FIRST 0x258u
#define MSR_MTRR_FIX_16K_LAST  0x259u
#define MSR_MTRR_FIX_4K_FIRST  0x268u
#define MSR_MTRR_FIX_4K_LAST   0x26fu
#define MSR_PAT                0x277u
#define MSR_MTRR_DEF_TYPE      0x2ffu
#define MSR_X2APIC_BASE        0x800u
#define MSR_X2APIC_ICR         0x830u
#define MSR_X2APIC_SELF        0x83fu
#define MSR_EFER               0xc0000080u
#define MSR_FS_BASE            0xc0000100u
#define MSR_GS_BASE            0xc0000101u

#define MSR_INTEL_FEATURE_CONTROL 0x3au
#define MSR_INTEL_SPEC_CTRL       0x48u
#define MSR_INTEL_PATCH_LOADER    0x79u
#define MSR_INTEL_SMM_MONITOR     0x9bu
#define MSR_INTEL_CAPABILITIES    0x10au
#define MSR_INTEL_FLUSH_CMD       0x10bu
#define MSR_INTEL_SYSENTER_CS     0x174u
#define MSR_INTEL_SYSENTER_ESP    0x175u
#define MSR_INTEL_SYSENTER_EIP    0x176u
#define MSR_INTEL_MISC_ENABLE     0x1a0u
#define MSR_INTEL_DEBUG_CONTROL   0x1d9u
#define MSR_INTEL_PERF_STATUS     0x38eu
#define MSR_INTEL_PERF_CONTROL    0x38fu
#define MSR_INTEL_VMX_FIRST       0x480u
#define MSR_INTEL_VMX_LAST        0x493u
#define MSR_INTEL_FEEDBACK_TABLE  0x17d0u

#define FEATURE_CONTROL_LOCK       BIT(0)
#define FEATURE_CONTROL_VMX_IN_SMX BIT(1)
#define FEATURE_CONTROL_VMX        BIT(2) /* outside SMX */

#define MSR_AMD_SYSCFG        0xc0010010u
#define MSR_AMD_HWCR          0xc0010015u
#define MSR_AMD_IORR_BASE0    0xc0010016u
#define MSR_AMD_IORR_MASK1    0xc0010019u
#define MSR_AMD_TOP_MEM       0xc001001au
#define MSR_AMD_TOP_MEM2      0xc001001du
#define MSR_AMD_PATCH_LOADER  0xc0010020u
#define MSR_AMD_MMIO_CFG_BASE 0xc0010058u
#define MSR_AMD_SMM_BASE      0xc0010111u
#define MSR_AMD_SMM_ADDR      0xc0010112u
#define MSR_AMD_SMM_MASK      0xc0010113u
#define MSR_AMD_VM_CR         0xc0010114u
#define MSR_AMD_IGNNE         0xc0010115u
#define MSR_AMD_SMM_CTL       0xc0010116u
#define MSR_AMD_VM_HSAVE_PA   0xc0010117u
#define MSR_AMD_SVM_LOCK_KEY  0xc0010118u

#define VM_CR_R_INIT   BIT(1) /* an INIT that arrives in the hypervisor is #SX instead */
#define VM_CR_DISABLED BIT(4)

#define APIC_BASE_BSP     BIT(8)
#define APIC_BASE_EXTD    BIT(10)
#define APIC_BASE_ENABLE  BIT(11)
#define APIC_BASE_ADDRESS 0x000ffffffffff000ull

#define PAT_RESET 0x0007040600070406ull

enum exception {
    EXCEPTION_DE = 0,
    EXCEPTION_DB = 1,
    EXCEPTION_NMI = 2,
    EXCEPTION_BP = 3,
    EXCEPTION_OF = 4,
    EXCEPTION_UD = 6,
    EXCEPTION_DF = 8,
    EXCEPTION_TS = 10,
    EXCEPTION_NP = 11,
    EXCEPTION_SS = 12,
    EXCEPTION_GP = 13,
    EXCEPTION_PF = 14,
    EXCEPTION_AC = 17,
    EXCEPTION_MC = 18,
    EXCEPTION_CP = 21,
    EXCEPTION_SX = 30,
    EXCEPTION_COUNT = 32,
};

/* x86 numbering of the general registers in instructions. */
enum gpr { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15, GPR_COUNT };

/* Page table entries (both the CPU's and AMD's nested ones). */
#define PTE_PRESENT   BIT(0)
#define PTE_WRITE     BIT(1)
#define PTE_USER      BIT(2)
#define PTE_PWT       BIT(3)
#define PTE_PCD       BIT(4)
#define PTE_ACCESSED  BIT(5)
#define PTE_DIRTY     BIT(6)
#define PTE_LARGE     BIT(7)
#define PTE_GLOBAL    BIT(8)
#define PTE_NX        BIT(63)
#define PTE_ADDRESS   0x000ffffffffff000ull
#define TABLE_ENTRIES 512u

#endif
