/* SPDX-License-Identifier: Apache-2.0 */
/* Loads the core's ELF image. Pure: no firmware service is used. */
#ifndef SHOJI_BOOT_CORE_ELF_H
#define SHOJI_BOOT_CORE_ELF_H

#include "lib/base.h"
#include "lib/report.h"

struct core_layout {
    uint64_t image_bytes; /* from the block's start, zeroed data included, a multiple of the page */
    uint64_t entry;       /* virtual address of core_enter */
};

/* Copies the loadable segments of an ELF64 executable linked at CORE_VIRTUAL_BASE into `block`, which the
 * caller has zeroed. False with a sentence when the image is damaged or does not fit. */
bool core_elf_load(const void *image, size_t size, void *block, size_t capacity, struct core_layout *out,
                   struct report *problem) must_check;

#endif
