/* SPDX-License-Identifier: Apache-2.0 */
/* The freestanding string functions, under other names, beside the C library's: every small size, distance
 * and alignment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define memcpy  shoji_memcpy
#define memmove shoji_memmove
#define memset  shoji_memset
#define memcmp  shoji_memcmp
#define memchr  shoji_memchr
#define strlen  shoji_strlen
#define strcmp  shoji_strcmp
#define strncmp shoji_strncmp
#define strchr  shoji_strchr
#include "lib/strings.c"
#undef memcpy
#undef memmove
#undef memset
#undef memcmp
#undef memchr
#undef strlen
#undef strcmp
#undef strncmp
#undef strchr

#define AREA 96

static void fill(uint8_t area[AREA])
{
    for (unsigned i = 0; i < AREA; i++)
        area[i] = (uint8_t)(i * 37 + 11);
}

static void copies_like_the_c_library(void **state)
{
    (void)state;
    for (size_t size = 0; size <= 40; size++)
        for (size_t from = 0; from < 16; from++)
            for (size_t to = 0; to < 56; to++) {
                uint8_t ours[AREA], theirs[AREA];
                fill(ours);
                fill(theirs);
                assert_ptr_equal(shoji_memmove(ours + to, ours + from, size), ours + to);
                memmove(theirs + to, theirs + from, size);
                assert_memory_equal(ours, theirs, AREA);
                if (to >= from + size || from >= to + size) {
                    fill(ours);
                    assert_ptr_equal(shoji_memcpy(ours + to, ours + from, size), ours + to);
                    assert_memory_equal(ours, theirs, AREA);
                }
            }
}

static void fills_like_the_c_library(void **state)
{
    (void)state;
    static const int values[] = {0, 1, 0x80, 0xff, -1, 0x1234};
    for (unsigned v = 0; v < ARRAY_COUNT(values); v++)
        for (size_t size = 0; size <= 40; size++)
            for (size_t at = 0; at < 9; at++) {
                uint8_t ours[AREA], theirs[AREA];
                fill(ours);
                fill(theirs);
                assert_ptr_equal(shoji_memset(ours + at, values[v], size), ours + at);
                memset(theirs + at, values[v], size);
                assert_memory_equal(ours, theirs, AREA);
            }
}

static int sign(int value)
{
    return (value > 0) - (value < 0);
}

static void compares_like_the_c_library(void **state)
{
    (void)state;
    static const char *const words[] = {"",    "a",      "b",      "ab",        "abc",
                                        "abd", "ab\x80", "ab\xff", "abcdefghi", "abcdefghj"};
    for (unsigned i = 0; i < ARRAY_COUNT(words); i++)
        for (unsigned j = 0; j < ARRAY_COUNT(words); j++) {
            const char *a = words[i], *b = words[j];
            assert_int_equal(sign(shoji_strcmp(a, b)), sign(strcmp(a, b)));
            for (size_t size = 0; size < 12; size++)
                assert_int_equal(sign(shoji_strncmp(a, b, size)), sign(strncmp(a, b, size)));
            size_t both = MIN(strlen(a), strlen(b)) + 1;
            assert_int_equal(sign(shoji_memcmp(a, b, both)), sign(memcmp(a, b, both)));
        }
}

static void searches_like_the_c_library(void **state)
{
    (void)state;
    static const char text[] = "ab\0c\xff"
                               "b";
    static const int values[] = {'a', 'b', 'c', 0, 0xff, -1, 'z', 'a' + 256};
    for (unsigned v = 0; v < ARRAY_COUNT(values); v++) {
        assert_ptr_equal(shoji_strchr(text, values[v]), strchr(text, values[v]));
        for (size_t size = 0; size < sizeof(text); size++)
            assert_ptr_equal(shoji_memchr(text, values[v], size), memchr(text, values[v], size));
    }
    for (size_t length = 0; length < AREA; length++) {
        char *exact = malloc(length + 1);
        assert_non_null(exact);
        memset(exact, 'x', length);
        exact[length] = '\0';
        assert_int_equal(shoji_strlen(exact), length);
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_like_the_c_library),
        cmocka_unit_test(fills_like_the_c_library),
        cmocka_unit_test(compares_like_the_c_library),
        cmocka_unit_test(searches_like_the_c_library),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
