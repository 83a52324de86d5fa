/* SPDX-License-Identifier: Apache-2.0 */
/* The formatter beside the C library's, report's rule, and the string helpers of our own. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/format.h"
#include "lib/report.h"
#include "lib/strings.h"

/* Formats twice and compares text and length. */
#define SAME(...)                                                                                            \
    do {                                                                                                     \
        char ours[128], theirs[128];                                                                         \
        size_t length = format(ours, sizeof(ours), __VA_ARGS__);                                             \
        assert_int_equal(length, snprintf(theirs, sizeof(theirs), __VA_ARGS__));                             \
        assert_string_equal(ours, theirs);                                                                   \
    } while (0)

static void matches_the_c_library(void **state)
{
    (void)state;
    SAME("plain 100%%");
    SAME("%d %i %u", -7, INT_MIN, UINT_MAX);
    SAME("%x %X %08x %8x|%-8x|", 0xbeefu, 0xbeefu, 0x1fu, 0x1fu, 0x1fu);
    SAME("%5d|%-5d|%05d|%05d", -42, -42, -42, 42);
    SAME("%ld %lld %lu %llx", LONG_MIN, LLONG_MIN, ULONG_MAX, ULLONG_MAX);
    SAME("%zu %zx", (size_t)-1, (size_t)4096);
    SAME("%hhu %hhx %hd %hu", (unsigned char)200, (unsigned char)255, (short)-2, (unsigned short)65535);
    SAME("%s|%8s|%-8s|%.2s|%8.1s|", "abc", "abc", "abc", "abc", "abc");
    SAME("%.*s|%*d|%*d|", 2, "xyz", 6, 12, -6, 12);
    SAME("%c%c|%3c|%-3c|", 'o', 'k', 'x', 'y');
    SAME("%u%u", 0u, 10u);
    SAME("%020llu %0*d", 18446744073709551615ull, 7, -3);
}

static void reads_no_more_than_the_precision(void **state)
{
    (void)state;
    char out[16];
    const char unterminated[3] = {'a', 'b', 'c'};
    assert_int_equal(format(out, sizeof(out), "%.*s", 3, unterminated), 3);
    assert_string_equal(out, "abc");
}

static void shows_pointers_and_oddities(void **state)
{
    (void)state;
    char out[64];
    format(out, sizeof(out), "%p", (void *)(uintptr_t)0x1000);
    assert_string_equal(out, "0x1000");
    const char *volatile none = NULL, *volatile odd = "%q %";
    format(out, sizeof(out), "%s", none);
    assert_string_equal(out, "(null)");
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
    format(out, sizeof(out), odd);
#pragma GCC diagnostic pop
    assert_string_equal(out, "q ");
}

static void stays_in_its_buffer(void **state)
{
    (void)state;
    char out[8];
    memset(out, 'Z', sizeof(out));
    assert_int_equal(format(out, 4, "%s%d", "abcdef", 12345), 3);
    assert_string_equal(out, "abc");
    assert_int_equal(out[4], 'Z');
    assert_int_equal(format(out, 1, "abc"), 0);
    assert_int_equal(out[0], '\0');
    memset(out, 'Z', sizeof(out));
    assert_int_equal(format(out, 0, "abc"), 0);
    assert_int_equal(out[0], 'Z');
    assert_int_equal(format(out, sizeof(out), "%99999d", 1), 7);
    assert_string_equal(out, "       ");
}

static void report_keeps_the_first_cause(void **state)
{
    (void)state;
    struct report problem = {""};
    assert_false(report(&problem, "line %d is bad", 3));
    assert_false(report(&problem, "and so is all of it"));
    assert_string_equal(problem.text, "line 3 is bad");
}

static void report_cuts_long_sentences(void **state)
{
    (void)state;
    struct report problem = {""};
    assert_false(report(&problem, "%*d", 3 * REPORT_MAX, 1));
    assert_int_equal(strlen(problem.text), REPORT_MAX - 1);
}

static void copies_and_compares(void **state)
{
    (void)state;
    char out[4];
    assert_true(copy_string(out, sizeof(out), "abc"));
    assert_string_equal(out, "abc");
    assert_false(copy_string(out, sizeof(out), "wxyz"));
    assert_string_equal(out, "wxy");
    assert_false(copy_string(out, 0, ""));
    assert_true(equal_constant_time("abcd", "abcd", 4));
    assert_true(equal_constant_time("abcd", "abce", 3));
    assert_false(equal_constant_time("abcd", "abce", 4));
    assert_false(equal_constant_time("xbcd", "abcd", 4));
    assert_true(equal_constant_time("a", "b", 0));
    char secret[5] = "keep";
    wipe(secret, 3);
    assert_memory_equal(secret, "\0\0\0p", 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_the_c_library),        cmocka_unit_test(reads_no_more_than_the_precision),
        cmocka_unit_test(shows_pointers_and_oddities),  cmocka_unit_test(stays_in_its_buffer),
        cmocka_unit_test(report_keeps_the_first_cause), cmocka_unit_test(report_cuts_long_sentences),
        cmocka_unit_test(copies_and_compares),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
