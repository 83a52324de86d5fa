/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's vector registers are live while the hypervisor runs: XMM code stands between these two, and
 * nowhere else. Not nested: that is a panic. */
#ifndef SHOJI_CORE_SIMD_H
#define SHOJI_CORE_SIMD_H

/* Saves the XMM registers and MXCSR of the guest on this CPU; the upper halves of YMM and ZMM stay where they
 * are. Also at the launch, when they are the firmware's. */
void simd_begin(void);
/* Puts them back. No key schedule stays in a register. */
void simd_end(void);

#endif
