/* SPDX-License-Identifier: Apache-2.0 */
/* A Linux program that tries from ring 3 what the hypervisor must not show or allow: CPUID, virtualization
 * instructions, the hypercall. One check a line, `ok NAME` or `FAILED NAME: ...`; the exit status is 0 when
 * all are ok. */
#include "include/hypercall.h"

#include <cpuid.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static unsigned failures;

static __attribute__((format(printf, 3, 4))) void check(bool good, const char *name, const char *format, ...)
{
    va_list arguments;
    printf("%s %s", good ? "ok" : "FAILED", name);
    if (!good) {
        failures++;
        printf(": ");
        va_start(arguments, format);
        vprintf(format, arguments);
        va_end(arguments);
    }
    printf("\n");
}

/* ---- CPUID ---- */

#define LEAF_AMD_FEATURES 0x80000001u
#define LEAF_AMD_SVM      0x8000000au
#define AMD_ECX_SVM       (1u << 2)
#define AMD_ECX_SKINIT    (1u << 12)
#define FEATURES_ECX_VMX  (1u << 5)

static bool signature_at(unsigned leaf)
{
    unsigned a, b, c, d;
    char text[13] = {0};
    __cpuid(leaf, a, b, c, d);
    memcpy(text, &b, 4);
    memcpy(text + 4, &c, 4);
    memcpy(text + 8, &d, 4);
    return a == leaf && !strcmp(text, HYPERVISOR_SIGNATURE);
}

static void check_cpuid(void)
{
    unsigned a, b, c, d;
    __cpuid(1, a, b, c, d);
    check(!(c & FEATURES_ECX_VMX), "CPUID hides VMX", "ecx %x", c);
    __cpuid(LEAF_AMD_FEATURES, a, b, c, d);
    check(!(c & AMD_ECX_SVM), "CPUID hides SVM", "ecx %x", c);
    check(!(c & AMD_ECX_SKINIT), "CPUID hides SKINIT", "ecx %x", c);
    __cpuid(LEAF_AMD_SVM, a, b, c, d);
    check(!(a | b | c | d), "CPUID's leaf of SVM is empty", "%x %x %x %x", a, b, c, d);
    bool found = false;
    for (unsigned leaf = HYPERVISOR_LEAF_FIRST; !found && leaf <= HYPERVISOR_LEAF_LAST;
         leaf += HYPERVISOR_LEAF_STEP)
        found = signature_at(leaf);
    check(found, "Shoji's leaf is there", "no leaf has its signature");
}

/* ---- Instructions ---- */

static sigjmp_buf back;

static void on_signal(int number)
{
    siglongjmp(back, number);
}

/* The signal that an instruction raises, 0 for none. RAX is a page's address and RCX 0 for all of them. */
#define SIGNAL_OF(instruction)                                                                               \
    ({                                                                                                       \
        volatile int number = sigsetjmp(back, 1);                                                            \
        if (!number)                                                                                         \
            __asm__ volatile(instruction                                                                     \
                             :                                                                               \
                             : "a"(0x1000ul), "c"(0ul)                                                       \
                             : "rbx", "rdx", "rsi", "rdi", "memory", "cc");                                  \
        number;                                                                                              \
    })

static void is_illegal(const char *name, int number)
{
    check(number == SIGILL, name, "signal %d, not SIGILL", number);
}

static void check_instructions(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGILL, &action, NULL);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    is_illegal("VMRUN", SIGNAL_OF("vmrun"));
    is_illegal("VMLOAD", SIGNAL_OF("vmload"));
    is_illegal("VMSAVE", SIGNAL_OF("vmsave"));
    is_illegal("STGI", SIGNAL_OF("stgi"));
    is_illegal("CLGI", SIGNAL_OF("clgi"));
    is_illegal("SKINIT", SIGNAL_OF("skinit"));
    is_illegal("INVLPGA", SIGNAL_OF("invlpga"));
    is_illegal("VMMCALL without the magic", SIGNAL_OF("vmmcall"));
    is_illegal("VMCALL", SIGNAL_OF("vmcall"));
    int number = SIGNAL_OF("hlt");
    check(number == SIGSEGV, "HLT is #GP as ever", "signal %d", number);
}

/* ---- The hypercall ---- */

struct registers {
    uint64_t rax, rbx, rcx, rdx, rsi, rdi, r[8];
};

/* One VMMCALL with every register known. */
static void call(struct registers *io)
{
    __asm__ volatile(
        "mov 0x30(%0), %%r8\n\tmov 0x38(%0), %%r9\n\tmov 0x40(%0), %%r10\n\tmov 0x48(%0), %%r11\n\t"
        "mov 0x50(%0), %%r12\n\tmov 0x58(%0), %%r13\n\tmov 0x60(%0), %%r14\n\tmov 0x68(%0), %%r15\n\t"
        "push %%rbp\n\tmov %0, %%rbp\n\t"
        "mov 0x00(%%rbp), %%rax\n\tmov 0x08(%%rbp), %%rbx\n\tmov 0x10(%%rbp), %%rcx\n\t"
        "mov 0x18(%%rbp), %%rdx\n\tmov 0x20(%%rbp), %%rsi\n\tmov 0x28(%%rbp), %%rdi\n\t"
        "vmmcall\n\t"
        "mov %%rax, 0x00(%%rbp)\n\tmov %%rbx, 0x08(%%rbp)\n\tmov %%rcx, 0x10(%%rbp)\n\t"
        "mov %%rdx, 0x18(%%rbp)\n\tmov %%rsi, 0x20(%%rbp)\n\tmov %%rdi, 0x28(%%rbp)\n\t"
        "mov %%r8, 0x30(%%rbp)\n\tmov %%r9, 0x38(%%rbp)\n\tmov %%r10, 0x40(%%rbp)\n\tmov %%r11, "
        "0x48(%%rbp)\n\t"
        "mov %%r12, 0x50(%%rbp)\n\tmov %%r13, 0x58(%%rbp)\n\tmov %%r14, 0x60(%%rbp)\n\tmov %%r15, "
        "0x68(%%rbp)\n\t"
        "pop %%rbp"
        : "+D"(io)
        :
        : "rax", "rbx", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory",
          "cc");
}

static struct registers ask(uint64_t object, uint64_t offset)
{
    struct registers r = {.rax = HYPERCALL_MAGIC, .rbx = object, .rcx = offset, .rdx = 5, .rsi = 6, .rdi = 7};
    for (unsigned i = 0; i < 8; i++)
        r.r[i] = 0x1111111111111111ull * (i + 1);
    call(&r);
    return r;
}

static void check_hypercall(void)
{
    struct registers r = ask(OBJECT_STATUS, 0);
    bool kept = true;
    for (unsigned i = 0; i < 8; i++)
        kept &= r.r[i] == 0x1111111111111111ull * (i + 1);
    check(r.rax == HYPERCALL_OK && r.rbx == sizeof(struct status) && (uint32_t)r.rcx == STATUS_VERSION,
          "the hypercall answers", "%llx %llx %llx", (unsigned long long)r.rax, (unsigned long long)r.rbx,
          (unsigned long long)r.rcx);
    check(kept, "the hypercall keeps the other registers", "one has changed");
    static const struct {
        const char *name;
        uint64_t object, offset, result;
    } wrong[] = {
        {"an object that is not there", 0x7777, 0, HYPERCALL_NO_OBJECT},
        {"a CPU that is not there", OBJECT_CPU | 0xffffull << 16, 0, HYPERCALL_NO_OBJECT},
        {"an instance of a single object", OBJECT_STATUS | 1ull << 16, 0, HYPERCALL_NO_OBJECT},
        {"high bits in the object", OBJECT_STATUS | 1ull << 32, 0, HYPERCALL_NO_OBJECT},
        {"an offset past the end", OBJECT_STATUS, sizeof(struct status), HYPERCALL_BAD_OFFSET},
        {"a negative offset", OBJECT_STATUS, -32ull, HYPERCALL_BAD_OFFSET},
        {"a negative offset in the log", OBJECT_LOG, -16ull, HYPERCALL_BAD_OFFSET},
    };
    for (unsigned i = 0; i < ARRAY_COUNT(wrong); i++) {
        r = ask(wrong[i].object, wrong[i].offset);
        check(r.rax == wrong[i].result && !(r.rcx | r.rdx | r.rsi | r.rdi), wrong[i].name,
              "%llx: %llx %llx %llx %llx", (unsigned long long)r.rax, (unsigned long long)r.rcx,
              (unsigned long long)r.rdx, (unsigned long long)r.rsi, (unsigned long long)r.rdi);
    }
    r = ask(OBJECT_STATUS, sizeof(struct status) - 8);
    check(r.rax == HYPERCALL_OK && !(r.rdx | r.rsi | r.rdi), "nothing stands after an object's end",
          "%llx %llx", (unsigned long long)r.rdx, (unsigned long long)r.rsi);
}

int main(void)
{
    check_cpuid();
    check_instructions();
    check_hypercall();
    return failures ? 1 : 0;
}
