/* SPDX-License-Identifier: Apache-2.0 */
/* libcrypto on our own locks, locals and entropy, and the loader's C library functions beside the real ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/port/port.h"
#include "crypto/volume/sector.h"
#include <openssl/evp.h>
#include <openssl/rand.h>

/* The loader's functions under names of their own. */
#define malloc           port_malloc
#define calloc           port_calloc
#define realloc          port_realloc
#define free             port_free
#define getenv           port_getenv
#define secure_getenv    port_secure_getenv
#define abort            port_abort
#define __errno_location port_errno_location
#define strtol           port_strtol
#define strtoul          port_strtoul
#define qsort            port_qsort
#define strcpy           port_strcpy
#define strncpy          port_strncpy
#define strrchr          port_strrchr
#define strstr           port_strstr
#define strspn           port_strspn
#define strcspn          port_strcspn
#define strdup           port_strdup
#define time             port_time
#include "crypto/port/efi_libc.c"
#undef malloc
#undef calloc
#undef realloc
#undef free
#undef strtol
#undef strtoul
#undef qsort
#undef strcpy
#undef strncpy
#undef strrchr
#undef strstr
#undef strspn
#undef strcspn
#undef strdup
#undef time
#undef getenv
#undef abort
#undef secure_getenv
#undef __errno_location

static unsigned draws;
static bool dry;

static bool entropy(void *context, void *out, size_t size)
{
    draws++;
    return !dry && crypto_cpu_entropy(context, out, size);
}

static void *allocate(void *context, size_t size)
{
    (void)context;
    return malloc(size);
}

static void release(void *context, void *memory)
{
    (void)context;
    free(memory);
}

static uint64_t seconds(void *context)
{
    (void)context;
    return 1700000000;
}

static void test_start(void **state)
{
    (void)state;
    struct crypto_surroundings s = {.allocate = allocate, .entropy = entropy, .seconds = seconds};
    assert_null(crypto_surroundings());
    assert_false(crypto_start(NULL));
    assert_false(crypto_start(&s)); /* release is missing */
    assert_null(crypto_surroundings());
    s.release = release;
    assert_true(crypto_start(&s));
    assert_non_null(crypto_surroundings());
    assert_false(crypto_start(&s));
}

static void test_no_entropy(void **state)
{
    (void)state;
    uint8_t bytes[32];
    dry = true;
    assert_int_not_equal(RAND_bytes(bytes, sizeof(bytes)), 1);
    assert_true(draws > 0);
    dry = false;
}

static void test_random(void **state)
{
    (void)state;
    uint8_t a[32] = {0}, b[32] = {0};
    draws = 0;
    assert_int_equal(RAND_bytes(a, sizeof(a)), 1);
    assert_int_equal(RAND_bytes(b, sizeof(b)), 1);
    assert_true(draws > 0);
    assert_memory_not_equal(a, b, sizeof(a));
    assert_true(crypto_cpu_entropy(NULL, a, 13));
    assert_true(crypto_cpu_entropy(NULL, b, 13));
    assert_memory_not_equal(a, b, 13);
}

static void test_key_agreement(void **state)
{
    (void)state;
    EVP_PKEY *mine = EVP_PKEY_Q_keygen(NULL, NULL, "X25519"),
             *theirs = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    assert_non_null(mine);
    assert_non_null(theirs);
    uint8_t secrets[2][32];
    EVP_PKEY *const sides[2][2] = {{mine, theirs}, {theirs, mine}};
    for (unsigned i = 0; i < 2; i++) {
        size_t length = sizeof(secrets[i]);
        EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(sides[i][0], NULL);
        assert_int_equal(EVP_PKEY_derive_init(context), 1);
        assert_int_equal(EVP_PKEY_derive_set_peer(context, sides[i][1]), 1);
        assert_int_equal(EVP_PKEY_derive(context, secrets[i], &length), 1);
        EVP_PKEY_CTX_free(context);
    }
    assert_memory_equal(secrets[0], secrets[1], sizeof(secrets[0]));
    EVP_PKEY_free(mine);
    EVP_PKEY_free(theirs);
}

/* The sector path against libcrypto's own XTS, for every sector size. */
static void test_sector_against_evp(void **state)
{
    (void)state;
    uint8_t key_bytes[64];
    static uint8_t plain[4096], ours[4096], theirs[4096];
    assert_int_equal(RAND_bytes(key_bytes, sizeof(key_bytes)), 1);
    assert_int_equal(RAND_bytes(plain, sizeof(plain)), 1);
    for (uint32_t key_length = 32; key_length <= 64; key_length *= 2)
        for (uint32_t sector = 512; sector <= 4096; sector *= 2) {
            struct sector_key key;
            const uint64_t unit = 0x123456789abcdef8;
            uint8_t iv[16] = {0};
            memcpy(iv, &unit, sizeof(unit));
            assert_true(sector_key_set(&key, key_bytes, key_length, sector));
            sector_encrypt(&key, unit, plain, ours, sector);
            EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
            int length = 0;
            const EVP_CIPHER *cipher = key_length == 32 ? EVP_aes_128_xts() : EVP_aes_256_xts();
            assert_int_equal(EVP_EncryptInit_ex(context, cipher, NULL, key_bytes, iv), 1);
            assert_int_equal(EVP_EncryptUpdate(context, theirs, &length, plain, (int)sector), 1);
            assert_int_equal(length, sector);
            EVP_CIPHER_CTX_free(context);
            assert_memory_equal(ours, theirs, sector);
        }
}

static void test_heap(void **state)
{
    (void)state;
    uint8_t *p = port_malloc(100);
    assert_non_null(p);
    assert_int_equal((uintptr_t)p % 16, 0);
    memset(p, 0x5a, 100);
    p = port_realloc(p, 5000);
    assert_int_equal(p[0], 0x5a);
    assert_int_equal(p[99], 0x5a);
    p = port_realloc(p, 10);
    assert_int_equal(p[9], 0x5a);
    port_free(p);
    port_free(NULL);
    p = port_calloc(3, 7);
    for (unsigned i = 0; i < 21; i++)
        assert_int_equal(p[i], 0);
    port_free(p);
    assert_null(port_calloc(SIZE_MAX / 2, 3));
    assert_null(port_malloc(SIZE_MAX));
    assert_null(port_realloc(NULL, SIZE_MAX - 8));
    char *copy = port_strdup("shoji");
    assert_string_equal(copy, "shoji");
    port_free(copy);
}

static void test_numbers(void **state)
{
    (void)state;
    static const char *const texts[] = {"0",
                                        "7",
                                        " \t-12x",
                                        "+9",
                                        "0x1F",
                                        "0x",
                                        "0xg",
                                        "017",
                                        "08",
                                        "",
                                        "-",
                                        "abc",
                                        "zz",
                                        "-0x8000000000000000",
                                        "9223372036854775807",
                                        "9223372036854775808",
                                        "-9223372036854775809",
                                        "18446744073709551615",
                                        "18446744073709551616",
                                        "99999999999999999999999"};
    static const int bases[] = {0, 8, 10, 16, 36};
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
        for (size_t b = 0; b < ARRAY_COUNT(bases); b++) {
            char *ours, *theirs;
            assert_true(port_strtol(texts[i], &ours, bases[b]) == strtol(texts[i], &theirs, bases[b]));
            assert_ptr_equal(ours, theirs);
            assert_true(port_strtoul(texts[i], &ours, bases[b]) == strtoul(texts[i], &theirs, bases[b]));
            assert_ptr_equal(ours, theirs);
        }
    assert_int_equal(port_time(NULL), 1700000000);
    assert_null(port_getenv("PATH"));
    assert_null(port_secure_getenv("PATH"));
}

static int compare_ints(const void *a, const void *b)
{
    const int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

static void test_sort(void **state)
{
    (void)state;
    int ours[200], theirs[200];
    uint32_t random = 1;
    for (size_t count = 0; count <= ARRAY_COUNT(ours); count++) {
        for (size_t i = 0; i < count; i++) {
            random = random * 1664525 + 1013904223;
            ours[i] = theirs[i] = (int)(random >> 24);
        }
        port_qsort(ours, count, sizeof(ours[0]), compare_ints);
        qsort(theirs, count, sizeof(theirs[0]), compare_ints);
        assert_memory_equal(ours, theirs, count * sizeof(ours[0]));
    }
}

static void test_strings(void **state)
{
    (void)state;
    static const char *const words[] = {"", "a", "ab", "abcab", "bca", "cab", "xyz", "aab", "aaab"};
    for (size_t i = 0; i < ARRAY_COUNT(words); i++)
        for (size_t j = 0; j < ARRAY_COUNT(words); j++) {
            assert_ptr_equal(port_strstr(words[i], words[j]), strstr(words[i], words[j]));
            assert_int_equal(port_strspn(words[i], words[j]), strspn(words[i], words[j]));
            assert_int_equal(port_strcspn(words[i], words[j]), strcspn(words[i], words[j]));
            assert_ptr_equal(port_strrchr(words[i], words[j][0]), strrchr(words[i], words[j][0]));
        }
    char text[8];
    memset(text, 'x', sizeof(text));
    assert_ptr_equal(port_strncpy(text, "abc", 6), text);
    assert_memory_equal(text, "abc\0\0\0xx", 8);
    port_strncpy(text, "abcdefgh", 2);
    assert_memory_equal(text, "abc\0\0\0xx", 8);
    port_strcpy(text, "hello");
    assert_string_equal(text, "hello");
}

int main(void)
{
    /* In this order: the generator is first asked while there is no entropy. */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_start),
        cmocka_unit_test(test_no_entropy),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_key_agreement),
        cmocka_unit_test(test_sector_against_evp),
        cmocka_unit_test(test_heap),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_sort),
        cmocka_unit_test(test_strings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
