/* SPDX-License-Identifier: Apache-2.0 */
/* Reads and writes of model-specific registers: which fault, and what stays. */
#include "lib/format.h"
#include "tests/system/efi/runtime.h"

CODE(msr_get, "rdmsr");
CODE(msr_put, "wrmsr");

struct access {
    struct outcome read, write, again;
    uint64_t before, after;
};

static struct outcome get(uint32_t msr, uint64_t *value)
{
    struct registers r = {.gpr = {[RCX] = msr}};
    struct outcome o = try_code(msr_get, &r);
    *value = (uint32_t)r.gpr[RAX] | r.gpr[RDX] << 32;
    return o;
}

static struct outcome put(uint32_t msr, uint64_t value)
{
    struct registers r = {.gpr = {[RCX] = msr, [RAX] = (uint32_t)value, [RDX] = value >> 32}};
    return try_code(msr_put, &r);
}

/* Writes what is there with `flip` turned over, looks, and puts the old value back. */
static struct access change(uint32_t msr, uint64_t flip)
{
    struct access a = {.read = get(msr, &a.before)};
    a.write = put(msr, a.before ^ flip);
    a.again = get(msr, &a.after);
    if (a.after != a.before)
        (void)put(msr, a.before);
    return a;
}

typedef void (*teller)(const char *name, const char *fmt, ...);

static void tell(teller to, const char *name, uint32_t msr, uint64_t flip)
{
    struct access a = change(msr, flip);
    to(name, "read %s, write %s, %s", outcome_text(a.read).s, outcome_text(a.write).s,
       a.read.vector != EXCEPTION_NONE ? "-"
       : a.after == a.before           ? "unchanged"
       : a.after == (a.before ^ flip)  ? "as written"
                                       : "else");
}

static void tell_value(const char *name, uint32_t msr)
{
    uint64_t value;
    struct outcome o = get(msr, &value);
    if (o.vector == EXCEPTION_NONE)
        model(name, "%llx", (unsigned long long)value);
    else
        model(name, "%s", outcome_text(o).s);
}

/* Registers that all long-mode CPUs have. */
static const struct common {
    const char *name;
    uint32_t msr;
    uint64_t flip;
} common[] = {
    {"msr.efer-as-it-is", MSR_EFER, 0},
    {"msr.efer-sce", MSR_EFER, EFER_SCE},
    {"msr.efer-nxe", MSR_EFER, EFER_NXE},
    {"msr.pat", MSR_PAT, 0x0101000000000000},
    {"msr.star", 0xc0000081, 0x1234567800000000},
    {"msr.lstar", 0xc0000082, 0x1000},
    {"msr.sfmask", 0xc0000084, 0x200},
    {"msr.fs-base", MSR_FS_BASE, 0x123456000},
    {"msr.kernel-gs-base", 0xc0000102, 0x123456000},
    {"msr.sysenter-cs", 0x174, 0x18},
    {"msr.sysenter-esp", 0x175, 0x1000},
    {"msr.sysenter-eip", 0x176, 0x2000},
    {"msr.apic-base-as-it-is", MSR_APIC_BASE, 0},
    {"msr.mtrr-default-as-it-is", MSR_MTRR_DEF_TYPE, 0},
    {"msr.mtrr-variable-7", MSR_MTRR_VAR_BASE + 14, 0xfd000006},
};

/* What emulators and CPUs check more or less strictly. */
static const struct common particular[] = {
    {"msr.pat-of-type-2", MSR_PAT, 0x0200000000000000},
    {"msr.efer-reserved", MSR_EFER, BIT(40)},
    {"msr.efer-lme-under-paging", MSR_EFER, EFER_LME},
    {"msr.efer-svme", MSR_EFER, EFER_SVME},
    {"msr.kernel-gs-base-not-canonical", 0xc0000102, 0x1234560000000000},
    {"msr.tsc-aux", 0xc0000103, 0x5a},
    {"msr.syscfg", MSR_AMD_SYSCFG, 0},
    {"msr.unknown", 0x40001234, 0},
    {"msr.trace-control", 0x570, 0},
};

void test_msr(void)
{
    for (unsigned i = 0; i < ARRAY_COUNT(common); i++)
        tell(verdict, common[i].name, common[i].msr, common[i].flip);
    for (unsigned i = 0; i < ARRAY_COUNT(particular); i++)
        tell(model, particular[i].name, particular[i].msr, particular[i].flip);
    /* Those of virtualization itself. */
    tell_value("msr.feature-control", 0x3a);
    for (uint32_t msr = 0x480; msr <= 0x491; msr++) {
        char name[32];
        format(name, sizeof(name), "msr.vmx-%x", msr);
        tell_value(name, msr);
    }
    tell_value("msr.vm-cr", MSR_AMD_VM_CR);
    tell_value("msr.vm-hsave-pa", MSR_AMD_VM_HSAVE_PA);
    tell_value("msr.mtrr-cap", MSR_MTRR_CAP);
    tell_value("msr.mtrr-default", MSR_MTRR_DEF_TYPE);
    tell_value("msr.misc-enable", 0x1a0);

    struct registers r = {.gpr = {[RCX] = MSR_EFER}};
    verdict("msr.read-in-ring-3", "%s", outcome_text(try_code_user(msr_get, &r)).s);
    verdict("msr.write-in-ring-3", "%s", outcome_text(try_code_user(msr_put, &r)).s);
    if (block) { /* a range over the hypervisor's memory vanishes */
        uint64_t mask;
        struct outcome o = put(MSR_MTRR_VAR_BASE + 14, block);
        (void)put(MSR_MTRR_VAR_BASE + 15, (~(block_bytes - 1) & 0xfffff000) | BIT(11));
        (void)get(MSR_MTRR_VAR_BASE + 15, &mask);
        verdict("msr.mtrr-over-the-block", "%s %s", outcome_text(o).s, mask & BIT(11) ? "valid" : "vanished");
        (void)put(MSR_MTRR_VAR_BASE + 14, 0);
    }
}
