/* SPDX-License-Identifier: Apache-2.0 */
/* Asks the drives of a quiet controller, before the guest has it, who they are. */
#include "core/device.h"
#include "drivers/storage/ide/ide.h"
#include "lib/strings.h"

#define PATIENCE 25000000000ull /* five seconds of the fastest time stamp counter */

static bool wait_idle(const struct ide_channel *channel)
{
    uint64_t start = device_clock();
    do {
        if (!(alternate_status(channel) & STATUS_BUSY))
            return true;
    } while (device_clock() - start < PATIENCE);
    return false;
}

static bool is_empty(uint8_t status)
{
    return status == 0 || status == STATUS_ABSENT || status == STATUS_PULLED;
}

static void select_drive(const struct ide_channel *channel, unsigned drive)
{
    task_out(channel, IDE_DEVICE, (uint8_t)(DEVICE_ALWAYS | (drive ? DEVICE_SECOND : 0)));
    status_settle(channel);
}

/* IDENTIFY DEVICE; false when there is no disk (a drive with packets aborts the command). */
static bool identify(const struct ide_channel *channel, unsigned drive, uint8_t data[ATA_IDENTIFY_BYTES])
{
    select_drive(channel, drive);
    if (is_empty(alternate_status(channel)) || !wait_idle(channel))
        return false;
    task_out(channel, IDE_STATUS, ATA_IDENTIFY);
    status_settle(channel);
    if (is_empty(alternate_status(channel)) || !wait_idle(channel))
        return false;
    uint8_t status = task_in(channel, IDE_STATUS); /* takes its interrupt back, too */
    if ((status & (STATUS_ERROR | STATUS_FAULT)) || !(status & STATUS_DATA))
        return false;
    for (unsigned at = 0; at < ATA_IDENTIFY_BYTES; at += sizeof(uint16_t)) {
        uint16_t word = (uint16_t)device_in(channel->task, sizeof(word));
        memcpy(data + at, &word, sizeof(word));
    }
    return true;
}

static bool attach(struct ide_channel *channel, unsigned number, uint32_t unit, struct report *problem)
{
    uint8_t data[ATA_IDENTIFY_BYTES];
    char serial[ATA_SERIAL_BYTES + 1];
    struct ide_drive *drive = &channel->drives[number];
    if (!identify(channel, number, data))
        return report(problem,
                      "There is no disk any more where a volume was found: drive %u of the IDE "
                      "controller %02x:%02x.%x does not answer.",
                      (unsigned)unit, channel->controller->at.bus, channel->controller->at.device,
                      channel->controller->at.function);
    if (ata_sector_bytes(data) != IDE_SECTOR_BYTES)
        return report(
            problem,
            "The IDE disk has sectors of %u bytes; Shoji supports 512 on IDE. Connect it to another "
            "kind of controller.",
            (unsigned)ata_sector_bytes(data));
    ata_serial(data, serial);
    drive->sectors = ata_sectors(data);
    drive->multiple = ata_multiple(data);
    struct storage_identity identity = {.at = channel->controller->at,
                                        .unit = unit,
                                        .block_bytes = IDE_SECTOR_BYTES,
                                        .blocks = drive->sectors,
                                        .serial = serial};
    drive->disk = storage_attach(&identity, problem);
    return drive->disk;
}

bool ide_survey(struct ide_controller *controller, struct report *problem)
{
    bool good = true;
    for (uint32_t unit = 0; good && unit < IDE_CHANNELS * IDE_DRIVES; unit++) {
        struct ide_channel *channel = &controller->channels[unit / IDE_DRIVES];
        if (!storage_unit_has_volume(controller->at, unit))
            continue;
        device_out(channel->control, 1, CONTROL_ALWAYS | CONTROL_QUIET);
        good = attach(channel, unit % IDE_DRIVES, unit, problem);
        select_drive(channel, 0);
        device_out(channel->control, 1, CONTROL_ALWAYS);
    }
    return good;
}
