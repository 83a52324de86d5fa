/* SPDX-License-Identifier: Apache-2.0 */
/* Nested paging: guest-physical is host-physical, but for the hypervisor's block and the pages that are
 * trapped. The tables are shared by all CPUs until one of them needs a page of its own; then the path to that
 * page is copied for it. */
#ifndef SHOJI_GUEST_NESTED_H
#define SHOJI_GUEST_NESTED_H

#include "guest/vcpu.h"

enum nested_access { NESTED_NONE, NESTED_READ, NESTED_ALL };

/* How a back end writes its entries: NPT or EPT. */
struct nested_format {
    uint64_t table;   /* flags of an entry that points to a table */
    uint64_t leaf;    /* flags of a readable, writable, executable page */
    uint64_t write;   /* of these, what permits writing */
    uint64_t present; /* what any entry that is there has */
    uint64_t large;   /* a 2 MiB or 1 GiB page */
    bool gigabyte_pages;
    /* The memory type of a leaf, where entries carry one: its bits, and whether all of the page has it. NULL:
     * the MTRRs are heeded by the CPU itself. */
    uint64_t (*type)(uint64_t address, uint64_t bytes, bool *uniform);
    uint64_t type_mask;
};

/* Builds the shared tables over `physical_bits` of address, without the block. False when memory is short. */
bool nested_start(const struct nested_format *format, unsigned physical_bits,
                  struct handoff_range block) must_check;

/* Gives a vCPU its root. */
bool nested_attach(struct vcpu *vcpu) must_check;

/* Changes one page for one vCPU, by that CPU itself or before it runs. The page then shows `target`. False
 * when memory is short, when the tables do not reach the page, or when a page of the hypervisor would be
 * shown that is not the vCPU's scratch page. */
bool nested_set(struct vcpu *vcpu, uint64_t page, uint64_t target, enum nested_access access) must_check;

/* Changes one page for all, and returns when no CPU can use an old translation. Any CPU; own lock; may be
 * called with locks held. A page of the block stays absent whatever is asked. */
bool nested_set_all(uint64_t page, enum nested_access access) must_check;

/* The memory types have changed. Returns when no CPU uses the old ones. Where memory is too short to take a
 * large page apart it becomes uncached, and the answer is false. */
bool nested_retype(void) must_check;

/* Flushes when another CPU changed something; called before each entry, with in_guest already set. */
void nested_look(struct vcpu *vcpu);

/* True for addresses in the hypervisor's block; for addresses that the tables reach. */
bool nested_is_block(uint64_t address);
bool nested_reaches(uint64_t address);

#endif
