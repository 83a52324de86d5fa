/* SPDX-License-Identifier: Apache-2.0 */
/* Nested page faults: trapped register pages, watched pages, and the hypervisor's own block. */
#include "core/log.h"
#include "core/memory.h"
#include "core/panic.h"
#include "core/spinlock.h"
#include "guest/apic_page.h"
#include "guest/exit.h"
#include "guest/memory.h"
#include "guest/nested.h"
#include "guest/step.h"
#include "guest/trap.h"
#include "guest/walk.h"
#include "lib/strings.h"

#define REGIONS_MAX 64
#define WATCHED_MAX 256

static struct spinlock lock; /* of both tables */
static struct mmio_region *regions[REGIONS_MAX];
static struct watched_page *watched[WATCHED_MAX];

static uint64_t blocked; /* accesses to the block, by all CPUs */
#define BLOCKED_LOGGED 16u

/* ---- Registration ---- */

/* The caller holds the lock. */
static bool is_taken(uint64_t page)
{
    for (unsigned i = 0; i < REGIONS_MAX; i++)
        if (regions[i] && page - regions[i]->base < regions[i]->length)
            return true;
    for (unsigned i = 0; i < WATCHED_MAX; i++)
        if (watched[i] && watched[i]->address == page)
            return true;
    return false;
}

/* What the guest may do with a page by itself. */
static enum nested_access rightful_access(uint64_t page)
{
    spin_lock(&lock);
    bool taken = is_taken(page);
    spin_unlock(&lock);
    if (taken || nested_is_block(page))
        return NESTED_NONE;
    return apic_page_is(page) ? apic_page_access(this_vcpu()) : NESTED_ALL;
}

/* Brings pages to what the tables say, on all CPUs. Another CPU may change the tables meanwhile: whoever
 * changes them last finds it so here, or comes after. */
static bool apply(uint64_t base, uint64_t length)
{
    for (uint64_t page = base; page < base + length; page += PAGE_SIZE) {
        enum nested_access access;
        do {
            access = rightful_access(page);
            if (!nested_set_all(page, access))
                return false;
        } while (rightful_access(page) != access);
    }
    return true;
}

void mmio_page_restore(struct vcpu *vcpu, uint64_t page)
{
    enum nested_access access;
    do {
        access = rightful_access(page);
        if (!nested_set(vcpu, page, page, access))
            panic("A stepped page has no table"); /* its path stands since it was stepped over */
    } while (rightful_access(page) != access);
}

bool mmio_trap(struct mmio_region *region)
{
    unsigned i = 0;
    if ((region->base | region->length) & PAGE_MASK)
        return false;
    spin_lock(&lock);
    while (i < REGIONS_MAX && regions[i])
        i++;
    if (i < REGIONS_MAX)
        regions[i] = region;
    spin_unlock(&lock);
    if (i == REGIONS_MAX)
        return false;
    if (apply(region->base, region->length))
        return true;
    mmio_release(region);
    return false;
}

void mmio_release(struct mmio_region *region)
{
    spin_lock(&lock);
    for (unsigned i = 0; i < REGIONS_MAX; i++)
        if (regions[i] == region)
            regions[i] = NULL;
    spin_unlock(&lock);
    if (!apply(region->base, region->length))
        log_line("no memory to release a trapped region");
}

bool page_watch(struct watched_page *page)
{
    unsigned i = 0;
    if ((page->address & PAGE_MASK) || !guest_memory_is_ram(page->address, PAGE_SIZE))
        return false;
    spin_lock(&lock);
    while (i < WATCHED_MAX && watched[i])
        i++;
    if (i < WATCHED_MAX)
        watched[i] = page;
    spin_unlock(&lock);
    if (i == WATCHED_MAX)
        return false;
    if (apply(page->address, PAGE_SIZE))
        return true;
    page_unwatch(page);
    return false;
}

void page_unwatch(struct watched_page *page)
{
    spin_lock(&lock);
    for (unsigned i = 0; i < WATCHED_MAX; i++)
        if (watched[i] == page)
            watched[i] = NULL;
    spin_unlock(&lock);
    if (!apply(page->address, PAGE_SIZE))
        log_line("no memory to release a watched page");
}

/* Copies the entry, so that nothing of it is used after the lock. */
static bool find_region(uint64_t address, struct mmio_region *out)
{
    bool found = false;
    spin_lock(&lock);
    for (unsigned i = 0; i < REGIONS_MAX && !found; i++)
        if (regions[i] && address - regions[i]->base < regions[i]->length) {
            *out = *regions[i];
            found = true;
        }
    spin_unlock(&lock);
    return found;
}

static bool find_watched(uint64_t address, struct watched_page *out)
{
    bool found = false;
    spin_lock(&lock);
    for (unsigned i = 0; i < WATCHED_MAX && !found; i++)
        if (watched[i] && watched[i]->address == (address & ~PAGE_MASK)) {
            *out = *watched[i];
            found = true;
        }
    spin_unlock(&lock);
    return found;
}

/* ---- Emulation of one access ---- */

struct emulation {
    struct vcpu *vcpu;
    const struct mmio_region *region;
    uint64_t address;
    struct decoded op;
};

static uint64_t region_read(const struct emulation *e)
{
    struct mmio_access access = {.address = e->address, .bytes = e->op.access_bytes};
    count_exit(e->vcpu, EXIT_MMIO_READ);
    e->region->access(e->region->owner, &access);
    return decode_extend(access.value, access.bytes, false);
}

static void region_write(const struct emulation *e, uint64_t value)
{
    struct mmio_access access = {.address = e->address,
                                 .bytes = e->op.access_bytes,
                                 .write = true,
                                 .value = decode_extend(value, e->op.access_bytes, false)};
    count_exit(e->vcpu, EXIT_MMIO_WRITE);
    e->region->access(e->region->owner, &access);
}

static uint64_t register_value(const struct emulation *e)
{
    uint64_t value = e->vcpu->gpr[e->op.reg];
    return e->op.reg_is_high_byte ? value >> 8 : value;
}

static uint64_t source_value(const struct emulation *e)
{
    return decode_extend(e->op.has_immediate ? e->op.immediate : register_value(e), e->op.access_bytes,
                         false);
}

static void set_register(const struct emulation *e, uint64_t value)
{
    uint64_t *reg = &e->vcpu->gpr[e->op.reg];
    *reg = decode_merge(*reg, value, e->op.operand_bytes, e->op.reg_is_high_byte);
}

static void alu(const struct emulation *e)
{
    uint64_t memory = region_read(e), other = source_value(e);
    bool memory_first = e->op.reg_is_memory_first;
    uint64_t result = decode_alu(e->op.alu, memory_first ? memory : other, memory_first ? other : memory,
                                 e->op.access_bytes, &e->vcpu->rflags);
    if (e->op.kind == DECODE_ALU_STORE)
        region_write(e, result);
    else if (e->op.kind == DECODE_ALU_LOAD)
        set_register(e, result);
}

static bool emulate_plain(const struct emulation *e)
{
    uint64_t old;
    switch (e->op.kind) {
    case DECODE_LOAD:
        old = region_read(e);
        set_register(e, decode_extend(old, e->op.access_bytes, e->op.sign_extend));
        return true;
    case DECODE_STORE:
        region_write(e, source_value(e));
        return true;
    case DECODE_EXCHANGE:
        old = region_read(e);
        region_write(e, source_value(e));
        set_register(e, old);
        return true;
    case DECODE_ALU_STORE:
    case DECODE_ALU_LOAD:
    case DECODE_TEST:
        alu(e);
        return true;
    default:
        return false;
    }
}

static void advance(const struct emulation *e, enum gpr reg)
{
    uint64_t step = e->vcpu->rflags & RFLAGS_DF ? -(uint64_t)e->op.access_bytes : e->op.access_bytes;
    e->vcpu->gpr[reg] = decode_merge(e->vcpu->gpr[reg], e->vcpu->gpr[reg] + step, e->op.address_bytes, false);
}

/* The operand of MOVS that is not the trapped one: ordinary memory, by the guest's own tables and privilege.
 */
static bool other_operand(const struct emulation *e, bool is_destination, uint64_t *value)
{
    enum segment segment = is_destination ? SEGMENT_ES : e->op.segment;
    uint64_t offset = decode_extend(e->vcpu->gpr[is_destination ? RDI : RSI], e->op.address_bytes, false);
    struct walk at;
    bool flat = walk_decode_mode(e->vcpu) == DECODE_64 && segment != SEGMENT_FS && segment != SEGMENT_GS;
    uint64_t linear = offset + (flat ? 0 : vcpu_segment(e->vcpu, segment).base);
    if (!walk_linear(e->vcpu, linear, &at) || (vcpu_cpl(e->vcpu) == 3 && !at.user) ||
        (is_destination && !at.writable))
        return false;
    if ((linear & PAGE_MASK) + e->op.access_bytes > PAGE_SIZE)
        return false;
    return is_destination ? guest_memory_write(at.physical, value, e->op.access_bytes)
                          : guest_memory_read(at.physical, value, e->op.access_bytes);
}

/* One round of STOS or MOVS; with a REP prefix the instruction comes back for the next. Returns true when it
 * is finished. */
static bool emulate_string(const struct emulation *e, bool write, bool *failed)
{
    uint64_t count = decode_extend(e->vcpu->gpr[RCX], e->op.address_bytes, false);
    uint64_t value = e->vcpu->gpr[RAX];
    if (e->op.repeat && !count)
        return true;
    if (e->op.kind == DECODE_MOVS && write)
        *failed = !other_operand(e, false, &value);
    if (*failed)
        return false;
    if (write) {
        region_write(e, value);
    } else {
        value = region_read(e);
        *failed = !other_operand(e, true, &value);
        if (*failed)
            return false;
    }
    advance(e, RDI);
    if (e->op.kind == DECODE_MOVS)
        advance(e, RSI);
    if (!e->op.repeat)
        return true;
    e->vcpu->gpr[RCX] = decode_merge(e->vcpu->gpr[RCX], count - 1, e->op.address_bytes, false);
    return count == 1;
}

static void refuse(const struct emulation *e)
{
    log_limited("cpu %u: an access to a trapped page at %llx that is not emulated", e->vcpu->cpu->index,
                (unsigned long long)e->address);
    vcpu_inject(e->vcpu, EXCEPTION_GP, 0);
}

static void emulate(struct vcpu *vcpu, const struct mmio_region *region, const struct nested_fault *fault)
{
    struct emulation e = {.vcpu = vcpu, .region = region, .address = fault->address};
    uint8_t bytes[INSTRUCTION_MAX];
    size_t size = walk_fetch(vcpu, bytes);
    bool failed = false;
    step_abandon(vcpu); /* this instruction is done here after all */
    if (fault->fetch || fault->during_walk || vcpu_injection_due(vcpu) ||
        !decode(bytes, size, walk_decode_mode(vcpu), &e.op) ||
        fault->address - region->base + e.op.access_bytes > region->length) {
        refuse(&e);
        return;
    }
    bool finished = true;
    if (e.op.kind == DECODE_STOS || e.op.kind == DECODE_MOVS)
        finished = emulate_string(&e, fault->write, &failed);
    else
        failed = !emulate_plain(&e);
    if (failed)
        refuse(&e);
    else /* a CPU that single-steps stops after each round of a string instruction */
        vcpu_skip(vcpu, finished ? e.op.length : 0);
}

/* ---- The exit ---- */

/* The block is not there for the guest: its instruction runs on a page of ones that is thrown away. */
static void touch_block(struct vcpu *vcpu, const struct nested_fault *fault)
{
    count_exit(vcpu, EXIT_BLOCK_ACCESS);
    uint64_t count = __atomic_add_fetch(&blocked, 1, __ATOMIC_RELAXED);
    if (count <= BLOCKED_LOGGED)
        log_limited("cpu %u: the guest %s the hypervisor's memory at %llx", vcpu->cpu->index,
                    fault->write ? "writes" : "reads", (unsigned long long)fault->address);
    memset(vcpu->scratch_page, 0xff, PAGE_SIZE);
    if (!step_over_page(vcpu, fault->address & ~PAGE_MASK, physical_of(vcpu->scratch_page)))
        vcpu_inject(vcpu, EXCEPTION_GP, 0);
}

uint64_t mmio_blocked_accesses(void)
{
    return __atomic_load_n(&blocked, __ATOMIC_RELAXED);
}

void exit_nested_fault(struct vcpu *vcpu, const struct nested_fault *fault)
{
    struct mmio_region region;
    struct watched_page page;
    if (apic_page_is(fault->address) && fault->write) {
        if (vcpu->apic_trap == APIC_OPEN) {
            vcpu_flush(vcpu); /* opened meanwhile: again */
            return;
        }
        step_abandon(vcpu);
        exit_apic_write(vcpu, fault->address);
    } else if (find_region(fault->address, &region)) {
        emulate(vcpu, &region, fault);
    } else if (find_watched(fault->address, &page)) {
        count_exit(vcpu, EXIT_WATCHED_PAGE);
        page.before(page.owner);
        if (!step_over_page(vcpu, page.address, page.address))
            vcpu_inject(vcpu, EXCEPTION_GP, 0);
    } else if (nested_is_block(fault->address)) {
        touch_block(vcpu, fault);
    } else if (nested_reaches(fault->address)) {
        vcpu_flush(vcpu); /* the page was released meanwhile: again */
    } else {
        log_limited("cpu %u: the guest uses address %llx, which is beyond the machine's", vcpu->cpu->index,
                    (unsigned long long)fault->address);
        vcpu_inject(vcpu, EXCEPTION_GP, 0);
    }
}
