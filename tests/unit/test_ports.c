/* SPDX-License-Identifier: Apache-2.0 */
/* Trapped ports: an access that is wider than what is trapped, or that only ends in it, does not get around
 * it. */
#include "guest/ports.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char seen[128]; /* what the handlers were asked */
static struct vcpu vcpu;
static bool trapped[0x10000];
static unsigned skipped, strings;

void vcpu_trap_port(uint16_t port)
{
    trapped[port] = true;
}

void vcpu_skip(struct vcpu *v, unsigned length)
{
    assert_ptr_equal(v, &vcpu);
    skipped += length;
}

void string_io(struct vcpu *v, const struct port_access *access)
{
    assert_ptr_equal(v, &vcpu);
    assert_true(access->string);
    strings++;
}

static void note(struct vcpu *v, uint16_t port, unsigned bytes, bool write, uint32_t *value)
{
    assert_ptr_equal(v, &vcpu);
    size_t at = strlen(seen);
    if (write)
        snprintf(seen + at, sizeof seen - at, "%x/%u=%x ", port, bytes, *value);
    else
        *value = port;
}

static int set_up(void **state)
{
    (void)state;
    rule_count = 0;
    skipped = strings = 0;
    seen[0] = 0;
    memset(trapped, 0, sizeof trapped);
    vcpu = (struct vcpu){.cpu = NULL};
    bool done = true;
    for (uint16_t port = 0x61; port <= 0x64; port++)
        done = done && ports_trap((struct port_rule){.first = port, .count = 1, .access = note});
    return done && ports_trap((struct port_rule){.first = 0x602, .count = 2, .access = note}) &&
                   ports_trap((struct port_rule){.first = 0x604, .count = 2, .access = note}) &&
                   ports_trap((struct port_rule){.first = 0xcf8, .count = 8, .access = note}) &&
                   ports_trap((struct port_rule){.first = 0xffff, .count = 1, .access = note})
               ? 0
               : -1;
}

static void out(uint16_t port, unsigned bytes, uint64_t value)
{
    struct port_access access = {.port = port, .bytes = (uint8_t)bytes, .write = true, .length = 1};
    vcpu.gpr[RAX] = value;
    exit_port(&vcpu, &access);
}

static uint64_t in(uint16_t port, unsigned bytes)
{
    struct port_access access = {.port = port, .bytes = (uint8_t)bytes, .length = 1};
    vcpu.gpr[RAX] = 0x1122334455667788;
    exit_port(&vcpu, &access);
    return vcpu.gpr[RAX];
}

static void test_traps(void **state)
{
    (void)state;
    assert_true(trapped[0x61] && trapped[0x602] && trapped[0x605] && trapped[0xcf8] && trapped[0xcff]);
    assert_false(trapped[0x60] || trapped[0x601] || trapped[0x606] || trapped[0xd00]);
}

static void test_within_a_rule(void **state)
{
    (void)state;
    out(0x604, 2, 0xffffffffffff2001);
    out(0xcf8, 4, 0x80001234);
    out(0xcfd, 1, 0xabcd);
    assert_string_equal(seen, "604/2=2001 cf8/4=80001234 cfd/1=cd ");
    assert_int_equal(skipped, 3);
}

static void test_over_the_edge_of_a_rule(void **state)
{
    (void)state;
    /* The keyboard controller's reset and the power management port's sleep bit, at the end of wide accesses.
     */
    out(0x61, 4, 0xfe030201);
    assert_string_equal(seen, "61/1=1 62/1=2 63/1=3 64/1=fe ");
    seen[0] = 0;
    out(0x602, 4, 0x34010000);
    assert_string_equal(seen, "602/1=0 603/1=0 604/1=1 605/1=34 ");
    seen[0] = 0;
    out(0x603, 2, 0x3412);
    assert_string_equal(seen, "603/1=12 604/1=34 ");
    assert_int_equal(skipped, 3);
}

static void test_reads(void **state)
{
    (void)state;
    assert_int_equal(in(0x604, 1), 0x1122334455667704);
    assert_int_equal(in(0x604, 2), 0x1122334455660604);
    assert_int_equal(in(0xcfc, 4), 0xcfc);
    assert_int_equal(in(0x603, 2), 0x1122334455660403);
    assert_int_equal(in(0x61, 4), 0x64636261);
}

static void test_string_is_done_elsewhere(void **state)
{
    (void)state;
    struct port_access access = {.port = 0x64, .bytes = 1, .write = true, .string = true, .length = 1};
    exit_port(&vcpu, &access);
    assert_int_equal(strings, 1);
    assert_int_equal(skipped, 0);
    assert_string_equal(seen, "");
}

static void note_region(void *owner, uint16_t port, unsigned bytes, bool write, uint32_t *value)
{
    assert_ptr_equal(owner, &strings);
    note(&vcpu, port, bytes, write, value);
}

static void test_region_of_a_device(void **state)
{
    (void)state;
    static const struct port_region region = {0x1f0, 8, note_region, &strings};
    assert_true(port_trap(&region));
    assert_true(trapped[0x1f0] && trapped[0x1f7]);
    out(0x1f0, 4, 0x12345678);
    assert_true(ports_trap((struct port_rule){.first = 0x1f8, .count = 8, .access = note}));
    out(0x1f6, 4, 0x44332211);
    assert_string_equal(seen, "1f0/4=12345678 1f6/1=11 1f7/1=22 1f8/1=33 1f9/1=44 ");
    assert_int_equal(in(0x1f0, 2), 0x11223344556601f0);
}

static void test_table_is_finite(void **state)
{
    (void)state;
    while (rule_count < RULES_MAX)
        assert_true(ports_trap((struct port_rule){.first = 0x1000, .count = 1, .access = note}));
    assert_false(ports_trap((struct port_rule){.first = 0x2000, .count = 1, .access = note}));
    assert_false(trapped[0x2000]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_traps, set_up),
        cmocka_unit_test_setup(test_within_a_rule, set_up),
        cmocka_unit_test_setup(test_over_the_edge_of_a_rule, set_up),
        cmocka_unit_test_setup(test_reads, set_up),
        cmocka_unit_test_setup(test_string_is_done_elsewhere, set_up),
        cmocka_unit_test_setup(test_region_of_a_device, set_up),
        cmocka_unit_test_setup(test_table_is_finite, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
