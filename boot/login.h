/* SPDX-License-Identifier: Apache-2.0 */
/* The passphrase prompt. */
#ifndef SHOJI_BOOT_LOGIN_H
#define SHOJI_BOOT_LOGIN_H

#include "boot/header.h"

/* Asks for the passphrase up to three times and leaves the volume key in `key`. False with a sentence when
 * none was right or the user gave up; the key is then wiped. */
bool login(const char *name, const struct header *header, uint8_t key[LUKS2_KEY_MAX],
           struct report *problem) must_check;

#endif
