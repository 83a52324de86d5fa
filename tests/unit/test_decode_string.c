/* SPDX-License-Identifier: Apache-2.0 */
/* The decoder of INS and OUTS against Zydis, with every opcode behind random prefixes. */
#include "lib/decode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <Zydis/Zydis.h>
#include <cmocka.h>

#define ROUNDS       200000
#define PREFIXES_MAX 5

static ZydisDecoder zydis[3];

static int set_up(void **state)
{
    (void)state;
    static const ZydisMachineMode modes[] = {[DECODE_16] = ZYDIS_MACHINE_MODE_LONG_COMPAT_16,
                                             [DECODE_32] = ZYDIS_MACHINE_MODE_LONG_COMPAT_32,
                                             [DECODE_64] = ZYDIS_MACHINE_MODE_LONG_64};
    static const ZydisStackWidth widths[] = {[DECODE_16] = ZYDIS_STACK_WIDTH_16,
                                             [DECODE_32] = ZYDIS_STACK_WIDTH_32,
                                             [DECODE_64] = ZYDIS_STACK_WIDTH_64};
    for (unsigned mode = DECODE_16; mode <= DECODE_64; mode++)
        if (!ZYAN_SUCCESS(ZydisDecoderInit(&zydis[mode], modes[mode], widths[mode])))
            return -1;
    return 0;
}

static uint32_t next_random(void)
{
    static uint64_t s = 0x9e3779b97f4a7c15ull;
    s ^= s >> 12;
    s ^= s << 25;
    s ^= s >> 27;
    return (uint32_t)((s * 0x2545f4914f6cdd1dull) >> 32);
}

static bool is_string(ZydisMnemonic mnemonic, bool *is_output)
{
    *is_output = mnemonic == ZYDIS_MNEMONIC_OUTSB || mnemonic == ZYDIS_MNEMONIC_OUTSW ||
                 mnemonic == ZYDIS_MNEMONIC_OUTSD;
    return *is_output || mnemonic == ZYDIS_MNEMONIC_INSB || mnemonic == ZYDIS_MNEMONIC_INSW ||
           mnemonic == ZYDIS_MNEMONIC_INSD;
}

/* Returns whether it was a string instruction. */
static bool compare(const uint8_t *bytes, size_t size, enum decode_mode mode)
{
    ZydisDecodedInstruction z;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    struct decode_string ours;
    bool is_output = false;
    bool theirs = ZYAN_SUCCESS(ZydisDecoderDecodeFull(&zydis[mode], bytes, size, &z, operands)) &&
                  is_string(z.mnemonic, &is_output);
    assert_int_equal(decode_string_io(bytes, size, mode, &ours), theirs);
    if (!theirs)
        return false;
    const ZydisDecodedOperand *memory = &operands[operands[0].type == ZYDIS_OPERAND_TYPE_MEMORY ? 0 : 1];
    assert_int_equal(ours.is_output, is_output);
    assert_int_equal(ours.length, z.length);
    assert_int_equal(ours.bytes, memory->size / 8);
    assert_int_equal(ours.address_bytes, z.address_width / 8);
    assert_int_equal(ours.segment, memory->mem.segment - ZYDIS_REGISTER_ES);
    assert_int_equal(ours.repeat, !!(z.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE |
                                                     ZYDIS_ATTRIB_HAS_REPNE)));
    assert_false(decode_string_io(bytes, z.length - 1u, mode, &ours));
    return true;
}

static void test_against_zydis(void **state)
{
    (void)state;
    static const uint8_t prefixes[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65,
                                       0x66, 0x67, 0xf3, 0x40, 0x48, 0x4f};
    unsigned long found = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint8_t bytes[PREFIXES_MAX + 2];
        size_t size = 0;
        for (unsigned count = next_random() % (PREFIXES_MAX + 1); count; count--)
            bytes[size++] = prefixes[next_random() % sizeof(prefixes)];
        bytes[size++] = (uint8_t)(0x6a + next_random() % 8);
        bytes[size++] = (uint8_t)next_random();
        found += compare(bytes, size, next_random() % 3);
    }
    assert_true(found > ROUNDS / 4);
}

static void test_repne_and_lock(void **state)
{
    (void)state;
    struct decode_string out;
    assert_true(decode_string_io((const uint8_t *)"\xf2\x6c", 2, DECODE_64, &out));
    assert_true(out.repeat); /* processors repeat for either */
    assert_false(decode_string_io((const uint8_t *)"\xf0\x6c", 2, DECODE_64, &out));
    assert_false(decode_string_io((const uint8_t *)"\xf3", 1, DECODE_64, &out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_zydis),
        cmocka_unit_test(test_repne_and_lock),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
