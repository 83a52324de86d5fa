/* SPDX-License-Identifier: Apache-2.0 */
/* Sectors against IEEE 1619's vectors, and the plain64 numbering against one sector at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/volume/sector.h"
#include "tests/unit/support/xts_vectors.h"

#define SECTOR 512

static void from_hex(const char *text, uint8_t *out, size_t bytes)
{
    assert_int_equal(strlen(text), bytes * 2);
    for (size_t i = 0; i < bytes; i++) {
        unsigned value;
        assert_int_equal(sscanf(text + 2 * i, "%2x", &value), 1);
        out[i] = (uint8_t)value;
    }
}

static void pattern(uint8_t *out, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        out[i] = (uint8_t)i;
}

static void test_published_vectors(void **state)
{
    (void)state;
    uint8_t bytes[64], plain[SECTOR], expected[SECTOR] = {0}, out[SECTOR];
    for (size_t i = 0; i < ARRAY_COUNT(xts_vectors); i++) {
        const struct xts_vector *v = &xts_vectors[i];
        const uint32_t key_bytes = (uint32_t)strlen(v->key) / 2;
        if (!v->plaintext)
            pattern(plain, SECTOR);
        else if (!*v->plaintext)
            memcpy(plain, expected, SECTOR);
        else
            from_hex(v->plaintext, plain, SECTOR);
        from_hex(v->key, bytes, key_bytes);
        from_hex(v->ciphertext, expected, SECTOR);

        struct sector_key key;
        assert_true(sector_key_set(&key, bytes, key_bytes, SECTOR));
        sector_encrypt(&key, v->unit, plain, out, SECTOR);
        assert_memory_equal(out, expected, SECTOR);
        sector_decrypt(&key, v->unit, expected, out, SECTOR);
        assert_memory_equal(out, plain, SECTOR);
        sector_encrypt(&key, v->unit, plain, plain, SECTOR); /* in place */
        assert_memory_equal(plain, expected, SECTOR);
        sector_key_wipe(&key);
    }
}

/* The tweak of each sector is its first 512-byte unit, also for larger sectors; a run is the sum of its
 * sectors. */
static void test_numbering(void **state)
{
    (void)state;
    static uint8_t plain[8 * 4096], whole[sizeof(plain)], one[sizeof(plain)], back[sizeof(plain)];
    uint8_t bytes[64];
    pattern(bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(plain); i++)
        plain[i] = (uint8_t)(i * 7 + i / 256);
    static const uint64_t units[] = {0, 8, 1ull << 32, (1ull << 63) + 16};
    for (uint32_t sector = 512; sector <= 4096; sector *= 2)
        for (size_t u = 0; u < ARRAY_COUNT(units); u++) {
            struct sector_key key;
            assert_true(sector_key_set(&key, bytes, sizeof(bytes), sector));
            sector_encrypt(&key, units[u], plain, whole, sizeof(plain));
            for (size_t at = 0; at < sizeof(plain); at += sector)
                sector_encrypt(&key, units[u] + at / 512, plain + at, one + at, sector);
            assert_memory_equal(whole, one, sizeof(plain));
            sector_decrypt(&key, units[u], whole, back, sizeof(plain));
            assert_memory_equal(back, plain, sizeof(plain));
        }
}

/* Data need not be aligned, and nothing beyond it is touched. */
static void test_unaligned(void **state)
{
    (void)state;
    uint8_t bytes[32], in[SECTOR + 32], out[SECTOR + 32], aligned[SECTOR];
    pattern(bytes, sizeof(bytes));
    pattern(in, sizeof(in));
    struct sector_key key;
    assert_true(sector_key_set(&key, bytes, sizeof(bytes), SECTOR));
    for (size_t shift = 0; shift < 16; shift++) {
        memset(out, 0xa5, sizeof(out));
        sector_encrypt(&key, 3, in + shift, out + shift + 1, SECTOR);
        sector_encrypt(&key, 3, memmove(aligned, in + shift, SECTOR), aligned, SECTOR);
        assert_memory_equal(out + shift + 1, aligned, SECTOR);
        for (size_t i = 0; i < sizeof(out); i++)
            if (i < shift + 1 || i >= shift + 1 + SECTOR)
                assert_int_equal(out[i], 0xa5);
    }
}

static void test_bad_sizes(void **state)
{
    (void)state;
    static const uint32_t bad_keys[] = {0, 16, 31, 33, 48, 63, 65, 128},
                          bad_sectors[] = {0, 1, 256, 511, 513, 1536, 3072, 8192};
    uint8_t bytes[128] = {1};
    struct sector_key key;
    for (size_t i = 0; i < ARRAY_COUNT(bad_keys); i++)
        assert_false(sector_key_set(&key, bytes, bad_keys[i], 512));
    for (size_t i = 0; i < ARRAY_COUNT(bad_sectors); i++)
        assert_false(sector_key_set(&key, bytes, 64, bad_sectors[i]));
}

static void test_wipe(void **state)
{
    (void)state;
    static const struct sector_key empty;
    uint8_t bytes[64];
    pattern(bytes, sizeof(bytes));
    struct sector_key key = {0};
    assert_true(sector_key_set(&key, bytes, sizeof(bytes), 512));
    assert_memory_not_equal(&key, &empty, sizeof(key));
    sector_key_wipe(&key);
    assert_memory_equal(&key, &empty, sizeof(key));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_vectors),
        cmocka_unit_test(test_numbering),
        cmocka_unit_test(test_unaligned),
        cmocka_unit_test(test_bad_sizes),
        cmocka_unit_test(test_wipe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
