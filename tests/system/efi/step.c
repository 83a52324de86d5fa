/* SPDX-License-Identifier: Apache-2.0 */
/* Single steps and breakpoints on instructions that a hypervisor emulates: as many traps, at the same places.
 */
#include "lib/format.h"
#include "tests/system/efi/device.h"
#include "tests/system/efi/runtime.h"

#define TRAPS_MAX 16
#define BEGIN     "pushfq\n\torq $0x100, (%rsp)\n\tpopfq\n"
#define END       "\n\tnop\n\tpushfq\n\tandq $~0x100, (%rsp)\n\tpopfq"

CODE(step_nop, BEGIN "nop" END);
CODE(step_cpuid, BEGIN "cpuid" END);
CODE(step_rdmsr, BEGIN "rdmsr" END);
CODE(step_wrmsr, BEGIN "wrmsr" END);
CODE(step_in, BEGIN "inl %dx, %eax" END);
CODE(step_out, BEGIN "outl %eax, %dx" END);
CODE(step_load, BEGIN "movl (%rdi), %eax" END);
CODE(step_store, BEGIN "movl %eax, 4(%rdi)" END);
CODE(step_rep_stos, BEGIN "rep stosb" END);
CODE(step_put_cr0, BEGIN "mov %rax, %cr0" END);
CODE(step_put_cr4, BEGIN "mov %rax, %cr4" END);
CODE(step_after_shadow, BEGIN "mov %ss, %ecx\n\tmov %ecx, %ss\n\tcpuid" END);
CODE(step_undefined, BEGIN "ud2" END);
CODE(step_vmcall, BEGIN ".byte 0x0f, 0x01, 0xc1" END);
CODE(step_wbinvd, BEGIN "wbinvd" END);
CODE(step_xsetbv, BEGIN "xsetbv" END);
CODE(break_cpuid, "nop\n\tcpuid\n\tnop");
CODE(break_load, "nop\n\tmovl (%rdi), %eax\n\tnop");

static struct {
    unsigned count;
    uint64_t rip[TRAPS_MAX], dr6[TRAPS_MAX];
} traps;

static bool on_debug(struct test_cpu *cpu, struct frame *f)
{
    uint64_t dr6;
    __asm__ volatile("mov %%dr6, %0" : "=r"(dr6));
    __asm__ volatile("mov %0, %%dr6" : : "r"(DR6_RESET));
    if (traps.count < TRAPS_MAX) {
        traps.rip[traps.count] = f->rip - (uint64_t)cpu->code;
        traps.dr6[traps.count] = dr6 & (DR6_BS | DR6_TRAPS);
    }
    traps.count++;
    if (dr6 & DR6_TRAPS)
        f->rflags |= RFLAGS_RF;
    return true;
}

static void tell(const char *name, const char *code, struct registers r)
{
    char text[128], full[48];
    size_t used = 0;
    traps.count = 0;
    me()->hooks[EXCEPTION_DB] = on_debug;
    struct outcome o = try_code(code, &r);
    me()->hooks[EXCEPTION_DB] = NULL;
    for (unsigned i = 0; i < MIN(traps.count, (unsigned)TRAPS_MAX) && used < sizeof(text) - 1; i++)
        used += format(text + used, sizeof(text) - used, " %x:%x", (unsigned)traps.rip[i],
                       (unsigned)traps.dr6[i]);
    text[used] = 0;
    format(full, sizeof(full), "step.%s", name);
    verdict(full, "%s %u traps%s", outcome_text(o).s, traps.count, text);
}

static void breakpoint(const char *name, const char *code)
{
    uint64_t at = (uint64_t)code + 1, on = DR7_RESET | BIT(0);
    __asm__ volatile("mov %0, %%dr0" : : "r"(at));
    __asm__ volatile("mov %0, %%dr7" : : "r"(on));
    tell(name, code, (struct registers){.gpr = {[RDI] = device_page + TEST_DEVICE_MEMORY}});
    __asm__ volatile("mov %0, %%dr7" : : "r"(DR7_RESET));
}

void test_step(void)
{
    const uint64_t efer = msr_read(MSR_EFER);
    const struct registers msr = {.gpr = {[RCX] = MSR_EFER, [RAX] = (uint32_t)efer}};
    const struct registers device = {.gpr = {[RDI] = device_page + TEST_DEVICE_MEMORY, [RCX] = 3}};
    __asm__ volatile("mov %0, %%dr6" : : "r"(DR6_RESET));
    tell("nop", step_nop, (struct registers){0});
    tell("cpuid", step_cpuid, (struct registers){0});
    tell("rdmsr", step_rdmsr, msr);
    tell("wrmsr", step_wrmsr, msr);
    tell("in", step_in, (struct registers){.gpr = {[RDX] = 0xcf8}});
    tell("out", step_out, (struct registers){.gpr = {[RDX] = 0xcf8}});
    tell("load", step_load, device);
    tell("store", step_store, device);
    tell("rep-stos", step_rep_stos, device);
    tell("cr0", step_put_cr0, (struct registers){.gpr = {[RAX] = cr0_read()}});
    tell("cr4", step_put_cr4, (struct registers){.gpr = {[RAX] = cr4_read()}});
    tell("after-a-shadow", step_after_shadow, (struct registers){0});
    tell("undefined", step_undefined, (struct registers){0});
    tell("vmcall", step_vmcall, (struct registers){0});
    tell("wbinvd", step_wbinvd, (struct registers){0});
    uint64_t cr4 = cr4_read();
    cr4_write(cr4 | CR4_OSXSAVE);
    tell("xsetbv", step_xsetbv, (struct registers){.gpr = {[RAX] = 1}});
    cr4_write(cr4);
    if (block) {
        tell("block-load", step_load, (struct registers){.gpr = {[RDI] = block}});
        tell("block-store", step_store, (struct registers){.gpr = {[RDI] = block}});
    }
    breakpoint("breakpoint-on-cpuid", break_cpuid);
    breakpoint("breakpoint-on-load", break_load);
}
