/* SPDX-License-Identifier: Apache-2.0 */
/* The checks of the CPU by CPUID (AMD APM volume 3, appendix E), VM_CR (volume 2, 15.30.1), and VT-x's
 * capability MSRs (SDM volume 3D, appendix A). */
#include "boot/cpu.h"

#include "include/hypercall.h"
#include "lib/strings.h"

#define LEAF_VENDOR            0u
#define LEAF_FEATURES          1u
#define FEATURES_ECX_VMX       BIT(5)
#define FEATURES_ECX_AES       BIT(25)
#define LEAF_EXTENDED          0x80000000u
#define LEAF_EXTENDED_FEATURES 0x80000001u
#define EXTENDED_ECX_SVM       BIT(2)
#define LEAF_SVM               0x8000000au
#define SVM_EDX_NESTED_PAGING  BIT(0)
#define MSR_VM_CR              0xc0010114u
#define VM_CR_SVMDIS           BIT(4)
#define SIGNATURE_BYTES        12

#define MSR_FEATURE_CONTROL        0x3au
#define FEATURE_CONTROL_LOCK       BIT(0)
#define FEATURE_CONTROL_VMX        BIT(2)
#define MSR_VMX_PROCESSOR_CONTROLS 0x482u /* what may be set is in the upper half */
#define MSR_VMX_SECONDARY_CONTROLS 0x48bu
#define PROCESSOR_SECONDARY        BIT(31)
#define SECONDARY_EPT              BIT(1)
#define SECONDARY_UNRESTRICTED     BIT(7)

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

static bool is_intel(void)
{
    struct cpuid vendor = cpuid(LEAF_VENDOR);
    char name[SIGNATURE_BYTES];
    memcpy(name, &vendor.ebx, 4);
    memcpy(name + 4, &vendor.edx, 4);
    memcpy(name + 8, &vendor.ecx, 4);
    return memcmp(name, "GenuineIntel", sizeof name) == 0;
}

static bool vtx_check(struct report *problem)
{
    uint64_t control = msr_read(MSR_FEATURE_CONTROL);
    uint32_t secondary = 0;
    if ((control & FEATURE_CONTROL_LOCK) && !(control & FEATURE_CONTROL_VMX))
        return report(problem,
                      "Virtualization (VT-x) is switched off by the firmware (IA32_FEATURE_CONTROL is "
                      "locked without it); enable VT-x in the firmware's setup.");
    if (msr_read(MSR_VMX_PROCESSOR_CONTROLS) >> 32 & PROCESSOR_SECONDARY)
        secondary = msr_read(MSR_VMX_SECONDARY_CONTROLS) >> 32;
    if (!(secondary & SECONDARY_EPT))
        return report(problem, "This CPU has virtualization (VT-x) without nested paging (EPT), which Shoji "
                               "needs; use another machine.");
    if (!(secondary & SECONDARY_UNRESTRICTED))
        return report(problem, "This CPU has virtualization (VT-x) without unrestricted guests, which Shoji "
                               "needs; use another machine.");
    return true;
}

static bool svm_check(struct report *problem)
{
    if (cpuid(LEAF_EXTENDED).eax < LEAF_SVM || !(cpuid(LEAF_SVM).edx & SVM_EDX_NESTED_PAGING))
        return report(problem, "This CPU has virtualization (SVM) without nested paging, which Shoji needs; "
                               "use another machine.");
    if (msr_read(MSR_VM_CR) & VM_CR_SVMDIS)
        return report(problem, "Virtualization (SVM) is switched off; enable SVM in the firmware's setup.");
    return true;
}

static bool virtualization_check(struct report *problem)
{
    if (cpuid(LEAF_FEATURES).ecx & FEATURES_ECX_VMX)
        return vtx_check(problem);
    if (cpuid(LEAF_EXTENDED).eax >= LEAF_EXTENDED_FEATURES &&
        (cpuid(LEAF_EXTENDED_FEATURES).ecx & EXTENDED_ECX_SVM))
        return svm_check(problem);
    if (is_intel())
        return report(problem,
                      "This CPU offers no Intel virtualization (VT-x), which Shoji needs; enable VT-x "
                      "in the firmware's setup, or use another machine.");
    return report(problem, "This CPU offers no AMD virtualization (SVM), which Shoji needs; enable SVM "
                           "in the firmware's setup, or use another machine.");
}

bool cpu_check(struct report *problem)
{
    if (runs_under_shoji())
        return report(problem,
                      "Shoji is already running on this machine; start the operating system itself.");
    if (!virtualization_check(problem))
        return false;
    if (!(cpuid(LEAF_FEATURES).ecx & FEATURES_ECX_AES))
        return report(problem, "This CPU has no AES instructions (AES-NI), which Shoji needs to encrypt the "
                               "disk; use another machine.");
    return true;
}
