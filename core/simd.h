/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's vector registers are live while the hypervisor runs: XMM code stands between these two, and
 * nowhere else. Not nested. */
#ifndef SHOJI_CORE_SIMD_H
#define SHOJI_CORE_SIMD_H

/* Saves the XMM registers of the guest on this CPU. */
void simd_begin(void);
/* Puts them back. No key schedule stays in a register. */
void simd_end(void);

#endif
