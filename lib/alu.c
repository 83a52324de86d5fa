/* SPDX-License-Identifier: Apache-2.0 */
/* What the arithmetic instructions do to a value and to the status flags (SDM volume 1, section 3.4.3.1). */
#include "lib/decode.h"

#define FLAG_CF      BIT(0)
#define FLAG_PF      BIT(2)
#define FLAG_AF      BIT(4)
#define FLAG_ZF      BIT(6)
#define FLAG_SF      BIT(7)
#define FLAG_OF      BIT(11)
#define FLAGS_STATUS (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

static uint64_t mask_of(unsigned bytes)
{
    return bytes >= 8 ? UINT64_MAX : BIT(8 * bytes) - 1;
}

static uint64_t sign_of(unsigned bytes)
{
    return mask_of(bytes) ^ mask_of(bytes) >> 1;
}

uint64_t decode_extend(uint64_t value, unsigned bytes, bool sign)
{
    value &= mask_of(bytes);
    if (sign && (value & sign_of(bytes)))
        value |= ~mask_of(bytes);
    return value;
}

uint64_t decode_merge(uint64_t old, uint64_t value, unsigned bytes, bool high_byte)
{
    if (high_byte)
        return (old & ~0xff00ull) | (value & 0xff) << 8;
    if (bytes >= 4)
        return value & mask_of(bytes);
    return (old & ~mask_of(bytes)) | (value & mask_of(bytes));
}

/* Carry and overflow out of a sum or difference, from the top bits of the operands and of the result. */
static uint64_t add_flags(uint64_t a, uint64_t b, uint64_t result, uint64_t sign)
{
    uint64_t flags = (a ^ b ^ result) & FLAG_AF;
    if (((a & b) | ((a | b) & ~result)) & sign)
        flags |= FLAG_CF;
    if ((a ^ result) & (b ^ result) & sign)
        flags |= FLAG_OF;
    return flags;
}

static uint64_t subtract_flags(uint64_t a, uint64_t b, uint64_t result, uint64_t sign)
{
    uint64_t flags = (a ^ b ^ result) & FLAG_AF;
    if (((~a & b) | ((~a | b) & result)) & sign)
        flags |= FLAG_CF;
    if ((a ^ b) & (a ^ result) & sign)
        flags |= FLAG_OF;
    return flags;
}

static uint64_t result_flags(uint64_t result, uint64_t sign)
{
    uint64_t flags = result ? 0 : FLAG_ZF;
    if (result & sign)
        flags |= FLAG_SF;
    uint64_t ones = result ^ result >> 4; /* parity of the low byte only */
    ones ^= ones >> 2;
    ones ^= ones >> 1;
    if (!(ones & 1))
        flags |= FLAG_PF;
    return flags;
}

uint64_t decode_alu(enum decode_alu op, uint64_t destination, uint64_t source, unsigned bytes,
                    uint64_t *rflags)
{
    uint64_t mask = mask_of(bytes), sign = sign_of(bytes), carry = *rflags & FLAG_CF;
    uint64_t a = destination & mask, b = source & mask, result = 0, flags = 0;
    switch (op) {
    case ALU_ADD:
    case ALU_ADC:
        result = (a + b + (op == ALU_ADC ? carry : 0)) & mask;
        flags = add_flags(a, b, result, sign);
        break;
    case ALU_SUB:
    case ALU_CMP:
    case ALU_SBB:
        result = (a - b - (op == ALU_SBB ? carry : 0)) & mask;
        flags = subtract_flags(a, b, result, sign);
        break;
    case ALU_OR:
        result = a | b;
        break;
    case ALU_AND:
    case ALU_TEST:
        result = a & b;
        break;
    case ALU_XOR:
        result = a ^ b;
        break;
    }
    *rflags = (*rflags & ~FLAGS_STATUS) | flags | result_flags(result, sign);
    return result;
}
