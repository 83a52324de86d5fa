/* SPDX-License-Identifier: Apache-2.0 */
/* All of CPUID, leaf by leaf, and the two bits that follow CR4. */
#include "tests/system/efi/runtime.h"

#define EXTENDED      0x80000000u
#define HYPERVISOR    0x40000000u
#define LEAVES_MAX    0x40u
#define LEAF_CACHE    4u
#define LEAF_TOPOLOGY 0xbu
#define LEAF_STATE    0xdu
#define SUBLEAVES     10u
#define OSXSAVE       BIT(27)
#define XSAVE         BIT(26)

static void tell(uint32_t leaf, uint32_t subleaf)
{
    struct cpuid r = cpuid(leaf, subleaf);
    char name[] = "cpuid.00000000.0";
    static const char digits[] = "0123456789abcdef";
    for (unsigned i = 0; i < 8; i++)
        name[6 + i] = digits[leaf >> (28 - 4 * i) & 15];
    name[15] = digits[subleaf];
    model(name, "%08x %08x %08x %08x", r.eax, r.ebx, r.ecx, r.edx);
}

static void tell_range(uint32_t first)
{
    uint32_t last = MIN(cpuid(first, 0).eax, first + LEAVES_MAX);
    for (uint32_t leaf = first; leaf <= last; leaf++) {
        bool has_subleaves = leaf == LEAF_CACHE || leaf == LEAF_TOPOLOGY || leaf == LEAF_STATE;
        for (uint32_t subleaf = 0; subleaf < (has_subleaves ? SUBLEAVES : 1); subleaf++)
            tell(leaf, subleaf);
    }
}

CODE(cpuid_with_prefixes, "mov $1, %eax\n\txor %ecx, %ecx\n\t.byte 0x66, 0x48, 0x0f, 0xa2");
CODE(cpuid_with_upper_halves, "cpuid");

void test_cpuid(void)
{
    tell_range(0);
    tell_range(EXTENDED);
    tell(HYPERVISOR, 0);
    tell(HYPERVISOR + 0x100, 0);
    if (cpuid(1, 0).ecx & XSAVE) {
        uint64_t cr4 = cr4_read();
        cr4_write(cr4 | CR4_OSXSAVE);
        bool with = cpuid(1, 0).ecx & OSXSAVE;
        cr4_write(cr4 & ~CR4_OSXSAVE);
        bool without = cpuid(1, 0).ecx & OSXSAVE;
        cr4_write(cr4);
        verdict("cpuid.osxsave-follows-cr4", "%d %d", with, without);
    }
    struct registers r = {0};
    struct outcome o = try_code(cpuid_with_prefixes, &r);
    verdict("cpuid.prefixes", "%s %d", outcome_text(o).s, (uint32_t)r.gpr[RAX] == cpuid(1, 0).eax);
    r = (struct registers){
        .gpr = {[RAX] = 0xffffffff00000000, [RCX] = ~0ull << 32, [RBX] = ~0ull, [RDX] = ~0ull}};
    o = try_code(cpuid_with_upper_halves, &r);
    verdict("cpuid.upper-halves", "%s %d", outcome_text(o).s,
            !((r.gpr[RAX] | r.gpr[RBX] | r.gpr[RCX] | r.gpr[RDX]) >> 32) && r.gpr[RAX] == cpuid(0, 0).eax);
    r = (struct registers){.gpr = {[RAX] = 0}};
    o = try_code_user(cpuid_with_upper_halves, &r);
    verdict("cpuid.ring-3", "%s %d", outcome_text(o).s, r.gpr[RBX] == cpuid(0, 0).ebx);
}
