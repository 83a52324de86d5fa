/* SPDX-License-Identifier: Apache-2.0 */
/* The CPU that the guest sees is the CPU there is, less the virtualization extensions and processor trace,
 * plus one leaf that says Shoji. */
#include "guest/cpuid.h"

#include "guest/exit.h"
#include "guest/walk.h"
#include "include/hypercall.h"
#include "lib/decode.h"
#include "lib/strings.h"

#define LEAF_FEATURES       1u
#define LEAF_STRUCTURED     7u
#define LEAF_TRACE          0x14u
#define LEAF_AMD_FEATURES   0x80000001u
#define LEAF_AMD_SIZES      0x80000008u
#define LEAF_AMD_SVM        0x8000000au
#define LEAF_AMD_ENCRYPTION 0x8000001fu

#define FEATURES_ECX_VMX        BIT(5)
#define FEATURES_ECX_SMX        BIT(6)
#define FEATURES_ECX_OSXSAVE    BIT(27)
#define FEATURES_ECX_HYPERVISOR BIT(31)
#define STRUCTURED_EBX_TRACE    BIT(25)
#define STRUCTURED_ECX_OSPKE    BIT(4)
#define AMD_ECX_SVM             BIT(2)
#define AMD_ECX_SKINIT          BIT(12)
#define EXTENDED_EDX_SYSCALL    BIT(11)
#define AMD_8_EBX_INVLPGB                                                                                    \
    BIT(3) /* undefined in a guest unless the hypervisor shares its address-space IDs                        \
            */

static uint32_t signature_leaf; /* constant after cpuid_start */

void cpuid_start(void)
{
    signature_leaf = HYPERVISOR_LEAF_FIRST;
    if (!(cpuid(LEAF_FEATURES, 0).ecx & FEATURES_ECX_HYPERVISOR))
        return;
    /* Another hypervisor is below: its leaves stay, and ours is the first that it does not claim. */
    while (signature_leaf < HYPERVISOR_LEAF_LAST &&
           cpuid(signature_leaf, 0).eax - signature_leaf < HYPERVISOR_LEAF_STEP)
        signature_leaf += HYPERVISOR_LEAF_STEP;
}

static struct cpuid signature(void)
{
    struct cpuid r = {.eax = signature_leaf};
    static const char text[] = HYPERVISOR_SIGNATURE;
    memcpy(&r.ebx, text, 4);
    memcpy(&r.ecx, text + 4, 4);
    memcpy(&r.edx, text + 8, 4);
    return r;
}

static void replace(uint32_t *word, uint64_t mask, bool on)
{
    *word = (*word & ~(uint32_t)mask) | (on ? (uint32_t)mask : 0);
}

static struct cpuid answer(const struct vcpu *vcpu, uint32_t leaf, uint32_t subleaf)
{
    struct cpuid r = cpuid(leaf, subleaf);
    if (leaf == signature_leaf)
        return signature();
    switch (leaf) {
    case LEAF_FEATURES: /* OSXSAVE mirrors CR4, and in here CR4 is the host's */
        r.ecx &= ~(uint32_t)(FEATURES_ECX_VMX | FEATURES_ECX_SMX);
        replace(&r.ecx, FEATURES_ECX_OSXSAVE, vcpu_cr(vcpu, CR4) & CR4_OSXSAVE);
        break;
    case LEAF_STRUCTURED:
        if (subleaf == 0) {
            r.ebx &= ~(uint32_t)STRUCTURED_EBX_TRACE;
            replace(&r.ecx, STRUCTURED_ECX_OSPKE, vcpu_cr(vcpu, CR4) & CR4_PKE);
        }
        break;
    case LEAF_AMD_FEATURES:
        r.ecx &= ~(uint32_t)(AMD_ECX_SVM | AMD_ECX_SKINIT);
        if (!cpu_is_amd()) /* Intel's have SYSCALL in 64-bit mode alone, and that is the mode in here */
            replace(&r.edx, EXTENDED_EDX_SYSCALL,
                    (r.edx & EXTENDED_EDX_SYSCALL) && walk_decode_mode(vcpu) == DECODE_64);
        break;
    case LEAF_AMD_SIZES:
        r.ebx &= ~(uint32_t)AMD_8_EBX_INVLPGB;
        break;
    case LEAF_TRACE:
    case LEAF_AMD_SVM:
    case LEAF_AMD_ENCRYPTION: /* the encryption bit of a page would be an address bit to nested paging */
        r = (struct cpuid){0};
        break;
    default:
        break;
    }
    return r;
}

void exit_cpuid(struct vcpu *vcpu)
{
    count_exit(vcpu, EXIT_CPUID);
    struct cpuid r = answer(vcpu, (uint32_t)vcpu->gpr[RAX], (uint32_t)vcpu->gpr[RCX]);
    vcpu->gpr[RAX] = r.eax;
    vcpu->gpr[RBX] = r.ebx;
    vcpu->gpr[RCX] = r.ecx;
    vcpu->gpr[RDX] = r.edx;
    static const uint8_t opcode[] = {0x0f, 0xa2};
    skip_known(vcpu, opcode, sizeof opcode);
}
