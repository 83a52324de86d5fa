/* SPDX-License-Identifier: Apache-2.0 */
/* The decoder of x86 MOV-class instructions: just enough to complete a guest's access to a trapped register
 * page, and the length of the instructions that the hypervisor emulates. Pure: bytes and registers in, a
 * description out. (AMD APM volume 3; SDM volume 2.) */
#ifndef SHOJI_LIB_DECODE_H
#define SHOJI_LIB_DECODE_H

#include "lib/base.h"

#define INSTRUCTION_MAX 15

enum decode_mode { DECODE_16, DECODE_32, DECODE_64 }; /* from CS.D and CS.L */

enum decode_kind {
    DECODE_LOAD,      /* register <- memory: MOV, MOVZX, MOVSX, MOVSXD, MOVBE no */
    DECODE_STORE,     /* memory <- register or immediate: MOV, and moffs forms   */
    DECODE_EXCHANGE,  /* XCHG register, memory                                   */
    DECODE_ALU_STORE, /* memory op= register/immediate: AND OR XOR ADD SUB (BTS/BTR/BTC no) */
    DECODE_ALU_LOAD,  /* register op= memory                                     */
    DECODE_TEST,      /* flags <- memory compared or ANDed with register/immediate: CMP, TEST */
    DECODE_STOS,      /* STOS: memory(ES:rDI) <- accumulator; REP given in `repeat` */
    DECODE_MOVS,      /* MOVS: one side is the trapped page                      */
};
enum decode_alu { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP, ALU_TEST };

enum segment { SEGMENT_ES, SEGMENT_CS, SEGMENT_SS, SEGMENT_DS, SEGMENT_FS, SEGMENT_GS };

struct decoded {
    enum decode_kind kind;
    enum decode_alu alu;
    uint8_t length;        /* of the whole instruction                                            */
    uint8_t access_bytes;  /* size of the memory access: 1, 2, 4, 8                               */
    uint8_t operand_bytes; /* size of the destination register (larger for MOVZX/MOVSX)           */
    bool sign_extend;
    bool has_immediate;    /* the source is `immediate`, else `reg`                                */
    bool reg_is_high_byte; /* AH CH DH BH: reg is 0-3 and bits 8-15 are meant                      */
    bool repeat;           /* STOS and MOVS: REP, REPE or REPNE prefix; elsewhere the prefix means nothing */
    bool locked;           /* LOCK prefix, or XCHG, which locks without one                        */
    bool reg_is_memory_first; /* MOVS: unused; ALU/TEST: the memory operand is the first (destination) one */
    uint8_t reg;              /* 0-15, x86 numbering: RAX RCX RDX RBX RSP RBP RSI RDI R8...           */
    uint64_t immediate;       /* sign-extended to operand_bytes, then truncated to it                 */
    /* STOS and MOVS: the address is ES:rDI for STOS and the source, segment:rSI, for MOVS (its destination is
     * always ES:rDI). The effective address: segment base + base register + index << scale + displacement,
     * cut to address_bytes before the base of the segment is added. 0xff: no such register. RIP-relative:
     * base is DECODE_RIP and the next instruction's RIP is meant. */
    enum segment segment;
    uint8_t base, index, scale, address_bytes;
    int64_t displacement;
};
#define DECODE_NONE 0xff
#define DECODE_RIP  0xfe

/* Decodes the instruction at the start of the bytes. False when it is not of the kinds above, is illegal, or
 * does not end within `size`. */
bool decode(const uint8_t *bytes, size_t size, enum decode_mode mode, struct decoded *out) must_check;

/* The length of an instruction whose opcode is known from the exit reason (CPUID, RDMSR, WRMSR, VMMCALL,
 * IN/OUT...): skips legal prefixes and REX and returns the length of the whole, or 0 when the opcode bytes
 * are not there within `size`. */
unsigned decode_length_of(const uint8_t *bytes, size_t size, enum decode_mode mode, const uint8_t *opcode,
                          size_t opcode_bytes);

/* INS and OUTS. */
struct decode_string {
    bool is_output; /* OUTS */
    bool repeat;    /* REP, REPE or REPNE: all mean the same here */
    uint8_t bytes;  /* of one element: 1, 2, 4 */
    uint8_t address_bytes;
    enum segment segment; /* ES for INS; DS or the override for OUTS */
    uint8_t length;       /* of the whole instruction */
};
bool decode_string_io(const uint8_t *bytes, size_t size, enum decode_mode mode,
                      struct decode_string *out) must_check;

/* The low `bytes` of value, sign- or zero-extended to 64 bits. */
uint64_t decode_extend(uint64_t value, unsigned bytes, bool sign);

/* What a register holds after `bytes` of it were written with value: 4-byte writes clear the upper half, 1
 * and 2 byte writes keep the rest. */
uint64_t decode_merge(uint64_t old, uint64_t value, unsigned bytes, bool high_byte);

/* The result of an ALU operation on operands of `bytes`, and the six status flags in rflags that it sets. */
uint64_t decode_alu(enum decode_alu op, uint64_t destination, uint64_t source, unsigned bytes,
                    uint64_t *rflags);

#endif
