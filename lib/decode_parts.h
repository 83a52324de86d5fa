/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the decoder share: the instruction while it is being read. Private to lib/decode*.c. */
#ifndef SHOJI_LIB_DECODE_PARTS_H
#define SHOJI_LIB_DECODE_PARTS_H

#include "lib/decode.h"
#include "lib/reader.h"

#define REX_W 0x08 /* operands of 64 bits   */
#define REX_R 0x04 /* bit 3 of ModRM.reg    */
#define REX_X 0x02 /* bit 3 of SIB.index    */
#define REX_B 0x01 /* bit 3 of the base     */

/* An instruction's bytes and the prefixes found so far. `code` ends at INSTRUCTION_MAX, so a longer one fails
 * as a short read. */
struct instruction {
    struct reader code;
    enum decode_mode mode;
    uint8_t rex; /* 0: none */
    bool operand_prefix, address_prefix, lock, repeat;
    bool has_segment;
    enum segment segment; /* of the override, when has_segment */
    uint8_t address_bytes;
    uint8_t modrm;
};

static inline unsigned modrm_mod(const struct instruction *in)
{
    return in->modrm >> 6;
}
static inline unsigned modrm_reg(const struct instruction *in)
{
    return in->modrm >> 3 & 7;
}
static inline unsigned modrm_rm(const struct instruction *in)
{
    return in->modrm & 7;
}

/* Reads SIB and displacement after a ModRM byte whose mod is not 3, and fills the effective address of `out`.
 */
void decode_memory_operand(struct instruction *in, struct decoded *out);

/* The effective address of the forms without ModRM: an absolute offset in the code, and a string
 * instruction's register. */
void decode_offset_operand(struct instruction *in, struct decoded *out);
void decode_string_operand(const struct instruction *in, struct decoded *out);

#endif
