/* SPDX-License-Identifier: Apache-2.0 */
/* The state of a channel while Shoji does a command for the guest. A command is done in parts: by DMA as much
 * as the buffer holds, through the data register one block. Each part is a command of its own to the drive,
 * so the drive's interrupt comes where the guest expects one. Nobody waits for it: the guest's next access to
 * a register of the channel finds the part done and goes on. */
#include "core/device.h"
#include "core/memory.h"
#include "drivers/storage/ide/ide.h"
#include "lib/strings.h"

#define WANTS_DATA (STATUS_READY | STATUS_SEEK | STATUS_DATA)
#define WORKS      (STATUS_BUSY | STATUS_READY | STATUS_SEEK)
#define TROUBLE    (STATUS_ERROR | STATUS_FAULT)
#define SEND_LOOKS                                                                                           \
    1000 /* about a millisecond: a drive asks for the first block at once, without interrupt                 \
          */

static void poll_idle(struct ide_channel *channel, uint8_t status);
static void poll_dma(struct ide_channel *channel, uint8_t status);
static void poll_fetch(struct ide_channel *channel, uint8_t status);
static void poll_send(struct ide_channel *channel, uint8_t status);
static void poll_store(struct ide_channel *channel, uint8_t status);
static void poll_stuck(struct ide_channel *channel, uint8_t status);

static const struct phase {
    void (*poll)(struct ide_channel *channel, uint8_t status); /* once the drive is not busy; NULL: nothing */
    uint8_t shown;                                             /* status; 0: the drive's own */
    bool at_drive;
} phases[IDE_STATES] = {
    [IDE_IDLE] = {poll_idle, 0, false},        [IDE_ARMED] = {NULL, WANTS_DATA, false},
    [IDE_COLLECT] = {NULL, WANTS_DATA, false}, [IDE_OFFER] = {NULL, WANTS_DATA, false},
    [IDE_DMA] = {poll_dma, WORKS, true},       [IDE_FETCH] = {poll_fetch, WORKS, true},
    [IDE_SEND] = {poll_send, WORKS, true},     [IDE_STORE] = {poll_store, WORKS, true},
    [IDE_STUCK] = {poll_stuck, 0, true},
};

bool transfer_at_drive(const struct ide_channel *channel)
{
    return phases[channel->state].at_drive;
}

uint8_t transfer_shown(const struct ide_channel *channel)
{
    return phases[channel->state].shown;
}

void transfer_poll(struct ide_channel *channel)
{
    const struct phase *phase = &phases[channel->state];
    if (!phase->poll || (channel->state == IDE_IDLE && !ide_selected(channel)->multiple_wanted))
        return;
    uint8_t status = alternate_status(channel);
    if (!(status & STATUS_BUSY))
        phase->poll(channel, status);
}

static uint32_t part_bytes(const struct ide_channel *channel)
{
    return channel->transfer.part << IDE_SECTOR_SHIFT;
}

/* Gives the drive the part as a command of its own; the LBA form for both sizes of addresses. */
static void issue(struct ide_channel *channel)
{
    const struct ide_transfer *t = &channel->transfer;
    bool wide = t->command->flags & COMMAND_WIDE;
    uint8_t device = (channel->registers[IDE_DEVICE] & DEVICE_SECOND) | DEVICE_ALWAYS | DEVICE_LBA;
    task_out(channel, IDE_DEVICE, device | (wide ? 0 : t->lba >> 24 & DEVICE_HIGH));
    if (wide) {
        task_out(channel, IDE_COUNT, (uint8_t)(t->part >> 8));
        task_out(channel, IDE_LBA_LOW, (uint8_t)(t->lba >> 24));
        task_out(channel, IDE_LBA_MID, (uint8_t)(t->lba >> 32));
        task_out(channel, IDE_LBA_HIGH, (uint8_t)(t->lba >> 40));
    }
    task_out(channel, IDE_ERROR, t->content == CONTENT_RANGES ? DATA_SET_TRIM : 0);
    task_out(channel, IDE_COUNT, (uint8_t)t->part);
    task_out(channel, IDE_LBA_LOW, (uint8_t)t->lba);
    task_out(channel, IDE_LBA_MID, (uint8_t)(t->lba >> 8));
    task_out(channel, IDE_LBA_HIGH, (uint8_t)(t->lba >> 16));
    task_out(channel, IDE_STATUS, t->command->opcode);
    status_settle(channel);
}

/* The part is done. True when there is another. */
static bool advance(struct ide_channel *channel)
{
    struct ide_transfer *t = &channel->transfer;
    t->lba += t->part;
    t->left -= t->part;
    t->moved = 0;
    return t->left;
}

/* The drive did its part, and Shoji cannot show it: an error without another interrupt. */
static void fail(struct ide_channel *channel)
{
    channel->state = IDE_IDLE;
    channel->failed = true;
    channel->failed_error = ERROR_ABORTED;
    channel->failed_drive = channel->registers[IDE_DEVICE] & DEVICE_SECOND;
}

/* ---- DMA ---- */

static void next_dma(struct ide_channel *channel)
{
    struct ide_transfer *t = &channel->transfer;
    bool writes = t->command->flags & COMMAND_WRITES;
    uint8_t error = ERROR_ABORTED;
    t->part = MIN(t->left, IDE_BUFFER_SECTORS);
    if (writes && !(regions_copy(channel, false, part_bytes(channel)) && content_out(channel, &error))) {
        command_refuse(channel, error);
        return;
    }
    regions_point_to_buffer(channel, part_bytes(channel));
    master_prepare(channel);
    uint8_t direction = writes ? 0 : MASTER_TO_MEMORY;
    master_out(channel, MASTER_COMMAND, direction);
    issue(channel);
    master_out(channel, MASTER_COMMAND, direction | MASTER_START);
    channel->state = IDE_DMA;
}

void transfer_start_dma(struct ide_channel *channel)
{
    struct ide_transfer *t = &channel->transfer;
    uint64_t wanted = (uint64_t)t->left << IDE_SECTOR_SHIFT;
    channel->master_active = true;
    bool good = regions_read(channel);
    if (!good || regions_bytes(channel) < wanted) {
        channel->master_failed = !good;
        command_refuse(channel, ERROR_ABORTED);
        return;
    }
    t->surplus = regions_bytes(channel) > wanted;
    next_dma(channel);
}

/* Done is what the drive says is done and the bus master has brought to memory. */
static void poll_dma(struct ide_channel *channel, uint8_t status)
{
    uint8_t master = master_in(channel, MASTER_STATUS);
    bool trouble = (status & TROUBLE) || (master & MASTER_ERROR);
    if (!trouble && ((status & STATUS_DATA) || ((master & MASTER_ACTIVE) && !(master & MASTER_INTERRUPT))))
        return;
    master_out(channel, MASTER_COMMAND, 0);
    channel->state = IDE_IDLE;
    if (trouble) {
        /* What the drive left there is not decrypted. With an error of the bus it still wants data. */
        if (status & STATUS_DATA)
            channel->state = IDE_STUCK;
        return;
    }
    bool shown = (channel->transfer.command->flags & COMMAND_WRITES) ||
                 (content_in(channel) && regions_copy(channel, true, part_bytes(channel)));
    if (!shown) {
        fail(channel);
    } else if (advance(channel)) {
        (void)task_in(channel, IDE_STATUS); /* takes back the interrupt, which was not the guest's */
        next_dma(channel);
    } else {
        channel->master_active = channel->transfer.surplus;
    }
}

void transfer_stop(struct ide_channel *channel)
{
    master_out(channel, MASTER_COMMAND, 0);
    channel->state = IDE_STUCK;
}

static void poll_stuck(struct ide_channel *channel, uint8_t status)
{
    if (!(status & STATUS_DATA))
        channel->state = IDE_IDLE;
}

/* ---- Through the data register ---- */

static uint32_t block_sectors(struct ide_channel *channel)
{
    const struct ide_transfer *t = &channel->transfer;
    if (t->command->kind != KIND_MULTIPLE)
        return 1;
    return MIN(t->left, (uint32_t)ide_selected(channel)->multiple);
}

void transfer_start_pio(struct ide_channel *channel)
{
    channel->transfer.part = block_sectors(channel);
    channel->transfer.moved = 0;
    if (channel->transfer.command->flags & COMMAND_WRITES) {
        channel->state = IDE_COLLECT;
        return;
    }
    issue(channel);
    channel->state = IDE_FETCH;
}

static void poll_fetch(struct ide_channel *channel, uint8_t status)
{
    if (status & TROUBLE) {
        channel->state = IDE_IDLE;
        return;
    }
    if (!(status & STATUS_DATA))
        return;
    for (uint32_t at = 0; at < part_bytes(channel); at += sizeof(uint16_t)) {
        uint16_t word = (uint16_t)device_in(channel->task + IDE_DATA, sizeof(word));
        memcpy(channel->buffer + at, &word, sizeof(word));
    }
    channel->state = IDE_OFFER;
    if (!content_in(channel)) {
        fail(channel);
    }
}

static void poll_send(struct ide_channel *channel, uint8_t status)
{
    if (status & TROUBLE) {
        channel->state = IDE_IDLE;
        return;
    }
    if (!(status & STATUS_DATA))
        return;
    for (uint32_t at = 0; at < part_bytes(channel); at += sizeof(uint16_t)) {
        uint16_t word;
        memcpy(&word, channel->buffer + at, sizeof(word));
        device_out(channel->task + IDE_DATA, sizeof(word), word);
    }
    status_settle(channel);
    channel->state = IDE_STORE;
}

static void poll_store(struct ide_channel *channel, uint8_t status)
{
    if (status & TROUBLE)
        channel->state = IDE_IDLE;
    else if (status & STATUS_DATA)
        return;
    else if (advance(channel))
        transfer_start_pio(channel);
    else
        channel->state = IDE_IDLE;
}

/* The guest has written a whole block. */
static void send_block(struct ide_channel *channel)
{
    uint8_t error;
    if (!content_out(channel, &error)) {
        command_refuse(channel, error);
        return;
    }
    issue(channel);
    channel->state = IDE_SEND;
    for (unsigned i = 0; i < SEND_LOOKS && channel->state == IDE_SEND; i++)
        transfer_poll(channel);
}

/* The guest has read a whole block. */
static void next_block(struct ide_channel *channel)
{
    if (advance(channel))
        transfer_start_pio(channel);
    else
        channel->state = IDE_IDLE;
}

/* A piece of a block between the guest's register and the buffer. */
static void move(struct ide_channel *channel, unsigned bytes, bool write, uint32_t *value)
{
    struct ide_transfer *t = &channel->transfer;
    uint32_t now = MIN(bytes, part_bytes(channel) - t->moved);
    uint8_t *at = channel->buffer + t->moved;
    if (write)
        memcpy(at, value, now);
    else
        memcpy(value, at, now);
    t->moved += now;
    if (t->moved < part_bytes(channel))
        return;
    if (write)
        send_block(channel);
    else
        next_block(channel);
}

void transfer_data(struct ide_channel *channel, unsigned bytes, bool write, uint32_t *value)
{
    bool wanted = channel->state == (write ? IDE_COLLECT : IDE_OFFER);
    /* A disk with a volume is never written to like this; what it says beside its sectors may be read. */
    bool native = channel->state == IDE_IDLE && (!write || !ide_selected(channel)->disk);
    if (wanted)
        move(channel, bytes, write, value);
    else if (native && write)
        device_out(channel->task + IDE_DATA, bytes, *value);
    else if (!write)
        *value = native ? device_in(channel->task + IDE_DATA, bytes) : UINT32_MAX;
}

/* ---- Others ---- */

/* SET MULTIPLE MODE has come to its end. */
static void poll_idle(struct ide_channel *channel, uint8_t status)
{
    struct ide_drive *drive = ide_selected(channel);
    drive->multiple = status & TROUBLE ? 0 : drive->multiple_wanted;
    drive->multiple_wanted = 0;
}

void transfer_reset(struct ide_channel *channel)
{
    if (channel->buffer)
        master_out(channel, MASTER_COMMAND, 0);
    channel->state = IDE_IDLE;
    channel->failed = false;
    channel->registers[IDE_DEVICE] = 0; /* drive 0 is selected then */
    for (unsigned i = 0; i < IDE_DRIVES; i++)
        channel->drives[i].multiple = channel->drives[i].multiple_wanted = 0;
}
