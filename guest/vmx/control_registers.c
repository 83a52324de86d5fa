/* SPDX-License-Identifier: Apache-2.0 */
/* CR0, CR4 and XCR0. The guest changes most of their bits by itself; here come writes that concern a bit
 * which it sees in a shadow alone: in CR0 the caches, which stay on, and what VT-x wants set; in CR4 what a
 * CPU without VT-x and SMX does not have. */
#include "guest/exit.h"
#include "guest/memory.h"
#include "guest/vmx/vmx.h"
#include "guest/walk.h"
#include "lib/decode.h"

#define CR0_EXISTING                                                                                         \
    (CR0_PE | BIT(1) | BIT(2) | BIT(3) | CR0_ET | CR0_NE | CR0_WP | BIT(18) | CR0_NW | CR0_CD | CR0_PG)
#define CR0_HIGH       0xffffffff00000000ull
#define PDPTES         4u
#define PDPTE_RESERVED 0x1e6ull /* bits 1-2 and 5-8 */
#define CR3_PAE_TABLE  0xffffffe0ull
#define CR_REGISTER_0  0u
#define CR_REGISTER_4  4u

uint64_t vmx_cr0(void)
{
    uint64_t owned = vmx_features.cr0_owned;
    return (vmcs_read(VMCS_GUEST_CR0) & ~owned) | (vmcs_read(VMCS_CR0_SHADOW) & owned);
}

void vmx_set_cr0(uint64_t value)
{
    vmcs_write(VMCS_CR0_SHADOW, value);
    vmcs_write(VMCS_GUEST_CR0, (value & ~vmx_features.cr0_owned) | vmx_features.cr0_fixed);
}

/* Paging with PAE outside long mode keeps its four top entries in the CPU (SDM 3A section 4.4.1). False when
 * one of them has a reserved bit set. */
bool vmx_load_pdptes(const struct vcpu *vcpu)
{
    uint64_t entries[PDPTES];
    if (!guest_memory_read(vcpu_cr(vcpu, CR3) & CR3_PAE_TABLE, entries, sizeof entries))
        return false;
    for (unsigned i = 0; i < PDPTES; i++)
        if ((entries[i] & PTE_PRESENT) && (entries[i] & (PDPTE_RESERVED | ~(PTE_ADDRESS | PAGE_MASK))))
            return false;
    for (unsigned i = 0; i < PDPTES; i++)
        vmcs_write(VMCS_GUEST_PDPTE0 + 2 * i, entries[i]);
    return true;
}

static void set_long_mode(bool active)
{
    uint64_t efer = vmcs_read(VMCS_GUEST_EFER), controls = vmcs_read(VMCS_ENTRY_CONTROLS);
    vmcs_write(VMCS_GUEST_EFER, active ? efer | EFER_LMA : efer & ~EFER_LMA);
    vmcs_write(VMCS_ENTRY_CONTROLS, active ? controls | ENTRY_GUEST_64 : controls & ~ENTRY_GUEST_64);
}

/* The conditions of SDM 2B, "MOV - Move to/from Control Registers". */
static bool cr0_allowed(const struct vcpu *vcpu, uint64_t old, uint64_t value)
{
    uint64_t cr4 = vcpu_cr(vcpu, CR4), efer = vcpu_efer(vcpu);
    bool code_64 = vcpu_segment(vcpu, SEGMENT_CS).long_mode;
    if ((value & CR0_HIGH) || ((value & CR0_PG) && !(value & CR0_PE)) ||
        ((value & CR0_NW) && !(value & CR0_CD)) || (!(value & CR0_WP) && (cr4 & CR4_CET)))
        return false;
    if ((value & ~old & CR0_PG) && (efer & EFER_LME))
        return (cr4 & CR4_PAE) && !code_64;
    if ((old & ~value & CR0_PG) && (efer & EFER_LMA))
        return !code_64 && !(cr4 & CR4_PCIDE);
    return true;
}

static bool write_cr0(struct vcpu *vcpu, uint64_t value)
{
    uint64_t old = vmx_cr0(), efer = vcpu_efer(vcpu);
    bool long_mode = (value & CR0_PG) && (efer & EFER_LME);
    if (!cr0_allowed(vcpu, old, value))
        return false;
    if ((value & CR0_PG) && !long_mode && (vcpu_cr(vcpu, CR4) & CR4_PAE) && !vmx_load_pdptes(vcpu))
        return false;
    if (!!(efer & EFER_LMA) != long_mode)
        set_long_mode(long_mode);
    vmx_set_cr0((value & CR0_EXISTING) | CR0_ET);
    if ((old ^ value) & (CR0_PG | CR0_WP | CR0_PE))
        vcpu_flush(vcpu);
    return true;
}

void exit_control_register(struct vcpu *vcpu)
{
    uint64_t qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);
    uint64_t value = vcpu->gpr[qualification >> CR_QUALIFICATION_GPR_SHIFT & 0xf];
    unsigned which = qualification & CR_QUALIFICATION_REGISTER;
    count_exit(vcpu, EXIT_CONTROL_REGISTER);
    if (walk_decode_mode(vcpu) != DECODE_64)
        value &= ~CR0_HIGH;
    /* CR4 is here only for bits that do not exist; LMSW and CLTS have none that is in the shadow. */
    bool done = !(qualification & CR_QUALIFICATION_TYPE) && which == CR_REGISTER_0 && write_cr0(vcpu, value);
    if (done)
        vcpu_skip(vcpu, (unsigned)vmcs_read(VMCS_EXIT_INSTRUCTION_LENGTH));
    else
        vcpu_inject(vcpu, EXCEPTION_GP, 0);
}

/* XCR0 is the guest's all the time; the host does not use what it enables. */
void exit_xsetbv(struct vcpu *vcpu)
{
    uint64_t value = (uint32_t)vcpu->gpr[RAX] | vcpu->gpr[RDX] << 32, cr4 = cr4_read();
    count_exit(vcpu, EXIT_CONTROL_REGISTER);
    cr4_write(cr4 | CR4_OSXSAVE);
    bool done = !vcpu_cpl(vcpu) && xcr_write_safe((uint32_t)vcpu->gpr[RCX], value);
    cr4_write(cr4);
    if (done)
        vcpu_skip(vcpu, (unsigned)vmcs_read(VMCS_EXIT_INSTRUCTION_LENGTH));
    else
        vcpu_inject(vcpu, EXCEPTION_GP, 0);
}
