/* SPDX-License-Identifier: Apache-2.0 */
/* The checks of the CPU by CPUID (AMD APM volume 3, appendix E) and VM_CR (volume 2, 15.30.1). */
#include "boot/cpu.h"

#include "include/hypercall.h"
#include "lib/strings.h"

#define LEAF_FEATURES          1u
#define FEATURES_ECX_AES       BIT(25)
#define LEAF_EXTENDED          0x80000000u
#define LEAF_EXTENDED_FEATURES 0x80000001u
#define EXTENDED_ECX_SVM       BIT(2)
#define LEAF_SVM               0x8000000au
#define SVM_EDX_NESTED_PAGING  BIT(0)
#define MSR_VM_CR              0xc0010114u
#define VM_CR_SVMDIS           BIT(4)
#define SIGNATURE_BYTES        12

struct cpuid {
    uint32_t eax, ebx, ecx, edx;
};

static struct cpuid cpuid(uint32_t leaf)
{
    struct cpuid out;
    __asm__ volatile("cpuid"
                     : "=a"(out.eax), "=b"(out.ebx), "=c"(out.ecx), "=d"(out.edx)
                     : "a"(leaf), "c"(0));
    return out;
}

static uint64_t msr_read(uint32_t msr)
{
    uint32_t low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (uint64_t)high << 32 | low;
}

static bool runs_under_shoji(void)
{
    for (uint32_t leaf = HYPERVISOR_LEAF_FIRST; leaf <= HYPERVISOR_LEAF_LAST; leaf += HYPERVISOR_LEAF_STEP) {
        struct cpuid found = cpuid(leaf);
        if (memcmp(&found.ebx, HYPERVISOR_SIGNATURE, SIGNATURE_BYTES) == 0)
            return true;
    }
    return false;
}

bool cpu_check(struct report *problem)
{
    if (runs_under_shoji())
        return report(problem,
                      "Shoji is already running on this machine; start the operating system itself.");
    uint32_t last = cpuid(LEAF_EXTENDED).eax;
    if (last < LEAF_EXTENDED_FEATURES || !(cpuid(LEAF_EXTENDED_FEATURES).ecx & EXTENDED_ECX_SVM))
        return report(problem, "This CPU offers no AMD virtualization (SVM), which Shoji needs; enable SVM "
                               "in the firmware's setup, or use another machine.");
    if (last < LEAF_SVM || !(cpuid(LEAF_SVM).edx & SVM_EDX_NESTED_PAGING))
        return report(problem, "This CPU has virtualization (SVM) without nested paging, which Shoji needs; "
                               "use another machine.");
    if (msr_read(MSR_VM_CR) & VM_CR_SVMDIS)
        return report(problem, "Virtualization (SVM) is switched off; enable SVM in the firmware's setup.");
    if (!(cpuid(LEAF_FEATURES).ecx & FEATURES_ECX_AES))
        return report(problem, "This CPU has no AES instructions (AES-NI), which Shoji needs to encrypt the "
                               "disk; use another machine.");
    return true;
}
