/* SPDX-License-Identifier: Apache-2.0 */
/* INS and OUTS (APM 3): the port by its rule, the memory through the guest's own page tables with its
 * privilege. */
#include "guest/string_io.h"

#include "core/log.h"
#include "guest/memory.h"
#include "guest/ports.h"
#include "guest/walk.h"

#define REPETITIONS_MAX  512u /* in one exit: two sectors of words */
#define CANONICAL_BITS   47u
#define CANONICAL_BITS_5 56u /* with 5-level paging */
#define LOW_32           0xffffffffull

/* Error code of a page fault (APM 2 section 8.4.2). */
#define FAULT_PRESENT 1u
#define FAULT_WRITE   2u
#define FAULT_USER    4u

struct string_operation {
    struct vcpu *vcpu;
    struct decode_string op;
    uint16_t port;
    bool write; /* to the port: OUTS */
    bool long_mode;
    struct vcpu_segment segment;
    /* The page of the last element, so that not each one is looked up anew. */
    bool page_known;
    uint64_t page_linear, page_physical;
};

/* Where one element lies: in one piece, or in two when it crosses a page. */
struct element {
    uint64_t physical[2];
    unsigned bytes[2];
};

static enum gpr index_register(const struct string_operation *s)
{
    return s->write ? RSI : RDI;
}

static uint64_t offset_of(const struct string_operation *s)
{
    return decode_extend(s->vcpu->gpr[index_register(s)], s->op.address_bytes, false);
}

static uint64_t count_of(const struct string_operation *s)
{
    return s->op.repeat ? decode_extend(s->vcpu->gpr[RCX], s->op.address_bytes, false) : 1;
}

static bool is_canonical(const struct vcpu *vcpu, uint64_t linear)
{
    unsigned bit = vcpu_cr(vcpu, CR4) & CR4_LA57 ? CANONICAL_BITS_5 : CANONICAL_BITS;
    uint64_t high = linear >> bit;
    return !high || high == UINT64_MAX >> bit;
}

/* The linear address of an element. False, with the exception raised, beyond the segment's limit or where no
 * address can be. */
static bool linear_of(const struct string_operation *s, uint64_t *linear)
{
    uint64_t offset = offset_of(s);
    bool good;
    if (s->long_mode) {
        bool based = s->op.segment == SEGMENT_FS || s->op.segment == SEGMENT_GS;
        *linear = offset + (based ? s->segment.base : 0);
        good = is_canonical(s->vcpu, *linear) && is_canonical(s->vcpu, *linear + s->op.bytes - 1);
    } else {
        *linear = (s->segment.base + offset) & LOW_32;
        good = range_fits(offset, s->op.bytes, (uint64_t)s->segment.limit + 1);
    }
    if (!good)
        vcpu_inject(s->vcpu, s->op.segment == SEGMENT_SS ? EXCEPTION_SS : EXCEPTION_GP, 0);
    return good;
}

static bool may_access(const struct vcpu *vcpu, const struct walk *at, bool stores)
{
    bool user = vcpu_cpl(vcpu) == 3;
    if (user && !at->user)
        return false;
    if (stores && !at->writable && (user || (vcpu_cr(vcpu, CR0) & CR0_WP)))
        return false;
    return user || !at->user || !(vcpu_cr(vcpu, CR4) & CR4_SMAP) || (vcpu->rflags & RFLAGS_AC);
}

/* Looks up one byte's address. False with the page fault raised. */
static bool translate(struct string_operation *s, uint64_t linear, uint64_t *physical)
{
    struct vcpu *vcpu = s->vcpu;
    bool stores = !s->write;
    if (!s->page_known || s->page_linear != (linear & ~PAGE_MASK)) {
        struct walk at;
        bool mapped = walk_linear(vcpu, linear, &at);
        if (!mapped || ((vcpu_cr(vcpu, CR0) & CR0_PG) && !may_access(vcpu, &at, stores))) {
            vcpu_set_cr2(vcpu, linear);
            vcpu_inject(vcpu, EXCEPTION_PF,
                        (mapped ? FAULT_PRESENT : 0) | (stores ? FAULT_WRITE : 0) |
                            (vcpu_cpl(vcpu) == 3 ? FAULT_USER : 0));
            return false;
        }
        walk_note_access(&at, stores);
        s->page_known = true;
        s->page_linear = linear & ~PAGE_MASK;
        s->page_physical = at.physical & ~PAGE_MASK;
    }
    *physical = s->page_physical | (linear & PAGE_MASK);
    return true;
}

/* All of an element's memory is found before its port is touched, since a port may be read only once. */
static bool find_element(struct string_operation *s, struct element *out)
{
    uint64_t linear;
    if (!linear_of(s, &linear))
        return false;
    unsigned first = (unsigned)MIN((uint64_t)s->op.bytes, PAGE_SIZE - (linear & PAGE_MASK));
    uint64_t next = s->long_mode ? linear + first : (linear + first) & LOW_32;
    *out = (struct element){.bytes = {first, s->op.bytes - first}};
    if (!translate(s, linear, &out->physical[0]) || (out->bytes[1] && !translate(s, next, &out->physical[1])))
        return false;
    for (unsigned i = 0; i < ARRAY_COUNT(out->bytes); i++) {
        if (!out->bytes[i] || guest_memory_is_ram(out->physical[i], out->bytes[i]))
            continue;
        log_limited("cpu %u: string I/O between port %x and device memory at %llx is refused",
                    s->vcpu->cpu->index, s->port, (unsigned long long)out->physical[i]);
        vcpu_inject(s->vcpu, EXCEPTION_GP, 0);
        return false;
    }
    return true;
}

/* Between the element's memory and a value. */
static bool copy_element(const struct element *element, bool to_memory, uint32_t *value)
{
    uint8_t *bytes = (uint8_t *)value;
    for (unsigned i = 0; i < ARRAY_COUNT(element->bytes); bytes += element->bytes[i], i++) {
        size_t length = element->bytes[i];
        if (length && !(to_memory ? guest_memory_write(element->physical[i], bytes, length)
                                  : guest_memory_read(element->physical[i], bytes, length)))
            return false;
    }
    return true;
}

static void advance(struct string_operation *s)
{
    uint64_t *index = &s->vcpu->gpr[index_register(s)], *count = &s->vcpu->gpr[RCX];
    uint64_t step = s->vcpu->rflags & RFLAGS_DF ? -(uint64_t)s->op.bytes : s->op.bytes;
    *index = decode_merge(*index, *index + step, s->op.address_bytes, false);
    if (s->op.repeat)
        *count = decode_merge(*count, *count - 1, s->op.address_bytes, false);
}

/* One repetition. False when an exception was raised instead. */
static bool transfer(struct string_operation *s)
{
    struct element element;
    uint32_t value = 0;
    if (!find_element(s, &element))
        return false;
    bool copied = !s->write || copy_element(&element, false, &value);
    if (copied)
        port_access_one(s->vcpu, s->port, s->op.bytes, s->write, &value);
    if (copied && !s->write)
        copied = copy_element(&element, true, &value);
    if (copied)
        advance(s);
    return copied;
}

void string_io(struct vcpu *vcpu, const struct port_access *access)
{
    struct string_operation s = {.vcpu = vcpu, .port = access->port, .write = access->write};
    uint8_t bytes[INSTRUCTION_MAX];
    size_t size = walk_fetch(vcpu, bytes);
    enum decode_mode mode = walk_decode_mode(vcpu);
    if (!decode_string_io(bytes, size, mode, &s.op) || s.op.is_output != access->write) {
        log_limited("cpu %u: string I/O at port %x is not there any more", vcpu->cpu->index, access->port);
        vcpu_inject(vcpu, EXCEPTION_GP, 0);
        return;
    }
    s.long_mode = mode == DECODE_64;
    s.segment = vcpu_segment(vcpu, s.op.segment);
    /* A CPU that single-steps stops after each repetition. */
    unsigned limit = vcpu->rflags & RFLAGS_TF ? 1 : REPETITIONS_MAX;
    for (unsigned i = 0; i < limit && count_of(&s); i++) {
        if (!transfer(&s))
            return;
        if (!s.op.repeat)
            break;
    }
    bool finished = !s.op.repeat || !count_of(&s);
    vcpu_skip(vcpu, finished ? s.op.length : 0);
}
