/* SPDX-License-Identifier: Apache-2.0 */
/* Starts the policy's OS loader. */
#ifndef SHOJI_BOOT_CHAIN_H
#define SHOJI_BOOT_CHAIN_H

#include "boot/files.h"
#include "lib/policy.h"

/* Starts [os] path from the ESP, found anew by its device path because its handle may have changed. Returns
 * only when the loader could not be started or came back: with a sentence. */
void chain_start(const struct esp *esp, const struct policy *policy, struct report *problem);

#endif
