/* SPDX-License-Identifier: Apache-2.0 */
/* A PIIX-like controller behind the fake machine's PCI function: two disks on its first channel, none on the
 * second. It executes what it is given, and reaches memory only through fake_dma. */
#ifndef SHOJI_TESTS_FAKE_IDE_H
#define SHOJI_TESTS_FAKE_IDE_H

#include "drivers/storage/ide/ide_spec.h"

#define FAKE_IDE_DISK_BYTES MIB(8)
#define FAKE_IDE_SERIAL     "FAKE-0001"
#define FAKE_IDE_MASTER     0xc040u
#define FAKE_IDE_MULTIPLE   16u
/* Where the first channel is in native mode. */
#define FAKE_IDE_NATIVE_TASK    0xc010u
#define FAKE_IDE_NATIVE_CONTROL 0xc020u

struct fake_ide_drive {
    uint8_t *disk;
    bool absent;
    uint32_t sector_bytes; /* 0: 512 */
    uint8_t status, error, multiple;
    uint8_t now[8], before[8]; /* registers, and what they held before */
    /* The command: sectors yet to be moved, of those the ones in a block; where in the block. */
    uint8_t opcode;
    uint64_t lba;
    uint32_t left, block, at;
    bool dma, writes;
    uint8_t data[FAKE_IDE_MULTIPLE * 512 + 64];
    unsigned executed, by_opcode[256];
};

struct fake_ide {
    struct fake_ide_drive drives[2];
    unsigned selected;
    uint8_t control, master_command, master_status;
    uint32_t master_table;
    bool interrupt;       /* INTRQ */
    unsigned interrupts;  /* how often it rose */
    bool hold;            /* DMA waits for fake_ide_run */
    unsigned fail_opcode; /* fails in its middle; 0x100: none */
    bool fail_all;        /* every command with data does */
    unsigned bad_dma;     /* accesses to what is neither guest RAM nor the hypervisor's */
    unsigned bad_data;    /* words at the data register that nobody asked for */
};
extern struct fake_ide ide;

/* Set before the reset: the first channel is at ports that its BARs name. */
extern bool fake_ide_native;

void fake_ide_reset(void);
void fake_ide_free(void);
void fake_ide_run(void);

#endif
