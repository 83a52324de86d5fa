/* SPDX-License-Identifier: Apache-2.0 */
/* Memory types from the MTRRs: fixed and variable ranges, overlaps, and pages of more than one type; checked
 * against a slow model that looks at each 4 KiB page by itself. */
#include "guest/vmx/mtrr.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define ADDRESS_MASK 0xfffffff000ull /* 40 bits of address */

static struct mtrr mtrr;

static void range(uint64_t base, uint64_t length, enum memory_type type)
{
    mtrr.range[mtrr.count++] =
        (struct mtrr_range){.base = base, .mask = ADDRESS_MASK & ~(length - 1), .type = type};
}

static enum memory_type type_of(uint64_t address, uint64_t bytes)
{
    bool uniform;
    enum memory_type type = mtrr_type(&mtrr, address, bytes, &uniform);
    assert_true(uniform);
    return type;
}

static void expect_mixed(uint64_t address, uint64_t bytes)
{
    bool uniform;
    assert_int_equal(mtrr_type(&mtrr, address, bytes, &uniform), MEMORY_UC);
    assert_false(uniform);
}

static int set_up(void **state)
{
    (void)state;
    mtrr = (struct mtrr){.enabled = 1, .default_type = MEMORY_WB};
    return 0;
}

static void test_off_is_uncached(void **state)
{
    (void)state;
    mtrr.enabled = 0;
    mtrr.fixed_enabled = 1;
    range(0, GIB(4), MEMORY_WB);
    assert_int_equal(type_of(0, GIB(1)), MEMORY_UC);
    assert_int_equal(type_of(0xa0000, PAGE_SIZE), MEMORY_UC);
}

static void test_default_type(void **state)
{
    (void)state;
    assert_int_equal(type_of(GIB(8), GIB(1)), MEMORY_WB);
    mtrr.default_type = MEMORY_UC;
    assert_int_equal(type_of(GIB(8), GIB(1)), MEMORY_UC);
}

/* As firmware has it: everything write-back, but the hole for devices. */
static void test_hole_below_four_gigabytes(void **state)
{
    (void)state;
    range(GIB(3), GIB(1), MEMORY_UC);
    range(GIB(2) + MIB(512), MIB(512), MEMORY_UC);
    assert_int_equal(type_of(GIB(1), GIB(1)), MEMORY_WB);
    expect_mixed(GIB(2), GIB(1));
    assert_int_equal(type_of(GIB(2) + MIB(510), MIB(2)), MEMORY_WB);
    assert_int_equal(type_of(GIB(2) + MIB(512), MIB(2)), MEMORY_UC);
    assert_int_equal(type_of(GIB(3), GIB(1)), MEMORY_UC);
    assert_int_equal(type_of(GIB(4), GIB(1)), MEMORY_WB);
}

static void test_range_smaller_than_a_page(void **state)
{
    (void)state;
    range(MIB(64) + KIB(16), KIB(8), MEMORY_WC);
    expect_mixed(0, GIB(1));
    expect_mixed(MIB(64), MIB(2));
    assert_int_equal(type_of(MIB(64) + KIB(12), PAGE_SIZE), MEMORY_WB);
    assert_int_equal(type_of(MIB(64) + KIB(16), PAGE_SIZE), MEMORY_WC);
    assert_int_equal(type_of(MIB(64) + KIB(20), PAGE_SIZE), MEMORY_WC);
    assert_int_equal(type_of(MIB(64) + KIB(24), PAGE_SIZE), MEMORY_WB);
}

/* SDM 3A section 11.11.4.1. */
static void test_overlaps(void **state)
{
    static const struct {
        enum memory_type a, b, both;
    } cases[] = {
        {MEMORY_WB, MEMORY_WB, MEMORY_WB}, {MEMORY_WB, MEMORY_UC, MEMORY_UC},
        {MEMORY_UC, MEMORY_WT, MEMORY_UC}, {MEMORY_WT, MEMORY_WB, MEMORY_WT},
        {MEMORY_WB, MEMORY_WT, MEMORY_WT}, {MEMORY_WC, MEMORY_WB, MEMORY_UC},
    };
    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(cases); i++) {
        mtrr.count = 0;
        range(0, GIB(4), cases[i].a);
        range(GIB(1), GIB(1), cases[i].b);
        assert_int_equal(type_of(0, GIB(1)), cases[i].a);
        assert_int_equal(type_of(GIB(1), GIB(1)), cases[i].both);
    }
}

static void test_fixed_ranges(void **state)
{
    (void)state;
    mtrr.fixed_enabled = 1;
    for (unsigned i = 0; i < MTRR_FIXED; i++)
        mtrr.fixed[i] = i % 2 ? MEMORY_WB : MEMORY_WP;
    expect_mixed(0, MIB(2));
    expect_mixed(0, GIB(1));
    assert_int_equal(type_of(MIB(2), MIB(2)), MEMORY_WB);
    assert_int_equal(type_of(0xf000, PAGE_SIZE), MEMORY_WP); /* 64 KiB each, from 0 */
    assert_int_equal(type_of(0x10000, PAGE_SIZE), MEMORY_WB);
    assert_int_equal(type_of(0x7f000, PAGE_SIZE), MEMORY_WB);
    assert_int_equal(type_of(0x80000, PAGE_SIZE), MEMORY_WP); /* 16 KiB each */
    assert_int_equal(type_of(0x84000, PAGE_SIZE), MEMORY_WB);
    assert_int_equal(type_of(0xbf000, PAGE_SIZE), MEMORY_WB);
    assert_int_equal(type_of(0xc0000, PAGE_SIZE), MEMORY_WP); /* 4 KiB each */
    assert_int_equal(type_of(0xc1000, PAGE_SIZE), MEMORY_WB);
    assert_int_equal(type_of(0xff000, PAGE_SIZE), MEMORY_WB);
    mtrr.fixed_enabled = 0;
    assert_int_equal(type_of(0, MIB(2)), MEMORY_WB);
}

/* Random ranges over 64 MiB: a page is uniform only if each of its parts has its type. */
static void test_against_single_pages(void **state)
{
    static const enum memory_type types[] = {MEMORY_UC, MEMORY_WC, MEMORY_WT, MEMORY_WP, MEMORY_WB};
    unsigned uniform_pages = 0;
    (void)state;
    srand(1);
    for (unsigned round = 0; round < 200; round++) {
        mtrr = (struct mtrr){.enabled = 1, .default_type = MEMORY_WB, .fixed_enabled = round % 2};
        for (unsigned i = 0; i < 6; i++) {
            uint64_t length = PAGE_SIZE << rand() % 13;
            range((uint64_t)(rand() % (MIB(64) / PAGE_SIZE)) * PAGE_SIZE & ~(length - 1), length,
                  types[rand() % ARRAY_COUNT(types)]);
        }
        for (uint64_t at = 0; at < MIB(64); at += MIB(2)) {
            bool uniform, single;
            enum memory_type type = mtrr_type(&mtrr, at, MIB(2), &uniform);
            uniform_pages += uniform;
            for (uint64_t part = at; uniform && part < at + MIB(2); part += PAGE_SIZE)
                assert_int_equal(mtrr_type(&mtrr, part, PAGE_SIZE, &single), type);
        }
    }
    assert_in_range(uniform_pages, 1000, 6399);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_off_is_uncached, set_up),
        cmocka_unit_test_setup(test_default_type, set_up),
        cmocka_unit_test_setup(test_hole_below_four_gigabytes, set_up),
        cmocka_unit_test_setup(test_range_smaller_than_a_page, set_up),
        cmocka_unit_test_setup(test_overlaps, set_up),
        cmocka_unit_test_setup(test_fixed_ranges, set_up),
        cmocka_unit_test_setup(test_against_single_pages, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
