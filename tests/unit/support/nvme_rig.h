/* SPDX-License-Identifier: Apache-2.0 */
/* What the NVMe tests share: a fake machine whose disk of 512-byte blocks carries one volume, and a
 * controller that each test takes up disabled and must leave without a trace. */
#ifndef SHOJI_TESTS_NVME_RIG_H
#define SHOJI_TESTS_NVME_RIG_H

#include "tests/unit/support/fake_machine.h"
#include "tests/unit/support/fake_nvme.h"
#include "tests/unit/support/guest_nvme.h"

#define BLOCK 512u

/* Hypervisor pages that are in use while the controller is disabled. */
extern size_t rig_pages_idle;

/* cmocka's group and test fixtures. */
int rig_start(void **state);
int rig_stop(void **state);
int rig_before(void **state);
int rig_after(void **state);

/* Enables the controller and creates queue 1. */
void rig_start_queue(bool messages, uint32_t entries);
void rig_fill(uint64_t address, size_t length, unsigned seed);
/* The plaintext of blocks of the volume, as the disk holds them. */
void rig_decrypt_disk(uint64_t lba, uint8_t *to, size_t length);
/* Writes 8 KiB to the volume, checks the ciphertext, and reads them back. */
void rig_write_and_read(void);
/* A PRP list of `count` pages at `list`, scattered backwards from `data`. */
void rig_make_list(uint64_t list, uint64_t data, unsigned count);

#endif
