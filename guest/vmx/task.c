/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/vmx/task.h"

#include "guest/memory.h"
#include "guest/vmx/vmx.h"
#include "guest/walk.h"
#include "lib/strings.h"

#define LOW_32         0xffffffffull
#define FAULT_PRESENT  BIT(0)
#define FAULT_WRITE    BIT(1)
#define TSS_32_DWORDS  26u
#define TSS_16_WORDS   22u
#define TSS_32_EIP     8u  /* the first dword that a switch writes */
#define TSS_32_WRITTEN 16u /* EIP, EFLAGS, eight registers, six selectors */
#define TSS_16_IP      7u
#define TSS_16_WRITTEN 14u /* no FS, no GS */
#define SEGMENTS_16    4u
#define TSS_TRAP       1u

#define DESCRIPTOR_TYPE_SHIFT 8
#define DESCRIPTOR_G          BIT(23)
#define TYPE_ACCESSED         1u
#define TYPE_WRITABLE         2u /* of data */
#define TYPE_READABLE         2u /* of code */
#define TYPE_CONFORMING       4u
#define TYPE_CODE             8u

/* ---- Memory ---- */

/* Two pages at most, since nothing here is longer than one. */
static bool access_linear(struct vcpu *vcpu, uint64_t linear, void *buffer, size_t bytes, bool write)
{
    uint8_t *at = buffer;
    for (size_t done = 0; done < bytes;) {
        struct walk found;
        uint64_t here = (linear + done) & LOW_32;
        size_t part = MIN(bytes - done, PAGE_SIZE - (here & PAGE_MASK));
        bool mapped = walk_linear(vcpu, here, &found);
        if (!mapped || (write && !found.writable && (vcpu_cr(vcpu, CR0) & CR0_WP))) {
            vcpu_set_cr2(vcpu, here);
            vcpu_inject(vcpu, EXCEPTION_PF, (mapped ? FAULT_PRESENT : 0) | (write ? FAULT_WRITE : 0));
            return false;
        }
        walk_note_access(&found, write);
        if (write ? !guest_memory_write(found.physical, at + done, part)
                  : !guest_memory_read(found.physical, at + done, part)) {
            vcpu_inject(vcpu, EXCEPTION_GP, 0);
            return false;
        }
        done += part;
    }
    return true;
}

bool linear_read(struct vcpu *vcpu, uint64_t linear, void *to, size_t bytes)
{
    return access_linear(vcpu, linear, to, bytes, false);
}

bool linear_write(struct vcpu *vcpu, uint64_t linear, const void *from, size_t bytes)
{
    uint8_t copy[TSS_32_DWORDS * 4];
    memcpy(copy, from, bytes);
    return access_linear(vcpu, linear, copy, bytes, true);
}

/* ---- Task state segments ---- */

static bool read_32(struct vcpu *vcpu, uint64_t base, struct task *t)
{
    uint32_t d[TSS_32_DWORDS];
    if (!linear_read(vcpu, base, d, sizeof d))
        return false;
    *t = (struct task){
        .cr3 = d[7], .eip = d[8], .eflags = d[9], .ldtr = (uint16_t)d[24], .trap = d[25] & TSS_TRAP};
    for (unsigned i = 0; i < TASK_GPRS; i++)
        t->gpr[i] = d[10 + i];
    for (unsigned i = 0; i < TASK_SEGMENTS; i++)
        t->segment[i] = (uint16_t)d[18 + i];
    return true;
}

static bool read_16(struct vcpu *vcpu, uint64_t base, struct task *t)
{
    uint16_t w[TSS_16_WORDS];
    if (!linear_read(vcpu, base, w, sizeof w))
        return false;
    *t = (struct task){.eip = w[7], .eflags = w[8], .ldtr = w[21]};
    for (unsigned i = 0; i < TASK_GPRS; i++)
        t->gpr[i] = 0xffff0000u | w[9 + i];
    for (unsigned i = 0; i < SEGMENTS_16; i++)
        t->segment[i] = w[17 + i];
    return true;
}

bool task_read(struct vcpu *vcpu, uint64_t base, bool is_32, struct task *out)
{
    return is_32 ? read_32(vcpu, base, out) : read_16(vcpu, base, out);
}

bool task_write(struct vcpu *vcpu, uint64_t base, bool is_32, const struct task *t)
{
    uint32_t d[TSS_32_WRITTEN] = {t->eip, t->eflags};
    uint16_t w[TSS_16_WRITTEN];
    for (unsigned i = 0; i < TASK_GPRS; i++)
        d[2 + i] = t->gpr[i];
    for (unsigned i = 0; i < TASK_SEGMENTS; i++)
        d[2 + TASK_GPRS + i] = t->segment[i];
    for (unsigned i = 0; i < TSS_16_WRITTEN; i++)
        w[i] = (uint16_t)d[i];
    return is_32 ? linear_write(vcpu, base + TSS_32_EIP * sizeof *d, d, sizeof d)
                 : linear_write(vcpu, base + TSS_16_IP * sizeof *w, w, sizeof w);
}

/* ---- Descriptors ---- */

static bool locate(struct vcpu *vcpu, uint16_t selector, uint64_t *linear)
{
    bool local = selector & SELECTOR_TI;
    uint64_t base =
        local ? vmcs_read(SEGMENT_FIELD(VMCS_GUEST_BASES, SEGMENT_LDTR)) : vmcs_read(VMCS_GUEST_GDTR_BASE);
    uint64_t limit =
        local ? vmcs_read(SEGMENT_FIELD(VMCS_GUEST_LIMITS, SEGMENT_LDTR)) : vmcs_read(VMCS_GUEST_GDTR_LIMIT);
    bool usable = !local || !(vmcs_read(SEGMENT_FIELD(VMCS_GUEST_RIGHTS, SEGMENT_LDTR)) & RIGHTS_UNUSABLE);
    uint64_t offset = selector & ~(SELECTOR_TI | SELECTOR_RPL);
    *linear = base + offset;
    if (usable && offset + sizeof(struct descriptor) - 1 <= limit)
        return true;
    vcpu_inject(vcpu, EXCEPTION_TS, selector & SELECTOR_ERROR);
    return false;
}

bool descriptor_read(struct vcpu *vcpu, uint16_t selector, struct descriptor *out)
{
    uint64_t linear;
    return locate(vcpu, selector, &linear) && linear_read(vcpu, linear, out, sizeof *out);
}

bool descriptor_set_type(struct vcpu *vcpu, uint16_t selector, uint32_t bits, bool on)
{
    struct descriptor d;
    uint64_t linear;
    if (!locate(vcpu, selector, &linear) || !linear_read(vcpu, linear, &d, sizeof d))
        return false;
    uint32_t high = d.high & ~(bits << DESCRIPTOR_TYPE_SHIFT);
    if (on)
        high |= bits << DESCRIPTOR_TYPE_SHIFT;
    return high == d.high ||
           linear_write(vcpu, linear + offsetof(struct descriptor, high), &high, sizeof high);
}

uint64_t descriptor_base(const struct descriptor *d)
{
    return d->low >> 16 | (d->high & 0xff) << 16 | (d->high & 0xff000000u);
}

uint32_t descriptor_limit(const struct descriptor *d)
{
    uint32_t limit = (d->low & 0xffff) | (d->high & 0xf0000);
    return d->high & DESCRIPTOR_G ? limit << PAGE_SHIFT | PAGE_MASK : limit;
}

uint32_t descriptor_rights(const struct descriptor *d)
{
    return d->high >> DESCRIPTOR_TYPE_SHIFT & ~(uint32_t)RIGHTS_RESERVED & 0xffff;
}

/* ---- Segments ---- */

void segment_set_null(unsigned which, uint16_t selector)
{
    vmcs_write(SEGMENT_FIELD(VMCS_GUEST_SELECTORS, which), selector);
    vmcs_write(SEGMENT_FIELD(VMCS_GUEST_BASES, which), 0);
    vmcs_write(SEGMENT_FIELD(VMCS_GUEST_LIMITS, which), 0);
    if (which == SEGMENT_CS ||
        which == SEGMENT_SS) /* these cannot be unusable; the level is the selector's */
        vmcs_write(SEGMENT_FIELD(VMCS_GUEST_RIGHTS, which),
                   RIGHTS_PRESENT | RIGHTS_CODE | TYPE_WRITABLE | TYPE_ACCESSED |
                       (which == SEGMENT_CS ? TYPE_CODE : 0) |
                       (uint64_t)(selector & SELECTOR_RPL) << RIGHTS_DPL_SHIFT);
    else
        vmcs_write(SEGMENT_FIELD(VMCS_GUEST_RIGHTS, which), RIGHTS_UNUSABLE);
}

static void set(unsigned which, uint16_t selector, const struct descriptor *d, uint32_t extra_rights)
{
    vmcs_write(SEGMENT_FIELD(VMCS_GUEST_SELECTORS, which), selector);
    vmcs_write(SEGMENT_FIELD(VMCS_GUEST_BASES, which), descriptor_base(d));
    vmcs_write(SEGMENT_FIELD(VMCS_GUEST_LIMITS, which), descriptor_limit(d));
    vmcs_write(SEGMENT_FIELD(VMCS_GUEST_RIGHTS, which), descriptor_rights(d) | extra_rights);
}

static bool raise(struct vcpu *vcpu, enum exception exception, uint16_t selector)
{
    vcpu_inject(vcpu, exception, selector & SELECTOR_ERROR);
    return false;
}

bool segment_load_ldt(struct vcpu *vcpu, uint16_t selector)
{
    struct descriptor d;
    if (!(selector & ~SELECTOR_RPL))
        return true;
    if (selector & SELECTOR_TI)
        return raise(vcpu, EXCEPTION_TS, selector);
    if (!descriptor_read(vcpu, selector, &d))
        return false;
    uint32_t rights = descriptor_rights(&d);
    if ((rights & (RIGHTS_TYPE | RIGHTS_CODE)) != SYSTEM_TYPE_LDT || !(rights & RIGHTS_PRESENT))
        return raise(vcpu, EXCEPTION_TS, selector);
    set(SEGMENT_LDTR, selector, &d, 0);
    return true;
}

static bool fits(unsigned which, uint32_t rights, uint16_t selector, unsigned level)
{
    unsigned dpl = (rights & RIGHTS_DPL) >> RIGHTS_DPL_SHIFT, rpl = selector & SELECTOR_RPL;
    bool code = rights & TYPE_CODE, conforming = code && (rights & TYPE_CONFORMING);
    if (!(rights & RIGHTS_CODE))
        return false;
    switch (which) {
    case SEGMENT_CS:
        return code && (conforming ? dpl <= level : dpl == level);
    case SEGMENT_SS:
        return !code && (rights & TYPE_WRITABLE) && dpl == level && rpl == level;
    default:
        return (!code || (rights & TYPE_READABLE)) && (conforming || dpl >= MAX(rpl, level));
    }
}

bool segment_load(struct vcpu *vcpu, unsigned which, uint16_t selector, unsigned level)
{
    struct descriptor d;
    if (!(selector & ~SELECTOR_RPL))
        return which != SEGMENT_CS && which != SEGMENT_SS ? true : raise(vcpu, EXCEPTION_TS, selector);
    if (!descriptor_read(vcpu, selector, &d))
        return false;
    if (!fits(which, descriptor_rights(&d), selector, level))
        return raise(vcpu, EXCEPTION_TS, selector);
    if (!(descriptor_rights(&d) & RIGHTS_PRESENT))
        return raise(vcpu, which == SEGMENT_SS ? EXCEPTION_SS : EXCEPTION_NP, selector);
    if (!descriptor_set_type(vcpu, selector, TYPE_ACCESSED, true))
        return false;
    set(which, selector, &d, TYPE_ACCESSED);
    return true;
}
