/* SPDX-License-Identifier: Apache-2.0 */
/* All other CPUs, through EFI_MP_SERVICES_PROTOCOL. */
#ifndef SHOJI_BOOT_SMP_H
#define SHOJI_BOOT_SMP_H

#include "lib/base.h"
#include "lib/report.h"

struct launch;

/* Enables every CPU that is disabled and counts them all. False with a sentence when one cannot be had. */
bool smp_prepare(uint32_t *cpu_count, struct report *problem) must_check;

/* Takes every CPU but this one, which is taken already; index 1 and up. False with a sentence when one was
 * not taken: the machine must not go on. */
bool smp_launch(struct launch *launch, uint32_t cpu_count, struct report *problem) must_check;

#endif
