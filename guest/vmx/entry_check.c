/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/vmx/entry_check.h"

#include "core/registers.h"
#include "lib/decode.h"

/* One rule: the words are the answer where it does not hold. */
#define RULE(holds, words)                                                                                   \
    do {                                                                                                     \
        if (!(holds))                                                                                        \
            return words;                                                                                    \
    } while (0)

/* A group of rules. */
#define RULES(call)                                                                                          \
    do {                                                                                                     \
        const char *broken = (call);                                                                         \
        if (broken)                                                                                          \
            return broken;                                                                                   \
    } while (0)

#define EXCEPTION_LAST         31u
#define EVENT_RESERVED         0x7ffff000u
#define ERROR_CODE_BITS        0xffffull
#define INSTRUCTION_BYTES_MAX  15u
#define SELECTOR_RPL           3u
#define SELECTOR_TI            4u
#define EFER_EXISTING          (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)
#define RFLAGS_RESERVED        (~0x3fffffull | BIT(15) | BIT(5) | BIT(3))
#define LIMIT_BELOW_PAGE       0xfffu
#define LIMIT_ABOVE_MEGABYTE   0xfff00000u
#define INTERRUPTIBILITY_KNOWN 0x1full
#define PENDING_DEBUG_KNOWN    0x1500full
#define DEBUG_CONTROL_BTF      BIT(1)
#define HIGH_HALF              0xffffffff00000000ull
#define CANONICAL_SHIFT        47
#define EPT_POINTER_LOW        0xfffull
#define EPT_POINTER_ACCESSED   BIT(6)
#define RIGHTS_V86             0xf3u
#define TYPE_DATA_EXPAND_UP    3u
#define TYPE_ACCESSED          1u
#define TYPE_READABLE          2u
#define TYPE_CODE              8u
#define TYPE_CONFORMING        4u

static uint64_t get(const struct entry_state *s, enum vmcs_field field)
{
    return s->read(s->context, field);
}

static bool controls_fit(uint64_t value, uint64_t capability)
{
    uint32_t must = (uint32_t)capability, may = (uint32_t)(capability >> 32);
    return (value & must) == must && !(value & ~(uint64_t)may);
}

static bool canonical(uint64_t address)
{
    uint64_t top = address >> CANONICAL_SHIFT;
    return top == 0 || top == UINT64_MAX >> CANONICAL_SHIFT;
}

static bool is_physical(const struct entry_state *s, uint64_t address, uint64_t alignment)
{
    return !(address & (alignment - 1)) && !(address >> s->physical_bits);
}

static bool is_pat(uint64_t pat)
{
    for (unsigned i = 0; i < 8; i++) {
        unsigned type = pat >> 8 * i & 0xff;
        if (type > 7 || type == 2 || type == 3)
            return false;
    }
    return true;
}

/* ---- 26.2.1: controls ---- */

static const char *check_lists(const struct entry_state *s)
{
    RULE(!get(s, VMCS_EXIT_MSR_STORE_COUNT) || is_physical(s, get(s, VMCS_EXIT_MSR_STORE), 16),
         "the address of the list of MSRs to store at exits");
    RULE(!get(s, VMCS_EXIT_MSR_LOAD_COUNT) || is_physical(s, get(s, VMCS_EXIT_MSR_LOAD), 16),
         "the address of the list of MSRs to load at exits");
    RULE(!get(s, VMCS_ENTRY_MSR_LOAD_COUNT) || is_physical(s, get(s, VMCS_ENTRY_MSR_LOAD), 16),
         "the address of the list of MSRs to load at entries");
    return NULL;
}

static bool has_error_code(unsigned vector)
{
    return vector == EXCEPTION_DF || (vector >= EXCEPTION_TS && vector <= EXCEPTION_PF) ||
           vector == EXCEPTION_AC;
}

static const char *check_event(const struct entry_state *s)
{
    uint64_t event = get(s, VMCS_ENTRY_EVENT);
    unsigned type = event & EVENT_TYPE, vector = event & EVENT_VECTOR;
    if (!(event & EVENT_VALID))
        return NULL;
    bool protected_mode = get(s, VMCS_GUEST_CR0) & CR0_PE;
    bool wants_code = type == EVENT_TYPE_HARDWARE && protected_mode && has_error_code(vector);
    uint64_t length = get(s, VMCS_ENTRY_INSTRUCTION_LENGTH);
    RULE(!(event & EVENT_RESERVED), "reserved bits of the event");
    RULE(type != 0x100u && type != EVENT_TYPE_OTHER, "the event's type");
    RULE(type != EVENT_TYPE_NMI || vector == EXCEPTION_NMI, "the vector of an NMI");
    RULE(type != EVENT_TYPE_HARDWARE || vector <= EXCEPTION_LAST, "the vector of an exception");
    RULE(!!(event & EVENT_ERROR_VALID) == wants_code, "whether the event has an error code");
    RULE(!wants_code || !(get(s, VMCS_ENTRY_EVENT_ERROR) & ~ERROR_CODE_BITS), "the event's error code");
    RULE(type < EVENT_TYPE_SOFTWARE || (length && length <= INSTRUCTION_BYTES_MAX),
         "the instruction length of the event");
    return NULL;
}

static const char *check_controls(const struct entry_state *s)
{
    uint64_t pin = get(s, VMCS_PIN_CONTROLS), processor = get(s, VMCS_PROCESSOR_CONTROLS);
    uint64_t secondary = get(s, VMCS_SECONDARY_CONTROLS), ept = get(s, VMCS_EPT_POINTER);
    RULE(controls_fit(pin, s->controls[CONTROLS_PIN]), "the pin-based controls");
    RULE(controls_fit(processor, s->controls[CONTROLS_PROCESSOR]), "the processor-based controls");
    RULE(!(processor & PROCESSOR_SECONDARY) || controls_fit(secondary, s->controls[CONTROLS_SECONDARY]),
         "the secondary controls");
    RULE(controls_fit(get(s, VMCS_EXIT_CONTROLS), s->controls[CONTROLS_EXIT]), "the exit controls");
    RULE(controls_fit(get(s, VMCS_ENTRY_CONTROLS), s->controls[CONTROLS_ENTRY]), "the entry controls");
    RULE(get(s, VMCS_CR3_TARGET_COUNT) <= 4, "the number of CR3 targets");
    RULE(is_physical(s, get(s, VMCS_IO_BITMAP_A), PAGE_SIZE) &&
             is_physical(s, get(s, VMCS_IO_BITMAP_B), PAGE_SIZE),
         "the addresses of the I/O bitmaps");
    RULE(is_physical(s, get(s, VMCS_MSR_BITMAP), PAGE_SIZE), "the address of the MSR bitmap");
    RULE((pin & PIN_NMI) || !(pin & PIN_VIRTUAL_NMIS), "virtual NMIs without NMI exits");
    RULE((pin & PIN_VIRTUAL_NMIS) || !(processor & PROCESSOR_NMI_WINDOW),
         "an NMI window without virtual NMIs");
    RULE(!(secondary & SECONDARY_VPID) || get(s, VMCS_VPID), "VPID zero");
    RULE(is_physical(s, ept & ~EPT_POINTER_LOW, PAGE_SIZE), "the address in the EPT pointer");
    RULE((ept & EPT_POINTER_LOW & ~EPT_POINTER_ACCESSED) ==
             (EPT_POINTER_WRITE_BACK | EPT_POINTER_FOUR_LEVELS),
         "the type or walk length in the EPT pointer");
    RULES(check_lists(s));
    return check_event(s);
}

/* ---- 26.2.2 to 26.2.4: the host ---- */

static bool fixed(uint64_t value, uint64_t fixed0, uint64_t fixed1)
{
    return (value & fixed0) == fixed0 && !(value & ~fixed1);
}

static const char *check_host(const struct entry_state *s)
{
    static const enum vmcs_field selectors[] = {VMCS_HOST_ES, VMCS_HOST_CS, VMCS_HOST_SS, VMCS_HOST_DS,
                                                VMCS_HOST_FS, VMCS_HOST_GS, VMCS_HOST_TR};
    static const enum vmcs_field addresses[] = {
        VMCS_HOST_FS_BASE,   VMCS_HOST_GS_BASE,      VMCS_HOST_TR_BASE,      VMCS_HOST_GDTR_BASE,
        VMCS_HOST_IDTR_BASE, VMCS_HOST_SYSENTER_ESP, VMCS_HOST_SYSENTER_EIP, VMCS_HOST_RIP};
    uint64_t efer = get(s, VMCS_HOST_EFER);
    RULE(fixed(get(s, VMCS_HOST_CR0), s->cr0_fixed0, s->cr0_fixed1), "the host's CR0");
    RULE(fixed(get(s, VMCS_HOST_CR4), s->cr4_fixed0, s->cr4_fixed1), "the host's CR4");
    RULE(get(s, VMCS_HOST_CR4) & CR4_PAE, "the host's CR4 without PAE");
    RULE(is_physical(s, get(s, VMCS_HOST_CR3), 1), "the host's CR3");
    RULE(is_pat(get(s, VMCS_HOST_PAT)), "the host's PAT");
    RULE(!(efer & ~EFER_EXISTING) && (efer & EFER_LMA) && (efer & EFER_LME), "the host's EFER");
    RULE(get(s, VMCS_EXIT_CONTROLS) & EXIT_HOST_64, "a host that is not 64-bit");
    for (unsigned i = 0; i < ARRAY_COUNT(selectors); i++)
        RULE(!(get(s, selectors[i]) & (SELECTOR_RPL | SELECTOR_TI)), "a selector of the host");
    RULE(get(s, VMCS_HOST_CS) && get(s, VMCS_HOST_TR), "a null selector of the host");
    for (unsigned i = 0; i < ARRAY_COUNT(addresses); i++)
        RULE(canonical(get(s, addresses[i])), "an address of the host that is not canonical");
    return NULL;
}

/* ---- 26.3.1.1: the guest's control registers ---- */

static const char *check_control_registers(const struct entry_state *s)
{
    uint64_t cr0 = get(s, VMCS_GUEST_CR0), cr4 = get(s, VMCS_GUEST_CR4), efer = get(s, VMCS_GUEST_EFER);
    bool long_mode = get(s, VMCS_ENTRY_CONTROLS) & ENTRY_GUEST_64;
    RULE(fixed(cr0, s->cr0_fixed0 & ~(CR0_PE | CR0_PG), s->cr0_fixed1), "the guest's CR0");
    RULE(!(cr0 & CR0_PG) || (cr0 & CR0_PE), "the guest's CR0: paging without protection");
    RULE(fixed(cr4, s->cr4_fixed0, s->cr4_fixed1), "the guest's CR4");
    RULE(!(cr4 & CR4_CET) || (cr0 & CR0_WP), "the guest's CR4: CET without CR0.WP");
    RULE(!long_mode || ((cr0 & CR0_PG) && (cr4 & CR4_PAE)), "64-bit mode without paging or PAE");
    RULE(long_mode || !(cr4 & CR4_PCIDE), "the guest's CR4: PCIDE outside 64-bit mode");
    RULE(is_physical(s, get(s, VMCS_GUEST_CR3), 1), "the guest's CR3");
    RULE(!(get(s, VMCS_GUEST_DR7) & HIGH_HALF), "the guest's DR7");
    RULE(canonical(get(s, VMCS_GUEST_SYSENTER_ESP)) && canonical(get(s, VMCS_GUEST_SYSENTER_EIP)),
         "the guest's SYSENTER addresses");
    RULE(is_pat(get(s, VMCS_GUEST_PAT)), "the guest's PAT");
    RULE(!(efer & ~EFER_EXISTING), "the guest's EFER: reserved bits");
    RULE(!!(efer & EFER_LMA) == long_mode, "the guest's EFER: LMA is not the entry's mode");
    RULE(!(cr0 & CR0_PG) || !!(efer & EFER_LMA) == !!(efer & EFER_LME), "the guest's EFER: LMA is not LME");
    return NULL;
}

/* ---- 26.3.1.2: the guest's segments ---- */

struct segment_state {
    uint64_t base;
    uint32_t limit, rights;
    uint16_t selector;
    unsigned type, dpl;
    bool usable;
};

static struct segment_state segment_state(const struct entry_state *s, unsigned which)
{
    uint32_t rights = (uint32_t)get(s, SEGMENT_FIELD(VMCS_GUEST_RIGHTS, which));
    return (struct segment_state){
        .base = get(s, SEGMENT_FIELD(VMCS_GUEST_BASES, which)),
        .limit = (uint32_t)get(s, SEGMENT_FIELD(VMCS_GUEST_LIMITS, which)),
        .rights = rights,
        .selector = (uint16_t)get(s, SEGMENT_FIELD(VMCS_GUEST_SELECTORS, which)),
        .type = rights & RIGHTS_TYPE,
        .dpl = (rights & RIGHTS_DPL) >> RIGHTS_DPL_SHIFT,
        .usable = !(rights & RIGHTS_UNUSABLE),
    };
}

static bool granularity_fits(const struct segment_state *g)
{
    bool small = (g->limit & LIMIT_BELOW_PAGE) != LIMIT_BELOW_PAGE, large = g->limit & LIMIT_ABOVE_MEGABYTE;
    return !(small && (g->rights & RIGHTS_G)) && !(large && !(g->rights & RIGHTS_G));
}

static const char *check_code(const struct segment_state *cs, const struct segment_state *ss, bool long_mode)
{
    bool data = cs->type == TYPE_DATA_EXPAND_UP; /* unrestricted guests may */
    RULE(data || ((cs->type & TYPE_CODE) && (cs->type & TYPE_ACCESSED)), "the guest's CS: type");
    RULE(cs->usable && (cs->rights & RIGHTS_CODE) && (cs->rights & RIGHTS_PRESENT),
         "the guest's CS: not there");
    RULE(!data || cs->dpl == 0, "the guest's CS: privilege of a data segment");
    if (!data && !(cs->type & TYPE_CONFORMING))
        RULE(cs->dpl == ss->dpl, "the guest's CS: privilege is not that of SS");
    if (!data && (cs->type & TYPE_CONFORMING))
        RULE(cs->dpl <= ss->dpl, "the guest's CS: privilege is above that of SS");
    RULE(!(cs->base & HIGH_HALF), "the guest's CS: base");
    RULE(!(cs->rights & RIGHTS_RESERVED), "the guest's CS: reserved rights");
    RULE(!long_mode || !(cs->rights & RIGHTS_L) || !(cs->rights & RIGHTS_DB), "the guest's CS: both L and D");
    RULE(granularity_fits(cs), "the guest's CS: granularity");
    return NULL;
}

static const char *check_data(const struct segment_state *d, bool is_stack)
{
    if (!d->usable)
        return NULL;
    RULE(d->type & TYPE_ACCESSED, "a data segment of the guest: not accessed");
    RULE(!is_stack || (d->type & ~4u) == TYPE_DATA_EXPAND_UP, "the guest's SS: type");
    RULE(!(d->type & TYPE_CODE) || (d->type & TYPE_READABLE), "a data segment of the guest: unreadable code");
    RULE((d->rights & RIGHTS_CODE) && (d->rights & RIGHTS_PRESENT), "a data segment of the guest: not there");
    RULE(!(d->rights & RIGHTS_RESERVED), "a data segment of the guest: reserved rights");
    RULE(granularity_fits(d), "a data segment of the guest: granularity");
    return NULL;
}

static const char *check_virtual_8086(const struct entry_state *s)
{
    for (unsigned which = SEGMENT_ES; which <= SEGMENT_GS; which++) {
        struct segment_state g = segment_state(s, which);
        RULE(g.base == (uint64_t)g.selector << 4 && g.limit == 0xffff && g.rights == RIGHTS_V86,
             "a segment of a virtual-8086 guest");
    }
    return NULL;
}

static const char *check_system_segments(const struct entry_state *s, bool long_mode)
{
    struct segment_state tr = segment_state(s, SEGMENT_TR), ldtr = segment_state(s, SEGMENT_LDTR);
    bool busy = tr.type == SYSTEM_TYPE_TSS_BUSY || (tr.type == TYPE_DATA_EXPAND_UP && !long_mode);
    RULE(!(tr.selector & SELECTOR_TI) && canonical(tr.base), "the guest's TR: selector or base");
    RULE(busy, "the guest's TR: not a busy task");
    RULE(tr.usable && !(tr.rights & RIGHTS_CODE) && (tr.rights & RIGHTS_PRESENT),
         "the guest's TR: not there");
    RULE(!(tr.rights & RIGHTS_RESERVED) && granularity_fits(&tr),
         "the guest's TR: reserved rights, granularity");
    if (!ldtr.usable)
        return NULL;
    RULE(!(ldtr.selector & SELECTOR_TI) && canonical(ldtr.base), "the guest's LDTR: selector or base");
    RULE(ldtr.type == SYSTEM_TYPE_LDT && !(ldtr.rights & RIGHTS_CODE) && (ldtr.rights & RIGHTS_PRESENT),
         "the guest's LDTR: type");
    RULE(!(ldtr.rights & RIGHTS_RESERVED) && granularity_fits(&ldtr),
         "the guest's LDTR: reserved rights, granularity");
    return NULL;
}

static const char *check_segments(const struct entry_state *s)
{
    bool long_mode = get(s, VMCS_ENTRY_CONTROLS) & ENTRY_GUEST_64;
    struct segment_state cs = segment_state(s, SEGMENT_CS), ss = segment_state(s, SEGMENT_SS);
    RULES(check_system_segments(s, long_mode));
    if (get(s, VMCS_GUEST_RFLAGS) & RFLAGS_VM)
        return check_virtual_8086(s);
    RULES(check_code(&cs, &ss, long_mode));
    for (unsigned which = SEGMENT_ES; which <= SEGMENT_GS; which++) {
        struct segment_state g = segment_state(s, which);
        bool thread = which == SEGMENT_FS || which == SEGMENT_GS;
        if (which == SEGMENT_CS)
            continue;
        RULE(thread ? canonical(g.base) : !g.usable || !(g.base & HIGH_HALF),
             "a data segment of the guest: base");
        RULES(check_data(&g, which == SEGMENT_SS));
    }
    RULE((get(s, VMCS_GUEST_CR0) & CR0_PE) || ss.dpl == 0, "the guest's SS: privilege in real mode");
    RULE(cs.type != TYPE_DATA_EXPAND_UP || ss.dpl == 0, "the guest's SS: privilege above a data CS");
    return NULL;
}

/* ---- 26.3.1.3 to 26.3.1.5: tables, RIP, RFLAGS, what is not a register ---- */

static const char *check_registers(const struct entry_state *s)
{
    uint64_t rip = get(s, VMCS_GUEST_RIP), rflags = get(s, VMCS_GUEST_RFLAGS);
    uint64_t event = get(s, VMCS_ENTRY_EVENT);
    bool long_mode = get(s, VMCS_ENTRY_CONTROLS) & ENTRY_GUEST_64;
    bool code_64 = long_mode && (get(s, SEGMENT_FIELD(VMCS_GUEST_RIGHTS, SEGMENT_CS)) & RIGHTS_L);
    bool external = (event & EVENT_VALID) && (event & EVENT_TYPE) == EVENT_TYPE_EXTERNAL;
    RULE(canonical(get(s, VMCS_GUEST_GDTR_BASE)) && canonical(get(s, VMCS_GUEST_IDTR_BASE)),
         "the base of the guest's GDTR or IDTR");
    RULE(get(s, VMCS_GUEST_GDTR_LIMIT) <= 0xffff && get(s, VMCS_GUEST_IDTR_LIMIT) <= 0xffff,
         "the limit of the guest's GDTR or IDTR");
    RULE(code_64 ? canonical(rip) : !(rip & HIGH_HALF), "the guest's RIP");
    RULE(!(rflags & RFLAGS_RESERVED) && (rflags & RFLAGS_ONE), "reserved bits of the guest's RFLAGS");
    RULE(!(rflags & RFLAGS_VM) || (!long_mode && (get(s, VMCS_GUEST_CR0) & CR0_PE)),
         "the guest's RFLAGS: virtual-8086 mode");
    RULE(!external || (rflags & RFLAGS_IF), "an external interrupt with interrupts off");
    return NULL;
}

static const char *check_shadow(const struct entry_state *s)
{
    uint64_t state = get(s, VMCS_GUEST_INTERRUPTIBILITY), rflags = get(s, VMCS_GUEST_RFLAGS);
    uint64_t event = get(s, VMCS_ENTRY_EVENT), type = event & EVENT_TYPE;
    bool sti = state & INTERRUPTIBILITY_STI, mov_ss = state & INTERRUPTIBILITY_MOV_SS;
    RULE(!(state & ~INTERRUPTIBILITY_KNOWN), "reserved bits of the interruptibility");
    RULE(!sti || !mov_ss, "interruptibility: both kinds of shadow");
    RULE(!sti || (rflags & RFLAGS_IF), "interruptibility: the shadow of an STI with interrupts off");
    RULE(!(state & INTERRUPTIBILITY_SMI), "interruptibility: blocking by SMI outside SMM");
    if (!(event & EVENT_VALID))
        return NULL;
    RULE(type != EVENT_TYPE_EXTERNAL || (!sti && !mov_ss), "an external interrupt in a shadow");
    RULE(type != EVENT_TYPE_NMI || (!sti && !mov_ss), "an NMI in a shadow");
    RULE(type != EVENT_TYPE_NMI || !(state & INTERRUPTIBILITY_NMI), "an NMI while NMIs are blocked");
    return NULL;
}

static const char *check_activity(const struct entry_state *s)
{
    uint64_t activity = get(s, VMCS_GUEST_ACTIVITY), debug = get(s, VMCS_GUEST_PENDING_DEBUG);
    uint64_t state = get(s, VMCS_GUEST_INTERRUPTIBILITY), event = get(s, VMCS_ENTRY_EVENT);
    bool shadow = state & (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS);
    bool steps =
        (get(s, VMCS_GUEST_RFLAGS) & RFLAGS_TF) && !(get(s, VMCS_GUEST_DEBUG_CONTROL) & DEBUG_CONTROL_BTF);
    RULE(activity <= ACTIVITY_WAIT_FOR_SIPI, "the activity state");
    RULE(activity != ACTIVITY_HLT || !segment_state(s, SEGMENT_SS).dpl, "halted outside privilege level 0");
    RULE(activity == ACTIVITY_ACTIVE || !shadow, "an inactive guest in a shadow");
    RULE(activity != ACTIVITY_WAIT_FOR_SIPI || !(event & EVENT_VALID),
         "an event for a CPU that waits for SIPI");
    RULE(!(debug & ~PENDING_DEBUG_KNOWN), "reserved bits of the pending debug exceptions");
    RULE(!(shadow || activity == ACTIVITY_HLT) || !!(debug & PENDING_DEBUG_BS) == steps,
         "pending debug exceptions: the single step in a shadow or halted");
    RULE(get(s, VMCS_LINK_POINTER) == ~0ull, "the VMCS link pointer");
    return NULL;
}

const char *entry_check(const struct entry_state *s)
{
    RULES(check_controls(s));
    RULES(check_host(s));
    RULES(check_control_registers(s));
    RULES(check_segments(s));
    RULES(check_registers(s));
    RULES(check_shadow(s));
    return check_activity(s);
}
