/* SPDX-License-Identifier: Apache-2.0 */
/* PBKDF2 and argon2 against published vectors, their progress, and the memory that argon2 asks for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/port/port.h"
#include "crypto/volume/kdf.h"
#include <openssl/evp.h>

static void assert_hex(const uint8_t *bytes, const char *expected)
{
    char text[2 * 128 + 1] = "";
    for (size_t i = 0; i < strlen(expected) / 2; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    assert_string_equal(text, expected);
}

struct pbkdf2_vector {
    enum luks2_hash hash;
    const char *secret, *salt;
    uint32_t secret_bytes, salt_bytes, iterations;
    const char *out;
};

/* RFC 6070 (SHA-1, without the one of 16 million iterations), RFC 7914 section 11 (SHA-256); SHA-512's are
 * those that libraries share. */
static const struct pbkdf2_vector vectors[] = {
    {LUKS2_SHA1, "password", "salt", 8, 4, 1, "0c60c80f961f0e71f3a9b524af6012062fe037a6"},
    {LUKS2_SHA1, "password", "salt", 8, 4, 2, "ea6c014dc72d6f8ccd1ed92ace1d41f0d8de8957"},
    {LUKS2_SHA1, "password", "salt", 8, 4, 4096, "4b007901b765489abead49d926f721d065a429c1"},
    {LUKS2_SHA1, "passwordPASSWORDpassword", "saltSALTsaltSALTsaltSALTsaltSALTsalt", 24, 36, 4096,
     "3d2eec4fe41c849b80c8d83662c0e44a8b291a964cf2f07038"},
    {LUKS2_SHA1, "pass\0word", "sa\0lt", 9, 5, 4096, "56fa6aa75548099dcc37d7f03425e0c3"},
    {LUKS2_SHA256, "passwd", "salt", 6, 4, 1,
     "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"
     "49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783"},
    {LUKS2_SHA256, "Password", "NaCl", 8, 4, 80000,
     "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56"
     "a1d425a1225833549adb841b51c9b3176a272bdebba1d078478f62b397f33c8d"},
    {LUKS2_SHA512, "password", "salt", 8, 4, 1,
     "867f70cf1ade02cff3752599a3a53dc4af34c7a669815ae5d513554e1c8cf252"
     "c02d470a285a0501bad999bfe943c08f050235d7d68b1da55e63f73b60a57fce"},
    {LUKS2_SHA512, "password", "salt", 8, 4, 4096,
     "d197b1b33db0143e018b12f3d1d1479e6cdebdcc97c5c0f87f6902e072f457b5"
     "143f30602641b3d55cd335988cb36b84376060ecd532e039b742a239434af2d5"},
};

static void test_pbkdf2_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(vectors); i++) {
        const struct pbkdf2_vector *v = &vectors[i];
        const struct pbkdf2 p = {
            .hash = v->hash,
            .secret = v->secret,
            .secret_bytes = v->secret_bytes,
            .salt = v->salt,
            .salt_bytes = v->salt_bytes,
            .iterations = v->iterations,
        };
        uint8_t out[64];
        pbkdf2(&p, out, strlen(v->out) / 2);
        assert_hex(out, v->out);
    }
}

/* Every hash, secrets around its block size, outputs around its digest size, against libcrypto's own
 * function. */
static void test_pbkdf2_against_libcrypto(void **state)
{
    (void)state;
    static const size_t secrets[] = {0, 1, 63, 64, 65, 127, 128, 129, 300},
                        outputs[] = {1, 20, 32, 33, 64, 65, 128, 200};
    const EVP_MD *const digests[] = {EVP_sha1(), EVP_sha224(), EVP_sha256(), EVP_sha384(), EVP_sha512()};
    uint8_t secret[300], salt[64], ours[200], theirs[200];
    for (size_t i = 0; i < sizeof(secret); i++)
        secret[i] = (uint8_t)(i * 11 + 3);
    memset(salt, 0x5a, sizeof(salt));
    for (unsigned hash = LUKS2_SHA1; hash <= LUKS2_SHA512; hash++)
        for (size_t s = 0; s < ARRAY_COUNT(secrets); s++)
            for (size_t o = 0; o < ARRAY_COUNT(outputs); o++) {
                const struct pbkdf2 p = {
                    .hash = (enum luks2_hash)hash,
                    .secret = secret,
                    .secret_bytes = secrets[s],
                    .salt = salt,
                    .salt_bytes = 1 + s * 7,
                    .iterations = 1 + o,
                };
                pbkdf2(&p, ours, outputs[o]);
                assert_int_equal(PKCS5_PBKDF2_HMAC((const char *)secret, (int)secrets[s], salt,
                                                   (int)p.salt_bytes, (int)p.iterations, digests[hash],
                                                   (int)outputs[o], theirs),
                                 1);
                assert_memory_equal(ours, theirs, outputs[o]);
            }
}

/* Memory that counts what is held, and can be short. */
struct purse {
    uint64_t largest;
    bool refuse;
    size_t held, most;
};

static void *purse_allocate(void *context, size_t size)
{
    struct purse *purse = context;
    if (purse->refuse)
        return NULL;
    purse->held += size;
    purse->most = MAX(purse->most, purse->held);
    return malloc(size);
}

static void purse_release(void *context, void *memory, size_t size)
{
    struct purse *purse = context;
    for (size_t i = 0; i < size; i++)
        assert_int_equal(((const uint8_t *)memory)[i], 0); /* wiped */
    purse->held -= size;
    free(memory);
}

static uint64_t purse_largest(void *context)
{
    return ((struct purse *)context)->largest;
}

struct steps {
    unsigned count, last;
};

static void count_step(void *context, unsigned done, unsigned total)
{
    struct steps *steps = context;
    assert_true(done > steps->last && done <= total);
    steps->last = done;
    steps->count++;
}

static struct luks2_help help_of(struct purse *purse, struct report *problem, struct steps *steps)
{
    return (struct luks2_help){
        .progress = {steps ? count_step : NULL, steps},
        .memory = {purse_allocate, purse_release, purse_largest, purse},
        .problem = problem,
    };
}

struct argon2_vector {
    enum luks2_kdf kdf;
    uint32_t time, memory_kib, lanes;
    const char *passphrase, *salt, *out;
};

/* The reference implementation's own tests, version 13h. */
static const struct argon2_vector argon2_vectors[] = {
    {LUKS2_ARGON2I, 2, 256, 1, "password", "somesalt",
     "89e9029f4637b295beb027056a7336c414fadd43f6b208645281cb214a56452f"},
    {LUKS2_ARGON2I, 2, 256, 2, "password", "somesalt",
     "4ff5ce2769a1d7f4c8a491df09d41a9fbe90e5eb02155a13e4c01e20cd4eab61"},
    {LUKS2_ARGON2I, 2, 65536, 1, "password", "somesalt",
     "c1628832147d9720c5bd1cfd61367078729f6dfb6f8fea9ff98158e0d7816ed0"},
    {LUKS2_ARGON2ID, 2, 256, 1, "password", "somesalt",
     "9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe"},
    {LUKS2_ARGON2ID, 2, 256, 2, "password", "somesalt",
     "6d093c501fd5999645e0ea3bf620d7b8be7fd2db59c20d9fff9539da2bf57037"},
    {LUKS2_ARGON2ID, 2, 65536, 1, "password", "somesalt",
     "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7"},
};

static struct luks2_slot slot_of(const struct argon2_vector *v)
{
    struct luks2_slot slot = {
        .present = true,
        .number = 6,
        .kdf = v->kdf,
        .time = v->time,
        .memory_kib = v->memory_kib,
        .lanes = v->lanes,
        .salt_bytes = (uint32_t)strlen(v->salt),
        .area_key_bytes = 32,
    };
    memcpy(slot.salt, v->salt, slot.salt_bytes);
    return slot;
}

static void test_argon2_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(argon2_vectors); i++) {
        const struct argon2_vector *v = &argon2_vectors[i];
        const struct luks2_slot slot = slot_of(v);
        struct purse purse = {.largest = GIB(1)};
        struct report problem = {""};
        const struct luks2_help help = help_of(&purse, &problem, NULL);
        uint8_t key[LUKS2_KEY_MAX];
        assert_true(kdf_derive(&slot, v->passphrase, strlen(v->passphrase), &help, key));
        assert_hex(key, v->out);
        assert_int_equal(purse.held, 0);
        assert_true(purse.most > 0 && purse.most <= v->memory_kib * KIB(1));
        assert_string_equal(problem.text, "");
    }
}

/* Also shows that the linker was told --wrap=fill_segment: without it no step is ever counted. */
static void test_progress(void **state)
{
    (void)state;
    struct purse purse = {.largest = GIB(1)};
    struct report problem = {""};
    struct steps steps = {0};
    const struct luks2_help help = help_of(&purse, &problem, &steps);
    const struct argon2_vector many = {LUKS2_ARGON2ID, 30, 64, 4, NULL, "somesalt", NULL};
    struct luks2_slot slot = slot_of(&many);
    uint8_t key[LUKS2_KEY_MAX];
    assert_true(kdf_derive(&slot, "x", 1, &help, key));
    assert_int_equal(steps.count, PROGRESS_TOTAL);
    assert_int_equal(steps.last, PROGRESS_TOTAL);

    steps = (struct steps){0};
    slot.time = 1;
    assert_true(kdf_derive(&slot, "x", 1, &help, key));
    assert_int_equal(steps.count, 16); /* one pass, four slices, four lanes */
    assert_int_equal(steps.last, PROGRESS_TOTAL);

    steps = (struct steps){0};
    slot.kdf = LUKS2_PBKDF2;
    slot.kdf_hash = LUKS2_SHA256;
    slot.iterations = 1000000;
    slot.area_key_bytes = 64;
    assert_true(kdf_derive(&slot, "x", 1, &help, key));
    assert_int_equal(steps.count, PROGRESS_TOTAL);
    assert_int_equal(steps.last, PROGRESS_TOTAL);
}

static void test_too_little_memory(void **state)
{
    (void)state;
    const struct argon2_vector big = {LUKS2_ARGON2ID, 4, 1u << 20, 4, NULL, "somesalt", NULL};
    const struct luks2_slot slot = slot_of(&big);
    uint8_t key[LUKS2_KEY_MAX];

    struct purse purse = {.largest = MIB(300)};
    struct report problem = {""};
    struct luks2_help help = help_of(&purse, &problem, NULL);
    assert_false(kdf_derive(&slot, "x", 1, &help, key));
    assert_non_null(strstr(problem.text, "slot 6 needs 1024 MiB"));
    assert_non_null(strstr(problem.text, "300 MiB"));
    assert_int_equal(purse.most, 0);

    /* There seemed to be enough, and then there is not. */
    purse = (struct purse){.largest = GIB(2), .refuse = true};
    problem = (struct report){""};
    assert_false(kdf_derive(&slot, "x", 1, &help, key));
    assert_non_null(strstr(problem.text, "slot 6 needs 1024 MiB"));
}

/* Numbers that libargon2 itself refuses. */
static void test_bad_parameters(void **state)
{
    (void)state;
    const struct argon2_vector narrow = {LUKS2_ARGON2ID, 4, 8, 4, NULL, "somesalt", NULL};
    const struct luks2_slot slot = slot_of(&narrow);
    struct purse purse = {.largest = GIB(2)};
    struct report problem = {""};
    const struct luks2_help help = help_of(&purse, &problem, NULL);
    uint8_t key[LUKS2_KEY_MAX];
    assert_false(kdf_derive(&slot, "x", 1, &help, key));
    assert_non_null(strstr(problem.text, "slot 6 cannot be computed"));
}

static int bring_up(void **state)
{
    (void)state;
    const struct crypto_surroundings surroundings = {.entropy = crypto_cpu_entropy};
    return crypto_start(&surroundings) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pbkdf2_vectors),    cmocka_unit_test(test_pbkdf2_against_libcrypto),
        cmocka_unit_test(test_argon2_vectors),    cmocka_unit_test(test_progress),
        cmocka_unit_test(test_too_little_memory), cmocka_unit_test(test_bad_parameters),
    };
    return cmocka_run_group_tests(tests, bring_up, NULL);
}
