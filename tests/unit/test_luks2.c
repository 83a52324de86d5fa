/* SPDX-License-Identifier: Apache-2.0 */
/* Headers of stock cryptsetup: what is read from them, which copy wins, and each way in which one is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/support/luks_file.h"

static struct luks2_scratch scratch;

/* Reads from a copy that ends exactly where the file does, so that ASan sees a read past it. */
static bool read_header(const struct luks_file *file, size_t size, struct luks2 *luks, struct report *problem)
{
    *problem = (struct report){""};
    void *exact = malloc(size ? size : 1);
    assert_non_null(exact);
    memcpy(exact, file->data, size);
    const bool good = luks2_read(exact, size, luks, &scratch, problem);
    free(exact);
    if (good)
        assert_string_equal(problem->text, "");
    return good;
}

static void assert_reads(const struct luks_file *file, struct luks2 *luks)
{
    struct report problem;
    if (!read_header(file, file->size, luks, &problem))
        fail_msg("refused: %s", problem.text);
}

static void assert_refused(const struct luks_file *file, size_t size, const char *words)
{
    struct luks2 luks;
    struct report problem;
    assert_false(read_header(file, size, &luks, &problem));
    if (!strstr(problem.text, words))
        fail_msg("\"%s\" does not say \"%s\"", problem.text, words);
}

struct sample {
    const char *name;
    uint32_t key_bytes, sector_bytes;
    enum luks2_kdf kdf;
    enum luks2_hash hash;
    unsigned slots;
};

static const struct sample samples[] = {
    {"pbkdf2-sha256.luks", 64, 512, LUKS2_PBKDF2, LUKS2_SHA256, 1},
    {"pbkdf2-sha1.luks", 64, 512, LUKS2_PBKDF2, LUKS2_SHA1, 1},
    {"pbkdf2-sha512.luks", 64, 4096, LUKS2_PBKDF2, LUKS2_SHA512, 1},
    {"argon2i.luks", 64, 512, LUKS2_ARGON2I, LUKS2_SHA256, 1},
    {"argon2id.luks", 64, 4096, LUKS2_ARGON2ID, LUKS2_SHA256, 1},
    {"aes128.luks", 32, 512, LUKS2_PBKDF2, LUKS2_SHA256, 1},
    {"several.luks", 64, 512, LUKS2_ARGON2ID, LUKS2_SHA256, 5},
    {"wide.luks", 64, 512, LUKS2_PBKDF2, LUKS2_SHA256, 1},
    {"detached.luks", 64, 512, LUKS2_PBKDF2, LUKS2_SHA256, 1},
};

static void test_fields(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(samples); i++) {
        const struct sample *s = &samples[i];
        struct luks_file file = luks_file_load(s->name);
        struct luks2 luks;
        assert_reads(&file, &luks);
        assert_int_equal(luks.key_bytes, s->key_bytes);
        assert_int_equal(luks.sector_bytes, s->sector_bytes);
        assert_int_equal(luks.slot_count, s->slots);
        assert_int_equal(luks.slots[0].kdf, s->kdf);
        assert_int_equal(luks.slots[0].kdf_hash, s->kdf == LUKS2_PBKDF2 ? s->hash : 0);
        assert_int_equal(luks.slots[0].stripes, 4000);
        assert_int_equal(luks.segment_bytes, 0);
        assert_int_equal(luks.iv_tweak, 0);
        assert_false(luks.secondary_used);
        assert_true(luks.seqid > 0);
        char uuid[GUID_TEXT_SIZE];
        guid_text(&luks.uuid, uuid);
        assert_string_equal((const char *)file.data + 168, uuid);
        luks_file_free(&file);
    }
}

static void test_particulars(void **state)
{
    (void)state;
    struct luks2 luks;
    struct luks_file file = luks_file_load("argon2id.luks");
    assert_reads(&file, &luks);
    assert_int_equal(luks.slots[0].memory_kib, 256);
    assert_in_range(luks.slots[0].lanes, 1, 4); /* cryptsetup takes no more than there are CPUs */
    assert_int_equal(luks.slots[0].time, 5);
    assert_int_equal(luks.segment_offset, MIB(3));
    luks_file_free(&file);

    file = luks_file_load("detached.luks");
    assert_reads(&file, &luks);
    assert_int_equal(luks.segment_offset, 0);
    luks_file_free(&file);

    file = luks_file_load("several.luks");
    assert_reads(&file, &luks);
    assert_int_equal(luks.digest.slots, 1u << 0 | 1u << 1 | 1u << 2 | 1u << 5 | 1u << 7);
    assert_false(luks.slots[3].present);
    assert_int_equal(luks.slots[0].priority, 1);
    assert_int_equal(luks.slots[5].priority, 2);
    assert_int_equal(luks.slots[7].priority, 0);
    luks_file_free(&file);
}

static void test_damaged_copies(void **state)
{
    (void)state;
    static const char *const names[] = {"pbkdf2-sha256.luks", "wide.luks"};
    for (size_t n = 0; n < ARRAY_COUNT(names); n++) {
        struct luks_file file = luks_file_load(names[n]);
        const uint64_t second = luks_file_header_bytes(&file);
        static const size_t places[] = {0, 7, 12, 20, 72, 170, 256, 448, 5000};
        for (size_t i = 0; i < ARRAY_COUNT(places); i++) {
            struct luks2 luks;
            file.data[places[i]] ^= 1;
            assert_reads(&file, &luks);
            assert_true(luks.secondary_used);
            assert_int_equal(luks.key_bytes, 64);

            file.data[second + places[i]] ^= 1;
            assert_refused(&file, file.size, places[i] == 0 ? "no LUKS2 header" : "Both copies");

            file.data[places[i]] ^= 1;
            assert_reads(&file, &luks);
            assert_false(luks.secondary_used);
            file.data[second + places[i]] ^= 1;
        }
        luks_file_free(&file);
    }
}

static void test_newer_copy_wins(void **state)
{
    (void)state;
    struct luks_file file = luks_file_load("pbkdf2-sha256.luks");
    const uint64_t second = luks_file_header_bytes(&file);
    struct luks2 luks;
    luks_file_set_sequence(&file, 0, 100);
    luks_file_set_sequence(&file, second, 101);
    assert_reads(&file, &luks);
    assert_true(luks.secondary_used);
    assert_int_equal(luks.seqid, 101);

    luks_file_set_sequence(&file, 0, 102);
    assert_reads(&file, &luks);
    assert_false(luks.secondary_used);
    assert_int_equal(luks.seqid, 102);

    luks_file_set_sequence(&file, second, UINT64_MAX);
    assert_reads(&file, &luks);
    assert_true(luks.secondary_used);

    file.data[second + 5000] ^= 1; /* newer, but damaged */
    assert_reads(&file, &luks);
    assert_false(luks.secondary_used);
    luks_file_free(&file);
}

/* A copy that says it stands elsewhere was moved there, and is not taken. */
static void test_moved_copy(void **state)
{
    (void)state;
    struct luks_file file = luks_file_load("pbkdf2-sha256.luks");
    const uint64_t second = luks_file_header_bytes(&file);
    file.data[0] ^= 1;
    memmove(file.data + 2 * second, file.data + second, second);
    memset(file.data + second, 0, second);
    assert_refused(&file, file.size, "damaged");
    luks_file_free(&file);
}

static void test_cut_files(void **state)
{
    (void)state;
    struct luks_file file = luks_file_load("detached.luks");
    static const size_t sizes[] = {0, 1, 6, 512, 4095, 4096, 5000, 16383};
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++)
        assert_refused(&file, sizes[i], "cut short");
    assert_refused(&file, KIB(16), "cut short");
    assert_refused(&file, KIB(32), "cut short");
    assert_refused(&file, file.size / 2, "cut short");
    assert_refused(&file, file.size - 1, "cut short");
    luks_file_free(&file);
}

static void test_other_contents(void **state)
{
    (void)state;
    struct luks_file file = luks_file_load("old.luks");
    assert_refused(&file, file.size, "LUKS version 1");
    memset(file.data, 0, file.size);
    assert_refused(&file, file.size, "no LUKS2 header");
    luks_file_free(&file);
}

struct change {
    const char *from, *to, *words;
};

/* Each with right checksums, so that the JSON itself is judged. */
static const struct change refusals[] = {
    {"\"config\":{", "\"config\":{\"requirements\":{\"mandatory\":[\"hologram\"]},", "requires \"hologram\""},
    {"\"config\":{", "\"config\":{\"requirements\":{\"mandatory\":[\"a\\u0000\xc3\xa9\"]},",
     "requires \"a\\u0000??\""},
    {"\"config\":{", "\"config\":{\"requirements\":{\"mandatory\":[\"online-reencrypt-v2\"]},",
     "re-encryption has begun"},
    {"\"config\":{", "\"config\":{\"requirements\":{\"mandatory\":[\"offline-reencrypt\"]},",
     "re-encryption has begun"},
    {"\"config\":{", "\"config\":{\"requirements\":{\"mandatory\":[7]},", "requires"},
    {"\"config\":{", "\"config\":{\"requirements\":{\"mandatory\":{}},", "not valid"},
    {"\"config\":{", "\"config\":{\"requirements\":[],", "not valid"},
    {"\"config\":{", "\"other\":{", "not valid (config)"},
    {"\"json_size\":\"12288\"", "\"json_size\":\"12289\"", "config sizes"},
    {"\"keyslots_size\":\"2097152\"", "\"keyslots_size\":\"2097153\"", "config sizes"},
    {"\"keyslots_size\":\"2097152\"", "\"keyslots_size\":\"67108864\"", "cut short"},
    {"\"keyslots_size\":\"2097152\"", "\"keyslots_size\":\"18446744073709547520\"", "config sizes"},
    {"\"keyslots_size\":\"2097152\"", "\"keyslots_size\":\"4096\"", "a key slot"},
    {"\"segments\":{\"0\"", "\"segments\":{\"1\"", "segments"},
    {"\"segments\":{", "\"segments\":{\"1\":{},", "more than one segment"},
    {"\"type\":\"crypt\"", "\"type\":\"linear\"", "\"linear\""},
    {"\"type\":\"crypt\"", "\"type\":\"crypt\",\"integrity\":{\"type\":\"hmac(sha256)\"}", "integrity"},
    {"\"iv_tweak\":\"0\",\"encryption\":\"aes-xts-plain64\"",
     "\"iv_tweak\":\"0\",\"encryption\":\"serpent-xts-plain64\"", "\"serpent-xts-plain64\""},
    {"\"iv_tweak\":\"0\"", "\"iv_tweak\":\"-1\"", "segment 0"},
    {"\"sector_size\":512", "\"sector_size\":8192", "segment 0"},
    {"\"sector_size\":512", "\"sector_size\":768", "segment 0"},
    {"\"sector_size\":512", "\"sector_size\":0", "segment 0"},
    {"\"size\":\"dynamic\"", "\"size\":\"0\"", "segment 0"},
    {"\"size\":\"dynamic\"", "\"size\":\"513\"", "segment 0"},
    {"\"size\":\"dynamic\"", "\"size\":\"18446744073709551104\"", "segment 0"},
    {"\"size\":\"dynamic\"", "\"size\":\"static\"", "segment 0"},
    {"\"keyslots\":{\"0\"", "\"keyslots\":{\"32\"", "key slot's number"},
    {"\"keyslots\":{\"0\"", "\"keyslots\":{\"00\"", "key slot's number"},
    {"\"keyslots\":{\"0\"", "\"keyslots\":{\"x\"", "key slot's number"},
    {"\"stripes\":4000", "\"stripes\":4294967295", "a key slot"},
    {"\"stripes\":4000", "\"stripes\":0", "a key slot"},
    {"\"stripes\":4000", "\"stripes\":8000", "a key slot"},
    {"\"offset\":\"32768\"", "\"offset\":\"16384\"", "a key slot"},
    {"\"offset\":\"32768\"", "\"offset\":\"32769\"", "a key slot"},
    {"\"offset\":\"32768\"", "\"offset\":\"18446744073709547520\"", "a key slot"},
    {"\"size\":\"258048\"", "\"size\":\"2101248\"", "a key slot"},
    {"\"size\":\"258048\"", "\"size\":\"18446744073709547520\"", "a key slot"},
    {"\"key_size\":64,\"af\"", "\"key_size\":4294967295,\"af\"", "a key slot"},
    {"\"key_size\":64,\"af\"", "\"key_size\":48,\"af\"", "384 bits"},
    {"\"iterations\":1000,", "\"iterations\":0,", "not valid"},
    {"\"iterations\":1000,", "\"iterations\":4294967296,", "not valid"},
    {"\"salt\":\"", "\"salt\":\"*", "not valid"},
    {"\"digests\":{\"0\"", "\"digest\":{\"0\"", "no digest"},
    {"\"segments\":[\"0\"]", "\"segments\":[\"1\"]", "no digest"},
    {"\"digests\":{", "\"digests\":{\"1\":{\"segments\":[\"0\"]},", "two digests"},
    {"\"keyslots\":[\"0\"]", "\"keyslots\":[\"32\"]", "digest"},
    {"\"keyslots\":[\"0\"]", "\"keyslots\":[]", "takes a passphrase"},
    {"\"type\":\"luks2\"", "\"type\":\"other\"", "takes a passphrase"},
    {"{\"keyslots\"", "[{\"keyslots\"", "not JSON"},
};

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(refusals); i++) {
        struct luks_file file = luks_file_load("pbkdf2-sha256.luks");
        luks_file_replace(&file, refusals[i].from, refusals[i].to);
        assert_refused(&file, file.size, refusals[i].words);
        luks_file_free(&file);
    }
}

/* What is not known and does not matter. */
static const struct change tolerated[] = {
    {"\"config\":{", "\"config\":{\"flags\":[\"allow-discards\"],\"requirements\":{},", NULL},
    {"\"config\":{", "\"config\":{\"requirements\":{\"mandatory\":[]},", NULL},
    {"\"tokens\":{", "\"tokens\":{\"0\":{\"type\":\"systemd-tpm2\",\"keyslots\":[\"0\"],\"tpm2-pcrs\":[7]}",
     NULL},
    {"\"keyslots\":{", "\"keyslots\":{\"4\":{\"type\":\"someone-elses\",\"key_size\":1},", NULL},
    {"\"digests\":{", "\"digests\":{\"1\":{\"type\":\"pbkdf2\",\"segments\":[],\"keyslots\":[]},", NULL},
    {"\"size\":\"dynamic\"", "\"size\":\"1048576\"", NULL},
    {"\"iv_tweak\":\"0\"", "\"iv_tweak\":\"8\"", NULL},
};

static void test_tolerated(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(tolerated); i++) {
        struct luks_file file = luks_file_load("pbkdf2-sha256.luks");
        struct luks2 luks;
        luks_file_replace(&file, tolerated[i].from, tolerated[i].to);
        assert_reads(&file, &luks);
        assert_int_equal(luks.slot_count, 1);
        luks_file_free(&file);
    }
}

static void test_overlapping_areas(void **state)
{
    (void)state;
    struct luks_file file = luks_file_load("several.luks");
    luks_file_replace(&file, "\"offset\":\"290816\"", "\"offset\":\"286720\"");
    assert_refused(&file, file.size, "overlap");
    luks_file_free(&file);
}

/* The JSON area ends with its text's NUL and zeroes. */
static void test_json_area(void **state)
{
    (void)state;
    struct luks_file file = luks_file_load("pbkdf2-sha256.luks");
    const uint64_t second = luks_file_header_bytes(&file);
    file.data[second - 1] = 'x';
    luks_file_seal(&file, 0);
    assert_refused(&file, file.size, "not JSON");

    memset(file.data + LUKS_FILE_BINARY, ' ', second - LUKS_FILE_BINARY);
    luks_file_seal(&file, 0);
    assert_refused(&file, file.size, "not JSON");

    /* More tokens than there is room for. */
    char *json = (char *)file.data + LUKS_FILE_BINARY;
    memset(json, 0, second - LUKS_FILE_BINARY);
    json[0] = '[';
    for (size_t i = 1; i + 3 < second - LUKS_FILE_BINARY; i += 2)
        memcpy(json + i, "1,", 2);
    memcpy(json + second - LUKS_FILE_BINARY - 3, "1]", 2);
    luks_file_seal(&file, 0);
    assert_refused(&file, file.size, "not JSON");
    luks_file_free(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),         cmocka_unit_test(test_particulars),
        cmocka_unit_test(test_damaged_copies), cmocka_unit_test(test_newer_copy_wins),
        cmocka_unit_test(test_moved_copy),     cmocka_unit_test(test_cut_files),
        cmocka_unit_test(test_other_contents), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_tolerated),      cmocka_unit_test(test_overlapping_areas),
        cmocka_unit_test(test_json_area),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
