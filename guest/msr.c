/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/msr.h"

#include "core/apic.h"
#include "core/log.h"
#include "core/probe.h"
#include "guest/apic_page.h"
#include "guest/exit.h"

/* What becomes of a guest's access. The functions return false for #GP. */
typedef bool (*msr_read_rule)(struct vcpu *vcpu, uint32_t msr, uint64_t *value);
typedef bool (*msr_write_rule)(struct vcpu *vcpu, uint32_t msr, uint64_t value);

struct msr_rule {
    uint32_t first, last;
    msr_read_rule read;   /* NULL: native */
    msr_write_rule write; /* NULL: native */
};

static bool read_absent(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
    (void)vcpu, (void)msr, (void)value;
    return false;
}

static bool write_absent(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    (void)vcpu, (void)msr, (void)value;
    return false;
}

/* For registers whose change could reach the hypervisor: a write of what is there is harmless, any other
 * vanishes. */
static bool write_ignored(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    uint64_t now;
    if (!msr_read_safe(msr, &now))
        return false;
    if (now != value)
        log_limited("cpu %u: a write of %llx to MSR %x is ignored", vcpu->cpu->index,
                    (unsigned long long)value, msr);
    return true;
}

#define HWCR_MC_STATUS_WRITE BIT(18)
#define HWCR_BOOST_OFF       BIT(25)
#define HWCR_COUNT_RETIRED   BIT(30)

/* Of the hardware configuration register the guest has what concerns its own speed and machine-check tests;
 * not the locks, nor what INVD does. */
static bool write_hwcr(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    const uint64_t own = HWCR_MC_STATUS_WRITE | HWCR_BOOST_OFF | HWCR_COUNT_RETIRED;
    uint64_t now;
    if (!msr_read_safe(msr, &now) ||
        ((value ^ now) & own && !msr_write_safe(msr, (now & ~own) | (value & own))))
        return false;
    return write_ignored(vcpu, msr, value);
}

/* A patch level that does not change is what a guest sees whose update was refused. */
static bool write_microcode(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    (void)value;
    if (cpu_is_amd() != (msr == MSR_AMD_PATCH_LOADER))
        return false; /* the other maker's register */
    log_limited("cpu %u: a microcode update through MSR %x is ignored", vcpu->cpu->index, msr);
    return true;
}

static bool read_efer(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
    (void)msr;
    *value = vcpu_efer(vcpu);
    return true;
}

/* Locked, and without VMX: as firmware leaves it that has switched virtualization off. */
static bool read_feature_control(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
    (void)vcpu;
    if (!msr_read_safe(msr, value))
        return false;
    if (cpu_is_amd()) /* whose number it is not */
        return true;
    *value = (*value | FEATURE_CONTROL_LOCK) & ~(FEATURE_CONTROL_VMX_IN_SMX | FEATURE_CONTROL_VMX);
    return true;
}

#define MISC_ENABLE_XD_DISABLE BIT(34)

/* The host's page tables have no-execute bits, which are reserved ones where this switch is set. */
static bool write_misc_enable(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    (void)vcpu;
    return !(value & MISC_ENABLE_XD_DISABLE) && msr_write_safe(msr, value);
}

#define FEEDBACK_TABLE_BYTES (16 * PAGE_SIZE) /* as large as CPUID can say */

/* The CPU itself writes its hints for the scheduler to this physical address, and nested paging does not see
 * it. */
static bool write_feedback_table(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    const struct handoff *h = the_handoff();
    uint64_t base = value & PTE_ADDRESS;
    if (ranges_overlap(base, FEEDBACK_TABLE_BYTES, h->block_base, h->block_length))
        return write_ignored(vcpu, msr, value);
    return msr_write_safe(msr, value);
}

#define EFER_LMSLE   BIT(13)
#define EFER_FFXSR   BIT(14)
#define EFER_TCE     BIT(15)
#define EFER_MCOMMIT BIT(17)
#define EFER_INTWB   BIT(18)
#define EFER_UAIE    BIT(20)
/* What some CPUs have and others do not. */
#define EFER_OPTIONAL                                                                                        \
    (EFER_NXE | EFER_LMSLE | EFER_FFXSR | EFER_TCE | EFER_MCOMMIT | EFER_INTWB | EFER_UAIE | EFER_AIBRSE)
#define EFER_WRITABLE (EFER_SCE | EFER_LME | EFER_OPTIONAL)

/* The CPU itself says which bits it has; entering the guest with another one would fail. */
static bool efer_exists(uint64_t value)
{
    uint64_t host = msr_read(MSR_EFER);
    bool exists = msr_write_safe(MSR_EFER, host | (value & EFER_OPTIONAL));
    msr_write(MSR_EFER, host);
    return exists;
}

static bool write_efer(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    (void)msr;
    uint64_t old = vcpu_efer(vcpu);
    bool paging = vcpu_cr(vcpu, CR0) & CR0_PG;
    if ((value & ~(EFER_WRITABLE | EFER_LMA)) || !efer_exists(value))
        return false; /* SVME too: as on a CPU without it */
    if (paging && ((value ^ old) & EFER_LME))
        return false;
    vcpu_set_efer(vcpu, (value & ~EFER_LMA) | (old & EFER_LMA));
    return true;
}

/* The APIC may change its mode, not its address, nor be switched off: NMIs could not arrive any more. */
static bool write_apic_base(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    uint64_t now = msr_read(MSR_APIC_BASE);
    if ((value ^ now) & (APIC_BASE_ADDRESS | APIC_BASE_ENABLE | APIC_BASE_BSP)) {
        log_limited("cpu %u: moving or disabling the APIC (%llx) is refused", vcpu->cpu->index,
                    (unsigned long long)value);
        return false;
    }
    return msr_write_safe(msr, value);
}

static bool write_x2apic_command(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    (void)msr;
    if (!apic_is_x2())
        return false;
    return apic_x2_command(vcpu, value);
}

static bool write_memory_type(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    (void)vcpu;
    if (!msr_write_safe(msr, value))
        return false;
    vcpu_memory_types_changed();
    return true;
}

#define MTRR_VALID        BIT(11)
#define MTRR_ENABLE       BIT(11)
#define MTRR_DEFAULT_TYPE 0xffull

/* A variable-range MTRR may not lie over the hypervisor's block, unless it says what was there. */
static bool write_mtrr(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    const struct handoff *h = the_handoff();
    uint32_t base_msr = msr & ~1u;
    uint64_t base, mask, now;
    if (!msr_read_safe(msr, &now) || !msr_read_safe(base_msr, &base) || !msr_read_safe(base_msr + 1, &mask))
        return false;
    if (now == value)
        return true;
    if (msr & 1)
        mask = value;
    else
        base = value;
    /* The smaller bits are left out: a range that lies inside the block covers some of it whatever they are.
     */
    uint64_t bits = mask & PTE_ADDRESS & ~(CORE_BLOCK_ALIGN - 1);
    for (uint64_t at = h->block_base; (mask & MTRR_VALID) && at < h->block_base + h->block_length;
         at += CORE_BLOCK_ALIGN)
        if ((at & bits) == (base & bits)) {
            log_limited("cpu %u: an MTRR over the hypervisor's memory is ignored", vcpu->cpu->index);
            return true;
        }
    return write_memory_type(vcpu, msr, value);
}

/* Switching the MTRRs off, or the default type, could make the hypervisor's memory uncached under its feet.
 * An operating system that switches them off while it changes others has its caches off meanwhile, so it sees
 * no difference. */
static bool write_mtrr_default(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    uint64_t now;
    const uint64_t kept = MTRR_DEFAULT_TYPE | MTRR_ENABLE;
    return msr_read_safe(msr, &now) && write_memory_type(vcpu, msr, (value & ~kept) | (now & kept));
}

#define MTRR_VARIABLE_LAST (MSR_MTRR_VAR_BASE + 2 * 10 - 1)
/* The banks of the scalable machine check architecture, beyond what permission maps cover; operating systems
 * stop when they cannot be written. */
#define MSR_AMD_BANK_FIRST    0xc0002000u
#define MSR_AMD_BANK_LAST     0xc0002fffu
#define MSR_INTEL_TRACE_FIRST 0x560u
#define MSR_INTEL_TRACE_LAST  0x58fu

static const struct msr_rule rules[] = {
    {MSR_EFER, MSR_EFER, read_efer, write_efer},
    {MSR_APIC_BASE, MSR_APIC_BASE, NULL, write_apic_base},
    {MSR_X2APIC_ICR, MSR_X2APIC_ICR, NULL, write_x2apic_command},
    {MSR_MTRR_VAR_BASE, MTRR_VARIABLE_LAST, NULL, write_mtrr},
    {MSR_MTRR_DEF_TYPE, MSR_MTRR_DEF_TYPE, NULL, write_mtrr_default},
    {MSR_MTRR_FIX_64K, MSR_MTRR_FIX_64K, NULL, write_memory_type},
    {MSR_MTRR_FIX_16K_FIRST, MSR_MTRR_FIX_16K_LAST, NULL, write_memory_type},
    {MSR_MTRR_FIX_4K_FIRST, MSR_MTRR_FIX_4K_LAST, NULL, write_memory_type},
    {MSR_INTEL_FEATURE_CONTROL, MSR_INTEL_FEATURE_CONTROL, read_feature_control, write_absent},
    {MSR_INTEL_PATCH_LOADER, MSR_INTEL_PATCH_LOADER, NULL, write_microcode},
    {MSR_INTEL_SMM_MONITOR, MSR_INTEL_SMM_MONITOR, read_absent, write_absent},
    {MSR_INTEL_MISC_ENABLE, MSR_INTEL_MISC_ENABLE, NULL, write_misc_enable},
    {MSR_INTEL_VMX_FIRST, MSR_INTEL_VMX_LAST, read_absent, write_absent},
    {MSR_INTEL_FEEDBACK_TABLE, MSR_INTEL_FEEDBACK_TABLE, NULL, write_feedback_table},
    {MSR_INTEL_TRACE_FIRST, MSR_INTEL_TRACE_LAST, read_absent, write_absent},
    {MSR_AMD_SYSCFG, MSR_AMD_SYSCFG, NULL, write_ignored},
    {MSR_AMD_HWCR, MSR_AMD_HWCR, NULL, write_hwcr},
    {MSR_AMD_IORR_BASE0, MSR_AMD_IORR_MASK1, NULL, write_ignored},
    {MSR_AMD_TOP_MEM, MSR_AMD_TOP_MEM, NULL, write_ignored},
    {MSR_AMD_TOP_MEM2, MSR_AMD_TOP_MEM2, NULL, write_ignored},
    {MSR_AMD_PATCH_LOADER, MSR_AMD_PATCH_LOADER, NULL, write_microcode},
    {MSR_AMD_MMIO_CFG_BASE, MSR_AMD_MMIO_CFG_BASE, NULL, write_ignored},
    {MSR_AMD_SMM_BASE, MSR_AMD_SMM_MASK, NULL, write_ignored},
    {MSR_AMD_VM_CR, MSR_AMD_VM_CR, read_absent, write_absent},
    {MSR_AMD_SMM_CTL, MSR_AMD_SVM_LOCK_KEY, read_absent, write_absent},
    {MSR_AMD_BANK_FIRST, MSR_AMD_BANK_LAST, NULL, NULL},
};

void msr_start(void)
{
    for (const struct msr_rule *r = rules; r < rules + ARRAY_COUNT(rules); r++)
        for (uint32_t msr = r->first; msr <= r->last; msr++)
            if (msr != MSR_X2APIC_ICR) /* that one only while CPUs are started: guest/apic_page.c */
                vcpu_trap_msr(msr, r->read, r->write);
}

static const struct msr_rule *rule_of(uint32_t msr)
{
    for (const struct msr_rule *r = rules; r < rules + ARRAY_COUNT(rules); r++)
        if (msr >= r->first && msr <= r->last)
            return r;
    return NULL;
}

void exit_msr_read(struct vcpu *vcpu)
{
    uint32_t msr = (uint32_t)vcpu->gpr[RCX];
    const struct msr_rule *rule = rule_of(msr);
    uint64_t value = 0;
    count_exit(vcpu, EXIT_MSR_READ);
    bool there = rule && rule->read ? rule->read(vcpu, msr, &value) : msr_read_safe(msr, &value);
    if (!there) {
        vcpu_inject(vcpu, EXCEPTION_GP, 0);
        return;
    }
    vcpu->gpr[RAX] = (uint32_t)value;
    vcpu->gpr[RDX] = value >> 32;
    static const uint8_t opcode[] = {0x0f, 0x32};
    skip_known(vcpu, opcode, sizeof opcode);
}

/* An MSR that exits without a rule lies outside the ranges that the bitmap covers: nothing that Shoji knows,
 * so nothing that may be written. */
void exit_msr_write(struct vcpu *vcpu)
{
    uint32_t msr = (uint32_t)vcpu->gpr[RCX];
    uint64_t value = (uint32_t)vcpu->gpr[RAX] | vcpu->gpr[RDX] << 32;
    const struct msr_rule *rule = rule_of(msr);
    count_exit(vcpu, EXIT_MSR_WRITE);
    bool done = rule && (rule->write ? rule->write(vcpu, msr, value) : msr_write_safe(msr, value));
    if (!done) {
        vcpu_inject(vcpu, EXCEPTION_GP, 0);
        return;
    }
    static const uint8_t opcode[] = {0x0f, 0x30};
    skip_known(vcpu, opcode, sizeof opcode);
}
