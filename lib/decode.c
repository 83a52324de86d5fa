/* SPDX-License-Identifier: Apache-2.0 */
/* The decoder of MOV-class instructions: prefixes, the table of opcodes, and what an opcode does with its
 * memory operand. (AMD APM volume 3, appendix A; SDM volume 2, appendix A.) */
#include "lib/decode_parts.h"

#define ESCAPE_0F  0x0f
#define OPCODE_INS 0x6cu /* 6Ch and 6Dh INS, 6Eh and 6Fh OUTS */

/* What follows the opcode, and where the other operand is. */
enum layout {
    LAYOUT_REGISTER,  /* ModRM; ModRM.reg is the register              */
    LAYOUT_IMMEDIATE, /* ModRM; ModRM.reg extends the opcode; immediate */
    LAYOUT_OFFSET,    /* an absolute offset; the accumulator           */
    LAYOUT_STRING,    /* nothing; the accumulator or a second address  */
};

/* How operand sizes follow from the opcode and the prefixes. */
enum sizes {
    SIZES_BY_BIT_0, /* opcode bit 0: 0 a byte, 1 the operand size      */
    SIZES_WIDEN,    /* from a byte or (bit 0) 2 bytes to the operand size */
    SIZES_WIDEN_4,  /* MOVSXD: from 4 bytes                            */
    SIZES_NO_WORD,  /* MOVNTI: 4 or 8 bytes                            */
};

enum alu_source { ALU_NONE, ALU_IS_TEST, ALU_IN_OPCODE, ALU_IN_MODRM };

#define MODES_ALL   (BIT(DECODE_16) | BIT(DECODE_32) | BIT(DECODE_64))
#define MODE_64     BIT(DECODE_64)
#define NOT_MODE_64 (BIT(DECODE_16) | BIT(DECODE_32))

struct form {
    uint8_t mask, match; /* opcodes that are `match` in the bits of `mask` */
    uint8_t modes;
    enum decode_kind kind;
    enum layout layout;
    enum sizes sizes;
    enum alu_source alu;
    uint8_t extensions; /* LAYOUT_IMMEDIATE: which values of ModRM.reg belong to it */
    bool sign_extend;
};

/* Opcodes without an escape byte. ALU kinds are refined once the operation is known. */
static const struct form one_byte_forms[] = {
    {0xc4, 0x00, MODES_ALL, DECODE_ALU_STORE, LAYOUT_REGISTER, SIZES_BY_BIT_0, ALU_IN_OPCODE, 0, false},
    {0xff, 0x63, MODE_64, DECODE_LOAD, LAYOUT_REGISTER, SIZES_WIDEN_4, ALU_NONE, 0, true},
    {0xff, 0x82, NOT_MODE_64, DECODE_ALU_STORE, LAYOUT_IMMEDIATE, SIZES_BY_BIT_0, ALU_IN_MODRM, 0xff, false},
    {0xfe, 0x80, MODES_ALL, DECODE_ALU_STORE, LAYOUT_IMMEDIATE, SIZES_BY_BIT_0, ALU_IN_MODRM, 0xff, false},
    {0xff, 0x83, MODES_ALL, DECODE_ALU_STORE, LAYOUT_IMMEDIATE, SIZES_BY_BIT_0, ALU_IN_MODRM, 0xff, false},
    {0xfe, 0x84, MODES_ALL, DECODE_TEST, LAYOUT_REGISTER, SIZES_BY_BIT_0, ALU_IS_TEST, 0, false},
    {0xfe, 0x86, MODES_ALL, DECODE_EXCHANGE, LAYOUT_REGISTER, SIZES_BY_BIT_0, ALU_NONE, 0, false},
    {0xfe, 0x88, MODES_ALL, DECODE_STORE, LAYOUT_REGISTER, SIZES_BY_BIT_0, ALU_NONE, 0, false},
    {0xfe, 0x8a, MODES_ALL, DECODE_LOAD, LAYOUT_REGISTER, SIZES_BY_BIT_0, ALU_NONE, 0, false},
    {0xfe, 0xa0, MODES_ALL, DECODE_LOAD, LAYOUT_OFFSET, SIZES_BY_BIT_0, ALU_NONE, 0, false},
    {0xfe, 0xa2, MODES_ALL, DECODE_STORE, LAYOUT_OFFSET, SIZES_BY_BIT_0, ALU_NONE, 0, false},
    {0xfe, 0xa4, MODES_ALL, DECODE_MOVS, LAYOUT_STRING, SIZES_BY_BIT_0, ALU_NONE, 0, false},
    {0xfe, 0xaa, MODES_ALL, DECODE_STOS, LAYOUT_STRING, SIZES_BY_BIT_0, ALU_NONE, 0, false},
    {0xfe, 0xc6, MODES_ALL, DECODE_STORE, LAYOUT_IMMEDIATE, SIZES_BY_BIT_0, ALU_NONE, 0x01, false},
    {0xfe, 0xf6, MODES_ALL, DECODE_TEST, LAYOUT_IMMEDIATE, SIZES_BY_BIT_0, ALU_IS_TEST, 0x03, false},
};

/* Opcodes after 0F. */
static const struct form two_byte_forms[] = {
    {0xfe, 0xb6, MODES_ALL, DECODE_LOAD, LAYOUT_REGISTER, SIZES_WIDEN, ALU_NONE, 0, false},
    {0xfe, 0xbe, MODES_ALL, DECODE_LOAD, LAYOUT_REGISTER, SIZES_WIDEN, ALU_NONE, 0, true},
    {0xff, 0xc3, MODES_ALL, DECODE_STORE, LAYOUT_REGISTER, SIZES_NO_WORD, ALU_NONE, 0, false},
};

static struct instruction instruction_of(const uint8_t *bytes, size_t size, enum decode_mode mode)
{
    return (struct instruction){.code = reader_of(bytes, MIN(size, (size_t)INSTRUCTION_MAX)), .mode = mode};
}

static void note_segment(struct instruction *in, enum segment segment)
{
    /* In 64-bit mode ES, CS, SS and DS prefixes are ignored, and do not undo an FS or GS before them. */
    if (in->mode == DECODE_64 && segment != SEGMENT_FS && segment != SEGMENT_GS)
        return;
    in->has_segment = true;
    in->segment = segment;
}

/* Takes a legacy prefix; false when the byte is none. */
static bool note_prefix(struct instruction *in, uint8_t byte)
{
    switch (byte) {
    case 0x26:
        note_segment(in, SEGMENT_ES);
        return true;
    case 0x2e:
        note_segment(in, SEGMENT_CS);
        return true;
    case 0x36:
        note_segment(in, SEGMENT_SS);
        return true;
    case 0x3e:
        note_segment(in, SEGMENT_DS);
        return true;
    case 0x64:
        note_segment(in, SEGMENT_FS);
        return true;
    case 0x65:
        note_segment(in, SEGMENT_GS);
        return true;
    case 0x66:
        in->operand_prefix = true;
        return true;
    case 0x67:
        in->address_prefix = true;
        return true;
    case 0xf0:
        in->lock = true;
        return true;
    case 0xf2:
    case 0xf3:
        in->repeat = true;
        return true;
    default:
        return false;
    }
}

/* Steps over all prefixes and returns the first byte of the opcode. Only a REX that stands directly before
 * the opcode counts. */
static uint8_t read_prefixes(struct instruction *in)
{
    for (;;) {
        uint8_t byte = reader_u8(&in->code);
        if (in->code.failed)
            return 0;
        if (in->mode == DECODE_64 && (byte & 0xf0) == 0x40)
            in->rex = byte;
        else if (note_prefix(in, byte))
            in->rex = 0;
        else
            break;
    }
    static const uint8_t address_bytes[][2] = {
        [DECODE_16] = {2, 4}, [DECODE_32] = {4, 2}, [DECODE_64] = {8, 4}};
    in->address_bytes = address_bytes[in->mode][in->address_prefix];
    return in->code.data[in->code.at - 1];
}

static unsigned operand_size(const struct instruction *in)
{
    if (in->rex & REX_W)
        return 8;
    return (in->mode == DECODE_16) == in->operand_prefix ? 4 : 2;
}

static const struct form *find_form(const struct form *forms, size_t count, uint8_t opcode,
                                    enum decode_mode mode)
{
    for (size_t i = 0; i < count; i++)
        if ((opcode & forms[i].mask) == forms[i].match && (forms[i].modes & BIT(mode)))
            return &forms[i];
    return NULL;
}

static void set_sizes(const struct instruction *in, const struct form *form, uint8_t opcode,
                      struct decoded *out)
{
    unsigned full = operand_size(in);
    out->operand_bytes = full;
    switch (form->sizes) {
    case SIZES_BY_BIT_0:
        out->operand_bytes = opcode & 1 ? full : 1;
        out->access_bytes = out->operand_bytes;
        break;
    case SIZES_WIDEN:
        out->access_bytes = opcode & 1 ? 2 : 1;
        break;
    case SIZES_WIDEN_4:
        out->access_bytes = 4;
        break;
    case SIZES_NO_WORD:
        out->operand_bytes = MAX(full, 4u);
        out->access_bytes = out->operand_bytes;
        break;
    }
}

static void set_alu(const struct instruction *in, const struct form *form, uint8_t opcode,
                    struct decoded *out)
{
    if (form->alu == ALU_NONE)
        return;
    out->reg_is_memory_first = true;
    if (form->alu == ALU_IS_TEST) {
        out->alu = ALU_TEST;
        return;
    }
    /* The eight operations are numbered alike in opcode bits 5-3 and in ModRM.reg, and in enum decode_alu. */
    static_assert(ALU_ADD == 0 && ALU_CMP == 7, "the numbering of x86");
    out->alu = form->alu == ALU_IN_OPCODE ? opcode >> 3 & 7u : modrm_reg(in);
    if (form->alu == ALU_IN_OPCODE)
        out->reg_is_memory_first = !(opcode & 2); /* bit 1: the register is the destination */
    if (out->alu == ALU_CMP)
        out->kind = DECODE_TEST;
    else if (!out->reg_is_memory_first)
        out->kind = DECODE_ALU_LOAD;
}

static void set_register(const struct instruction *in, struct decoded *out)
{
    out->reg = modrm_reg(in) | (in->rex & REX_R ? 8 : 0);
    /* Any REX, even an empty one, turns AH CH DH BH into SPL BPL SIL DIL. */
    if (out->operand_bytes == 1 && !in->rex && out->reg >= 4) {
        out->reg -= 4;
        out->reg_is_high_byte = true;
    }
}

static void read_immediate(struct instruction *in, uint8_t opcode, struct decoded *out)
{
    unsigned bytes = opcode == 0x83 ? 1 : MIN(out->operand_bytes, 4);
    uint64_t value = decode_extend(reader_le(&in->code, bytes), bytes, true);
    out->immediate = decode_extend(value, out->operand_bytes, false);
    out->has_immediate = true;
}

/* Reads all that follows the opcode. */
static bool read_operands(struct instruction *in, const struct form *form, uint8_t opcode,
                          struct decoded *out)
{
    if (form->layout == LAYOUT_OFFSET) {
        decode_offset_operand(in, out);
        return true;
    }
    if (form->layout == LAYOUT_STRING) {
        decode_string_operand(in, out);
        out->repeat = in->repeat;
        return true;
    }
    in->modrm = reader_u8(&in->code);
    if (modrm_mod(in) == 3)
        return false; /* two registers, no memory */
    if (form->layout == LAYOUT_IMMEDIATE && !(form->extensions & BIT(modrm_reg(in))))
        return false;
    decode_memory_operand(in, out);
    set_alu(in, form, opcode, out);
    if (form->layout == LAYOUT_IMMEDIATE)
        read_immediate(in, opcode, out);
    else
        set_register(in, out);
    return true;
}

bool decode(const uint8_t *bytes, size_t size, enum decode_mode mode, struct decoded *out)
{
    struct instruction in = instruction_of(bytes, size, mode);
    *out = (struct decoded){0};
    uint8_t opcode = read_prefixes(&in);
    bool escaped = opcode == ESCAPE_0F;
    if (escaped)
        opcode = reader_u8(&in.code);
    if (in.code.failed)
        return false;
    const struct form *form = escaped ? find_form(two_byte_forms, ARRAY_COUNT(two_byte_forms), opcode, mode)
                                      : find_form(one_byte_forms, ARRAY_COUNT(one_byte_forms), opcode, mode);
    if (!form)
        return false;
    if (form->sizes == SIZES_NO_WORD && (in.operand_prefix || in.repeat))
        return false; /* MOVNTI takes no such prefix */

    out->kind = form->kind;
    out->sign_extend = form->sign_extend;
    set_sizes(&in, form, opcode, out);
    if (!read_operands(&in, form, opcode, out) || in.code.failed)
        return false;
    bool may_lock = out->kind == DECODE_EXCHANGE || out->kind == DECODE_ALU_STORE;
    if (in.lock && !may_lock)
        return false; /* #UD */
    out->locked = in.lock || out->kind == DECODE_EXCHANGE;
    out->length = in.code.at;
    return true;
}

bool decode_string_io(const uint8_t *bytes, size_t size, enum decode_mode mode, struct decode_string *out)
{
    struct instruction in = instruction_of(bytes, size, mode);
    uint8_t opcode = read_prefixes(&in);
    if (in.code.failed || (opcode & ~3u) != OPCODE_INS || in.lock)
        return false;
    bool is_output = opcode & 2;
    *out = (struct decode_string){
        .is_output = is_output,
        .repeat = in.repeat,
        .bytes = opcode & 1 ? MIN(operand_size(&in), 4u) : 1, /* REX.W means nothing */
        .address_bytes = in.address_bytes,
        .segment = !is_output       ? SEGMENT_ES
                   : in.has_segment ? in.segment
                                    : SEGMENT_DS,
        .length = in.code.at,
    };
    return true;
}

/* The bytes that follow an opcode whose length is asked for: the port of IN and OUT, the vector of INT, the
 * registers of MOV CRn/DRn. */
static unsigned bytes_after_opcode(const uint8_t *opcode, size_t opcode_bytes)
{
    if (opcode_bytes == 1)
        return (opcode[0] & 0xfc) == 0xe4 || opcode[0] == 0xcd;
    return opcode_bytes == 2 && opcode[0] == ESCAPE_0F && (opcode[1] & 0xfc) == 0x20;
}

unsigned decode_length_of(const uint8_t *bytes, size_t size, enum decode_mode mode, const uint8_t *opcode,
                          size_t opcode_bytes)
{
    struct instruction in = instruction_of(bytes, size, mode);
    uint8_t first = read_prefixes(&in);
    if (in.code.failed || opcode_bytes == 0 || first != opcode[0])
        return 0;
    for (size_t i = 1; i < opcode_bytes; i++)
        if (reader_u8(&in.code) != opcode[i] || in.code.failed)
            return 0;
    unsigned after = bytes_after_opcode(opcode, opcode_bytes);
    if (after)
        (void)reader_u8(&in.code);
    return in.code.failed ? 0 : (unsigned)in.code.at;
}
