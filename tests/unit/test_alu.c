/* SPDX-License-Identifier: Apache-2.0 */
/* The emulated arithmetic against the processor itself: every operation and size is also executed for real.
 */
#include "lib/decode.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define FLAG_CF      BIT(0)
#define FLAG_AF      BIT(4)
#define FLAG_IF      BIT(9)
#define FLAG_OF      BIT(11)
#define FLAGS_LAHF   0xd5ull /* SF ZF AF PF CF */
#define FLAGS_STATUS (FLAGS_LAHF | FLAG_OF)

/* One real instruction: carry in, destination and source in, result out, and the status flags from LAHF and
 * SETO. */
typedef uint64_t (*real_operation)(uint64_t destination, uint64_t source, uint64_t carry, uint64_t *flags);

#define REAL(name, type)                                                                                     \
    static uint64_t real_##name##_##type(uint64_t destination, uint64_t source, uint64_t carry,              \
                                         uint64_t *flags)                                                    \
    {                                                                                                        \
        type d = (type)destination, s = (type)source;                                                        \
        uint8_t c = (uint8_t)carry;                                                                          \
        uint32_t ax;                                                                                         \
        __asm__("addb $-1, %[c]\n\t" #name " %[s], %[d]\n\tlahf\n\tseto %%al"                                \
                : [d] "+&r"(d), [c] "+&r"(c), "=&a"(ax)                                                      \
                : [s] "r"(s)                                                                                 \
                : "cc");                                                                                     \
        *flags = (ax >> 8 & FLAGS_LAHF) | (ax & 0xff ? FLAG_OF : 0);                                         \
        return d;                                                                                            \
    }

#define REAL_ALL_SIZES(name)                                                                                 \
    REAL(name, uint8_t)                                                                                      \
    REAL(name, uint16_t)                                                                                     \
    REAL(name, uint32_t)                                                                                     \
    REAL(name, uint64_t)

REAL_ALL_SIZES(add)
REAL_ALL_SIZES(or)
REAL_ALL_SIZES(adc)
REAL_ALL_SIZES(sbb)
REAL_ALL_SIZES(and)
REAL_ALL_SIZES(sub)
REAL_ALL_SIZES(xor)
REAL_ALL_SIZES(cmp)
REAL_ALL_SIZES(test)

#define REAL_ROW(name)                                                                                       \
    {                                                                                                        \
        real_##name##_uint8_t, real_##name##_uint16_t, real_##name##_uint32_t, real_##name##_uint64_t        \
    }

/* By operation, then by the logarithm of the size. */
static const real_operation real[][4] = {
    [ALU_ADD] = REAL_ROW(add), [ALU_OR] = REAL_ROW(or),   [ALU_ADC] = REAL_ROW(adc),
    [ALU_SBB] = REAL_ROW(sbb), [ALU_AND] = REAL_ROW(and), [ALU_SUB] = REAL_ROW(sub),
    [ALU_XOR] = REAL_ROW(xor), [ALU_CMP] = REAL_ROW(cmp), [ALU_TEST] = REAL_ROW(test),
};

/* Architecture leaves AF undefined after the logical operations. */
static bool is_logical(unsigned op)
{
    return op == ALU_OR || op == ALU_AND || op == ALU_XOR || op == ALU_TEST;
}

static void compare(unsigned op, unsigned log_bytes, uint64_t a, uint64_t b, uint64_t carry)
{
    unsigned bytes = 1u << log_bytes;
    uint64_t others = FLAG_IF | BIT(1), rflags = others | carry | FLAG_OF | FLAG_AF, flags;
    uint64_t result = decode_alu((enum decode_alu)op, a, b, bytes, &rflags);
    uint64_t wanted = real[op][log_bytes](a, b, carry, &flags);
    bool writes = op != ALU_CMP && op != ALU_TEST;
    uint64_t judged = FLAGS_STATUS & ~(is_logical(op) ? FLAG_AF : 0);
    bool same = (!writes || result == wanted) && ((rflags ^ flags) & judged) == 0;
    if (!same || (rflags & ~FLAGS_STATUS) != others) {
        print_error(
            "operation %u of %u bytes on %#llx, %#llx, carry %llu: %#llx flags %#llx, the processor %#llx "
            "flags %#llx\n",
            op, bytes, (unsigned long long)a, (unsigned long long)b, (unsigned long long)carry,
            (unsigned long long)result, (unsigned long long)rflags, (unsigned long long)wanted,
            (unsigned long long)flags);
        fail();
    }
}

static void test_all_bytes(void **state)
{
    (void)state;
    for (unsigned op = 0; op < ARRAY_COUNT(real); op++)
        for (unsigned a = 0; a < 256; a++)
            for (unsigned b = 0; b < 256; b++)
                for (unsigned carry = 0; carry < 2; carry++)
                    compare(op, 0, a, b, carry);
}

/* Values around every power of two, and their complements. */
static void test_edges(void **state)
{
    (void)state;
    for (unsigned op = 0; op < ARRAY_COUNT(real); op++)
        for (unsigned log_bytes = 0; log_bytes < 4; log_bytes++)
            for (unsigned i = 0; i < 64 * 4; i++)
                for (unsigned j = 0; j < 64 * 4; j++) {
                    uint64_t a = BIT(i / 4) + (i % 4) - 2, b = BIT(j / 4) + (j % 4) - 2;
                    compare(op, log_bytes, a, b, (i ^ j) & 1);
                    compare(op, log_bytes, ~a, b, j & 1);
                }
}

static void test_merge(void **state)
{
    (void)state;
    const uint64_t old = 0x1122334455667788ull, value = 0xa1b2c3d4e5f60718ull;
    uint64_t al = old, ah = old, ax = old, eax = old, rax = old;
    __asm__("movb %b1, %%al" : "+a"(al) : "d"(value));
    __asm__("movb %b1, %%ah" : "+a"(ah) : "d"(value));
    __asm__("movw %w1, %%ax" : "+a"(ax) : "d"(value));
    __asm__("movl %k1, %%eax" : "+a"(eax) : "d"(value));
    __asm__("movq %1, %%rax" : "+a"(rax) : "d"(value));
    assert_int_equal(decode_merge(old, value, 1, false), al);
    assert_int_equal(decode_merge(old, value, 1, true), ah);
    assert_int_equal(decode_merge(old, value, 2, false), ax);
    assert_int_equal(decode_merge(old, value, 4, false), eax);
    assert_int_equal(decode_merge(old, value, 8, false), rax);
}

static void test_extend(void **state)
{
    (void)state;
    static const uint64_t values[] = {0,      1,       0x7f,       0x80,        0x1ff,
                                      0x7fff, 0x18000, 0x7fffffff, 0x180000000, UINT64_MAX};
    for (size_t i = 0; i < ARRAY_COUNT(values); i++) {
        uint64_t v = values[i];
        assert_int_equal(decode_extend(v, 1, true), (uint64_t)(int8_t)v);
        assert_int_equal(decode_extend(v, 2, true), (uint64_t)(int16_t)v);
        assert_int_equal(decode_extend(v, 4, true), (uint64_t)(int32_t)v);
        assert_int_equal(decode_extend(v, 8, true), v);
        assert_int_equal(decode_extend(v, 1, false), (uint8_t)v);
        assert_int_equal(decode_extend(v, 2, false), (uint16_t)v);
        assert_int_equal(decode_extend(v, 4, false), (uint32_t)v);
        assert_int_equal(decode_extend(v, 8, false), v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_bytes),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_merge),
        cmocka_unit_test(test_extend),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
