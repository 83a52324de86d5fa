/* SPDX-License-Identifier: Apache-2.0 */
/* What the boot CPU's VT-x can do, chosen once for all CPUs (SDM volume 3D, appendix A). */
#include "core/log.h"
#include "core/memory.h"
#include "guest/nested.h"
#include "guest/vmx/vmx.h"

#define LEAF_FEATURES               1u
#define FEATURES_ECX_VMX            BIT(5)
#define LEAF_STRUCTURED             7u
#define STRUCTURED_EDX_MD_CLEAR     BIT(10)
#define STRUCTURED_EDX_IBRS_IBPB    BIT(26)
#define STRUCTURED_EDX_FLUSH_CMD    BIT(28)
#define STRUCTURED_EDX_CAPABILITIES BIT(29)
#define LEAF_PERFORMANCE            0xau
#define PERFORMANCE_EAX_VERSION     0xffu
#define VERSION_WITH_GLOBAL_CONTROL 2u

/* IA32_ARCH_CAPABILITIES. */
#define CAPABILITY_RDCL_NO    BIT(0)
#define CAPABILITY_IBRS_ALL   BIT(1)
#define CAPABILITY_SKIP_L1DFL BIT(3)
#define CAPABILITY_MDS_NO     BIT(5)
#define CAPABILITY_TAA_NO     BIT(8)
#define CAPABILITY_FBSDP_NO   BIT(14)
#define CAPABILITY_RFDS_CLEAR BIT(28)

#define VMX_TRUE_STEP       (MSR_VMX_TRUE_PIN - MSR_VMX_PIN) /* to the true twin of the first four */
#define BASIC_TRUE_CONTROLS BIT(55)
#define EPT_FOUR_LEVELS     BIT(6)
#define EPT_WRITE_BACK      BIT(14)
#define EPT_2M              BIT(16)
#define EPT_1G              BIT(17)
#define EPT_INVEPT          BIT(20)
#define EPT_INVEPT_SINGLE   BIT(25)
#define VPID_INVVPID        BIT(32)
#define VPID_INVVPID_SINGLE BIT(41)

struct vmx_features vmx_features;

#define EPT_READ_WRITE_EXECUTE 7u

static struct nested_format ept = {
    .table = EPT_READ_WRITE_EXECUTE,
    .leaf = EPT_READ_WRITE_EXECUTE,
    .write = BIT(1),
    .present = BIT(0),
    .large = BIT(7),
    .type = memory_type_bits,
    .type_mask = 0x38,
};

bool vmx_offered(void)
{
    return cpuid(LEAF_FEATURES, 0).ecx & FEATURES_ECX_VMX;
}

static bool has_all(uint64_t value, uint64_t wanted)
{
    return (value & wanted) == wanted;
}

/* What the guest has trained or read may not steer or reach what the host does (docs/security.md). */
static void choose_speculation_defence(void)
{
    uint32_t edx = cpuid(0, 0).eax >= LEAF_STRUCTURED ? cpuid(LEAF_STRUCTURED, 0).edx : 0;
    uint64_t capabilities = 0;
    if ((edx & STRUCTURED_EDX_CAPABILITIES) && !msr_read_safe(MSR_INTEL_CAPABILITIES, &capabilities))
        capabilities = 0;
    vmx_features.load_spec_ctrl = capabilities & CAPABILITY_IBRS_ALL;
    vmx_features.flush_predictions = !vmx_features.load_spec_ctrl && (edx & STRUCTURED_EDX_IBRS_IBPB);
    vmx_features.clear_buffers =
        (edx & STRUCTURED_EDX_MD_CLEAR) &&
        (!has_all(capabilities, CAPABILITY_MDS_NO | CAPABILITY_TAA_NO | CAPABILITY_FBSDP_NO) ||
         (capabilities & CAPABILITY_RFDS_CLEAR));
    vmx_features.flush_l1d =
        (edx & STRUCTURED_EDX_FLUSH_CMD) && !(capabilities & (CAPABILITY_RDCL_NO | CAPABILITY_SKIP_L1DFL));
    vmx_features.stop_counters =
        cpuid(0, 0).eax >= LEAF_PERFORMANCE &&
        (cpuid(LEAF_PERFORMANCE, 0).eax & PERFORMANCE_EAX_VERSION) >= VERSION_WITH_GLOBAL_CONTROL;
}

void vmx_capabilities(uint64_t capabilities[CONTROL_GROUPS])
{
    static const uint32_t msrs[CONTROL_GROUPS] = {
        [CONTROLS_PIN] = MSR_VMX_PIN,
        [CONTROLS_PROCESSOR] = MSR_VMX_PROCESSOR,
        [CONTROLS_SECONDARY] = MSR_VMX_SECONDARY,
        [CONTROLS_EXIT] = MSR_VMX_EXIT,
        [CONTROLS_ENTRY] = MSR_VMX_ENTRY,
    };
    uint32_t true_step = msr_read(MSR_VMX_BASIC) & BASIC_TRUE_CONTROLS ? VMX_TRUE_STEP : 0;
    for (unsigned i = 0; i < CONTROL_GROUPS; i++)
        capabilities[i] = msr_read(i == CONTROLS_SECONDARY ? msrs[i] : msrs[i] + true_step);
}

static bool choose_controls(void)
{
    uint64_t capabilities[CONTROL_GROUPS];
    bool done = true;
    vmx_capabilities(capabilities);
    for (unsigned i = 0; i < CONTROL_GROUPS; i++)
        done = controls_choose(i, capabilities[i], &vmx_features.controls[i]) && done;
    return done;
}

/* Nested paging and unrestricted guests, which older CPUs do not have. */
static uint64_t check_secondary(void)
{
    uint32_t may = 0;
    if (msr_read(MSR_VMX_PROCESSOR) >> 32 & PROCESSOR_SECONDARY)
        may = (uint32_t)(msr_read(MSR_VMX_SECONDARY) >> 32);
    if (!(may & SECONDARY_EPT))
        return CORE_NO_NESTED_PAGING;
    return may & SECONDARY_UNRESTRICTED_GUEST ? CORE_OK : CORE_NO_UNRESTRICTED_GUEST;
}

uint64_t vmx_start(void)
{
    uint64_t status = check_secondary();
    if (status != CORE_OK)
        return status;
    uint64_t ept_vpid = msr_read(MSR_VMX_EPT_VPID);
    if (!has_all(ept_vpid, EPT_FOUR_LEVELS | EPT_WRITE_BACK | EPT_2M | EPT_INVEPT | EPT_INVEPT_SINGLE))
        return CORE_NO_NESTED_PAGING;
    if (!choose_controls()) {
        log_line("VT-x lacks a control: pin %x processor %x secondary %x exit %x entry %x",
                 vmx_features.controls[CONTROLS_PIN], vmx_features.controls[CONTROLS_PROCESSOR],
                 vmx_features.controls[CONTROLS_SECONDARY], vmx_features.controls[CONTROLS_EXIT],
                 vmx_features.controls[CONTROLS_ENTRY]);
        return CORE_NO_VIRTUALIZATION;
    }
    vmx_features.invvpid = has_all(ept_vpid, VPID_INVVPID | VPID_INVVPID_SINGLE);
    if (!vmx_features.invvpid)
        vmx_features.controls[CONTROLS_SECONDARY] &= ~(uint32_t)SECONDARY_VPID;
    vmx_features.invvpid = vmx_features.controls[CONTROLS_SECONDARY] & SECONDARY_VPID;
    /* The guest may have paging and protection off; the caches stay on whatever it says. */
    vmx_features.cr0_fixed = msr_read(MSR_VMX_CR0_FIXED0) & ~(CR0_PE | CR0_PG);
    vmx_features.cr0_owned = vmx_features.cr0_fixed | CR0_CD | CR0_NW;
    choose_speculation_defence();
    ept.gigabyte_pages = ept_vpid & EPT_1G;
    memory_types_start();
    return CORE_OK;
}

const struct nested_format *vmx_nested_format(void)
{
    return &ept;
}
