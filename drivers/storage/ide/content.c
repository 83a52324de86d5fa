/* SPDX-License-Identifier: Apache-2.0 */
/* What passes through the buffer: sectors through the cipher and the guard, IDENTIFY data through a filter,
 * ranges to be discarded through the policy. */
#include "core/simd.h"
#include "drivers/storage/ide/ide.h"
#include "lib/strings.h"

static bool transform(struct ide_channel *channel, enum storage_direction direction)
{
    const struct ide_transfer *t = &channel->transfer;
    struct storage_buffers buffers = {
        .in = channel->buffer, .out = channel->buffer, .bytes = (size_t)t->part << IDE_SECTOR_SHIFT};
    simd_begin();
    bool good = storage_transform(ide_selected(channel)->disk, direction, t->lba, &buffers);
    simd_end();
    return good;
}

/* The buffer is a private copy: what is checked here is what is written. */
static bool sectors_out(struct ide_channel *channel, uint8_t *error)
{
    const struct ide_transfer *t = &channel->transfer;
    const struct storage_disk *disk = ide_selected(channel)->disk;
    *error = ERROR_ABORTED;
    enum storage_verdict verdict = storage_write_verdict(disk, t->lba, t->part);
    if (verdict == STORAGE_DENY)
        return false;
    if (verdict == STORAGE_CHECK &&
        !storage_content_allowed(disk, t->lba, channel->buffer, (size_t)t->part << IDE_SECTOR_SHIFT))
        return false;
    return transform(channel, STORAGE_ENCRYPT);
}

/* Ranges that may not be discarded become empty ones: the command is advice, and succeeds without them. */
static bool ranges_out(struct ide_channel *channel, uint8_t *error)
{
    const struct ide_drive *drive = ide_selected(channel);
    size_t bytes = (size_t)channel->transfer.part << IDE_SECTOR_SHIFT;
    *error = ERROR_ABORTED | ERROR_NO_ID;
    for (size_t at = 0; at < bytes; at += sizeof(uint64_t)) {
        uint64_t entry;
        memcpy(&entry, channel->buffer + at, sizeof(entry));
        if (!TRIM_BLOCKS(entry))
            continue;
        if (!range_fits(TRIM_LBA(entry), TRIM_BLOCKS(entry), drive->sectors))
            return false;
        if (!storage_discard_allowed(drive->disk, TRIM_LBA(entry), TRIM_BLOCKS(entry)))
            memset(channel->buffer + at, 0, sizeof(entry));
    }
    return true;
}

bool content_out(struct ide_channel *channel, uint8_t *error)
{
    if (channel->transfer.content == CONTENT_RANGES)
        return ranges_out(channel, error);
    return sectors_out(channel, error);
}

bool content_in(struct ide_channel *channel)
{
    if (channel->transfer.content == CONTENT_SECTORS)
        return transform(channel, STORAGE_DECRYPT);
    ide_selected(channel)->multiple = ata_multiple(channel->buffer);
    ata_hide_features(channel->buffer, IDE_TRIM_BLOCKS_MAX);
    return true;
}
