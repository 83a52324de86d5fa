/* SPDX-License-Identifier: Apache-2.0 */
/* Registers and commands of parallel ATA (ATA/ATAPI-8, ACS-3) and of its bus masters (Programming Interface
 * for Bus Master IDE Controller, revision 1.0). */
#ifndef SHOJI_DRIVERS_IDE_SPEC_H
#define SHOJI_DRIVERS_IDE_SPEC_H

#include "lib/base.h"

#define IDE_CLASS        0x010100u /* mass storage, IDE; the low byte tells the modes */
#define IDE_CLASS_MASK   0xffff00u
#define IDE_MODE_NATIVE  1u /* of channel 0; of channel 1 two bits further */
#define IDE_MODE_MASTER  0x80u
#define IDE_BAR_MASTER   4u
#define IDE_CONTROL_SKIP 2u /* the control register's place in its BAR */
#define IDE_SECTOR_BYTES 512u
#define IDE_SECTOR_SHIFT 9
#define IDE_TASK_PORTS   8u
#define IDE_MASTER_PORTS 8u /* of one channel */
#define IDE_MASTER_BYTES 16u

/* The command block, by its offset. */
enum ide_register {
    IDE_DATA,
    IDE_ERROR, /* written: features */
    IDE_COUNT,
    IDE_LBA_LOW,
    IDE_LBA_MID,
    IDE_LBA_HIGH,
    IDE_DEVICE,
    IDE_STATUS, /* written: command */
};

#define STATUS_BUSY   0x80u
#define STATUS_READY  0x40u
#define STATUS_FAULT  0x20u
#define STATUS_SEEK   0x10u /* of old: seek complete; drivers look for it */
#define STATUS_DATA   0x08u /* DRQ: data is to be moved */
#define STATUS_ERROR  0x01u
#define STATUS_ABSENT 0xffu /* nobody drives the bus */
#define STATUS_PULLED 0x7fu /* the same, with its top line pulled down */

#define ERROR_ABORTED 0x04u
#define ERROR_NO_ID   0x10u /* beyond the disk's end */

#define DEVICE_SECOND 0x10u
#define DEVICE_LBA    0x40u
#define DEVICE_ALWAYS 0xa0u /* obsolete bits that old disks want set */
#define DEVICE_HIGH   0x0fu /* LBA bits 24 to 27 */

#define CONTROL_QUIET  0x02u /* nIEN */
#define CONTROL_RESET  0x04u /* SRST */
#define CONTROL_ALWAYS 0x08u

#define SIGNATURE_PACKET_MID  0x14u
#define SIGNATURE_PACKET_HIGH 0xebu

/* The bus master's registers of one channel. */
enum ide_master_register { MASTER_COMMAND = 0, MASTER_STATUS = 2, MASTER_TABLE = 4 };

#define MASTER_START     0x01u
#define MASTER_TO_MEMORY 0x08u
#define MASTER_ACTIVE    0x01u
#define MASTER_ERROR     0x02u /* write one to clear */
#define MASTER_INTERRUPT 0x04u /* write one to clear */
#define MASTER_CAPABLE   0x60u /* notes of the software: a drive does DMA */

/* One entry of a physical region descriptor table. */
struct ide_region {
    uint32_t base;
    uint16_t bytes; /* 0: 64 KiB */
    uint16_t flags;
};
static_assert(sizeof(struct ide_region) == 8, "bus master specification section 1.2");
#define REGION_LAST      0x8000u
#define REGION_BYTES_MAX 0x10000u

enum ide_opcode {
    ATA_NOP = 0x00,
    ATA_DATA_SET = 0x06,
    ATA_READ_SECTORS = 0x20,
    ATA_WRITE_SECTORS = 0x30,
    ATA_DIAGNOSTIC = 0x90,
    ATA_SMART = 0xb0,
    ATA_SET_MULTIPLE = 0xc6,
    ATA_IDENTIFY = 0xec,
    ATA_SET_FEATURES = 0xef,
};

#define DATA_SET_TRIM 0x01u

/* One range of DATA SET MANAGEMENT: blocks in the top 16 bits, the first one below. */
#define TRIM_LBA(entry)    ((entry)&0xffffffffffffull)
#define TRIM_BLOCKS(entry) ((entry) >> 48)

#endif
