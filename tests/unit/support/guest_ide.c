/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's IDE driver: polls, as firmware does. */
#include "tests/unit/support/guest_ide.h"

#include "drivers/storage/ide/ide_spec.h"
#include "tests/unit/support/fake_machine.h"
#include <string.h>

#define LOOKS 100

static uint8_t selection; /* DEVICE_SECOND, or 0 */

void guest_ide_select(unsigned drive)
{
    selection = drive ? DEVICE_SECOND : 0;
    guest_out(GUEST_TASK + IDE_DEVICE, 1, DEVICE_ALWAYS | selection);
}

void guest_ide_reset(void)
{
    guest_out(GUEST_MASTER, 1, 0);
    guest_out(GUEST_CONTROL, 1, CONTROL_RESET);
    guest_out(GUEST_CONTROL, 1, 0);
    guest_out(GUEST_MASTER + MASTER_STATUS, 1, MASTER_ERROR | MASTER_INTERRUPT);
    guest_ide_select(0);
}

void guest_regions(uint64_t address, uint32_t bytes, uint32_t piece)
{
    for (uint64_t at = GUEST_TABLE; bytes; at += sizeof(struct ide_region)) {
        uint32_t now = MIN(MIN(bytes, piece), (uint32_t)(REGION_BYTES_MAX - address % REGION_BYTES_MAX));
        struct ide_region region = {(uint32_t)address, (uint16_t)now, now == bytes ? REGION_LAST : 0};
        memcpy(guest_ram(at, sizeof(region)), &region, sizeof(region));
        address += now;
        bytes -= now;
    }
}

void guest_ide_command(uint8_t opcode, uint64_t lba, uint32_t count)
{
    guest_out(GUEST_TASK + IDE_COUNT, 1, count >> 8 & 0xff);
    guest_out(GUEST_TASK + IDE_LBA_LOW, 1, lba >> 24 & 0xff);
    guest_out(GUEST_TASK + IDE_LBA_MID, 1, lba >> 32 & 0xff);
    guest_out(GUEST_TASK + IDE_LBA_HIGH, 1, lba >> 40 & 0xff);
    guest_out(GUEST_TASK + IDE_COUNT, 1, count & 0xff);
    guest_out(GUEST_TASK + IDE_LBA_LOW, 1, lba & 0xff);
    guest_out(GUEST_TASK + IDE_LBA_MID, 1, lba >> 8 & 0xff);
    guest_out(GUEST_TASK + IDE_LBA_HIGH, 1, lba >> 16 & 0xff);
    guest_out(GUEST_TASK + IDE_DEVICE, 1, DEVICE_ALWAYS | DEVICE_LBA | selection | (lba >> 24 & 0xf));
    guest_out(GUEST_TASK + IDE_STATUS, 1, opcode);
}

void guest_ide_start(bool to_memory)
{
    guest_out(GUEST_MASTER + MASTER_TABLE, 4, (uint32_t)GUEST_TABLE);
    guest_out(GUEST_MASTER, 1, MASTER_START | (to_memory ? MASTER_TO_MEMORY : 0));
}

uint8_t guest_ide_wait(void)
{
    uint8_t status = STATUS_BUSY;
    for (unsigned i = 0; i < LOOKS && status & STATUS_BUSY; i++)
        status = (uint8_t)guest_in(GUEST_TASK + IDE_STATUS, 1);
    return status;
}

uint8_t guest_ide_finish(void)
{
    uint8_t status = guest_ide_wait();
    guest_out(GUEST_MASTER, 1, 0);
    guest_out(GUEST_MASTER + MASTER_STATUS, 1, MASTER_ERROR | MASTER_INTERRUPT);
    return status;
}

uint8_t guest_ide_dma(uint8_t opcode, uint64_t lba, uint32_t count)
{
    guest_ide_command(opcode, lba, count);
    guest_ide_start(opcode == 0xc8 || opcode == 0x25);
    return guest_ide_finish();
}

uint8_t guest_ide_pio_in(uint8_t opcode, uint64_t lba, uint32_t count, uint32_t block, uint8_t *to)
{
    guest_ide_command(opcode, lba, count);
    uint8_t status = guest_ide_wait();
    while (count && status & STATUS_DATA) {
        uint32_t now = MIN(block, count);
        for (uint32_t i = 0; i < now * 512; i += 2, to += 2) {
            uint16_t word = (uint16_t)guest_in(GUEST_TASK, 2);
            memcpy(to, &word, 2);
        }
        count -= now;
        status = guest_ide_wait();
    }
    return status;
}

uint8_t guest_ide_pio_out(uint8_t opcode, uint64_t lba, uint32_t count, uint32_t block, const uint8_t *from)
{
    guest_ide_command(opcode, lba, count);
    uint8_t status = guest_ide_wait();
    while (count && status & STATUS_DATA) {
        uint32_t now = MIN(block, count);
        for (uint32_t i = 0; i < now * 512; i += 2, from += 2) {
            uint16_t word;
            memcpy(&word, from, 2);
            guest_out(GUEST_TASK, 2, word);
        }
        count -= now;
        status = guest_ide_wait();
    }
    return status;
}
