/* SPDX-License-Identifier: Apache-2.0 */
/* Finds Shoji by its CPUID signature and asks it with VMMCALL (AMD, Hygon) or VMCALL (Intel and others). */
#include "tools/shojictl/machine.h"

#include <cpuid.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>

/* Without Shoji the instruction is #UD, or, where another hypervisor answers it by patching the code, a page
 * fault. The signature is looked for first, so this only catches what that did not foresee. */
static const int guarded_signals[] = {SIGILL, SIGSEGV};
static sigjmp_buf before_hypercall;

static void on_fault(int signal)
{
    siglongjmp(before_hypercall, signal);
}

struct registers {
    uint64_t rax, rbx, rcx, rdx, rsi, rdi;
};

static void execute(bool amd, struct registers *r)
{
    if (amd)
        __asm__ volatile("vmmcall"
                         : "+a"(r->rax), "+b"(r->rbx), "+c"(r->rcx), "=d"(r->rdx), "=S"(r->rsi), "=D"(r->rdi)
                         :
                         : "memory");
    else
        __asm__ volatile("vmcall"
                         : "+a"(r->rax), "+b"(r->rbx), "+c"(r->rcx), "=d"(r->rdx), "=S"(r->rsi), "=D"(r->rdi)
                         :
                         : "memory");
}

/* The first 12 characters of a CPUID answer, in the order that the caller names. */
static bool spells(const char *text, unsigned first, unsigned second, unsigned third)
{
    unsigned parts[3] = {first, second, third};
    static_assert(sizeof(parts) == sizeof(HYPERVISOR_SIGNATURE) - 1, "three registers");
    return memcmp(text, parts, sizeof(parts)) == 0;
}

/* Asked of the CPU once: under Shoji each CPUID is an exit, and exits are what `stat` counts. */
static bool cpu_has_vmmcall(void)
{
    static enum { NOT_ASKED, VMMCALL, VMCALL } answer;
    if (answer == NOT_ASKED) {
        unsigned a, b, c, d;
        __cpuid(0, a, b, c, d);
        answer = spells("AuthenticAMD", b, d, c) || spells("HygonGenuine", b, d, c) ? VMMCALL : VMCALL;
    }
    return answer == VMMCALL;
}

/* False when the instruction faulted. */
static bool execute_guarded(bool amd, struct registers *r)
{
    struct sigaction catch = {.sa_handler = on_fault}, old[ARRAY_COUNT(guarded_signals)];
    for (size_t i = 0; i < ARRAY_COUNT(guarded_signals); i++)
        if (sigaction(guarded_signals[i], &catch, &old[i]) != 0)
            return false;
    bool legal = sigsetjmp(before_hypercall, 1) == 0;
    if (legal)
        execute(amd, r);
    for (size_t i = 0; i < ARRAY_COUNT(guarded_signals); i++)
        (void)sigaction(guarded_signals[i], &old[i], NULL);
    return legal;
}

static bool ask_machine(void *context, uint32_t object, uint32_t instance, uint64_t offset,
                        struct hypercall_answer *answer)
{
    (void)context;
    struct registers r = {HYPERCALL_MAGIC, object | (uint64_t)instance << 16, offset, 0, 0, 0};
    if (!execute_guarded(cpu_has_vmmcall(), &r))
        return false;
    const uint64_t chunk[HYPERCALL_CHUNK / 8] = {r.rcx, r.rdx, r.rsi, r.rdi};
    answer->result = r.rax;
    answer->size = r.rbx;
    memcpy(answer->bytes, chunk, sizeof(chunk));
    return true;
}

static bool signature_present(void)
{
    for (unsigned leaf = HYPERVISOR_LEAF_FIRST; leaf <= HYPERVISOR_LEAF_LAST; leaf += HYPERVISOR_LEAF_STEP) {
        unsigned a, b, c, d;
        __cpuid(leaf, a, b, c, d);
        if (a == leaf && spells(HYPERVISOR_SIGNATURE, b, c, d))
            return true;
    }
    return false;
}

bool machine_find(struct hypervisor *out, struct report *problem)
{
    *out = (struct hypervisor){.ask = ask_machine};
    struct hypercall_answer answer;
    if (!signature_present())
        return report(problem, "Shoji is not running on this machine: start the machine through shoji.efi.");
    if (!ask_machine(NULL, OBJECT_STATUS, 0, 0, &answer))
        return report(problem,
                      "Shoji's signature is here, but its hypercall is not: another hypervisor may be "
                      "running between it and this system.");
    return true;
}
