/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's own page tables, walked in software (AMD APM 2 chapter 5), and the instruction that a CPU
 * stands at. */
#ifndef SHOJI_GUEST_WALK_H
#define SHOJI_GUEST_WALK_H

#include "guest/vcpu.h"
#include "lib/decode.h"

struct walk {
    uint64_t physical;
    bool writable, user;
    uint64_t leaf; /* physical address of the entry that maps the page; 0: paging is off */
};

/* Translates a linear address by the CPU's paging mode: none, 32-bit, PAE, 4 or 5 levels. False when it is
 * not mapped. */
bool walk_linear(const struct vcpu *vcpu, uint64_t linear, struct walk *out) must_check;

/* Marks the page as accessed, and as written to, in the guest's own entry, as the CPU does. */
void walk_note_access(const struct walk *at, bool write);

enum decode_mode walk_decode_mode(const struct vcpu *vcpu);

/* One byte of guest RAM by its physical address. */
bool walk_read_byte(uint64_t physical, uint8_t *byte) must_check;

/* Copies up to INSTRUCTION_MAX bytes at RIP into `bytes`; returns how many could be read. */
size_t walk_fetch(const struct vcpu *vcpu, uint8_t bytes[INSTRUCTION_MAX]);

#endif
