/* SPDX-License-Identifier: Apache-2.0 */
#include "core/simd.h"

#include "core/cpu.h"
#include "core/log.h"

#define MXCSR_RESET 0x1f80u

/* The AES assembly uses the XMM registers by their legacy encodings, which leave the upper halves of YMM and
 * ZMM alone. */
#define EACH_XMM(op)                                                                                         \
    op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) op(8) op(9) op(10) op(11) op(12) op(13) op(14) op(15)
#define SAVE(n)    "movaps %%xmm" #n ", 16*" #n "(%0)\n\t"
#define RESTORE(n) "movaps 16*" #n "(%0), %%xmm" #n "\n\t"

void simd_begin(void)
{
    struct cpu *cpu = this_cpu();
    uint32_t mxcsr = MXCSR_RESET;
    if (cpu->in_simd)
        panic("simd_begin is not nested");
    cpu->in_simd = true;
    __asm__ volatile(EACH_XMM(SAVE) "stmxcsr %1\n\tldmxcsr %2"
                     :
                     : "r"(cpu->xmm), "m"(cpu->mxcsr), "m"(mxcsr)
                     : "memory");
}

void simd_end(void)
{
    struct cpu *cpu = this_cpu();
    __asm__ volatile(EACH_XMM(RESTORE) "ldmxcsr %1" : : "r"(cpu->xmm), "m"(cpu->mxcsr) : "memory");
    cpu->in_simd = false;
}
