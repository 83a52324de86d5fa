/* SPDX-License-Identifier: Apache-2.0 */
/* The IDE mediator against a fake controller: a disk with a volume as drive 0, a plain one as drive 1. */
#include "crypto/volume/sector.h"
#include "drivers/storage/ide/ide.h"
#include "tests/unit/support/fake_ide.h"
#include "tests/unit/support/fake_machine.h"
#include "tests/unit/support/guest_ide.h"
#include "tests/unit/support/guest_nvme.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BLOCK  512u
#define INSIDE (VOLUME_FIRST + 5)
#define FAILED (STATUS_READY | STATUS_SEEK | STATUS_ERROR)
#define GOOD   (STATUS_READY | STATUS_SEEK)

static struct handoff handoff;
static struct sector_key judge;
static size_t pages_idle;

static int start(void **state)
{
    (void)state;
    struct report problem = {0};
    fake_ide_reset();
    guest_handoff(&handoff, BLOCK);
    handoff.volumes[0].namespace_id = 0;
    if (!storage_start(&handoff) || !ide_take((struct pci_address){0, 0, GUEST_PCI_DEVICE, 0}, &problem)) {
        print_error("%s\n", problem.text);
        return 1;
    }
    const struct handoff_volume *volume = &handoff.volumes[0];
    pages_idle = fake_pages_held();
    return sector_key_set(&judge, volume->key, volume->key_bytes, volume->sector_bytes) ? 0 : 1;
}

static int stop(void **state)
{
    (void)state;
    fake_reset();
    fake_ide_free();
    return 0;
}

static int before(void **state)
{
    (void)state;
    guest_config_write(4, 2, 5);
    guest_ide_reset();
    ide.hold = false;
    ide.fail_opcode = 0x100;
    ide.bad_dma = ide.bad_data = 0;
    return 0;
}

static int after(void **state)
{
    (void)state;
    if (ide.bad_dma || ide.bad_data || fake_pages_held() != pages_idle)
        print_error("bad DMA %u, bad data %u\n", ide.bad_dma, ide.bad_data);
    return ide.bad_dma || ide.bad_data || fake_pages_held() != pages_idle;
}

static void fill(uint64_t address, size_t length, unsigned seed)
{
    uint8_t *at = guest_ram(address, length);
    for (size_t i = 0; i < length; i++)
        at[i] = (uint8_t)(seed * 31 + i * 13 + (i >> 8) + (i >> 16));
}

static const uint8_t *on_disk(uint64_t lba)
{
    return ide.drives[0].disk + lba * BLOCK;
}

/* What the volume's blocks mean. */
static void decrypted(uint64_t lba, uint8_t *to, size_t length)
{
    sector_decrypt(&judge, lba - VOLUME_FIRST, on_disk(lba), to, length);
}

static void dma_round(bool wide, uint32_t blocks)
{
    size_t bytes = (size_t)blocks * BLOCK;
    uint8_t *plain = malloc(bytes);
    uint64_t to = GUEST_DATA + MIB(4);
    fill(GUEST_DATA, bytes, blocks);
    guest_regions(GUEST_DATA, (uint32_t)bytes, 0x3000);
    assert_int_equal(guest_ide_dma(wide ? 0x35 : 0xca, INSIDE, blocks), GOOD);
    decrypted(INSIDE, plain, bytes);
    assert_memory_equal(plain, guest_ram(GUEST_DATA, bytes), bytes);
    assert_memory_not_equal(on_disk(INSIDE), guest_ram(GUEST_DATA, bytes), BLOCK);
    guest_regions(to, (uint32_t)bytes, 0x1800);
    assert_int_equal(guest_ide_dma(wide ? 0x25 : 0xc8, INSIDE, blocks), GOOD);
    assert_memory_equal(guest_ram(to, bytes), plain, bytes);
    free(plain);
}

static void dma(void **state)
{
    (void)state;
    dma_round(false, 1);
    dma_round(false, 256); /* count 0 */
    dma_round(true, 8);
}

/* More than the buffer holds: the drive gets several commands, the guest one completion. */
static void dma_in_parts(void **state)
{
    (void)state;
    unsigned commands = ide.drives[0].by_opcode[0x35];
    dma_round(true, 5000);
    assert_int_equal(ide.drives[0].by_opcode[0x35] - commands, 3);
}

/* The interrupt between parts is not shown; the end is, once, and only then the data is there. */
static void completion_is_finished_before_it_is_shown(void **state)
{
    (void)state;
    uint64_t to = GUEST_DATA + MIB(4);
    ide.hold = true;
    guest_regions(to, 3000 * BLOCK, 0x10000);
    guest_ide_command(0x25, INSIDE, 3000);
    assert_int_equal(guest_in(GUEST_TASK + 7, 1), GOOD | STATUS_DATA);
    guest_ide_start(true);
    assert_int_equal(guest_in(GUEST_CONTROL, 1) & STATUS_BUSY, STATUS_BUSY);
    assert_int_equal(guest_in(GUEST_MASTER + 2, 1) & 7, MASTER_ACTIVE);
    fake_ide_run();
    unsigned interrupts = ide.interrupts;
    assert_true(ide.interrupt);
    assert_int_equal(guest_in(GUEST_MASTER + 2, 1) & 7, MASTER_ACTIVE); /* the second part begins */
    assert_false(ide.interrupt);
    fake_ide_run();
    assert_int_equal(ide.interrupts, interrupts + 1);
    assert_int_equal(guest_in(GUEST_MASTER + 2, 1) & 7, MASTER_INTERRUPT);
    assert_true(ide.interrupt);
    assert_int_equal(guest_in(GUEST_TASK + 7, 1), GOOD);
    assert_false(ide.interrupt);
    guest_out(GUEST_MASTER, 1, 0);
    guest_out(GUEST_MASTER + 2, 1, MASTER_INTERRUPT);
    assert_int_equal(guest_in(GUEST_MASTER + 2, 1) & 7, 0);
}

/* Firmware's tables do. */
static void regions_over_a_boundary(void **state)
{
    (void)state;
    const struct ide_region crosses = {GUEST_DATA + 0xff00, 0, REGION_LAST};
    fill(GUEST_DATA + 0xff00, 0x10000, 3);
    for (unsigned drive = 0; drive < 2; drive++) {
        memcpy(guest_ram(GUEST_TABLE, 8), &crosses, 8);
        guest_ide_select(drive);
        assert_int_equal(guest_ide_dma(0xca, 100, 128), GOOD);
        assert_memory_equal(ide.drives[drive].disk + 100 * BLOCK, guest_ram(GUEST_DATA + 0xff00, 0x10000),
                            0x10000);
    }
}

static void start_before_the_command(void **state)
{
    (void)state;
    fill(GUEST_DATA, BLOCK, 9);
    guest_regions(GUEST_DATA, BLOCK, 0x1000);
    guest_ide_start(false);
    guest_ide_command(0xca, INSIDE, 1);
    assert_int_equal(guest_ide_finish(), GOOD);
    uint8_t plain[BLOCK];
    decrypted(INSIDE, plain, BLOCK);
    assert_memory_equal(plain, guest_ram(GUEST_DATA, BLOCK), BLOCK);
}

static void pio_round(uint8_t write, uint8_t read, uint32_t blocks, uint32_t block)
{
    uint8_t data[40 * BLOCK], plain[sizeof(data)], back[sizeof(data)];
    for (unsigned i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 11 + blocks + (i >> 8));
    assert_int_equal(guest_ide_pio_out(write, INSIDE, blocks, block, data), GOOD);
    decrypted(INSIDE, plain, blocks * BLOCK);
    assert_memory_equal(plain, data, blocks * BLOCK);
    assert_int_equal(guest_ide_pio_in(read, INSIDE, blocks, block, back), GOOD);
    assert_memory_equal(back, data, blocks * BLOCK);
}

static void pio(void **state)
{
    (void)state;
    pio_round(0x30, 0x20, 1, 1);
    pio_round(0x30, 0x20, 5, 1);
    pio_round(0x34, 0x24, 3, 1);
}

static void pio_multiple(void **state)
{
    (void)state;
    uint8_t data[BLOCK];
    assert_int_equal(guest_ide_pio_in(0xc4, INSIDE, 1, 1, data), FAILED); /* not set since the reset */
    assert_int_equal(guest_in(GUEST_TASK + 1, 1), ERROR_ABORTED);
    guest_ide_command(0xc6, 0, 8);
    assert_int_equal(guest_ide_finish(), GOOD);
    pio_round(0xc5, 0xc4, 20, 8);
    guest_ide_command(0xc6, 0, 77);
    assert_int_equal(guest_ide_finish(), FAILED);
    assert_int_equal(guest_ide_pio_in(0xc4, INSIDE, 1, 1, data), FAILED);
}

static void interrupts_of_pio(void **state)
{
    (void)state;
    uint8_t data[3 * BLOCK];
    unsigned interrupts = ide.interrupts;
    assert_int_equal(guest_ide_pio_in(0x20, INSIDE, 3, 1, data), GOOD);
    assert_int_equal(ide.interrupts - interrupts, 3); /* one before each block */
    interrupts = ide.interrupts;
    assert_int_equal(guest_ide_pio_out(0x30, INSIDE, 3, 1, data), GOOD);
    assert_int_equal(ide.interrupts - interrupts, 3); /* one after each */
}

static void outside_and_over_the_edge(void **state)
{
    (void)state;
    fill(GUEST_DATA, 8 * BLOCK, 4);
    guest_regions(GUEST_DATA, 8 * BLOCK, 0x1000);
    assert_int_equal(guest_ide_dma(0xca, VOLUME_FIRST - 4, 8), GOOD);
    assert_memory_equal(on_disk(VOLUME_FIRST - 4), guest_ram(GUEST_DATA, 4 * BLOCK), 4 * BLOCK);
    uint8_t plain[4 * BLOCK];
    decrypted(VOLUME_FIRST, plain, sizeof(plain));
    assert_memory_equal(plain, (uint8_t *)guest_ram(GUEST_DATA, 8 * BLOCK) + 4 * BLOCK, sizeof(plain));
    assert_int_equal(guest_ide_dma(0xc8, FAKE_IDE_DISK_BYTES / BLOCK - 4, 8), FAILED);
    assert_int_equal(guest_in(GUEST_TASK + 1, 1), ERROR_NO_ID);
}

static void failed_commands_are_not_decrypted(void **state)
{
    (void)state;
    uint64_t to = GUEST_DATA + MIB(4);
    memset(guest_ram(to, 64 * BLOCK), 0x5c, 64 * BLOCK);
    ide.fail_opcode = 0xc8;
    guest_regions(to, 64 * BLOCK, 0x10000);
    assert_int_equal(guest_ide_dma(0xc8, INSIDE, 64), FAILED);
    for (unsigned i = 0; i < 64 * BLOCK; i++)
        assert_int_equal(((uint8_t *)guest_ram(to, 64 * BLOCK))[i], 0x5c);
}

static void stopped_in_the_middle(void **state)
{
    (void)state;
    uint64_t to = GUEST_DATA + MIB(4);
    memset(guest_ram(to, 8 * BLOCK), 0x5c, 8 * BLOCK);
    ide.hold = true;
    guest_regions(to, 8 * BLOCK, 0x10000);
    guest_ide_command(0xc8, INSIDE, 8);
    guest_ide_start(true);
    guest_out(GUEST_MASTER, 1, 0);
    fake_ide_run();
    assert_int_equal(*(uint8_t *)guest_ram(to, 1), 0x5c);
    /* The drive still wants to move data: neither another command nor another table gets through. */
    unsigned executed = ide.drives[0].executed;
    guest_ide_command(0xc8, INSIDE, 8);
    guest_out(GUEST_TASK + 6, 1, DEVICE_ALWAYS | DEVICE_SECOND);
    guest_ide_start(true);
    fake_ide_run();
    assert_int_equal(ide.drives[0].executed, executed);
    assert_int_equal(ide.selected, 0);
    assert_int_equal(ide.master_command & MASTER_START, 0);
    guest_ide_reset();
    ide.hold = false;
    dma_round(false, 8);
}

static void bad_tables(void **state)
{
    (void)state;
    const struct ide_region outside = {0xfe000000, 512, REGION_LAST}, ends = {0x10fff00, 512, REGION_LAST};
    unsigned executed = ide.drives[0].by_opcode[0xca];
    memcpy(guest_ram(GUEST_TABLE, 8), &outside, 8);
    assert_int_equal(guest_ide_dma(0xca, INSIDE, 1), FAILED);
    guest_ide_command(0xca, INSIDE, 1);
    guest_ide_start(false);
    assert_int_equal(guest_in(GUEST_MASTER + 2, 1) & MASTER_ERROR, MASTER_ERROR);
    guest_out(GUEST_MASTER + 2, 1, MASTER_ERROR | MASTER_INTERRUPT);
    assert_int_equal(guest_in(GUEST_MASTER + 2, 1) & MASTER_ERROR, 0);
    guest_out(GUEST_MASTER, 1, 0);
    memcpy(guest_ram(GUEST_TABLE, 8), &ends, 8);
    assert_int_equal(guest_ide_dma(0xca, INSIDE, 1), FAILED);
    guest_regions(GUEST_DATA, BLOCK, 0x1000);
    assert_int_equal(guest_ide_dma(0xca, INSIDE, 2), FAILED); /* too short */
    assert_int_equal(ide.drives[0].by_opcode[0xca], executed);
    for (unsigned i = 0; i < IDE_REGIONS_MAX + 8; i++) /* no end */
        memcpy(guest_ram(GUEST_TABLE + i * 8, 8), &(struct ide_region){GUEST_DATA, 2, 0}, 8);
    assert_int_equal(guest_ide_dma(0xca, INSIDE, 1), FAILED);
    /* Longer than the command: done, and the bus master is shown as still active. */
    guest_regions(GUEST_DATA, 2 * BLOCK, 0x1000);
    guest_ide_command(0xca, INSIDE, 1);
    guest_ide_start(false);
    assert_int_equal(guest_in(GUEST_MASTER + 2, 1) & 7, MASTER_ACTIVE | MASTER_INTERRUPT);
    guest_out(GUEST_MASTER, 1, 0);
}

static void refused_commands(void **state)
{
    (void)state;
    static const uint8_t opcodes[] = {0x01, 0x0b, 0x22, 0x32, 0x3a, 0x45, 0x51, 0x57, 0x5c, 0x60, 0x61,
                                      0x77, 0x78, 0x80, 0x87, 0x92, 0x93, 0xa0, 0xb1, 0xb4, 0xc7, 0xcc,
                                      0xe8, 0xf1, 0xf4, 0xf5, 0xf6, 0xf9, 0xfe, 0x3f, 0x2f, 0xee, 0x08};
    for (unsigned i = 0; i < ARRAY_COUNT(opcodes); i++) {
        unsigned interrupts = ide.interrupts;
        guest_ide_command(opcodes[i], INSIDE, 1);
        assert_true(ide.interrupts > interrupts);
        assert_int_equal(guest_ide_finish(), FAILED);
        assert_int_equal(guest_in(GUEST_TASK + 1, 1), ERROR_ABORTED);
        assert_int_equal(ide.drives[0].by_opcode[opcodes[i]], 0);
    }
    guest_out(GUEST_TASK + 1, 1, 0x66); /* a feature that is not in the list; SMART's write log */
    guest_ide_command(0xef, 0, 0);
    assert_int_equal(guest_ide_finish(), FAILED);
    guest_out(GUEST_TASK + 1, 1, 0xd6);
    guest_ide_command(0xb0, 0, 0);
    assert_int_equal(guest_ide_finish(), FAILED);
    guest_out(GUEST_TASK + 1, 1, 0x03);
    guest_ide_command(0xef, 0, 0x45);
    assert_int_equal(guest_ide_finish(), GOOD);
    guest_ide_command(0xe7, 0, 0);
    assert_int_equal(guest_ide_finish(), GOOD);
}

static void no_cylinders(void **state)
{
    (void)state;
    guest_out(GUEST_TASK + 6, 1, DEVICE_ALWAYS);
    guest_out(GUEST_TASK + 7, 1, 0x20);
    assert_int_equal(guest_ide_finish(), FAILED);
    assert_int_equal(guest_in(GUEST_TASK + 1, 1), ERROR_ABORTED);
}

static void identify_is_filtered(void **state)
{
    (void)state;
    uint8_t data[BLOCK], sum = 0;
    assert_int_equal(guest_ide_pio_in(0xec, 0, 1, 1, data), GOOD);
    char serial[ATA_SERIAL_BYTES + 1];
    ata_serial(data, serial);
    assert_string_equal(serial, FAKE_IDE_SERIAL);
    assert_int_equal(ata_word(data, 75), 0);
    assert_int_equal(ata_word(data, 82) & 0x2, 0);
    assert_int_equal(ata_word(data, 83) & 0x0903, 0);
    assert_int_equal(ata_word(data, 83) & 0x0400, 0x0400);
    assert_int_equal(ata_word(data, 105), IDE_TRIM_BLOCKS_MAX);
    assert_int_equal(ata_word(data, 128), 0);
    for (unsigned i = 0; i < BLOCK; i++)
        sum = (uint8_t)(sum + data[i]);
    assert_int_equal(sum, 0);
    pio_round(0xc5, 0xc4, 20, FAKE_IDE_MULTIPLE); /* the setting is known again from it */
}

static void pinned_fields_stay(void **state)
{
    (void)state;
    uint8_t header[BLOCK] = "EFI PART", bad[BLOCK] = "efi part";
    memcpy(header + 72, &(uint64_t){2}, 8);
    memcpy(header + 80, &(uint32_t){128}, 4);
    memcpy(header + 84, &(uint32_t){128}, 4);
    memcpy(bad + 72, header + 72, 16);
    assert_int_equal(guest_ide_pio_out(0x30, 1, 1, 1, header), GOOD);
    assert_int_equal(guest_ide_pio_out(0x30, 1, 1, 1, bad), FAILED);
    memcpy(guest_ram(GUEST_DATA, BLOCK), bad, BLOCK);
    guest_regions(GUEST_DATA, BLOCK, 0x1000);
    assert_int_equal(guest_ide_dma(0xca, 1, 1), FAILED);
    assert_memory_equal(on_disk(1), header, BLOCK);
}

static void discard_follows_the_policy(void **state)
{
    (void)state;
    uint64_t ranges[BLOCK / 8] = {2ull << 48 | (VOLUME_FIRST + 1),
                                  2ull << 48 | (VOLUME_FIRST + VOLUME_COUNT)};
    memset(ide.drives[0].disk + VOLUME_FIRST * BLOCK, 0x77, (VOLUME_COUNT + 4) * BLOCK);
    memcpy(guest_ram(GUEST_DATA, BLOCK), ranges, BLOCK);
    guest_regions(GUEST_DATA, BLOCK, 0x1000);
    guest_out(GUEST_TASK + 1, 1, DATA_SET_TRIM);
    assert_int_equal(guest_ide_dma(0x06, 0, 1), GOOD);
    assert_int_equal(*on_disk(VOLUME_FIRST + 1), 0x77);
    assert_int_equal(*on_disk(VOLUME_FIRST + VOLUME_COUNT), 0);
    ranges[0] = 9ull << 48 | (FAKE_IDE_DISK_BYTES / BLOCK - 8);
    memcpy(guest_ram(GUEST_DATA, BLOCK), ranges, BLOCK);
    assert_int_equal(guest_ide_dma(0x06, 0, 1), FAILED);
    guest_ide_command(0x06, 0, IDE_TRIM_BLOCKS_MAX + 1);
    assert_int_equal(guest_ide_finish(), FAILED);
}

/* The other drive: what the guest does is done, through a table that was checked. */
static void drive_without_volume(void **state)
{
    (void)state;
    uint8_t data[2 * BLOCK], back[2 * BLOCK];
    guest_ide_select(1);
    for (unsigned i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 3);
    assert_int_equal(guest_ide_pio_out(0x30, 7, 2, 1, data), GOOD);
    assert_memory_equal(ide.drives[1].disk + 7 * BLOCK, data, sizeof(data));
    assert_int_equal(guest_ide_pio_in(0x20, 7, 2, 1, back), GOOD);
    assert_memory_equal(back, data, sizeof(data));
    fill(GUEST_DATA, 100 * BLOCK, 8);
    guest_regions(GUEST_DATA, 100 * BLOCK, 0x4000);
    assert_int_equal(guest_ide_dma(0x35, 900, 100), GOOD);
    assert_memory_equal(ide.drives[1].disk + 900 * BLOCK, guest_ram(GUEST_DATA, 100 * BLOCK), 100 * BLOCK);
    assert_int_not_equal(ide.master_table, GUEST_TABLE);
    const struct ide_region outside = {0xfe000000, 512, REGION_LAST};
    memcpy(guest_ram(GUEST_TABLE, 8), &outside, 8);
    guest_ide_command(0x35, 900, 1);
    guest_ide_start(false);
    assert_int_equal(ide.master_command & MASTER_START, 0);
    assert_int_equal(guest_in(GUEST_MASTER + 2, 1) & MASTER_ERROR, MASTER_ERROR);
    guest_out(GUEST_MASTER, 1, 0);
    guest_out(GUEST_MASTER + 2, 1, MASTER_ERROR);
}

static void configuration_space(void **state)
{
    (void)state;
    assert_int_equal(guest_config_read(0x34, 1), 0);
    assert_int_equal(guest_config_read(6, 2) & 0x10, 0);
    assert_int_equal(guest_config_read(0x24, 4), 0);
    guest_config_write(0x20, 4, 0xffffffff);
    assert_int_equal(guest_config_read(0x20, 4), 0xfff1);
    assert_int_equal(guest_in(GUEST_TASK + 7, 1), 0xff); /* moved: gone */
    guest_config_write(0x20, 4, FAKE_IDE_MASTER);
    assert_int_equal(guest_config_read(0x20, 4), FAKE_IDE_MASTER | 1);
    assert_int_equal(guest_in(GUEST_TASK + 7, 1), GOOD);
    guest_config_write(4, 2, 6); /* memory decoding is not to be had */
    assert_int_equal(guest_config_read(4, 2), 4);
    assert_int_equal(fake.config[4] & 7, 5);
    assert_int_equal(guest_in(GUEST_TASK + 7, 1), 0xff);
    guest_config_write(4, 2, 5);
    guest_config_write(0x24, 4, 0x12340000);
    guest_config_write(0x42, 2, 0x9123);
    assert_int_equal(guest_config_read(0x40, 4), 0x91238000);
    guest_config_write(0x90, 4, 0x60);
    assert_int_equal(fake.config[0x90], 0);
}

static void wide_accesses(void **state)
{
    (void)state;
    uint32_t table = 0x12345678;
    guest_out(GUEST_MASTER + 4, 4, table);
    assert_int_equal(guest_in(GUEST_MASTER + 4, 2), 0x5678);
    guest_ide_command(0x20, INSIDE, 1);
    guest_ide_wait();
    uint8_t plain[BLOCK];
    decrypted(INSIDE, plain, BLOCK);
    for (unsigned i = 0; i < BLOCK; i += 4) {
        uint32_t value = guest_in(GUEST_TASK, 4);
        assert_memory_equal(&value, plain + i, 4);
    }
    assert_int_equal(guest_in(GUEST_TASK + 7, 1), GOOD);
}

static void keys_that_are_gone(void **state)
{
    (void)state;
    uint8_t data[BLOCK] = {0};
    storage_wipe();
    assert_int_equal(guest_ide_pio_out(0x30, INSIDE, 1, 1, data), FAILED);
    assert_int_equal(guest_ide_pio_in(0x20, INSIDE, 1, 1, data), FAILED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, before, after)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(dma),
        TEST(dma_in_parts),
        TEST(completion_is_finished_before_it_is_shown),
        TEST(regions_over_a_boundary),
        TEST(start_before_the_command),
        TEST(pio),
        TEST(pio_multiple),
        TEST(interrupts_of_pio),
        TEST(outside_and_over_the_edge),
        TEST(failed_commands_are_not_decrypted),
        TEST(stopped_in_the_middle),
        TEST(bad_tables),
        TEST(refused_commands),
        TEST(no_cylinders),
        TEST(identify_is_filtered),
        TEST(pinned_fields_stay),
        TEST(discard_follows_the_policy),
        TEST(drive_without_volume),
        TEST(configuration_space),
        TEST(wide_accesses),
        TEST(keys_that_are_gone),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
