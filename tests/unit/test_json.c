/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON reader against the corner cases of RFC 8259, and its accessors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/json.h"

#define TOKENS 256

/* A document in memory that ends exactly where its text does, so that ASan sees a read past it. */
struct document {
    struct json json;
    struct json_token tokens[TOKENS];
    char *text;
};

static bool read_document(struct document *d, const char *text, size_t size, uint32_t capacity)
{
    d->text = malloc(size > 0 ? size : 1);
    assert_non_null(d->text);
    memcpy(d->text, text, size);
    return json_parse(&d->json, d->text, size, d->tokens, capacity);
}

struct sample {
    const char *text;
    size_t size; /* 0: strlen */
};

static bool accepts(const struct sample *sample)
{
    static struct document d;
    bool good = read_document(&d, sample->text, sample->size ? sample->size : strlen(sample->text), TOKENS);
    free(d.text);
    return good;
}

static void accepts_valid_documents(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {"{}", 0},
        {"[]", 0},
        {"null", 0},
        {"true", 0},
        {"false", 0},
        {"\"\"", 0},
        {" \t\r\n0 \t\r\n", 0},
        {"-0", 0},
        {"-0.0e-0", 0},
        {"1234567890123456789012345678901234567890", 0},
        {"1e5", 0},
        {"1E+5", 0},
        {"0.5e-10", 0},
        {"[1,2 , 3]", 0},
        {"[[],{},[[]]]", 0},
        {"{\"a\":1,\"b\":[true,null],\"\":{}}", 0},
        {"{\"a\":1,\"A\":2}", 0},
        {"{\"a\":{\"a\":1},\"b\":{\"a\":1}}", 0},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", 0},
        {"\"\\u0000\\u00e9\\uD834\\uDd1e\"", 0},
        {"\"\\ud834\"", 0},
        {"\"\\udd1e\\ud834\"", 0},
        {"\"\\ud834\\u0041\"", 0},
        {"\"\\ud834\\n\"", 0},
        {"\"\x7f \xc2\x80 \xdf\xbf \xe0\xa0\x80 \xed\x9f\xbf \xee\x80\x80 \xef\xbf\xbf \xf0\x90\x80\x80 "
         "\xf4\x8f\xbf\xbf\"",
         0},
    };
    for (unsigned i = 0; i < ARRAY_COUNT(samples); i++)
        if (!accepts(&samples[i]))
            fail_msg("refused %s", samples[i].text);
}

static void refuses_invalid_documents(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {"", 0},
        {" ", 0},
        {"\xef\xbb\xbf{}", 0},
        {"nul", 0},
        {"nullx", 0},
        {"True", 0},
        {"1 2", 0},
        {"{} {}", 0},
        {"[", 0},
        {"]", 0},
        {"[1", 0},
        {"[1,", 0},
        {"[1,]", 0},
        {"[,1]", 0},
        {"[1 2]", 0},
        {"[1}", 0},
        {"{", 0},
        {"}", 0},
        {"{\"a\"", 0},
        {"{\"a\":", 0},
        {"{\"a\":1", 0},
        {"{\"a\":1,}", 0},
        {"{\"a\" 1}", 0},
        {"{\"a\":1 \"b\":2}", 0},
        {"{a:1}", 0},
        {"{1:1}", 0},
        {"{\"a\":1]", 0},
        {"{,}", 0},
        {"{'a':1}", 0},
        {"// comment\n1", 0},
        {"/**/1", 0},
        {"00", 0},
        {"01", 0},
        {"-01", 0},
        {"-", 0},
        {"+1", 0},
        {".5", 0},
        {"1.", 0},
        {"1.e5", 0},
        {"1e", 0},
        {"1e+", 0},
        {"1e+-5", 0},
        {"0x10", 0},
        {"NaN", 0},
        {"Infinity", 0},
        {"-Infinity", 0},
        {"\"", 0},
        {"\"a", 0},
        {"\"\\\"", 0},
        {"\"\\", 0},
        {"\"\\x41\"", 0},
        {"\"\\'\"", 0},
        {"\"\\u\"", 0},
        {"\"\\u12\"", 0},
        {"\"\\u123g\"", 0},
        {"\"\\u123", 0},
        {"\"\\U0041\"", 0},
        {"\"\\ud834\\u\"", 0},
        {"\"\n\"", 0},
        {"\"\t\"", 0},
        {"\"\x1f\"", 0},
        {"\"\0\"", 3},
        {"{}\0", 3},
        {"\0", 1},
        {"1\f", 0},
        {"\"\x80\"", 0},
        {"\"\xc0\x80\"", 0},
        {"\"\xc1\xbf\"", 0},
        {"\"\xc2\"", 0},
        {"\"\xe0\x9f\xbf\"", 0},
        {"\"\xe2\x82\"", 0},
        {"\"\xed\xa0\x80\"", 0},
        {"\"\xf0\x8f\xbf\xbf\"", 0},
        {"\"\xf4\x90\x80\x80\"", 0},
        {"\"\xf5\x80\x80\x80\"", 0},
        {"\"\xff\"", 0},
        {"\"\xc2", 0},
        {"{\"a\":1,\"a\":1}", 0},
        {"{\"a\":1,\"b\":{},\"a\":1}", 0},
        {"{\"a\":1,\"\\u0061\":1}", 0},
        {"{\"\xc3\xa9\":1,\"\\u00e9\":1}", 0},
        {"{\"\xf0\x9d\x84\x9e\":1,\"\\ud834\\udd1e\":1}", 0},
        {"{\"\":1,\"\":1}", 0},
        {"[{\"a\":[{\"b\":1,\"b\":2}]}]", 0},
    };
    for (unsigned i = 0; i < ARRAY_COUNT(samples); i++)
        if (accepts(&samples[i]))
            fail_msg("accepted sample %u: %s", i, samples[i].text);
}

static void limits_depth(void **state)
{
    (void)state;
    char text[2 * JSON_DEPTH_MAX + 2];
    memset(text, '[', JSON_DEPTH_MAX);
    memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    assert_true(accepts(&(struct sample){text, 2 * JSON_DEPTH_MAX}));
    memset(text, '[', JSON_DEPTH_MAX + 1);
    memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
    assert_false(accepts(&(struct sample){text, 2 * JSON_DEPTH_MAX + 2}));
    /* Depth is left again: many containers side by side are no nesting. */
    assert_true(accepts(&(struct sample){"[[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],"
                                         "[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[]]",
                                         0}));
}

static void limits_tokens(void **state)
{
    (void)state;
    static struct document d;
    static const char text[] = "{\"a\":[1,2],\"b\":null}"; /* 7 tokens */
    for (uint32_t capacity = 0; capacity <= 7; capacity++) {
        assert_int_equal(read_document(&d, text, strlen(text), capacity), capacity == 7);
        free(d.text);
    }
    assert_int_equal(d.json.count, 7);
    assert_int_equal(d.tokens[0].next, 7);
    assert_int_equal(d.tokens[0].children, 2);
    assert_int_equal(d.tokens[2].next, 5);
}

static void every_cut_is_refused(void **state)
{
    (void)state;
    static struct document d;
    static const char text[] = "{\"k\\u00e9y\":[-1.5e3,\"\xf0\x9d\x84\x9e\\ud834\\udd1e\",true,null,false]}";
    for (size_t size = 0; size < strlen(text); size++) {
        assert_false(read_document(&d, text, size, TOKENS));
        free(d.text);
    }
    assert_true(read_document(&d, text, strlen(text), TOKENS));
    free(d.text);
}

static void finds_members(void **state)
{
    (void)state;
    static struct document d;
    static const char text[] = "{\"n\":{\"x\":[1]},\"list\":[\"one\",{\"k\":2},[3,4],5],\"w\\u0061\":\"v\"}";
    assert_true(read_document(&d, text, strlen(text), TOKENS));
    const struct json *j = &d.json;
    const struct json_token *root = j->tokens, *list = json_member(j, root, "list"), *key;
    assert_non_null(list);
    assert_int_equal(list->type, JSON_ARRAY);
    assert_int_equal(list->children, 4);
    assert_true(json_is(j, json_at(j, list, 0, NULL), "one"));
    uint64_t value = 0;
    assert_true(json_u64(j, json_member(j, json_at(j, list, 1, NULL), "k"), &value));
    assert_int_equal(value, 2);
    assert_true(json_u64(j, json_at(j, json_at(j, list, 2, NULL), 1, NULL), &value));
    assert_int_equal(value, 4);
    assert_true(json_u64(j, json_at(j, list, 3, &key), &value));
    assert_int_equal(value, 5);
    assert_null(key);
    assert_null(json_at(j, list, 4, NULL));

    assert_true(json_is(j, json_at(j, root, 2, &key), "v"));
    assert_int_equal(key->length, strlen("w\\u0061"));
    assert_ptr_equal(json_member(j, root, "wa"), json_at(j, root, 2, NULL));
    assert_ptr_equal(json_at(j, root, 1, &key), list);
    assert_true(json_is(j, key, "list"));
    assert_null(json_at(j, root, 3, NULL));

    assert_null(json_member(j, root, "x"));
    assert_null(json_member(j, root, "lis"));
    assert_null(json_member(j, root, "list2"));
    assert_null(json_member(j, list, "k"));
    assert_null(json_member(j, NULL, "k"));
    assert_null(json_at(j, NULL, 0, NULL));
    assert_null(json_at(j, json_at(j, list, 3, NULL), 0, NULL));
    free(d.text);
}

static void compares_strings(void **state)
{
    (void)state;
    static struct document d;
    static const char text[] = "[\"abc\",\"a\\u0062c\",\"\",1,\"a\\\\\"]";
    assert_true(read_document(&d, text, strlen(text), TOKENS));
    const struct json *j = &d.json;
    assert_true(json_is(j, &d.tokens[1], "abc"));
    assert_false(json_is(j, &d.tokens[1], "ab"));
    assert_false(json_is(j, &d.tokens[1], "abcd"));
    assert_false(json_is(j, &d.tokens[2], "abc"));
    assert_false(json_is(j, &d.tokens[2], "a\\u0062c"));
    assert_true(json_is(j, &d.tokens[3], ""));
    assert_false(json_is(j, &d.tokens[4], "1"));
    assert_false(json_is(j, NULL, ""));
    free(d.text);
}

static void reads_integers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good;
        uint64_t value;
    } cases[] = {
        {"0", true, 0},
        {"7", true, 7},
        {"\"0\"", true, 0},
        {"\"16777216\"", true, 16777216},
        {"18446744073709551615", true, UINT64_MAX},
        {"\"18446744073709551615\"", true, UINT64_MAX},
        {"18446744073709551616", false, 0},
        {"99999999999999999999999", false, 0},
        {"-1", false, 0},
        {"-0", false, 0},
        {"1.0", false, 0},
        {"1e3", false, 0},
        {"\"\"", false, 0},
        {"\"01\"", false, 0},
        {"\"00\"", false, 0},
        {"\" 1\"", false, 0},
        {"\"1 \"", false, 0},
        {"\"+1\"", false, 0},
        {"\"0x10\"", false, 0},
        {"\"dynamic\"", false, 0},
        {"\"\\u0031\"", false, 0},
        {"true", false, 0},
        {"null", false, 0},
        {"[1]", false, 0},
    };
    for (unsigned i = 0; i < ARRAY_COUNT(cases); i++) {
        static struct document d;
        uint64_t value = 0;
        assert_true(read_document(&d, cases[i].text, strlen(cases[i].text), TOKENS));
        if (json_u64(&d.json, d.tokens, &value) != cases[i].good)
            fail_msg("%s", cases[i].text);
        assert_true(value == cases[i].value);
        free(d.text);
    }
    uint64_t value;
    assert_false(json_u64(NULL, NULL, &value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_valid_documents),
        cmocka_unit_test(refuses_invalid_documents),
        cmocka_unit_test(limits_depth),
        cmocka_unit_test(limits_tokens),
        cmocka_unit_test(every_cut_is_refused),
        cmocka_unit_test(finds_members),
        cmocka_unit_test(compares_strings),
        cmocka_unit_test(reads_integers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
