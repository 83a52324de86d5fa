/* SPDX-License-Identifier: Apache-2.0 */
/* The trapped ports: command block, control block and bus master of both channels. */
#include "core/device.h"
#include "drivers/storage/ide/ide.h"

#define SETTLE_READS  4 /* of a port, each 100 ns or more */
#define STATUS_FAILED (STATUS_READY | STATUS_SEEK | STATUS_ERROR)

struct ide_drive *ide_selected(struct ide_channel *channel)
{
    return &channel->drives[channel->registers[IDE_DEVICE] & DEVICE_SECOND ? 1 : 0];
}

uint8_t task_in(const struct ide_channel *channel, enum ide_register reg)
{
    return (uint8_t)device_in((uint16_t)(channel->task + reg), 1);
}

void task_out(const struct ide_channel *channel, enum ide_register reg, uint8_t value)
{
    device_out((uint16_t)(channel->task + reg), 1, value);
}

uint8_t alternate_status(const struct ide_channel *channel)
{
    return (uint8_t)device_in(channel->control, 1);
}

void status_settle(const struct ide_channel *channel)
{
    for (unsigned i = 0; i < SETTLE_READS; i++)
        (void)alternate_status(channel);
}

/* True when the status belongs to a command that Shoji refused. */
static bool shows_failure(const struct ide_channel *channel)
{
    return channel->failed && (channel->registers[IDE_DEVICE] & DEVICE_SECOND) == channel->failed_drive;
}

/* A read of the status register takes the drive's interrupt back; one of the alternate status does not, nor
 * one while the drive works on a part whose end is yet to be seen. */
static uint8_t read_status(const struct ide_channel *channel, bool takes_interrupt)
{
    uint8_t shown = transfer_shown(channel);
    uint8_t own = takes_interrupt && !transfer_at_drive(channel) ? task_in(channel, IDE_STATUS)
                                                                 : alternate_status(channel);
    if (shown)
        return shown;
    return shows_failure(channel) && !(own & STATUS_BUSY) ? STATUS_FAILED : own;
}

static uint8_t read_register(const struct ide_channel *channel, enum ide_register reg)
{
    if (reg == IDE_STATUS)
        return read_status(channel, true);
    if (reg == IDE_ERROR && shows_failure(channel))
        return channel->failed_error;
    return task_in(channel, reg);
}

static void write_register(struct ide_channel *channel, enum ide_register reg, uint8_t value)
{
    if (transfer_at_drive(channel))
        return; /* as a busy drive does */
    if (reg == IDE_STATUS) {
        command_begin(channel, value);
        return;
    }
    if (reg == IDE_DEVICE && (value ^ channel->registers[IDE_DEVICE]) & DEVICE_SECOND)
        channel->state = IDE_IDLE; /* a command that waits for the guest is given up */
    channel->older[reg] = channel->registers[reg];
    channel->registers[reg] = value;
    task_out(channel, reg, value);
}

static bool is_reachable(const struct ide_controller *controller)
{
    return __atomic_load_n(&controller->decoding, __ATOMIC_RELAXED);
}

static void access_task(struct ide_channel *channel, unsigned offset, unsigned bytes, bool write,
                        uint32_t *value)
{
    if (offset == IDE_DATA) {
        transfer_data(channel, bytes, write, value);
        return;
    }
    uint32_t result = 0;
    for (unsigned i = 0; i < bytes; i++) {
        if (write)
            write_register(channel, offset + i, (uint8_t)(*value >> 8 * i));
        else
            result |= (uint32_t)read_register(channel, offset + i) << 8 * i;
    }
    if (!write)
        *value = result;
}

void registers_task(void *owner, uint16_t port, unsigned bytes, bool write, uint32_t *value)
{
    struct ide_channel *channel = owner;
    if (!is_reachable(channel->controller)) {
        *value = write ? *value : UINT32_MAX;
        return;
    }
    spin_lock(&channel->lock);
    transfer_poll(channel);
    access_task(channel, port - channel->task, bytes, write, value);
    spin_unlock(&channel->lock);
}

static void write_control(struct ide_channel *channel, uint8_t value)
{
    if (value & CONTROL_RESET && !(channel->control_value & CONTROL_RESET))
        transfer_reset(channel);
    channel->control_value = value;
    device_out(channel->control, 1, value);
}

void registers_control(void *owner, uint16_t port, unsigned bytes, bool write, uint32_t *value)
{
    struct ide_channel *channel = owner;
    (void)port, (void)bytes;
    if (!is_reachable(channel->controller)) {
        *value = write ? *value : UINT32_MAX;
        return;
    }
    spin_lock(&channel->lock);
    transfer_poll(channel);
    if (write)
        write_control(channel, (uint8_t)*value);
    else
        *value = read_status(channel, false);
    spin_unlock(&channel->lock);
}

void registers_master(void *owner, uint16_t port, unsigned bytes, bool write, uint32_t *value)
{
    struct ide_controller *controller = owner;
    uint32_t result = 0;
    unsigned offset = port - controller->channels[0].master;
    if (!is_reachable(controller)) {
        *value = write ? *value : UINT32_MAX;
        return;
    }
    for (unsigned i = offset; i < offset + bytes; i++) {
        struct ide_channel *channel = &controller->channels[i / IDE_MASTER_PORTS];
        spin_lock(&channel->lock);
        transfer_poll(channel);
        if (write)
            master_write(channel, i % IDE_MASTER_PORTS, (uint8_t)(*value >> 8 * (i - offset)));
        else
            result |= (uint32_t)master_read(channel, i % IDE_MASTER_PORTS) << 8 * (i - offset);
        spin_unlock(&channel->lock);
    }
    if (!write)
        *value = result;
}
