/* SPDX-License-Identifier: Apache-2.0 */
/* The memory that the hypervisor keeps: one block of reserved type, and the core in it. */
#ifndef SHOJI_BOOT_BLOCK_H
#define SHOJI_BOOT_BLOCK_H

#include "include/handoff.h"
#include "lib/report.h"

struct block {
    uint64_t base, length; /* physical; 0: none */
    uint64_t startup_page;
    uint64_t image_bytes;    /* the core and, behind it, the hand-off */
    uint64_t entry;          /* virtual address of core_enter */
    struct handoff *handoff; /* inside the block, zeroed; NULL before block_load */
};

/* Checks the SHA-256 of the core embedded in the loader. Needs libcrypto. */
bool core_image_check(struct report *problem) must_check;

/* Takes the block, zeroed, and the start-up page. False with a sentence when there is not enough memory. */
bool block_reserve(struct block *block, struct report *problem) must_check;

/* Puts the core and an empty hand-off into the block. */
bool block_load(struct block *block, struct report *problem) must_check;

/* Wipes the block and gives it back. Not to be called once a CPU has entered the core for good. */
void block_release(struct block *block);

#endif
