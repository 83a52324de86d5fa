/* SPDX-License-Identifier: Apache-2.0 */
/* IDENTIFY DEVICE data: what is read from it, what is hidden, and padded text. */
#include "lib/ata.h"
#include "lib/padded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static uint8_t data[ATA_IDENTIFY_BYTES];

static int set_up(void **state)
{
    (void)state;
    memset(data, 0, sizeof(data));
    return 0;
}

static void test_padded_text(void **state)
{
    (void)state;
    char out[8];
    padded_text(out, sizeof(out), (const uint8_t *)"  AB\x01 C \0", 9);
    assert_string_equal(out, "AB??C");
    padded_text(out, sizeof(out), (const uint8_t *)"0123456789", 10);
    assert_string_equal(out, "0123456");
    padded_text(out, sizeof(out), (const uint8_t *)"    ", 4);
    assert_string_equal(out, "");
    padded_text(out, 0, (const uint8_t *)"AB", 2);
}

static void test_serial(void **state)
{
    (void)state;
    char out[ATA_SERIAL_BYTES + 1];
    memcpy(data + 20, "      BADC1F2G      ", ATA_SERIAL_BYTES);
    ata_serial(data, out);
    assert_string_equal(out, "ABCDF1G2");
}

static void test_sectors(void **state)
{
    (void)state;
    ata_set_word(data, 60, 0x5678);
    ata_set_word(data, 61, 0x0234);
    ata_set_word(data, 100, 0x9abc);
    ata_set_word(data, 102, 0x0001);
    assert_int_equal(ata_sectors(data), 0x02345678);
    ata_set_word(data, 83, 0x4400);
    assert_int_equal(ata_sectors(data), 0x100009abcull);
    ata_set_word(data, 100, 0);
    ata_set_word(data, 102, 0);
    assert_int_equal(ata_sectors(data), 0x02345678);
}

static void test_sector_size(void **state)
{
    (void)state;
    ata_set_word(data, 117, 2048);
    assert_int_equal(ata_sector_bytes(data), 512);
    ata_set_word(data, 106, 0x1000); /* not valid */
    assert_int_equal(ata_sector_bytes(data), 512);
    ata_set_word(data, 106, 0x5000);
    assert_int_equal(ata_sector_bytes(data), 4096);
    ata_set_word(data, 106, 0x6003); /* large physical sectors alone */
    assert_int_equal(ata_sector_bytes(data), 512);
}

static void test_multiple(void **state)
{
    (void)state;
    ata_set_word(data, 59, 0x0010);
    assert_int_equal(ata_multiple(data), 0);
    ata_set_word(data, 59, 0xf110);
    assert_int_equal(ata_multiple(data), 16);
}

static void test_hiding(void **state)
{
    (void)state;
    memset(data, 0xff, sizeof(data));
    ata_set_word(data, 255, 0x00a5);
    ata_hide_features(data, 8);
    assert_int_equal(ata_word(data, 59), 0x01ff);
    assert_int_equal(ata_word(data, 75), 0);
    assert_int_equal(ata_word(data, 76), 0x000e);
    assert_int_equal(ata_word(data, 82) & 0x0002, 0);      /* security */
    assert_int_equal(ata_word(data, 83) & 0x0903, 0);      /* SET MAX security, DCO, queues, microcode */
    assert_int_equal(ata_word(data, 83) & 0x7400, 0x7400); /* 48 bits, flushes, valid */
    assert_int_equal(ata_word(data, 84) & 0x00a2, 0);      /* queued FUA, logs, self-test */
    assert_int_equal(ata_word(data, 105), 8);
    assert_int_equal(ata_word(data, 128), 0);
    assert_int_equal(ata_word(data, 206), 0);
    assert_int_equal(ata_word(data, 88), 0xffff); /* transfer modes stay */
    uint8_t sum = 0;
    for (unsigned i = 0; i < sizeof(data); i++)
        sum = (uint8_t)(sum + data[i]);
    assert_int_equal(sum, 0);
    ata_set_word(data, 255, 0x1200); /* no checksum: none is made */
    ata_set_word(data, 105, 4);
    ata_hide_features(data, 8);
    assert_int_equal(ata_word(data, 255), 0x1200);
    assert_int_equal(ata_word(data, 105), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_padded_text, set_up), cmocka_unit_test_setup(test_serial, set_up),
        cmocka_unit_test_setup(test_sectors, set_up),     cmocka_unit_test_setup(test_sector_size, set_up),
        cmocka_unit_test_setup(test_multiple, set_up),    cmocka_unit_test_setup(test_hiding, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
