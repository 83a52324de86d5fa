/* SPDX-License-Identifier: Apache-2.0 */
/* AMD's core performance counters (AMD APM volume 2, section 13.2): 48 bits that count upwards, so one that
 * has overflowed has its top bit clear. Intel's have a register that says which did (SDM 3B section 18.2.2);
 * there the local vector masks itself when it fires. */
#include "guest/pmu.h"

#include "core/apic.h"
#include "core/cpu.h"
#include "core/registers.h"

#define LEAF_EXTENDED         0x80000000u
#define LEAF_AMD_FEATURES     0x80000001u
#define LEAF_MONITORING       0x80000022u
#define AMD_ECX_CORE_COUNTERS BIT(23) /* six counters, control and count side by side */
#define MONITORING_EAX_V2     BIT(0)
#define MONITORING_EBX_COUNT  0xfu

#define LEAF_PERFORMANCE        0xau
#define PERFORMANCE_EAX_VERSION 0xffu
#define VERSION_WITH_STATUS     2u

#define MSR_LEGACY_CONTROL 0xc0010000u
#define MSR_LEGACY_COUNT   0xc0010004u
#define MSR_CORE_CONTROL   0xc0010200u
#define MSR_CORE_COUNT     0xc0010201u
#define LEGACY_COUNTERS    4u
#define CORE_COUNTERS      6u

#define CONTROL_INTERRUPT BIT(20)
#define CONTROL_ENABLE    BIT(22)
#define COUNT_TOP         BIT(47)

#define LVT_MODE 0x700u
#define LVT_NMI  0x400u

/* Constant after pmu_start. Zero counters: not an AMD CPU. */
static uint32_t first_control, first_count, stride, counters;
static bool has_status; /* Intel's, of version 2 on */

void pmu_start(void)
{
    if (!cpu_is_amd()) {
        has_status = cpuid(0, 0).eax >= LEAF_PERFORMANCE &&
                     (cpuid(LEAF_PERFORMANCE, 0).eax & PERFORMANCE_EAX_VERSION) >= VERSION_WITH_STATUS;
        return;
    }
    uint32_t last = cpuid(LEAF_EXTENDED, 0).eax;
    first_control = MSR_LEGACY_CONTROL;
    first_count = MSR_LEGACY_COUNT;
    stride = 1;
    counters = LEGACY_COUNTERS;
    if (!(cpuid(LEAF_AMD_FEATURES, 0).ecx & AMD_ECX_CORE_COUNTERS))
        return;
    first_control = MSR_CORE_CONTROL;
    first_count = MSR_CORE_COUNT;
    stride = 2;
    counters = CORE_COUNTERS;
    if (last >= LEAF_MONITORING && (cpuid(LEAF_MONITORING, 0).eax & MONITORING_EAX_V2))
        counters = cpuid(LEAF_MONITORING, 0).ebx & MONITORING_EBX_COUNT;
}

static bool has_overflowed(uint32_t counter)
{
    const uint64_t wanted = CONTROL_ENABLE | CONTROL_INTERRUPT;
    uint64_t control, count;
    return msr_read_safe(first_control + counter * stride, &control) && (control & wanted) == wanted &&
           msr_read_safe(first_count + counter * stride, &count) && !(count & COUNT_TOP);
}

bool pmu_overflowed(void)
{
    uint64_t overflowed;
    if (has_status && (apic_read(APIC_LVT_PMC) & LVT_MODE) == LVT_NMI)
        return msr_read_safe(MSR_INTEL_PERF_STATUS, &overflowed) && overflowed;
    if (!counters || (apic_read(APIC_LVT_PMC) & (LVT_MODE | LVT_MASKED)) != LVT_NMI)
        return false;
    for (uint32_t i = 0; i < counters; i++)
        if (has_overflowed(i))
            return true;
    return false;
}
