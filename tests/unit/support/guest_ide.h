/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's IDE driver, in the fake machine. */
#ifndef SHOJI_TESTS_GUEST_IDE_H
#define SHOJI_TESTS_GUEST_IDE_H

#include "tests/unit/support/fake_ide.h"

/* Of the first channel. */
#define GUEST_TASK    (fake_ide_native ? FAKE_IDE_NATIVE_TASK : 0x1f0u)
#define GUEST_CONTROL (fake_ide_native ? FAKE_IDE_NATIVE_CONTROL + 2u : 0x3f6u)
#define GUEST_MASTER  0xc040u
#define GUEST_TABLE   0x200000ull

/* A reset by software; drive 0 is selected, and the bus master stopped. */
void guest_ide_reset(void);
void guest_ide_select(unsigned drive);

/* Fills the table with regions of `piece` bytes, none of which crosses 64 KiB. */
void guest_regions(uint64_t address, uint32_t bytes, uint32_t piece);

/* Writes the registers, older values first, and the command. */
void guest_ide_command(uint8_t opcode, uint64_t lba, uint32_t count);
void guest_ide_start(bool to_memory);
/* Waits until the drive is not busy; the status. */
uint8_t guest_ide_wait(void);
/* The same, and stops the bus master. */
uint8_t guest_ide_finish(void);

/* Whole commands; each returns the last status. `block`: sectors for each DRQ. */
uint8_t guest_ide_dma(uint8_t opcode, uint64_t lba, uint32_t count);
uint8_t guest_ide_pio_in(uint8_t opcode, uint64_t lba, uint32_t count, uint32_t block, uint8_t *to);
uint8_t guest_ide_pio_out(uint8_t opcode, uint64_t lba, uint32_t count, uint32_t block, const uint8_t *from);

#endif
