/* SPDX-License-Identifier: Apache-2.0 */
/* The bus master's registers. The device's own table is always Shoji's: for a command to a disk with a volume
 * it leads to the buffer, for other drives to the guest's pages, once they have been checked. */
#include "core/device.h"
#include "core/log.h"
#include "core/memory.h"
#include "drivers/storage/ide/ide.h"

uint8_t master_in(const struct ide_channel *channel, enum ide_master_register reg)
{
    return (uint8_t)device_in((uint16_t)(channel->master + reg), 1);
}

void master_out(const struct ide_channel *channel, enum ide_master_register reg, uint8_t value)
{
    device_out((uint16_t)(channel->master + reg), 1, value);
}

void master_prepare(const struct ide_channel *channel)
{
    master_out(channel, MASTER_COMMAND, 0);
    uint8_t capable = master_in(channel, MASTER_STATUS) & MASTER_CAPABLE;
    master_out(channel, MASTER_STATUS, capable | MASTER_ERROR | MASTER_INTERRUPT);
    device_out((uint16_t)(channel->master + MASTER_TABLE), 4, (uint32_t)physical_of(channel->table));
}

/* The guest starts DMA for a drive without volume: its own transfer, through a table that was checked. */
static void start_guests_own(struct ide_channel *channel)
{
    if (!regions_read(channel) || !regions_point_to_guest(channel)) {
        channel->master_failed = true;
        log_limited("ide %02x:%02x.%x: a bus master table that leads outside of the guest's memory, or is "
                    "longer than %u entries, is refused",
                    channel->controller->at.bus, channel->controller->at.device,
                    channel->controller->at.function, IDE_REGIONS_MAX);
        return;
    }
    device_out((uint16_t)(channel->master + MASTER_TABLE), 4, (uint32_t)physical_of(channel->table));
    master_out(channel, MASTER_COMMAND, channel->master_command);
}

static void write_command(struct ide_channel *channel, uint8_t value)
{
    bool was = channel->master_command & MASTER_START, is = value & MASTER_START;
    channel->master_command = value & (MASTER_START | MASTER_TO_MEMORY);
    if (is && !was && channel->state == IDE_ARMED)
        transfer_start_dma(channel);
    else if (is && !was && channel->state == IDE_IDLE && !ide_selected(channel)->disk)
        start_guests_own(channel);
    if (is || !was)
        return;
    channel->master_active = false;
    if (channel->state == IDE_DMA)
        transfer_stop(channel);
    else
        master_out(channel, MASTER_COMMAND, 0);
}

static uint8_t read_status(const struct ide_channel *channel)
{
    uint8_t status = master_in(channel, MASTER_STATUS);
    bool started = channel->master_command & MASTER_START;
    if (transfer_at_drive(channel)) {
        status &= (uint8_t) ~(MASTER_INTERRUPT | MASTER_ERROR | MASTER_ACTIVE);
        return status | (started ? MASTER_ACTIVE : 0);
    }
    if (channel->drives[channel->registers[IDE_DEVICE] & DEVICE_SECOND ? 1 : 0].disk) {
        status &= (uint8_t)~MASTER_ACTIVE;
        status |= started && channel->master_active ? MASTER_ACTIVE : 0;
    }
    return status | (channel->master_failed ? MASTER_ERROR : 0);
}

/* While a part is at the drive its interrupt is Shoji's to take. */
static void write_status(struct ide_channel *channel, uint8_t value)
{
    uint8_t mask = MASTER_CAPABLE;
    if (!transfer_at_drive(channel))
        mask |= MASTER_ERROR | MASTER_INTERRUPT;
    if (value & MASTER_ERROR)
        channel->master_failed = false;
    master_out(channel, MASTER_STATUS, value & mask);
}

uint8_t master_read(struct ide_channel *channel, unsigned reg)
{
    if (reg == MASTER_COMMAND)
        return channel->master_command;
    if (reg == MASTER_STATUS)
        return read_status(channel);
    if (reg >= MASTER_TABLE)
        return channel->master_table[reg - MASTER_TABLE];
    return master_in(channel, reg);
}

void master_write(struct ide_channel *channel, unsigned reg, uint8_t value)
{
    if (reg == MASTER_COMMAND)
        write_command(channel, value);
    else if (reg == MASTER_STATUS)
        write_status(channel, value);
    else if (reg >= MASTER_TABLE)
        channel->master_table[reg - MASTER_TABLE] = value;
}
