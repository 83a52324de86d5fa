/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of a VM entry: states that a CPU takes, and each rule broken by itself. */
#include "guest/vmx/entry_check.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define FIELDS 0x7000

static uint64_t vmcs[FIELDS];
static struct entry_state state;

static uint64_t read_field(const void *context, enum vmcs_field field)
{
    assert_ptr_equal(context, vmcs);
    assert_in_range(field, 0, FIELDS - 1);
    return vmcs[field];
}

static void segment(unsigned which, uint16_t selector, uint64_t base, uint32_t limit, uint32_t rights)
{
    vmcs[SEGMENT_FIELD(VMCS_GUEST_SELECTORS, which)] = selector;
    vmcs[SEGMENT_FIELD(VMCS_GUEST_BASES, which)] = base;
    vmcs[SEGMENT_FIELD(VMCS_GUEST_LIMITS, which)] = limit;
    vmcs[SEGMENT_FIELD(VMCS_GUEST_RIGHTS, which)] = rights;
}

static void controls(void)
{
    vmcs[VMCS_PIN_CONTROLS] = 0x3e;
    vmcs[VMCS_PROCESSOR_CONTROLS] = 0x96006172;
    vmcs[VMCS_SECONDARY_CONTROLS] = 0x10aa;
    vmcs[VMCS_EXIT_CONTROLS] = 0x3f6fff;
    vmcs[VMCS_ENTRY_CONTROLS] = 0xd1ff | ENTRY_GUEST_64;
    vmcs[VMCS_IO_BITMAP_A] = 0x1000;
    vmcs[VMCS_IO_BITMAP_B] = 0x2000;
    vmcs[VMCS_MSR_BITMAP] = 0x3000;
    vmcs[VMCS_EPT_POINTER] = 0x4000 | EPT_POINTER_FOUR_LEVELS | EPT_POINTER_WRITE_BACK;
    vmcs[VMCS_VPID] = 1;
    vmcs[VMCS_LINK_POINTER] = ~0ull;
}

static void host(void)
{
    vmcs[VMCS_HOST_CR0] = CR0_PE | CR0_NE | CR0_PG;
    vmcs[VMCS_HOST_CR3] = 0x5000;
    vmcs[VMCS_HOST_CR4] = CR4_PAE | CR4_VMXE;
    vmcs[VMCS_HOST_EFER] = EFER_LME | EFER_LMA | EFER_NXE;
    vmcs[VMCS_HOST_PAT] = PAT_RESET;
    vmcs[VMCS_HOST_CS] = 8;
    vmcs[VMCS_HOST_TR] = 0x18;
    vmcs[VMCS_HOST_GS_BASE] = vmcs[VMCS_HOST_RIP] = 0xffffffff80000000ull;
}

/* A 64-bit guest, as the firmware left it. */
static void guest(void)
{
    vmcs[VMCS_GUEST_CR0] = CR0_PE | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
    vmcs[VMCS_GUEST_CR3] = 0x6000;
    vmcs[VMCS_GUEST_CR4] = CR4_PAE | CR4_VMXE;
    vmcs[VMCS_GUEST_EFER] = EFER_LME | EFER_LMA;
    vmcs[VMCS_GUEST_PAT] = PAT_RESET;
    vmcs[VMCS_GUEST_DR7] = DR7_RESET;
    vmcs[VMCS_GUEST_RFLAGS] = RFLAGS_ONE | RFLAGS_IF;
    vmcs[VMCS_GUEST_RIP] = 0x7e000000;
    for (unsigned which = SEGMENT_ES; which <= SEGMENT_GS; which++)
        segment(which, 0x30, 0, ~0u, 0xc093);
    segment(SEGMENT_CS, 0x38, 0, ~0u, 0xa09b);
    segment(SEGMENT_LDTR, 0, 0, 0, RIGHTS_UNUSABLE);
    segment(SEGMENT_TR, 0, 0, 0x67, RIGHTS_PRESENT | SYSTEM_TYPE_TSS_BUSY);
}

static int set_up(void **unused)
{
    (void)unused;
    memset(vmcs, 0, sizeof vmcs);
    controls();
    host();
    guest();
    state = (struct entry_state){
        .read = read_field,
        .context = vmcs,
        .physical_bits = 39,
        .controls = {[CONTROLS_PIN] = 0x7f00000016,
                     [CONTROLS_PROCESSOR] = 0xfff9fffe04006172,
                     [CONTROLS_SECONDARY] = 0x7cff00000000,
                     [CONTROLS_EXIT] = 0x7fffff00036dfb,
                     [CONTROLS_ENTRY] = 0xffff000011fb},
        .cr0_fixed0 = 0x80000021,
        .cr0_fixed1 = 0xffffffff,
        .cr4_fixed0 = CR4_VMXE,
        .cr4_fixed1 = 0x1767ff | CR4_CET,
    };
    return 0;
}

/* As a start-up IPI leaves it. */
static void real_mode(void)
{
    vmcs[VMCS_GUEST_CR0] = CR0_ET | CR0_NE;
    vmcs[VMCS_GUEST_CR3] = vmcs[VMCS_GUEST_EFER] = vmcs[VMCS_GUEST_RIP] = 0;
    vmcs[VMCS_GUEST_CR4] = CR4_VMXE;
    vmcs[VMCS_GUEST_RFLAGS] = RFLAGS_ONE;
    vmcs[VMCS_ENTRY_CONTROLS] &= ~ENTRY_GUEST_64;
    for (unsigned which = SEGMENT_ES; which <= SEGMENT_GS; which++)
        segment(which, 0, 0, 0xffff, 0x93);
    segment(SEGMENT_CS, 0x8700, 0x87000, 0xffff, 0x9b);
    segment(SEGMENT_LDTR, 0, 0, 0xffff, RIGHTS_PRESENT | SYSTEM_TYPE_LDT);
    segment(SEGMENT_TR, 0, 0, 0xffff, RIGHTS_PRESENT | SYSTEM_TYPE_TSS_BUSY);
}

static void expect_none(void)
{
    const char *rule = entry_check(&state);
    if (rule)
        fail_msg("broken: %s", rule);
}

static void test_good_states(void **unused)
{
    (void)unused;
    expect_none();
    vmcs[VMCS_ENTRY_EVENT] = EVENT_VALID | EVENT_ERROR_VALID | EVENT_TYPE_HARDWARE | EXCEPTION_GP;
    expect_none();
    vmcs[VMCS_ENTRY_EVENT] = EVENT_VALID | EVENT_TYPE_NMI | EXCEPTION_NMI;
    expect_none();
    vmcs[VMCS_ENTRY_EVENT] = 0;
    vmcs[VMCS_GUEST_ACTIVITY] = ACTIVITY_HLT;
    expect_none();
    vmcs[VMCS_GUEST_ACTIVITY] = ACTIVITY_WAIT_FOR_SIPI;
    expect_none();
    real_mode();
    vmcs[VMCS_GUEST_ACTIVITY] = ACTIVITY_ACTIVE;
    expect_none();
    vmcs[VMCS_ENTRY_EVENT] = EVENT_VALID | EVENT_TYPE_HARDWARE | EXCEPTION_GP; /* without an error code */
    expect_none();
}

/* Each field by itself, to a value that breaks a rule, and words of that rule. */
static void test_each_rule(void **unused)
{
    static const struct {
        uint32_t field;
        uint64_t value;
        const char *words;
    } cases[] = {
        {VMCS_PIN_CONTROLS, 0x28, "pin-based"},
        {VMCS_PROCESSOR_CONTROLS, 0x96006170, "processor-based"},
        {VMCS_SECONDARY_CONTROLS, 0x100000, "secondary"},
        {VMCS_EXIT_CONTROLS, 0, "exit controls"},
        {VMCS_ENTRY_CONTROLS, 0, "entry controls"},
        {VMCS_CR3_TARGET_COUNT, 5, "CR3 targets"},
        {VMCS_IO_BITMAP_B, 0x2008, "I/O bitmaps"},
        {VMCS_MSR_BITMAP, BIT(39), "MSR bitmap"},
        {VMCS_PIN_CONTROLS, 0x36, "virtual NMIs without"},
        {VMCS_VPID, 0, "VPID"},
        {VMCS_EPT_POINTER, 0x4006, "EPT pointer"},
        {VMCS_EPT_POINTER, BIT(40) | 0x1e, "EPT pointer"},
        {VMCS_ENTRY_EVENT, EVENT_VALID | BIT(12) | EVENT_TYPE_NMI | 2, "reserved bits of the event"},
        {VMCS_ENTRY_EVENT, EVENT_VALID | 0x100, "event's type"},
        {VMCS_ENTRY_EVENT, EVENT_VALID | EVENT_TYPE_NMI | 3, "vector of an NMI"},
        {VMCS_ENTRY_EVENT, EVENT_VALID | EVENT_TYPE_HARDWARE | 32, "vector of an exception"},
        {VMCS_ENTRY_EVENT, EVENT_VALID | EVENT_TYPE_HARDWARE | EXCEPTION_GP, "error code"},
        {VMCS_ENTRY_EVENT, EVENT_VALID | EVENT_ERROR_VALID | EVENT_TYPE_HARDWARE | EXCEPTION_UD,
         "error code"},
        {VMCS_ENTRY_EVENT, EVENT_VALID | EVENT_TYPE_SOFTWARE | 0x80, "instruction length"},
        {VMCS_HOST_CR0, CR0_PE | CR0_PG, "host's CR0"},
        {VMCS_HOST_CR4, CR4_PAE, "host's CR4"},
        {VMCS_HOST_CR4, CR4_VMXE, "host's CR4 without PAE"},
        {VMCS_HOST_CR3, BIT(39), "host's CR3"},
        {VMCS_HOST_PAT, 2, "host's PAT"},
        {VMCS_HOST_EFER, EFER_LME, "host's EFER"},
        {VMCS_HOST_SS, 3, "selector of the host"},
        {VMCS_HOST_TR, 0, "null selector"},
        {VMCS_HOST_RIP, BIT(47), "not canonical"},
        {VMCS_GUEST_CR0, CR0_PE | CR0_PG, "guest's CR0"},
        {VMCS_GUEST_CR0, CR0_NE | CR0_PG, "paging without protection"},
        {VMCS_GUEST_CR4, CR4_PAE, "guest's CR4"},
        {VMCS_GUEST_CR4, CR4_VMXE, "64-bit mode without"},
        {VMCS_GUEST_CR3, BIT(39), "guest's CR3"},
        {VMCS_GUEST_DR7, BIT(32), "DR7"},
        {VMCS_GUEST_SYSENTER_EIP, BIT(47), "SYSENTER"},
        {VMCS_GUEST_PAT, 0x0300, "guest's PAT"},
        {VMCS_GUEST_EFER, EFER_LME | EFER_LMA | EFER_SVME, "EFER: reserved"},
        {VMCS_GUEST_EFER, EFER_LME, "not the entry's mode"},
        {VMCS_GUEST_EFER, EFER_LMA, "LMA is not LME"},
        {SEGMENT_FIELD(VMCS_GUEST_RIGHTS, SEGMENT_TR), 0x89, "not a busy task"},
        {SEGMENT_FIELD(VMCS_GUEST_RIGHTS, SEGMENT_TR), RIGHTS_UNUSABLE | 0x8b, "TR: not there"},
        {SEGMENT_FIELD(VMCS_GUEST_SELECTORS, SEGMENT_TR), SELECTOR_TI, "TR: selector"},
        {SEGMENT_FIELD(VMCS_GUEST_RIGHTS, SEGMENT_LDTR), 0x83, "LDTR: type"},
        {SEGMENT_FIELD(VMCS_GUEST_RIGHTS, SEGMENT_CS), 0xa09a, "CS: type"},
        {SEGMENT_FIELD(VMCS_GUEST_RIGHTS, SEGMENT_CS), 0xa01b, "CS: not there"},
        {SEGMENT_FIELD(VMCS_GUEST_RIGHTS, SEGMENT_CS), 0xa0fb, "not that of SS"},
        {SEGMENT_FIELD(VMCS_GUEST_RIGHTS, SEGMENT_CS), 0xa0ff, "above that of SS"},
        {SEGMENT_FIELD(VMCS_GUEST_RIGHTS, SEGMENT_CS), 0xe09b, "both L and D"},
        {SEGMENT_FIELD(VMCS_GUEST_RIGHTS, SEGMENT_CS), 0xa19b, "CS: reserved"},
        {SEGMENT_FIELD(VMCS_GUEST_RIGHTS, SEGMENT_CS), 0x209b, "CS: granularity"},
        {SEGMENT_FIELD(VMCS_GUEST_BASES, SEGMENT_CS), BIT(32), "CS: base"},
        {SEGMENT_FIELD(VMCS_GUEST_RIGHTS, SEGMENT_SS), 0xc09b, "SS: type"},
        {SEGMENT_FIELD(VMCS_GUEST_RIGHTS, SEGMENT_DS), 0xc092, "not accessed"},
        {SEGMENT_FIELD(VMCS_GUEST_RIGHTS, SEGMENT_ES), 0xc099, "unreadable"},
        {SEGMENT_FIELD(VMCS_GUEST_RIGHTS, SEGMENT_FS), 0xc013, "data segment of the guest: not there"},
        {SEGMENT_FIELD(VMCS_GUEST_BASES, SEGMENT_DS), BIT(32), "data segment of the guest: base"},
        {SEGMENT_FIELD(VMCS_GUEST_BASES, SEGMENT_GS), BIT(47), "data segment of the guest: base"},
        {SEGMENT_FIELD(VMCS_GUEST_LIMITS, SEGMENT_GS), 0, "data segment of the guest: granularity"},
        {VMCS_GUEST_IDTR_BASE, BIT(47), "GDTR or IDTR"},
        {VMCS_GUEST_GDTR_LIMIT, 0x10000, "limit of the guest's GDTR"},
        {VMCS_GUEST_RIP, BIT(47), "RIP"},
        {VMCS_GUEST_RFLAGS, RFLAGS_ONE | BIT(3), "RFLAGS"},
        {VMCS_GUEST_RFLAGS, RFLAGS_IF, "RFLAGS"},
        {VMCS_GUEST_INTERRUPTIBILITY, BIT(5), "interruptibility"},
        {VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS, "both kinds"},
        {VMCS_GUEST_INTERRUPTIBILITY, INTERRUPTIBILITY_SMI, "SMI"},
        {VMCS_GUEST_ACTIVITY, 4, "activity"},
        {VMCS_GUEST_PENDING_DEBUG, BIT(4), "pending debug"},
        {VMCS_LINK_POINTER, 0, "link pointer"},
    };
    (void)unused;
    for (unsigned i = 0; i < ARRAY_COUNT(cases); i++) {
        uint64_t good = vmcs[cases[i].field];
        vmcs[cases[i].field] = cases[i].value;
        const char *rule = entry_check(&state);
        if (!rule || !strstr(rule, cases[i].words))
            fail_msg("case %u, field %x = %llx: expected \"%s\", found \"%s\"", i, cases[i].field,
                     (unsigned long long)cases[i].value, cases[i].words, rule ? rule : "nothing");
        vmcs[cases[i].field] = good;
        expect_none();
    }
}

static void expect(const char *words)
{
    const char *rule = entry_check(&state);
    assert_non_null(rule);
    assert_non_null(strstr(rule, words));
}

/* Rules that two fields break together. */
static void test_rules_between_fields(void **unused)
{
    (void)unused;
    vmcs[VMCS_ENTRY_EVENT] = EVENT_VALID | 0x20;
    vmcs[VMCS_GUEST_RFLAGS] = RFLAGS_ONE;
    expect("interrupts off");
    vmcs[VMCS_GUEST_RFLAGS] |= RFLAGS_IF;
    vmcs[VMCS_GUEST_INTERRUPTIBILITY] = INTERRUPTIBILITY_STI;
    expect("external interrupt in a shadow");
    vmcs[VMCS_ENTRY_EVENT] = EVENT_VALID | EVENT_TYPE_NMI | EXCEPTION_NMI;
    expect("NMI in a shadow");
    vmcs[VMCS_GUEST_INTERRUPTIBILITY] = INTERRUPTIBILITY_NMI;
    expect("while NMIs are blocked");
    vmcs[VMCS_ENTRY_EVENT] = 0;
    expect_none();
    vmcs[VMCS_GUEST_INTERRUPTIBILITY] = INTERRUPTIBILITY_STI;
    vmcs[VMCS_GUEST_RFLAGS] |= RFLAGS_TF;
    expect("single step in a shadow");
    vmcs[VMCS_GUEST_PENDING_DEBUG] = PENDING_DEBUG_BS;
    expect_none();
    vmcs[VMCS_GUEST_PENDING_DEBUG] = 0;
    vmcs[VMCS_GUEST_DEBUG_CONTROL] = DEBUG_CONTROL_BTF;
    expect_none();
    vmcs[VMCS_GUEST_ACTIVITY] = ACTIVITY_HLT;
    expect("inactive guest in a shadow");
    vmcs[VMCS_GUEST_RFLAGS] = RFLAGS_ONE;
    expect("STI with interrupts off");
    vmcs[VMCS_GUEST_INTERRUPTIBILITY] = 0;
    vmcs[VMCS_GUEST_ACTIVITY] = ACTIVITY_WAIT_FOR_SIPI;
    vmcs[VMCS_ENTRY_EVENT] = EVENT_VALID | EVENT_TYPE_NMI | EXCEPTION_NMI;
    expect("waits for SIPI");
}

static void test_modes(void **unused)
{
    (void)unused;
    vmcs[VMCS_GUEST_CR4] |= CR4_CET;
    vmcs[VMCS_GUEST_CR0] &= ~CR0_WP;
    expect("CET without");
    real_mode();
    vmcs[VMCS_GUEST_RIP] = BIT(32);
    expect("RIP");
    vmcs[VMCS_GUEST_RIP] = 0;
    vmcs[VMCS_GUEST_RFLAGS] |= RFLAGS_VM;
    expect("virtual-8086");
    vmcs[VMCS_GUEST_RFLAGS] = RFLAGS_ONE;
    vmcs[VMCS_ENTRY_EVENT] = EVENT_VALID | EVENT_ERROR_VALID | EVENT_TYPE_HARDWARE | EXCEPTION_GP;
    expect("error code");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_good_states, set_up),
        cmocka_unit_test_setup(test_each_rule, set_up),
        cmocka_unit_test_setup(test_rules_between_fields, set_up),
        cmocka_unit_test_setup(test_modes, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
