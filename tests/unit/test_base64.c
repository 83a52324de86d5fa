/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 against the vectors of RFC 4648, and against everything that an encoder would not write. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base64.h"

struct vector {
    const char *text, *bytes;
};

static void decodes_published_vectors(void **state)
{
    (void)state;
    static const struct vector vectors[] = {
        {"", ""},
        {"Zg==", "f"},
        {"Zm8=", "fo"},
        {"Zm9v", "foo"},
        {"Zm9vYg==", "foob"},
        {"Zm9vYmE=", "fooba"},
        {"Zm9vYmFy", "foobar"},
        {"+/+/", "\xfb\xff\xbf"},
    };
    for (unsigned i = 0; i < ARRAY_COUNT(vectors); i++) {
        uint8_t out[16];
        size_t bytes = 99;
        assert_true(base64_decode(vectors[i].text, strlen(vectors[i].text), out, sizeof(out), &bytes));
        assert_int_equal(bytes, strlen(vectors[i].bytes));
        assert_memory_equal(out, vectors[i].bytes, bytes);
    }
}

static void refuses_what_is_not_canonical(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "Z",        "Zg",       "Zg=",  "=",        "====",       "Z===",     "Zg==Zg==",
        "Zm8=Zm8=", "Zh==",     "Zm9=", "Zm9v\n",   " Zm9v",      "Zm 9v===", "Zm-_",
        "Zm9vZ=A=", "Zm9v=AAA", "Z=9v", "Zm9vYg=a", "\xc3\xa9gA",
    };
    for (unsigned i = 0; i < ARRAY_COUNT(texts); i++) {
        uint8_t out[16];
        size_t bytes = 99;
        if (base64_decode(texts[i], strlen(texts[i]), out, sizeof(out), &bytes))
            fail_msg("accepted \"%s\"", texts[i]);
        assert_int_equal(bytes, 0);
    }
}

static void keeps_to_the_capacity(void **state)
{
    (void)state;
    uint8_t out[4] = {0, 0, 0, 0xaa};
    size_t bytes;
    assert_false(base64_decode("Zm9v", 4, out, 2, &bytes));
    assert_true(base64_decode("Zm9v", 4, out, 3, &bytes));
    assert_int_equal(bytes, 3);
    assert_true(base64_decode("Zm8=", 4, out, 2, &bytes));
    assert_int_equal(out[3], 0xaa);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes_published_vectors),
        cmocka_unit_test(refuses_what_is_not_canonical),
        cmocka_unit_test(keeps_to_the_capacity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
