/* SPDX-License-Identifier: Apache-2.0 */
/* The hypercall as the CPU makes it. */
#ifndef SHOJI_TOOLS_SHOJICTL_MACHINE_H
#define SHOJI_TOOLS_SHOJICTL_MACHINE_H

#include "tools/shojictl/snapshot.h"

/* Looks for Shoji's CPUID leaf and tries the hypercall once. False with a sentence when this machine runs
 * without Shoji. */
bool machine_find(struct hypervisor *out, struct report *problem) must_check;

#endif
