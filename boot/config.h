/* SPDX-License-Identifier: Apache-2.0 */
/* The policy file on the ESP. */
#ifndef SHOJI_BOOT_CONFIG_H
#define SHOJI_BOOT_CONFIG_H

#include "boot/files.h"
#include "lib/policy.h"

#define POLICY_PATH "\\EFI\\shoji\\policy.conf"

/* Reads and parses it. False with a sentence when it is missing, cannot be read, or says what Shoji does not
 * understand. */
bool config_read(const struct esp *esp, struct policy *out, struct report *problem) must_check;

#endif
