/* SPDX-License-Identifier: Apache-2.0 */
/* The IDE mediator with its first channel in native mode, the volume on that channel's second drive, and a
 * policy that denies writes elsewhere and allows discard. */
#include "crypto/volume/sector.h"
#include "drivers/storage/ide/ide.h"
#include "tests/unit/support/fake_ide.h"
#include "tests/unit/support/fake_machine.h"
#include "tests/unit/support/guest_ide.h"
#include "tests/unit/support/guest_nvme.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define BLOCK  512u
#define FAILED (STATUS_READY | STATUS_SEEK | STATUS_ERROR)
#define GOOD   (STATUS_READY | STATUS_SEEK)

static struct handoff handoff;
static struct sector_key judge;

static bool refuses(void)
{
    struct report problem = {0};
    return !ide_take((struct pci_address){0, 0, GUEST_PCI_DEVICE, 0}, &problem) && problem.text[0];
}

static int start(void **state)
{
    (void)state;
    struct report problem = {0};
    fake_ide_native = true;
    fake_ide_reset();
    guest_handoff(&handoff, BLOCK);
    handoff.volumes[0].namespace_id = 1;
    handoff.volumes[0].elsewhere_deny = handoff.volumes[0].discard = 1;
    if (!storage_start(&handoff))
        return 1;
    /* No bus master; no disk; a disk with other sectors: not taken. */
    fake.config[9] = 0x01;
    if (!refuses())
        return 1;
    fake.config[9] = 0x81;
    ide.drives[1].absent = true;
    if (!refuses())
        return 1;
    ide.drives[1].absent = false;
    ide.drives[1].sector_bytes = 4096;
    if (!refuses())
        return 1;
    ide.drives[1].sector_bytes = 0;
    if (!ide_take((struct pci_address){0, 0, GUEST_PCI_DEVICE, 0}, &problem)) {
        print_error("%s\n", problem.text);
        return 1;
    }
    const struct handoff_volume *volume = &handoff.volumes[0];
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
    guest_ide_select(1);
    ide.bad_dma = ide.bad_data = 0;
    return 0;
}

static int after(void **state)
{
    (void)state;
    return ide.bad_dma || ide.bad_data;
}

static void second_drive_has_the_volume(void **state)
{
    (void)state;
    uint8_t data[2 * BLOCK], plain[2 * BLOCK];
    memset(data, 0x42, sizeof(data));
    assert_int_equal(guest_ide_pio_out(0x30, VOLUME_FIRST, 2, 1, data), GOOD);
    sector_decrypt(&judge, 0, ide.drives[1].disk + VOLUME_FIRST * BLOCK, plain, sizeof(plain));
    assert_memory_equal(plain, data, sizeof(data));
    guest_ide_select(0); /* the first is the guest's own, anywhere */
    assert_int_equal(guest_ide_pio_out(0x30, VOLUME_FIRST, 2, 1, data), GOOD);
    assert_memory_equal(ide.drives[0].disk + VOLUME_FIRST * BLOCK, data, sizeof(data));
}

static void elsewhere_is_denied(void **state)
{
    (void)state;
    uint8_t data[2 * BLOCK] = {1};
    memcpy(guest_ram(GUEST_DATA, sizeof(data)), data, sizeof(data));
    guest_regions(GUEST_DATA, sizeof(data), 0x1000);
    assert_int_equal(guest_ide_dma(0xca, ESP_FIRST, 1), GOOD);
    assert_int_equal(guest_ide_dma(0xca, ESP_FIRST + ESP_COUNT - 1, 2), FAILED);
    assert_int_equal(guest_in(GUEST_TASK + 1, 1), ERROR_ABORTED);
    assert_int_equal(guest_ide_pio_out(0x30, VOLUME_FIRST - 1, 2, 1, data), FAILED);
    assert_int_equal(guest_ide_pio_in(0x20, VOLUME_FIRST - 1, 2, 1, data), GOOD);
}

static void discard_is_allowed_inside(void **state)
{
    (void)state;
    uint8_t *disk = ide.drives[1].disk;
    uint64_t ranges[BLOCK / 8] = {2ull << 48 | (VOLUME_FIRST + 1), 2ull << 48 | (VOLUME_FIRST - 1),
                                  2ull << 48 | (VOLUME_FIRST + VOLUME_COUNT - 1)};
    memset(disk, 0x77, FAKE_IDE_DISK_BYTES);
    memcpy(guest_ram(GUEST_DATA, BLOCK), ranges, BLOCK);
    guest_regions(GUEST_DATA, BLOCK, 0x1000);
    guest_out(GUEST_TASK + 1, 1, DATA_SET_TRIM);
    assert_int_equal(guest_ide_dma(0x06, 0, 1), GOOD);
    assert_int_equal(disk[(VOLUME_FIRST + 1) * BLOCK], 0);
    assert_int_equal(disk[VOLUME_FIRST * BLOCK], 0x77);
    assert_int_equal(disk[(VOLUME_FIRST + VOLUME_COUNT) * BLOCK], 0x77);
}

/* What SMART tells is read as it is; nothing is written through the data register beside sectors. */
static void smart_is_read_only(void **state)
{
    (void)state;
    guest_out(GUEST_TASK + 1, 1, 0xd0);
    guest_ide_command(0xb0, 0xc24f00, 1);
    assert_int_equal(guest_ide_wait(), GOOD | STATUS_DATA);
    uint16_t words[BLOCK / 2];
    for (unsigned i = 0; i < BLOCK / 2; i++)
        words[i] = (uint16_t)guest_in(GUEST_TASK, 2);
    assert_memory_equal(words, ide.drives[1].data, BLOCK);
    assert_int_equal(guest_ide_wait(), GOOD);
    guest_out(GUEST_TASK, 2, 0x1234);
    assert_int_equal(ide.bad_data, 0);
}

static void native_ports_stay(void **state)
{
    (void)state;
    guest_config_write(0x10, 4, 0xffffffff);
    assert_int_equal(guest_config_read(0x10, 4), 0xfff9);
    guest_config_write(0x14, 4, 0xffffffff);
    assert_int_equal(guest_config_read(0x14, 4), 0xfffd);
    assert_int_equal(guest_in(GUEST_CONTROL, 1), 0xff);
    guest_config_write(0x10, 4, FAKE_IDE_NATIVE_TASK);
    guest_config_write(0x14, 4, FAKE_IDE_NATIVE_CONTROL);
    assert_int_equal(guest_in(GUEST_CONTROL, 1), GOOD);
    guest_config_write(9, 1, 0x80); /* the mode stays */
    assert_int_equal(guest_config_read(8, 4) >> 8, 0x010181);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, before, after)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(second_drive_has_the_volume), TEST(elsewhere_is_denied), TEST(discard_is_allowed_inside),
        TEST(smart_is_read_only),          TEST(native_ports_stay),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
