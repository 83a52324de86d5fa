/* SPDX-License-Identifier: Apache-2.0 */
/* GUID text and the mixed-endian bytes behind it. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "lib/guid.h"

/* The EFI system partition's type, as UEFI writes it and as it lies on a disk. */
static const char esp_text[] = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";
static const uint8_t esp_bytes[16] = {0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11,
                                      0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b};

static void reads_both_cases(void **state)
{
    (void)state;
    struct guid lower, upper;
    assert_true(guid_parse(esp_text, strlen(esp_text), &lower));
    assert_memory_equal(lower.bytes, esp_bytes, sizeof(esp_bytes));
    assert_true(guid_parse("C12A7328-F81F-11D2-BA4B-00A0C93EC93B", 36, &upper));
    assert_true(guid_equal(&lower, &upper));
    upper.bytes[15] ^= 1;
    assert_false(guid_equal(&lower, &upper));
}

static void writes_what_it_reads(void **state)
{
    (void)state;
    struct guid guid;
    char text[GUID_TEXT_SIZE];
    memcpy(&guid, esp_bytes, sizeof(guid));
    guid_text(&guid, text);
    assert_string_equal(text, esp_text);
}

static void refuses_other_text(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "c12a7328-f81f-11d2-ba4b-00a0c93ec93",
        "c12a7328-f81f-11d2-ba4b-00a0c93ec93b0",
        "{c12a7328-f81f-11d2-ba4b-00a0c93ec9}",
        "c12a7328f81f11d2ba4b00a0c93ec93b0000",
        "c12a7328-f81f-11d2-ba4b000a0c93ec93b",
        "c12a7328-f81f-11d2-ba4b-00a0c93ec93g",
        "c12a7328-f81f-11d2-ba4b-00a0c93ec9 b",
        "-12a7328-f81f-11d2-ba4b-00a0c93ec93b",
    };
    for (unsigned i = 0; i < ARRAY_COUNT(texts); i++) {
        struct guid guid = {{0x5a}};
        if (guid_parse(texts[i], strlen(texts[i]), &guid))
            fail_msg("accepted \"%s\"", texts[i]);
        assert_int_equal(guid.bytes[0], 0x5a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_both_cases),
        cmocka_unit_test(writes_what_it_reads),
        cmocka_unit_test(refuses_other_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
