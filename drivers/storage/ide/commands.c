/* SPDX-License-Identifier: Apache-2.0 */
/* The table of commands to a disk with a volume (ACS-3 section 7): what is not in it is refused. CHS
 * addresses are refused too: the volume's blocks are counted. */
#include "core/device.h"
#include "core/log.h"
#include "drivers/storage/ide/ide.h"

#define WIDE   COMMAND_WIDE
#define WRITES COMMAND_WRITES

static const struct ide_command commands[] = {
    {ATA_DATA_SET, KIND_TRIM, WIDE | WRITES},
    {ATA_READ_SECTORS, KIND_SECTORS, 0},
    {0x21, KIND_SECTORS, 0}, /* READ SECTORS without retries, of old */
    {0x24, KIND_SECTORS, WIDE},
    {0x25, KIND_DMA, WIDE},
    {0x27, KIND_PASSED, 0}, /* READ NATIVE MAX ADDRESS EXT */
    {0x29, KIND_MULTIPLE, WIDE},
    {ATA_WRITE_SECTORS, KIND_SECTORS, WRITES},
    {0x31, KIND_SECTORS, WRITES},
    {0x34, KIND_SECTORS, WIDE | WRITES},
    {0x35, KIND_DMA, WIDE | WRITES},
    {0x39, KIND_MULTIPLE, WIDE | WRITES},
    {0x3d, KIND_DMA, WIDE | WRITES}, /* WRITE DMA FUA EXT */
    {0x40, KIND_PASSED, 0},          /* READ VERIFY SECTORS; no data */
    {0x41, KIND_PASSED, 0},
    {0x42, KIND_PASSED, 0},
    {ATA_DIAGNOSTIC, KIND_RESET, 0},
    {0x91, KIND_PASSED, 0}, /* INITIALIZE DEVICE PARAMETERS: for CHS, which is refused */
    {0x94, KIND_PASSED, 0}, /* 94h to 99h: power management, of old */
    {0x95, KIND_PASSED, 0},
    {0x96, KIND_PASSED, 0},
    {0x97, KIND_PASSED, 0},
    {0x98, KIND_PASSED, 0},
    {0x99, KIND_PASSED, 0},
    {ATA_SMART, KIND_SMART, 0},
    {0xc4, KIND_MULTIPLE, 0},
    {0xc5, KIND_MULTIPLE, WRITES},
    {ATA_SET_MULTIPLE, KIND_SET_MULTIPLE, 0},
    {0xc8, KIND_DMA, 0},
    {0xc9, KIND_DMA, 0},
    {0xca, KIND_DMA, WRITES},
    {0xcb, KIND_DMA, WRITES},
    {0xce, KIND_MULTIPLE, WIDE | WRITES}, /* WRITE MULTIPLE FUA EXT */
    {0xe0, KIND_PASSED, 0},               /* STANDBY IMMEDIATE to SLEEP: power management */
    {0xe1, KIND_PASSED, 0},
    {0xe2, KIND_PASSED, 0},
    {0xe3, KIND_PASSED, 0},
    {0xe5, KIND_PASSED, 0},
    {0xe6, KIND_PASSED, 0},
    {0xe7, KIND_PASSED, 0}, /* FLUSH CACHE, and EXT */
    {0xea, KIND_PASSED, 0},
    {ATA_IDENTIFY, KIND_IDENTIFY, 0},
    {ATA_SET_FEATURES, KIND_FEATURES, 0},
    {0xf8, KIND_PASSED, 0}, /* READ NATIVE MAX ADDRESS */
};

static const uint8_t features_passed[] = {
    0x02, 0x82, /* write cache on, off */
    0x03,       /* transfer mode */
    0x05, 0x85, /* advanced power management */
    0x42, 0xc2, /* acoustic management */
    0xaa, 0x55, /* look-ahead on, off */
};

/* What SMART reads, and what turns it on and off; not its writes and self-tests. */
static const uint8_t smart_passed[] = {0xd0, 0xd1, 0xd2, 0xd5, 0xd8, 0xd9, 0xda};

static bool is_in(const uint8_t *list, size_t count, uint8_t value)
{
    for (size_t i = 0; i < count; i++)
        if (list[i] == value)
            return true;
    return false;
}

/* The drive may have changed its device register in a reset: a command goes where the guest last said. */
static void give(struct ide_channel *channel, uint8_t opcode)
{
    task_out(channel, IDE_DEVICE, channel->registers[IDE_DEVICE]);
    task_out(channel, IDE_STATUS, opcode);
    status_settle(channel);
}

void command_refuse(struct ide_channel *channel, uint8_t error)
{
    struct ide_drive *drive = ide_selected(channel);
    storage_count_refused(drive->disk);
    channel->state = IDE_IDLE;
    channel->failed = true;
    channel->failed_error = error;
    channel->failed_drive = channel->registers[IDE_DEVICE] & DEVICE_SECOND;
    task_out(channel, IDE_ERROR, 0);
    give(channel, ATA_NOP);
}

static void refuse_kind(struct ide_channel *channel, const struct ide_command *command)
{
    log_limited("ide %02x:%02x.%x: command %02x with features %02x is refused", channel->controller->at.bus,
                channel->controller->at.device, channel->controller->at.function, command->opcode,
                channel->registers[IDE_ERROR]);
    command_refuse(channel, ERROR_ABORTED);
}

static void pass(struct ide_channel *channel, const struct ide_command *command)
{
    give(channel, command->opcode);
}

/* Block and count as the registers tell. False for CHS. */
static bool read_range(struct ide_channel *channel, const struct ide_command *command, uint64_t *lba,
                       uint32_t *count)
{
    const uint8_t *now = channel->registers, *before = channel->older;
    *lba = now[IDE_LBA_LOW] | (uint64_t)now[IDE_LBA_MID] << 8 | (uint64_t)now[IDE_LBA_HIGH] << 16;
    if (command->flags & WIDE) {
        *lba |= (uint64_t)before[IDE_LBA_LOW] << 24 | (uint64_t)before[IDE_LBA_MID] << 32 |
                (uint64_t)before[IDE_LBA_HIGH] << 40;
        *count = now[IDE_COUNT] | (uint32_t)before[IDE_COUNT] << 8;
        *count = *count ? *count : 0x10000;
    } else {
        *lba |= (uint64_t)(now[IDE_DEVICE] & DEVICE_HIGH) << 24;
        *count = now[IDE_COUNT] ? now[IDE_COUNT] : 0x100;
    }
    return now[IDE_DEVICE] & DEVICE_LBA;
}

static bool begin_sectors(struct ide_channel *channel, const struct ide_command *command)
{
    struct ide_drive *drive = ide_selected(channel);
    struct ide_transfer *t = &channel->transfer;
    *t = (struct ide_transfer){.command = command, .content = CONTENT_SECTORS};
    if (!read_range(channel, command, &t->lba, &t->left)) {
        refuse_kind(channel, command);
        return false;
    }
    if (!range_fits(t->lba, t->left, drive->sectors)) {
        command_refuse(channel, ERROR_NO_ID);
        return false;
    }
    if (command->flags & WRITES && storage_write_verdict(drive->disk, t->lba, t->left) == STORAGE_DENY) {
        command_refuse(channel, ERROR_ABORTED);
        return false;
    }
    return true;
}

static void do_sectors(struct ide_channel *channel, const struct ide_command *command)
{
    if (begin_sectors(channel, command))
        transfer_start_pio(channel);
}

static void do_multiple(struct ide_channel *channel, const struct ide_command *command)
{
    if (!ide_selected(channel)->multiple)
        command_refuse(channel, ERROR_ABORTED);
    else
        do_sectors(channel, command);
}

static void arm(struct ide_channel *channel)
{
    channel->state = IDE_ARMED;
    if (channel->master_command & MASTER_START)
        transfer_start_dma(channel);
}

static void do_dma(struct ide_channel *channel, const struct ide_command *command)
{
    if (begin_sectors(channel, command))
        arm(channel);
}

static void do_trim(struct ide_channel *channel, const struct ide_command *command)
{
    uint64_t unused;
    uint32_t blocks;
    (void)read_range(channel, command, &unused, &blocks);
    if (channel->registers[IDE_ERROR] != DATA_SET_TRIM || blocks > IDE_TRIM_BLOCKS_MAX) {
        refuse_kind(channel, command);
        return;
    }
    channel->transfer = (struct ide_transfer){.command = command, .content = CONTENT_RANGES, .left = blocks};
    arm(channel);
}

static void do_identify(struct ide_channel *channel, const struct ide_command *command)
{
    channel->transfer = (struct ide_transfer){.command = command, .content = CONTENT_IDENTIFY, .left = 1};
    transfer_start_pio(channel);
}

static void do_features(struct ide_channel *channel, const struct ide_command *command)
{
    bool passed = is_in(features_passed, sizeof(features_passed), channel->registers[IDE_ERROR]);
    (passed ? pass : refuse_kind)(channel, command);
}

static void do_smart(struct ide_channel *channel, const struct ide_command *command)
{
    bool passed = is_in(smart_passed, sizeof(smart_passed), channel->registers[IDE_ERROR]);
    (passed ? pass : refuse_kind)(channel, command);
}

static void do_set_multiple(struct ide_channel *channel, const struct ide_command *command)
{
    ide_selected(channel)->multiple = 0;
    ide_selected(channel)->multiple_wanted = channel->registers[IDE_COUNT];
    give(channel, command->opcode);
}

static void do_reset(struct ide_channel *channel, const struct ide_command *command)
{
    give(channel, command->opcode);
    transfer_reset(channel);
}

static void (*const kinds[])(struct ide_channel *channel, const struct ide_command *command) = {
    [KIND_REFUSED] = refuse_kind, [KIND_PASSED] = pass,
    [KIND_SECTORS] = do_sectors,  [KIND_MULTIPLE] = do_multiple,
    [KIND_DMA] = do_dma,          [KIND_IDENTIFY] = do_identify,
    [KIND_TRIM] = do_trim,        [KIND_FEATURES] = do_features,
    [KIND_SMART] = do_smart,      [KIND_SET_MULTIPLE] = do_set_multiple,
    [KIND_RESET] = do_reset,
};

static const struct ide_command *find(uint8_t opcode)
{
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++)
        if (commands[i].opcode == opcode)
            return &commands[i];
    return NULL;
}

void command_begin(struct ide_channel *channel, uint8_t opcode)
{
    struct ide_drive *drive = ide_selected(channel);
    channel->failed = false;
    channel->state = IDE_IDLE;
    if (!drive->disk) {
        give(channel, opcode);
        if (opcode == ATA_DIAGNOSTIC)
            transfer_reset(channel);
        return;
    }
    if (alternate_status(channel) & STATUS_BUSY)
        return;                             /* as a busy drive does */
    master_out(channel, MASTER_COMMAND, 0); /* what the other drive may have left running */
    const struct ide_command *command = find(opcode);
    const struct ide_command unknown = {.opcode = opcode, .kind = KIND_REFUSED};
    kinds[command ? command->kind : KIND_REFUSED](channel, command ? command : &unknown);
}
