/* SPDX-License-Identifier: Apache-2.0 */
/* CPUID as the guest sees it. */
#ifndef SHOJI_GUEST_CPUID_H
#define SHOJI_GUEST_CPUID_H

/* Finds the leaf for Shoji's signature. Before the first CPU runs. */
void cpuid_start(void);

#endif
