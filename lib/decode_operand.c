/* SPDX-License-Identifier: Apache-2.0 */
/* Effective addresses: ModRM, SIB and displacement in 16-, 32- and 64-bit addressing (AMD APM volume 3,
 * sections 1.4 and 1.5). */
#include "lib/decode_parts.h"

enum { RBX = 3, RSP = 4, RBP = 5, RSI = 6, RDI = 7 };

/* With 16-bit addresses ModRM.rm names a fixed pair of registers. */
static const struct {
    uint8_t base, index;
} pairs_16[8] = {
    {RBX, RSI},         {RBX, RDI},         {RBP, RSI},         {RBP, RDI},
    {RSI, DECODE_NONE}, {RDI, DECODE_NONE}, {RBP, DECODE_NONE}, {RBX, DECODE_NONE},
};

static int64_t read_displacement(struct instruction *in, unsigned bytes)
{
    return (int64_t)decode_extend(reader_le(&in->code, bytes), bytes, true);
}

static void decode_address_16(struct instruction *in, struct decoded *out)
{
    unsigned mod = modrm_mod(in), rm = modrm_rm(in);
    if (mod == 0 && rm == 6) {
        out->displacement = read_displacement(in, 2);
        return;
    }
    out->base = pairs_16[rm].base;
    out->index = pairs_16[rm].index;
    if (mod)
        out->displacement = read_displacement(in, mod == 1 ? 1 : 2);
}

/* SIB: scale in bits 7-6, index in 5-3, base in 2-0. */
static void decode_sib(struct instruction *in, struct decoded *out)
{
    uint8_t sib = reader_u8(&in->code);
    uint8_t index = (sib >> 3 & 7) | (in->rex & REX_X ? 8 : 0);
    if (index != RSP) {
        out->index = index;
        out->scale = sib >> 6;
    }
    /* Base 5 without displacement means "no base, 32-bit displacement", whatever REX.B says. */
    if ((sib & 7) != RBP || modrm_mod(in) != 0)
        out->base = (sib & 7) | (in->rex & REX_B ? 8 : 0);
}

static void decode_address_32(struct instruction *in, struct decoded *out)
{
    unsigned mod = modrm_mod(in), rm = modrm_rm(in);
    if (rm == RSP)
        decode_sib(in, out);
    else if (mod == 0 && rm == RBP)
        out->base = in->mode == DECODE_64 ? DECODE_RIP : DECODE_NONE;
    else
        out->base = rm | (in->rex & REX_B ? 8 : 0);

    if (mod == 1)
        out->displacement = read_displacement(in, 1);
    else if (mod == 2 || out->base == DECODE_NONE || out->base == DECODE_RIP)
        out->displacement = read_displacement(in, 4);
}

static void clear_address(const struct instruction *in, struct decoded *out)
{
    out->address_bytes = in->address_bytes;
    out->base = DECODE_NONE;
    out->index = DECODE_NONE;
    out->scale = 0;
    out->displacement = 0;
}

static enum segment segment_or(const struct instruction *in, enum segment usual)
{
    return in->has_segment ? in->segment : usual;
}

void decode_memory_operand(struct instruction *in, struct decoded *out)
{
    clear_address(in, out);
    if (in->address_bytes == 2)
        decode_address_16(in, out);
    else
        decode_address_32(in, out);
    bool on_stack = out->base == RSP || out->base == RBP;
    out->segment = segment_or(in, on_stack ? SEGMENT_SS : SEGMENT_DS);
}

void decode_offset_operand(struct instruction *in, struct decoded *out)
{
    clear_address(in, out);
    out->displacement = (int64_t)reader_le(&in->code, in->address_bytes);
    out->segment = segment_or(in, SEGMENT_DS);
}

void decode_string_operand(const struct instruction *in, struct decoded *out)
{
    clear_address(in, out);
    bool to_memory = out->kind == DECODE_STOS;
    out->base = to_memory ? RDI : RSI;
    out->segment = to_memory ? SEGMENT_ES : segment_or(in, SEGMENT_DS);
}
