/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/walk.h"

#include "guest/memory.h"

#define ENTRY_32_ADDRESS    0xfffff000ull
#define LARGE_4M_HIGH_SHIFT 13 /* PSE-36: bits 13-20 are address bits 32-39 */
#define LARGE_4M_HIGH_BITS  0xffull

static bool read_entry(uint64_t address, unsigned bytes, uint64_t *entry)
{
    *entry = 0;
    return guest_memory_read(address, entry, bytes) && (*entry & PTE_PRESENT);
}

static bool walk_32(const struct vcpu *vcpu, uint64_t linear, struct walk *out)
{
    uint64_t entry;
    uint64_t table = vcpu_cr(vcpu, CR3) & ENTRY_32_ADDRESS;
    out->leaf = table + (linear >> 22 & 0x3ff) * 4;
    if (!read_entry(out->leaf, 4, &entry))
        return false;
    out->writable = entry & PTE_WRITE;
    out->user = entry & PTE_USER;
    if ((entry & PTE_LARGE) && (vcpu_cr(vcpu, CR4) & CR4_PSE)) {
        out->physical = (entry & 0xffc00000ull) | (entry >> LARGE_4M_HIGH_SHIFT & LARGE_4M_HIGH_BITS) << 32 |
                        (linear & (MIB(4) - 1));
        return true;
    }
    out->leaf = (entry & ENTRY_32_ADDRESS) + (linear >> 12 & 0x3ff) * 4;
    if (!read_entry(out->leaf, 4, &entry))
        return false;
    out->writable &= !!(entry & PTE_WRITE);
    out->user &= !!(entry & PTE_USER);
    out->physical = (entry & ENTRY_32_ADDRESS) | (linear & PAGE_MASK);
    return true;
}

/* Entries of 8 bytes: PAE (3 levels, whose top has no permission bits), 4 and 5 levels. */
static bool walk_64(const struct vcpu *vcpu, uint64_t linear, unsigned levels, struct walk *out)
{
    uint64_t table = vcpu_cr(vcpu, CR3) & (levels == 3 ? 0xffffffe0ull : PTE_ADDRESS);
    out->writable = out->user = true;
    for (unsigned level = levels; level-- > 0;) {
        unsigned shift = PAGE_SHIFT + 9 * level;
        uint64_t index = linear >> shift & (level == 2 && levels == 3 ? 3 : TABLE_ENTRIES - 1);
        uint64_t entry;
        out->leaf = table + index * 8;
        if (!read_entry(out->leaf, 8, &entry))
            return false;
        if (!(levels == 3 && level == 2)) {
            out->writable &= !!(entry & PTE_WRITE);
            out->user &= !!(entry & PTE_USER);
        }
        bool can_be_large = level == 1 || (level == 2 && levels > 3);
        if (level == 0 || (can_be_large && (entry & PTE_LARGE))) {
            uint64_t offset = (1ull << shift) - 1;
            out->physical = (entry & PTE_ADDRESS & ~offset) | (linear & offset);
            return true;
        }
        table = entry & PTE_ADDRESS;
    }
    return false;
}

bool walk_linear(const struct vcpu *vcpu, uint64_t linear, struct walk *out)
{
    if (!(vcpu_cr(vcpu, CR0) & CR0_PG)) {
        *out = (struct walk){.physical = linear & 0xffffffffull, .writable = true, .user = true};
        return true;
    }
    uint64_t cr4 = vcpu_cr(vcpu, CR4);
    if (!(cr4 & CR4_PAE))
        return walk_32(vcpu, linear & 0xffffffffull, out);
    if (!(vcpu_efer(vcpu) & EFER_LMA))
        return walk_64(vcpu, linear & 0xffffffffull, 3, out);
    return walk_64(vcpu, linear, cr4 & CR4_LA57 ? 5 : 4, out);
}

void walk_note_access(const struct walk *at, bool write)
{
    uint8_t bits = PTE_ACCESSED | (write ? PTE_DIRTY : 0);
    uint8_t *entry = at->leaf ? guest_memory_open(at->leaf, sizeof *entry) : NULL;
    if (!entry)
        return;
    if ((__atomic_load_n(entry, __ATOMIC_RELAXED) & bits) != bits)
        __atomic_fetch_or(entry, bits, __ATOMIC_RELAXED);
    guest_memory_close();
}

bool walk_read_byte(uint64_t physical, uint8_t *byte)
{
    return guest_memory_read(physical, byte, sizeof *byte);
}

enum decode_mode walk_decode_mode(const struct vcpu *vcpu)
{
    struct vcpu_segment cs = vcpu_segment(vcpu, SEGMENT_CS);
    if ((vcpu_efer(vcpu) & EFER_LMA) && cs.long_mode)
        return DECODE_64;
    bool virtual_8086 = vcpu->rflags & RFLAGS_VM;
    return cs.default_32 && !virtual_8086 ? DECODE_32 : DECODE_16;
}

size_t walk_fetch(const struct vcpu *vcpu, uint8_t bytes[INSTRUCTION_MAX])
{
    bool long_mode = walk_decode_mode(vcpu) == DECODE_64;
    uint64_t base = long_mode ? 0 : vcpu_segment(vcpu, SEGMENT_CS).base;
    size_t got = 0;
    while (got < INSTRUCTION_MAX) {
        uint64_t linear = base + vcpu->rip + got;
        struct walk at;
        if (!long_mode)
            linear &= 0xffffffffull;
        if (!walk_linear(vcpu, linear, &at))
            break;
        size_t here = MIN(INSTRUCTION_MAX - got, PAGE_SIZE - (at.physical & PAGE_MASK));
        if (!guest_memory_read(at.physical, bytes + got, here))
            break;
        got += here;
    }
    return got;
}
