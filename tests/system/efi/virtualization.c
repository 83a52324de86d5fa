/* SPDX-License-Identifier: Apache-2.0 */
/* Virtualization instructions of both makers: #UD, as on a CPU without them, whoever runs them. */
#include "lib/format.h"
#include "tests/system/efi/runtime.h"

CODE(use_vmcall, ".byte 0x0f, 0x01, 0xc1");
CODE(use_vmlaunch, ".byte 0x0f, 0x01, 0xc2");
CODE(use_vmresume, ".byte 0x0f, 0x01, 0xc3");
CODE(use_vmxoff, ".byte 0x0f, 0x01, 0xc4");
CODE(use_vmfunc, ".byte 0x0f, 0x01, 0xd4");
CODE(use_vmxon, "vmxon (%rdi)");
CODE(use_vmclear, "vmclear (%rdi)");
CODE(use_vmptrld, "vmptrld (%rdi)");
CODE(use_vmptrst, "vmptrst (%rdi)");
CODE(use_vmread, "vmread %rax, %rcx");
CODE(use_vmwrite, "vmwrite %rax, %rcx");
CODE(use_invept, "invept (%rdi), %rax");
CODE(use_invvpid, "invvpid (%rdi), %rax");
CODE(use_vmrun, ".byte 0x0f, 0x01, 0xd8");
CODE(use_vmmcall, ".byte 0x0f, 0x01, 0xd9");
CODE(use_vmload, ".byte 0x0f, 0x01, 0xda");
CODE(use_vmsave, ".byte 0x0f, 0x01, 0xdb");
CODE(use_stgi, ".byte 0x0f, 0x01, 0xdc");
CODE(use_clgi, ".byte 0x0f, 0x01, 0xdd");
CODE(use_skinit, ".byte 0x0f, 0x01, 0xde");
CODE(use_invlpga, ".byte 0x0f, 0x01, 0xdf");
CODE(use_getsec, ".byte 0x0f, 0x37");

static const struct {
    const char *name, *code;
} instructions[] = {
    {"vmcall", use_vmcall},   {"vmlaunch", use_vmlaunch}, {"vmresume", use_vmresume},
    {"vmxoff", use_vmxoff},   {"vmfunc", use_vmfunc},     {"vmxon", use_vmxon},
    {"vmclear", use_vmclear}, {"vmptrld", use_vmptrld},   {"vmptrst", use_vmptrst},
    {"vmread", use_vmread},   {"vmwrite", use_vmwrite},   {"invept", use_invept},
    {"invvpid", use_invvpid}, {"vmrun", use_vmrun},       {"vmmcall", use_vmmcall},
    {"vmload", use_vmload},   {"vmsave", use_vmsave},     {"stgi", use_stgi},
    {"clgi", use_clgi},       {"skinit", use_skinit},     {"invlpga", use_invlpga},
    {"getsec", use_getsec},
};

static void tell(const char *name, const char *ring, struct outcome o)
{
    char full[48];
    format(full, sizeof(full), "virtualization.%s.%s", name, ring);
    verdict(full, "%s at %lld", outcome_text(o).s, (long long)o.offset);
}

void test_virtualization(void)
{
    static uint8_t area[PAGE_SIZE] aligned_to(4096);
    for (unsigned i = 0; i < ARRAY_COUNT(instructions); i++) {
        /* A page, as most of them want; an odd address, which some of them look at first. */
        struct registers page = {.gpr = {[RAX] = (uint64_t)area, [RDI] = (uint64_t)area}};
        struct registers odd = {.gpr = {[RAX] = 0x123456789abcdef1, [RDI] = 0x123456789abcdef1}};
        tell(instructions[i].name, "page", try_code(instructions[i].code, &page));
        tell(instructions[i].name, "odd", try_code(instructions[i].code, &odd));
        tell(instructions[i].name, "ring-3", try_code_user(instructions[i].code, &page));
    }
}
