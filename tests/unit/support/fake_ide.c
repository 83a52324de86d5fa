/* SPDX-License-Identifier: Apache-2.0 */
/* The controller, its bus master and its disks. */
#include "tests/unit/support/fake_ide.h"

#include "lib/ata.h"
#include "tests/unit/support/fake_machine.h"
#include <stdlib.h>
#include <string.h>

#define TASK    (fake_ide_native ? FAKE_IDE_NATIVE_TASK : 0x1f0u)
#define CONTROL (fake_ide_native ? FAKE_IDE_NATIVE_CONTROL + 2u : 0x3f6u)
#define IDLE    (STATUS_READY | STATUS_SEEK)
#define SECTOR  512u
#define SECTORS (FAKE_IDE_DISK_BYTES / SECTOR)

struct fake_ide ide;
bool fake_ide_native;

static struct fake_ide_drive *drive(void)
{
    return &ide.drives[ide.selected];
}

static void raise_interrupt(void)
{
    if (ide.control & CONTROL_QUIET)
        return;
    ide.interrupts += !ide.interrupt;
    ide.interrupt = true;
    ide.master_status |= MASTER_INTERRUPT;
}

static void finish(struct fake_ide_drive *d, uint8_t error)
{
    d->status = IDLE | (error ? STATUS_ERROR : 0);
    d->error = error;
    d->left = 0;
    raise_interrupt();
}

static void make_identify(struct fake_ide_drive *d)
{
    static const char text[] = FAKE_IDE_SERIAL;
    memset(d->data, 0, SECTOR);
    memset(d->data + 20, ' ', 20);
    for (unsigned i = 0; text[i]; i++)
        d->data[20 + (i ^ 1)] = (uint8_t)text[i];
    ata_set_word(d->data, 49, 0x0300);
    ata_set_word(d->data, 59, (uint16_t)(0xf000 | (d->multiple ? 0x100 | d->multiple : 0)));
    ata_set_word(d->data, 60, SECTORS);
    for (unsigned word = 75; word <= 87; word++)
        ata_set_word(d->data, word, 0x7fff);
    ata_set_word(d->data, 100, SECTORS);
    ata_set_word(d->data, 105, 64);
    ata_set_word(d->data, 128, 0x29);
    if (d->sector_bytes) {
        ata_set_word(d->data, 106, 0x5000);
        ata_set_word(d->data, 117, (uint16_t)(d->sector_bytes / 2));
    }
    ata_set_word(d->data, 255, 0xa5);
    uint8_t sum = 0;
    for (unsigned i = 0; i < SECTOR - 1; i++)
        sum = (uint8_t)(sum + d->data[i]);
    d->data[511] = (uint8_t)-sum;
}

/* One sector between the disk and a place; false beyond the end. */
static bool move_sector(struct fake_ide_drive *d, uint64_t lba, uint8_t *place, bool writes)
{
    if (lba >= SECTORS)
        return false;
    if (writes)
        memcpy(d->disk + lba * SECTOR, place, SECTOR);
    else
        memcpy(place, d->disk + lba * SECTOR, SECTOR);
    return true;
}

static void next_block(struct fake_ide_drive *d)
{
    d->at = 0;
    d->block = MIN(d->left, d->opcode == 0xc4 || d->opcode == 0xc5 ? (uint32_t)d->multiple : 1);
    if (ide.fail_all) {
        finish(d, ERROR_NO_ID);
        return;
    }
    if (!d->writes && d->opcode != ATA_IDENTIFY && d->opcode != ATA_SMART)
        for (uint32_t i = 0; i < d->block; i++)
            if (!move_sector(d, d->lba + i, d->data + i * SECTOR, false)) {
                finish(d, ERROR_NO_ID);
                return;
            }
    d->status = IDLE | STATUS_DATA;
}

static void block_moved(struct fake_ide_drive *d)
{
    for (uint32_t i = 0; d->writes && i < d->block; i++)
        if (!move_sector(d, d->lba + i, d->data + i * SECTOR, true)) {
            finish(d, ERROR_NO_ID);
            return;
        }
    d->lba += d->block;
    d->left -= d->block;
    d->status = IDLE;
    if (d->left) {
        next_block(d);
        raise_interrupt();
    } else if (d->writes) {
        raise_interrupt();
    }
}

/* ---- Bus master ---- */

struct walk {
    uint32_t entry, left, address;
    bool last;
};

static bool dma_bytes(struct walk *w, uint8_t *own, uint32_t bytes, bool to_memory)
{
    for (uint32_t done = 0; done < bytes;) {
        if (!w->left) {
            struct ide_region *region = w->last ? NULL : fake_dma(ide.master_table + w->entry++ * 8, 8);
            if (!region) {
                ide.bad_dma += !w->last;
                return false;
            }
            w->address = region->base;
            w->left = region->bytes ? region->bytes : REGION_BYTES_MAX;
            w->last = region->flags & REGION_LAST;
            if ((w->address & 0xffff) + w->left > REGION_BYTES_MAX)
                ide.bad_dma++;
        }
        uint32_t now = MIN(bytes - done, w->left);
        uint8_t *memory = fake_dma(w->address, now);
        if (!memory) {
            ide.bad_dma++;
            return false;
        }
        if (to_memory)
            memcpy(memory, own + done, now);
        else
            memcpy(own + done, memory, now);
        w->address += now;
        w->left -= now;
        done += now;
    }
    return true;
}

/* The ranges of a TRIM, in the data that came: discarded blocks become zero. */
static void discard(struct fake_ide_drive *d, const uint8_t *ranges)
{
    for (unsigned i = 0; i < SECTOR; i += 8) {
        uint64_t entry;
        memcpy(&entry, ranges + i, 8);
        if (TRIM_BLOCKS(entry) && TRIM_LBA(entry) + TRIM_BLOCKS(entry) <= SECTORS)
            memset(d->disk + TRIM_LBA(entry) * SECTOR, 0, TRIM_BLOCKS(entry) * SECTOR);
    }
}

void fake_ide_run(void)
{
    struct fake_ide_drive *d = drive();
    struct walk w = {0};
    if (!d->left || !d->dma || !(ide.master_command & MASTER_START))
        return;
    bool to_memory = ide.master_command & MASTER_TO_MEMORY;
    uint32_t fails_at = d->opcode == ide.fail_opcode || ide.fail_all ? d->left / 2 : UINT32_MAX;
    for (uint32_t i = 0; d->left; i++, d->lba++, d->left--) {
        bool moved = i < fails_at && to_memory == !d->writes;
        if (moved && !d->writes)
            moved = move_sector(d, d->lba, d->data, false);
        moved = moved && dma_bytes(&w, d->data, SECTOR, to_memory);
        if (moved && d->opcode == ATA_DATA_SET)
            discard(d, d->data);
        else if (moved && d->writes)
            moved = move_sector(d, d->lba, d->data, true);
        if (!moved) {
            finish(d, ERROR_NO_ID);
            return;
        }
    }
    if (w.last && !w.left)
        ide.master_status &= (uint8_t)~MASTER_ACTIVE;
    finish(d, 0);
}

/* ---- Commands ---- */

static const struct operation {
    uint8_t opcode;
    bool wide, dma, writes;
} operations[] = {
    {0x06, true, true, true},   {0x20, false, false, false}, {0x24, true, false, false},
    {0x25, true, true, false},  {0x30, false, false, true},  {0x34, true, false, true},
    {0x35, true, true, true},   {0xc4, false, false, false}, {0xc5, false, false, true},
    {0xc8, false, true, false}, {0xca, false, true, true},
};

static void start_data(struct fake_ide_drive *d, const struct operation *o)
{
    const uint8_t *n = d->now, *b = d->before;
    d->lba = n[3] | (uint64_t)n[4] << 8 | (uint64_t)n[5] << 16;
    d->lba |= o->wide ? (uint64_t)b[3] << 24 | (uint64_t)b[4] << 32 | (uint64_t)b[5] << 40
                      : (uint64_t)(n[6] & 0xf) << 24;
    d->left = o->wide ? n[2] | (uint32_t)b[2] << 8 : n[2];
    d->left = d->left ? d->left : o->wide ? 0x10000 : 0x100;
    d->dma = o->dma;
    d->writes = o->writes;
    if ((d->opcode == 0xc4 || d->opcode == 0xc5) && !d->multiple) {
        finish(d, ERROR_ABORTED);
        return;
    }
    if (o->dma) {
        d->status = IDLE | STATUS_DATA;
        if (!ide.hold)
            fake_ide_run();
        return;
    }
    next_block(d);
    if (!o->writes && d->left)
        raise_interrupt();
}

static void command(uint8_t opcode)
{
    struct fake_ide_drive *d = drive();
    ide.interrupt = false;
    d->error = 0;
    d->left = 0;
    d->dma = false;
    d->opcode = opcode;
    d->executed++;
    d->by_opcode[opcode]++;
    for (unsigned i = 0; i < ARRAY_COUNT(operations); i++)
        if (operations[i].opcode == opcode) {
            start_data(d, &operations[i]);
            return;
        }
    if (opcode == ATA_IDENTIFY || opcode == ATA_SMART) {
        make_identify(d);
        d->left = 1;
        d->writes = false;
        next_block(d);
        raise_interrupt();
    } else if (opcode == ATA_SET_MULTIPLE && d->now[2] <= FAKE_IDE_MULTIPLE) {
        d->multiple = d->now[2];
        finish(d, 0);
    } else {
        finish(d, opcode == 0xe7 || opcode == 0xea || opcode == ATA_SET_FEATURES ? 0 : ERROR_ABORTED);
    }
}

/* ---- Ports ---- */

static uint32_t data(unsigned bytes, bool write, uint32_t value)
{
    struct fake_ide_drive *d = drive();
    if (!(d->status & STATUS_DATA) || d->dma || d->writes != write) {
        ide.bad_data++;
        return UINT32_MAX;
    }
    if (write)
        memcpy(d->data + d->at, &value, bytes);
    else
        memcpy(&value, d->data + d->at, bytes);
    d->at += bytes;
    if (d->at >= d->block * SECTOR)
        block_moved(d);
    return value;
}

static void write_task(unsigned reg, uint8_t value)
{
    if (reg == IDE_STATUS) {
        command(value);
        return;
    }
    if (reg == IDE_DEVICE)
        ide.selected = value & DEVICE_SECOND ? 1 : 0;
    for (unsigned i = 0; i < 2; i++) { /* both drives see all registers */
        ide.drives[i].before[reg] = ide.drives[i].now[reg];
        ide.drives[i].now[reg] = value;
    }
}

static void write_master(unsigned reg, unsigned bytes, uint32_t value)
{
    if (reg == MASTER_TABLE && bytes == 4)
        ide.master_table = value;
    if (reg == MASTER_STATUS)
        ide.master_status =
            (uint8_t)((ide.master_status & ~(value & (MASTER_ERROR | MASTER_INTERRUPT)) & ~MASTER_CAPABLE) |
                      (value & MASTER_CAPABLE));
    if (reg != MASTER_COMMAND)
        return;
    bool starts = value & MASTER_START && !(ide.master_command & MASTER_START);
    ide.master_command = (uint8_t)value;
    if (!(value & MASTER_START))
        ide.master_status &= (uint8_t)~MASTER_ACTIVE;
    if (starts) {
        ide.master_status |= MASTER_ACTIVE;
        if (!ide.hold)
            fake_ide_run();
    }
}

static void reset(void)
{
    for (unsigned i = 0; i < 2; i++) {
        struct fake_ide_drive *d = &ide.drives[i];
        memset(d->now, 0, sizeof(d->now));
        d->status = IDLE;
        d->error = 1;
        d->left = 0;
        d->now[2] = d->now[3] = 1;
    }
    ide.selected = 0;
    ide.interrupt = false;
}

static void out(uint16_t port, unsigned bytes, uint32_t value)
{
    if (port == TASK)
        (void)data(bytes, true, value);
    else if (port > TASK && port < TASK + 8)
        write_task(port - TASK, (uint8_t)value);
    else if (port == CONTROL) {
        if (value & CONTROL_RESET)
            reset();
        ide.control = (uint8_t)value;
    } else if (port >= FAKE_IDE_MASTER && port < FAKE_IDE_MASTER + 8)
        write_master(port - FAKE_IDE_MASTER, bytes, value);
}

static uint32_t in(uint16_t port, unsigned bytes)
{
    struct fake_ide_drive *d = drive();
    if (port == TASK)
        return data(bytes, false, 0);
    if (port == TASK + IDE_STATUS)
        ide.interrupt = false;
    if (port == TASK + IDE_STATUS || port == CONTROL)
        return d->absent ? 0 : d->status;
    if (port == TASK + IDE_ERROR)
        return d->error;
    if (port > TASK && port < TASK + 8)
        return d->now[port - TASK];
    if (port == FAKE_IDE_MASTER)
        return ide.master_command;
    if (port == FAKE_IDE_MASTER + MASTER_STATUS)
        return ide.master_status;
    return 0; /* the second channel is empty */
}

static void put(unsigned offset, uint32_t value)
{
    memcpy(fake.config + offset, &value, sizeof(value));
}

/* What BARs can hold: ports, aligned to their size. */
static void configured(void)
{
    const uint32_t sizes[] = {fake_ide_native ? 8 : 0, fake_ide_native ? 4 : 0, 0, 0, 16};
    for (unsigned i = 0; i < ARRAY_COUNT(sizes); i++) {
        uint32_t bar;
        memcpy(&bar, fake.config + 0x10 + 4 * i, sizeof(bar));
        put(0x10 + 4 * i, sizes[i] ? (bar & 0xffff & -sizes[i]) | 1 : 0);
    }
}

void fake_ide_reset(void)
{
    fake_reset();
    fake.low_pages = true;
    fake_ide_free();
    memset(&ide, 0, sizeof(ide));
    for (unsigned i = 0; i < 2; i++) {
        ide.drives[i].disk = calloc(1, FAKE_IDE_DISK_BYTES);
        ide.drives[i].multiple = FAKE_IDE_MULTIPLE;
    }
    reset();
    ide.fail_opcode = 0x100;
    fake.device = (struct fake_device){.in = in, .out = out, .configured = configured};
    put(0x00, 0x70108086);
    put(0x04, 0x02900005); /* with a list of capabilities, which is not shown */
    put(0x08, fake_ide_native ? 0x01018100 : 0x01018000);
    if (fake_ide_native) {
        put(0x10, FAKE_IDE_NATIVE_TASK | 1);
        put(0x14, FAKE_IDE_NATIVE_CONTROL | 1);
    }
    put(0x20, FAKE_IDE_MASTER | 1);
    put(0x24, 0xfebf0000); /* another way to the registers, which is not shown */
    put(0x34, 0x70);
    put(0x40, 0x80008000);
}

void fake_ide_free(void)
{
    for (unsigned i = 0; i < 2; i++) {
        free(ide.drives[i].disk);
        ide.drives[i].disk = NULL;
    }
}
