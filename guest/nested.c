/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/nested.h"

#include "core/log.h"
#include "core/memory.h"
#include "core/spinlock.h"
#include "lib/strings.h"

#define LEVEL_SHIFT(level)          (PAGE_SHIFT + 9 * (level))
#define LEVEL_BYTES(level)          (1ull << LEVEL_SHIFT(level))
#define LEVEL_INDEX(address, level) ((address) >> LEVEL_SHIFT(level) & (TABLE_ENTRIES - 1))
#define LEVEL_TOP                   3u
#define ADDRESS_BITS                48u     /* of four levels */
#define OWN_COPY                    BIT(52) /* ignored by both NPT and EPT: this table belongs to one vCPU */

static const struct nested_format *format; /* constant after nested_start, like the next three */
static struct handoff_range block;
static uint64_t *shared_root;
static uint64_t reach; /* the first address beyond the tables */

static struct spinlock lock;    /* of all tables while CPUs run, and of the generation's increments */
static uint64_t generation = 1; /* of the translations that are common to all */

bool nested_is_block(uint64_t address)
{
    return address - block.base < block.length;
}

bool nested_reaches(uint64_t address)
{
    return address < reach;
}

static uint64_t *new_table(uint64_t *entry, uint64_t flags)
{
    uint64_t *table = pages_allocate(1);
    if (table)
        *entry = physical_of(table) | format->table | flags;
    return table;
}

static uint64_t *table_of(uint64_t entry)
{
    return virtual_of(entry & PTE_ADDRESS);
}

static uint64_t type_of(uint64_t address, unsigned level, bool *uniform)
{
    *uniform = true;
    return format->type ? format->type(address, LEVEL_BYTES(level), uniform) : 0;
}

static uint64_t leaf(uint64_t address, unsigned level)
{
    bool uniform;
    return address | format->leaf | (level ? format->large : 0) | type_of(address, level, &uniform);
}

/* Fills [start, end) of the shared tables with the largest pages that do not touch the block and are of one
 * memory type. `table` is one of `level`. */
static bool fill(uint64_t *table, unsigned level, uint64_t start, uint64_t end)
{
    for (uint64_t at = start; at < end; at += LEVEL_BYTES(level)) {
        uint64_t *entry = &table[LEVEL_INDEX(at, level)];
        bool holds_block = ranges_overlap(at, LEVEL_BYTES(level), block.base, block.length);
        bool can_be_leaf = level <= 1 || (level == 2 && format->gigabyte_pages);
        bool uniform;
        (void)type_of(at, level, &uniform);
        if (holds_block && level == 1)
            continue;
        if (can_be_leaf && !holds_block && uniform) {
            *entry = leaf(at, level);
            continue;
        }
        uint64_t *below = new_table(entry, 0);
        if (!below || !fill(below, level - 1, at, MIN(end, at + LEVEL_BYTES(level))))
            return false;
    }
    return true;
}

bool nested_start(const struct nested_format *entries, unsigned physical_bits, struct handoff_range hole)
{
    format = entries;
    block = hole;
    reach = 1ull << MIN(physical_bits, ADDRESS_BITS);
    shared_root = pages_allocate(1);
    return shared_root && fill(shared_root, LEVEL_TOP, 0, reach);
}

bool nested_attach(struct vcpu *vcpu)
{
    vcpu->nested_root = pages_allocate(1);
    if (!vcpu->nested_root)
        return false;
    memcpy(vcpu->nested_root, shared_root, PAGE_SIZE);
    return true;
}

/* Takes a large page apart. The pieces map what it did, so other CPUs may walk here meanwhile. */
static uint64_t *split(uint64_t *entry, unsigned level, uint64_t flags)
{
    uint64_t first = *entry & PTE_ADDRESS & ~(LEVEL_BYTES(level) - 1), new_entry;
    uint64_t *table = new_table(&new_entry, flags);
    if (!table)
        return NULL;
    for (unsigned i = 0; i < TABLE_ENTRIES; i++)
        table[i] = leaf(first + i * LEVEL_BYTES(level - 1), level - 1);
    __atomic_store_n(entry, new_entry, __ATOMIC_RELEASE);
    return table;
}

/* Makes the table below this entry the vCPU's own: a copy of the shared one, or the pieces of a large page.
 */
static uint64_t *own_table(uint64_t *entry, unsigned level)
{
    uint64_t old = *entry;
    if ((old & format->present) && (old & OWN_COPY) && !(old & format->large))
        return table_of(old);
    if ((old & format->present) && (old & format->large))
        return split(entry, level, OWN_COPY);
    uint64_t new_entry;
    uint64_t *table = new_table(&new_entry, OWN_COPY);
    if (!table)
        return NULL;
    if (old & format->present)
        memcpy(table, table_of(old), PAGE_SIZE);
    __atomic_store_n(entry, new_entry, __ATOMIC_RELEASE);
    return table;
}

/* The caller holds the lock, or no CPU runs yet. */
static bool set_locked(struct vcpu *vcpu, uint64_t page, uint64_t target, enum nested_access access)
{
    if (!nested_reaches(page) ||
        (access != NESTED_NONE && nested_is_block(target) && target != physical_of(vcpu->scratch_page)))
        return false;
    uint64_t *table = vcpu->nested_root;
    for (unsigned level = LEVEL_TOP; level > 0; level--) {
        table = own_table(&table[LEVEL_INDEX(page, level)], level);
        if (!table)
            return false;
    }
    uint64_t entry = 0;
    if (access != NESTED_NONE)
        entry = leaf(target & PTE_ADDRESS, 0);
    if (access == NESTED_READ)
        entry &= ~format->write;
    __atomic_store_n(&table[LEVEL_INDEX(page, 0)], entry, __ATOMIC_RELEASE);
    return true;
}

bool nested_set(struct vcpu *vcpu, uint64_t page, uint64_t target, enum nested_access access)
{
    spin_lock(&lock);
    bool done = set_locked(vcpu, page, target, access);
    spin_unlock(&lock);
    vcpu_flush(vcpu);
    return done;
}

/* Waits until every CPU that is in the guest has left it once. A CPU in the hypervisor looks before it enters
 * again, so nobody waits for one that may wait for us. */
static void wait_for_others(uint64_t wanted)
{
    struct vcpu *self = this_vcpu();
    for (unsigned i = 0; i < ARRAY_COUNT(vcpus); i++) {
        struct vcpu *other = vcpus[i];
        if (!other || other == self || !__atomic_load_n(&other->in_guest, __ATOMIC_SEQ_CST))
            continue;
        vcpu_request(other, REQUEST_LOOK);
        while (__atomic_load_n(&other->in_guest, __ATOMIC_SEQ_CST) &&
               __atomic_load_n(&other->nested_seen, __ATOMIC_SEQ_CST) < wanted)
            __builtin_ia32_pause();
    }
}

bool nested_set_all(uint64_t page, enum nested_access access)
{
    bool done = true;
    if (nested_is_block(page))
        access = NESTED_NONE;
    spin_lock(&lock);
    for (unsigned i = 0; i < ARRAY_COUNT(vcpus) && done; i++)
        if (vcpus[i])
            done = set_locked(vcpus[i], page, page, access);
    uint64_t wanted = __atomic_add_fetch(&generation, 1, __ATOMIC_SEQ_CST);
    spin_unlock(&lock);
    /* A page that was absent is in no TLB, and where one was read-only its old entry faults once and is
     * looked up again: only what is taken away hurries. */
    if (access != NESTED_ALL)
        wait_for_others(wanted);
    return done;
}

/* Brings the types of all pages below a table up to date. Of a vCPU's tables only its own (`flags` says so),
 * for it shares the others. */
static bool retype(uint64_t *table, unsigned level, uint64_t flags)
{
    bool done = true;
    for (unsigned i = 0; i < TABLE_ENTRIES; i++) {
        uint64_t entry = table[i];
        bool is_leaf = !level || (entry & format->large), uniform = true;
        if (!(entry & format->present) || (!is_leaf && (entry & OWN_COPY) != flags))
            continue;
        uint64_t *below = is_leaf ? NULL : table_of(entry);
        if (is_leaf) {
            uint64_t type = type_of(entry & PTE_ADDRESS & ~(LEVEL_BYTES(level) - 1), level, &uniform);
            if (!uniform)
                below = split(&table[i], level, flags);
            if (!below)
                __atomic_store_n(&table[i], (entry & ~format->type_mask) | type, __ATOMIC_RELEASE);
        }
        if (below)
            done = retype(below, level - 1, flags) && done;
        else
            done = done && uniform;
    }
    return done;
}

bool nested_retype(void)
{
    spin_lock(&lock);
    bool done = retype(shared_root, LEVEL_TOP, 0);
    for (unsigned i = 0; i < ARRAY_COUNT(vcpus); i++)
        if (vcpus[i])
            done = retype(vcpus[i]->nested_root, LEVEL_TOP, OWN_COPY) && done;
    uint64_t wanted = __atomic_add_fetch(&generation, 1, __ATOMIC_SEQ_CST);
    spin_unlock(&lock);
    wait_for_others(wanted);
    return done;
}

void nested_look(struct vcpu *vcpu)
{
    uint64_t now = __atomic_load_n(&generation, __ATOMIC_SEQ_CST);
    if (vcpu->nested_seen == now)
        return;
    vcpu_flush(vcpu);
    __atomic_store_n(&vcpu->nested_seen, now, __ATOMIC_SEQ_CST);
}
