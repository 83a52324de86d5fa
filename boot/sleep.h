/* SPDX-License-Identifier: Apache-2.0 */
/* Suspend to RAM is hidden from the guest: this version cannot take the CPUs back after it. */
#ifndef SHOJI_BOOT_SLEEP_H
#define SHOJI_BOOT_SLEEP_H

#include "include/handoff.h"

/* Renames _S3_ in the DSDT that the firmware holds in memory. Nothing where there is none. */
void sleep_hide_s3(const struct handoff_acpi *acpi);

#endif
