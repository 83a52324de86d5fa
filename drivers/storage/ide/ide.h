/* SPDX-License-Identifier: Apache-2.0 */
/* The IDE driver's own structures. Commands to a disk with a volume are done by Shoji, in parts that fit a
 * buffer of its own; commands to other drives are the guest's, but for the tables of their bus master. */
#ifndef SHOJI_DRIVERS_IDE_H
#define SHOJI_DRIVERS_IDE_H

#include "core/spinlock.h"
#include "drivers/storage/ide/ide_spec.h"
#include "drivers/storage/storage.h"
#include "guest/trap.h"
#include "lib/ata.h"

#define IDE_CONTROLLERS_MAX 2
#define IDE_CHANNELS        2
#define IDE_DRIVES          2
#define IDE_BUFFER_BYTES    MIB(1)
#define IDE_BUFFER_SECTORS  ((uint32_t)(IDE_BUFFER_BYTES / IDE_SECTOR_BYTES))
#define IDE_REGIONS_MAX     512u /* of a table: one page */
#define IDE_TRIM_BLOCKS_MAX 8u   /* of ranges, in one command */
#define IDE_ADDRESS_LIMIT   GIB(4)

/* Where a channel stands. */
enum ide_state {
    IDE_IDLE,    /* the registers are the drive's own */
    IDE_ARMED,   /* a DMA command was given; the guest has yet to start its bus master */
    IDE_COLLECT, /* the guest writes a block through the data register */
    IDE_OFFER,   /* the guest reads a block from it */
    IDE_DMA,     /* the drive does a part by DMA */
    IDE_FETCH,   /* the drive reads a block for the data register */
    IDE_SEND,    /* the drive was given a write, and has yet to ask for the block */
    IDE_STORE,   /* the drive writes the block */
    IDE_STUCK,   /* the guest stopped the bus master in the middle: only a reset helps, as always */
    IDE_STATES,
};

enum ide_content { CONTENT_SECTORS, CONTENT_IDENTIFY, CONTENT_RANGES };

/* How a command of the table is done; see commands.c. */
struct ide_command {
    uint8_t opcode;
    uint8_t kind; /* enum ide_kind */
    uint8_t flags;
};
enum ide_kind {
    KIND_REFUSED,
    KIND_PASSED,
    KIND_SECTORS,  /* data through the data register, a sector at a time */
    KIND_MULTIPLE, /* the same, several at a time */
    KIND_DMA,
    KIND_IDENTIFY,
    KIND_TRIM,
    KIND_FEATURES,
    KIND_SMART,
    KIND_SET_MULTIPLE,
    KIND_RESET,
};
#define COMMAND_WIDE   1u /* 48-bit addresses */
#define COMMAND_WRITES 2u

/* The command that is being done. */
struct ide_transfer {
    const struct ide_command *command;
    enum ide_content content;
    uint64_t lba;   /* of the next part */
    uint32_t left;  /* sectors, the part at the drive included */
    uint32_t part;  /* of these, at the drive or in the buffer */
    uint32_t moved; /* bytes of the part that went through the data register */
    bool surplus;   /* the guest's table is longer than the command */
};

/* A stretch of guest RAM. */
struct ide_stretch {
    uint32_t address, bytes;
};

struct ide_drive {
    struct storage_disk *disk; /* NULL: no volume; the guest's own */
    uint64_t sectors;
    uint8_t multiple;        /* sectors in a block of READ and WRITE MULTIPLE; 0: not set, or not known */
    uint8_t multiple_wanted; /* by a SET MULTIPLE MODE that the drive is doing; 0: none */
};

struct ide_controller;

/* One channel. Its lock covers all but what is constant once the first CPU runs: `controller`, the port
 * numbers, the buffers' addresses, and the drives' disks. */
struct ide_channel {
    struct spinlock lock;
    struct ide_controller *controller;
    uint16_t task, control, master; /* ports */
    struct port_region task_region, control_region;
    struct ide_drive drives[IDE_DRIVES];

    enum ide_state state;
    struct ide_transfer transfer;
    uint8_t registers[IDE_TASK_PORTS], older[IDE_TASK_PORTS]; /* as the guest wrote them; and before that */
    uint8_t control_value;
    bool failed; /* Shoji refused the last command: what the status register says of it */
    uint8_t failed_error;
    uint8_t failed_drive;

    uint8_t master_command; /* as the guest wrote it */
    uint8_t master_table[4];
    bool master_failed;                            /* its table was bad: shown as an error of the bus */
    bool master_active;                            /* shown after a command: the table was not used up */
    struct ide_stretch stretches[IDE_REGIONS_MAX]; /* the guest's table, read once */
    uint32_t stretch_count, stretch_at, stretch_offset;

    struct ide_region *table; /* the device's */
    uint8_t *buffer;          /* NULL: no volume on this channel */
};

struct ide_bar {
    uint32_t guest, real, mask; /* mask 0: not there */
    bool used;
};

struct ide_controller {
    struct pci_address at;
    struct spinlock
        lock; /* covers the configuration space's shadow; no other lock is taken under it but PCI's */
    struct ide_channel channels[IDE_CHANNELS];
    struct ide_bar bars[IDE_BAR_MASTER + 1];
    uint16_t command; /* as the guest wrote it */
    bool decoding;    /* atomic: the guest can reach the ports */
    struct port_region master_region;
    struct pci_trap trap;
};

/* ---- commands.c: what a command to a disk with a volume may do ---- */

/* The guest wrote the command register; the channel is not at work. */
void command_begin(struct ide_channel *channel, uint8_t opcode);
/* Answers with an error that the drive did not make: it does nothing in its place, so that the interrupt
 * comes. */
void command_refuse(struct ide_channel *channel, uint8_t error);

/* ---- transfer.c: the parts of a command ---- */

/* Looks whether the drive has gone on, and goes on with it. Before each access of the guest. */
void transfer_poll(struct ide_channel *channel);
/* The guest's command and its started bus master have come together. */
void transfer_start_dma(struct ide_channel *channel);
/* Begins to collect, or to fetch, the first block. */
void transfer_start_pio(struct ide_channel *channel);
/* The data register. */
void transfer_data(struct ide_channel *channel, unsigned bytes, bool write, uint32_t *value);
/* The guest stops the bus master in the middle. */
void transfer_stop(struct ide_channel *channel);
/* The drives are being reset. */
void transfer_reset(struct ide_channel *channel);
/* True while the drive does something of Shoji's. */
bool transfer_at_drive(const struct ide_channel *channel);
/* The status that the guest sees instead of the drive's own; 0: that one. */
uint8_t transfer_shown(const struct ide_channel *channel);

/* ---- content.c: what passes through the buffer ---- */

/* Makes what the guest wrote, `part` sectors in the buffer, into what the drive may have. False with the
 * error for the guest. */
bool content_out(struct ide_channel *channel, uint8_t *error) must_check;
/* Makes what the drive gave into what the guest may see. */
bool content_in(struct ide_channel *channel) must_check;

/* ---- regions.c: tables of the bus master ---- */

/* Reads the guest's table once. False: it is bad. */
bool regions_read(struct ide_channel *channel) must_check;
uint64_t regions_bytes(const struct ide_channel *channel);
/* Between the buffer and the guest's stretches, from where the last part ended. */
bool regions_copy(struct ide_channel *channel, bool to_guest, uint32_t bytes) must_check;
/* The device's table: the buffer, or the guest's own stretches (false: they are too many). */
void regions_point_to_buffer(struct ide_channel *channel, uint32_t bytes);
bool regions_point_to_guest(struct ide_channel *channel) must_check;

/* ---- registers.c: the ports as the guest sees them ---- */

struct ide_drive *ide_selected(struct ide_channel *channel);
void registers_task(void *owner, uint16_t port, unsigned bytes, bool write, uint32_t *value);
void registers_control(void *owner, uint16_t port, unsigned bytes, bool write, uint32_t *value);
void registers_master(void *owner, uint16_t port, unsigned bytes, bool write, uint32_t *value);

uint8_t task_in(const struct ide_channel *channel, enum ide_register reg);
void task_out(const struct ide_channel *channel, enum ide_register reg, uint8_t value);
uint8_t alternate_status(const struct ide_channel *channel);
/* Long enough for the drive to show what a command did to its status (400 ns). */
void status_settle(const struct ide_channel *channel);

/* ---- master.c: the bus master's registers ---- */

uint8_t master_in(const struct ide_channel *channel, enum ide_master_register reg);
void master_out(const struct ide_channel *channel, enum ide_master_register reg, uint8_t value);
/* Aims the device's bus master at the device's table; it does not run yet. */
void master_prepare(const struct ide_channel *channel);
uint8_t master_read(struct ide_channel *channel, unsigned reg);
void master_write(struct ide_channel *channel, unsigned reg, uint8_t value);

/* ---- config_space.c ---- */

/* Finds the ports of the quiet function. */
bool ide_config_start(struct ide_controller *controller, struct report *problem) must_check;
bool ide_config_trap(struct ide_controller *controller) must_check;

/* ---- take.c, survey.c ---- */

/* Asks each drive of the quiet controller who it is, and attaches those with volumes. */
bool ide_survey(struct ide_controller *controller, struct report *problem) must_check;
/* Mediates the controller at this address, which carries a volume. False with a sentence. */
bool ide_take(struct pci_address at, struct report *problem) must_check;

#endif
