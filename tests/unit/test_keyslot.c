/* SPDX-License-Identifier: Apache-2.0 */
/* Key slots of stock cryptsetup: the volume key must be the one that cryptsetup itself tells. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/support/luks_file.h"

static struct luks2_scratch scratch;
static const uint8_t no_key[LUKS2_KEY_MAX];

static void *give(void *context, size_t size)
{
    (void)context;
    return malloc(size);
}

static void take(void *context, void *memory, size_t size)
{
    (void)context;
    (void)size;
    free(memory);
}

/* The context is the number of bytes that argon2 may use. */
static uint64_t largest(void *context)
{
    return *(const uint64_t *)context;
}

/* One header, opened with one passphrase. */
struct attempt {
    struct luks_file file;
    struct luks2 luks;
    uint64_t memory;
    struct report problem;
    uint8_t key[LUKS2_KEY_MAX];
};

static struct attempt start(const char *name)
{
    struct attempt a = {.file = luks_file_load(name), .memory = MIB(64)};
    struct report problem = {""};
    if (!luks2_read(a.file.data, a.file.size, &a.luks, &scratch, &problem))
        fail_msg("%s refused: %s", name, problem.text);
    return a;
}

static enum luks2_verdict try(struct attempt *a, const char *passphrase)
{
    const struct luks2_help help = {
        .memory = {give, take, largest, &a->memory},
        .problem = &a->problem,
    };
    const struct luks2_bytes file = {a->file.data, a->file.size};
    a->problem = (struct report){""};
    memset(a->key, 0x77, sizeof(a->key));
    enum luks2_verdict verdict = luks2_unlock(&a->luks, &file, passphrase, strlen(passphrase), &help, a->key);
    if (verdict != LUKS2_UNLOCKED)
        assert_memory_equal(a->key, no_key, sizeof(no_key));
    if (verdict == LUKS2_SLOT_FAILED)
        assert_string_not_equal(a->problem.text, "");
    else
        assert_string_equal(a->problem.text, "");
    return verdict;
}

static void assert_key(const struct attempt *a, const char *key_name)
{
    struct luks_file key = luks_file_load(key_name);
    assert_int_equal(key.size, a->luks.key_bytes);
    assert_memory_equal(a->key, key.data, key.size);
    luks_file_free(&key);
}

static const char *const names[] = {"pbkdf2-sha256", "pbkdf2-sha1", "pbkdf2-sha512", "argon2i", "argon2id",
                                    "aes128",        "several",     "wide",          "plain",   "detached"};

static void test_every_kind(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        char header[64], key[64];
        snprintf(header, sizeof(header), "%s.luks", names[i]);
        snprintf(key, sizeof(key), "%s.key", names[i]);
        struct attempt a = start(header);
        assert_int_equal(try(&a, "passphrase 0"), LUKS2_UNLOCKED);
        assert_key(&a, key);
        assert_int_equal(try(&a, "passphrase 00"), LUKS2_WRONG_PASSPHRASE);
        assert_int_equal(try(&a, ""), LUKS2_WRONG_PASSPHRASE);
        luks_file_free(&a.file);
    }
}

/* The slot that cryptsetup makes when it is asked for nothing. */
static void test_default_cost(void **state)
{
    (void)state;
    struct attempt a = start("costly.luks");
    a.memory = GIB(1);
    assert_in_range(a.luks.slots[0].memory_kib, 64 << 10, 1 << 20);
    assert_int_equal(try(&a, "passphrase 0"), LUKS2_UNLOCKED);
    assert_key(&a, "costly.key");
    luks_file_free(&a.file);
}

static void test_several_slots(void **state)
{
    (void)state;
    struct attempt a = start("several.luks");
    static const char *const good[] = {"passphrase 0", "passphrase 1", "passphrase 2", "passphrase 5"};
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        assert_int_equal(try(&a, good[i]), LUKS2_UNLOCKED);
        assert_key(&a, "several.key");
    }
    assert_int_equal(try(&a, "passphrase 3"), LUKS2_WRONG_PASSPHRASE); /* the slot was killed */
    assert_int_equal(try(&a, "passphrase 7"), LUKS2_WRONG_PASSPHRASE); /* priority "ignore" */
    luks_file_free(&a.file);
}

/* A slot that no digest of this segment names is not tried. */
static void test_foreign_slot(void **state)
{
    (void)state;
    struct attempt a = start("several.luks");
    a.luks.digest.slots &= ~(1u << 1);
    assert_int_equal(try(&a, "passphrase 1"), LUKS2_WRONG_PASSPHRASE);
    assert_int_equal(try(&a, "passphrase 5"), LUKS2_UNLOCKED);
    luks_file_free(&a.file);
}

/* What a slot needs and cannot have is said only when no other slot opens. */
static void test_memory(void **state)
{
    (void)state;
    struct attempt a = start("several.luks");
    a.luks.slots[0].memory_kib = 1u << 20;
    assert_int_equal(try(&a, "passphrase 1"), LUKS2_UNLOCKED);
    assert_key(&a, "several.key");
    assert_int_equal(try(&a, "passphrase 0"), LUKS2_SLOT_FAILED);
    assert_non_null(strstr(a.problem.text, "slot 0 needs 1024 MiB"));
    assert_non_null(strstr(a.problem.text, "64 MiB"));
    luks_file_free(&a.file);
}

static void test_unsupported_slot(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
    } changes[] = {
        {"\"encryption\":\"aes-xts-plain64\",\"key_size\":64},",
         "\"encryption\":\"twofish-xts-plain64\",\"key_size\":64},"},
        {"\"stripes\":4000,\"hash\":\"sha256\"", "\"stripes\":4000,\"hash\":\"whirlpool\""},
        {"\"type\":\"pbkdf2\",\"hash\":\"sha256\",\"iterations\":1000,\"salt\"",
         "\"type\":\"pbkdf2\",\"hash\":\"ripemd160\",\"iterations\":1000,\"salt\""},
        {"\"type\":\"pbkdf2\",\"hash\"", "\"type\":\"pbkdf3\",\"hash\""},
        {"\"key_size\":64},\"kdf\"", "\"key_size\":24},\"kdf\""},
    };
    for (size_t i = 0; i < ARRAY_COUNT(changes); i++) {
        struct attempt a = start("pbkdf2-sha256.luks");
        luks_file_replace(&a.file, changes[i].from, changes[i].to);
        struct report problem = {""};
        assert_true(luks2_read(a.file.data, a.file.size, &a.luks, &scratch, &problem));
        assert_int_equal(try(&a, "passphrase 0"), LUKS2_SLOT_FAILED);
        assert_non_null(strstr(a.problem.text, "Key slot 0 uses"));
        luks_file_free(&a.file);
    }
}

/* One bit in any stripe, the first and the last too, changes the whole key: the digest says no. */
static void test_damaged_area(void **state)
{
    (void)state;
    struct attempt a = start("pbkdf2-sha256.luks");
    static const uint32_t places[] = {0, 511, 512, 128000, 4000 * 64 - 1};
    for (size_t i = 0; i < ARRAY_COUNT(places); i++) {
        uint8_t *byte = a.file.data + a.luks.slots[0].area_offset + places[i];
        *byte ^= 0x10;
        assert_int_equal(try(&a, "passphrase 0"), LUKS2_WRONG_PASSPHRASE);
        *byte ^= 0x10;
    }
    assert_int_equal(try(&a, "passphrase 0"), LUKS2_UNLOCKED);
    a.luks.digest.value[a.luks.digest.value_bytes - 1] ^= 1;
    assert_int_equal(try(&a, "passphrase 0"), LUKS2_WRONG_PASSPHRASE);
    luks_file_free(&a.file);
}

static void test_cut_area(void **state)
{
    (void)state;
    struct attempt a = start("pbkdf2-sha256.luks");
    a.file.size = a.luks.slots[0].area_offset + 4000 * 64 - 1;
    assert_int_equal(try(&a, "passphrase 0"), LUKS2_SLOT_FAILED);
    assert_non_null(strstr(a.problem.text, "area of key slot 0"));
    luks_file_free(&a.file);
}

static void test_equal_halves(void **state)
{
    (void)state;
    struct attempt a = start("halves.luks");
    assert_int_equal(try(&a, "passphrase 0"), LUKS2_SLOT_FAILED);
    assert_non_null(strstr(a.problem.text, "halves"));
    assert_int_equal(try(&a, "passphrase 1"), LUKS2_WRONG_PASSPHRASE);
    luks_file_free(&a.file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind),    cmocka_unit_test(test_default_cost),
        cmocka_unit_test(test_several_slots), cmocka_unit_test(test_foreign_slot),
        cmocka_unit_test(test_memory),        cmocka_unit_test(test_unsupported_slot),
        cmocka_unit_test(test_damaged_area),  cmocka_unit_test(test_cut_area),
        cmocka_unit_test(test_equal_halves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
