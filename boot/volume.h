/* SPDX-License-Identifier: Apache-2.0 */
/* One volume of the policy on its way from two files and a disk to a range with a key. */
#ifndef SHOJI_BOOT_VOLUME_H
#define SHOJI_BOOT_VOLUME_H

#include "boot/header.h"
#include "include/handoff.h"

struct volume {
    const struct policy_volume *policy;
    struct header header;
    EFI_HANDLE controller;
    struct handoff_volume place; /* holds the key once it is unlocked; wiped by volume_release */
};

/* Reads the header, finds the disk, and checks that the two fit. No passphrase is needed yet. */
bool volume_find(struct volume *volume, const struct policy_volume *policy, const struct esp *esp,
                 struct report *problem) must_check;

/* Logs the user in, and mends the header files. */
bool volume_unlock(struct volume *volume, const struct esp *esp, struct report *problem) must_check;

void volume_release(struct volume *volume);

#endif
