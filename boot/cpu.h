/* SPDX-License-Identifier: Apache-2.0 */
/* What the CPU must be able to do, and all the CPUs there are. */
#ifndef SHOJI_BOOT_CPU_H
#define SHOJI_BOOT_CPU_H

#include "lib/base.h"
#include "lib/report.h"

/* Checks the boot CPU. False with a sentence that names what is missing. */
bool cpu_check(struct report *problem) must_check;

#endif
