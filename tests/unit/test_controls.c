/* SPDX-License-Identifier: Apache-2.0 */
/* The VM-execution controls that are chosen, from the capability MSRs of real CPUs and of poorer ones. */
#include "guest/vmx/controls.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define CAPABILITY(may, must) ((uint64_t)(may) << 32 | (must))

/* The true capability MSRs of a Haswell (4th generation Core). */
static const uint64_t haswell[CONTROL_GROUPS] = {
    [CONTROLS_PIN] = CAPABILITY(0x7f, 0x16),       [CONTROLS_PROCESSOR] = CAPABILITY(0xfff9fffe, 0x04006172),
    [CONTROLS_SECONDARY] = CAPABILITY(0x7cff, 0),  [CONTROLS_EXIT] = CAPABILITY(0x7fffff, 0x36dfb),
    [CONTROLS_ENTRY] = CAPABILITY(0xffff, 0x11fb),
};

static uint32_t chosen(enum control_group group, uint64_t capability)
{
    uint32_t value = 0;
    assert_true(controls_choose(group, capability, &value));
    assert_int_equal(value & (uint32_t)capability, (uint32_t)capability);
    assert_int_equal(value & ~(uint32_t)(capability >> 32), 0);
    return value;
}

static void expect_refused(enum control_group group, uint64_t capability)
{
    uint32_t value;
    assert_false(controls_choose(group, capability, &value));
}

static void test_haswell(void **state)
{
    (void)state;
    assert_int_equal(chosen(CONTROLS_PIN, haswell[CONTROLS_PIN]), 0x3e);
    assert_int_equal(chosen(CONTROLS_PROCESSOR, haswell[CONTROLS_PROCESSOR]), 0x96006172);
    assert_int_equal(chosen(CONTROLS_SECONDARY, haswell[CONTROLS_SECONDARY]), 0x10aa);
    assert_int_equal(chosen(CONTROLS_EXIT, haswell[CONTROLS_EXIT]), 0x3f6fff & ~0x400000u);
    assert_int_equal(chosen(CONTROLS_ENTRY, haswell[CONTROLS_ENTRY]), 0xd1ff);
}

static void test_what_instructions_need_is_taken_where_it_is(void **state)
{
    (void)state;
    uint32_t value = chosen(CONTROLS_SECONDARY, CAPABILITY(0xffffffff, 0));
    assert_int_equal(value, SECONDARY_EPT | SECONDARY_UNRESTRICTED_GUEST | SECONDARY_RDTSCP | SECONDARY_VPID |
                                SECONDARY_INVPCID | SECONDARY_XSAVES | SECONDARY_USER_WAIT);
    assert_int_equal(chosen(CONTROLS_SECONDARY, CAPABILITY(SECONDARY_EPT | SECONDARY_UNRESTRICTED_GUEST, 0)),
                     SECONDARY_EPT | SECONDARY_UNRESTRICTED_GUEST);
}

/* Each needed control, taken away. */
static void test_a_missing_control_is_refused(void **state)
{
    (void)state;
    for (unsigned group = 0; group < CONTROL_GROUPS; group++) {
        uint32_t needed = wishes[group].needed;
        assert_true(needed);
        for (uint32_t left = needed; left; left &= left - 1)
            expect_refused(group, haswell[group] & ~((uint64_t)(left & -left) << 32));
    }
}

/* Each exit that would be the guest's business, forced. A CPU without true controls forces CR3 exits. */
static void test_a_forced_exit_is_refused(void **state)
{
    (void)state;
    for (unsigned group = 0; group < CONTROL_GROUPS; group++)
        for (uint32_t left = wishes[group].forbidden; left; left &= left - 1) {
            uint64_t bit = left & -left;
            expect_refused(group, haswell[group] | bit | bit << 32);
        }
    expect_refused(CONTROLS_PROCESSOR, CAPABILITY(0xfff9fffe, 0x0401e172));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_haswell),
        cmocka_unit_test(test_what_instructions_need_is_taken_where_it_is),
        cmocka_unit_test(test_a_missing_control_is_refused),
        cmocka_unit_test(test_a_forced_exit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
