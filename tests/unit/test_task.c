/* SPDX-License-Identifier: Apache-2.0 */
/* What a hardware task switch reads and writes: task state segments of both sizes, descriptors, and segment
 * registers with every check of SDM 3A table 7-1 that belongs to the new task. */
#include "guest/vmx/task.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MEMORY_BYTES 0x4000u
#define GDT          0x1000u
#define LDT          0x2000u
#define TSS          0x2fe0u /* crosses a page */

static uint8_t memory[MEMORY_BYTES];
static uint64_t vmcs[0x7000], cr2;
static struct vcpu vcpu;
static bool unmapped_page_3, raised;
static enum exception exception;
static uint32_t error;

uint64_t vmcs_read(enum vmcs_field field)
{
    return vmcs[field];
}

void vmcs_write(enum vmcs_field field, uint64_t value)
{
    vmcs[field] = value;
}

uint64_t vcpu_cr(const struct vcpu *v, enum control_register cr)
{
    assert_ptr_equal(v, &vcpu);
    assert_int_equal(cr, CR0);
    return CR0_PE | CR0_PG | CR0_WP;
}

void vcpu_set_cr2(struct vcpu *v, uint64_t address)
{
    assert_ptr_equal(v, &vcpu);
    cr2 = address;
}

void vcpu_inject(struct vcpu *v, enum exception vector, uint32_t code)
{
    assert_ptr_equal(v, &vcpu);
    assert_false(raised);
    raised = true;
    exception = vector;
    error = code;
}

bool walk_linear(const struct vcpu *v, uint64_t linear, struct walk *out)
{
    assert_ptr_equal(v, &vcpu);
    *out = (struct walk){.physical = linear, .writable = true};
    return linear < MEMORY_BYTES && !(unmapped_page_3 && linear >> PAGE_SHIFT == 3);
}

void walk_note_access(const struct walk *at, bool write)
{
    (void)at, (void)write;
}

bool guest_memory_read(uint64_t address, void *to, size_t length)
{
    assert_true(range_fits(address, length, MEMORY_BYTES));
    memcpy(to, memory + address, length);
    return true;
}

bool guest_memory_write(uint64_t address, const void *from, size_t length)
{
    assert_true(range_fits(address, length, MEMORY_BYTES));
    memcpy(memory + address, from, length);
    return true;
}

static void put(uint32_t table, uint16_t selector, uint64_t descriptor)
{
    memcpy(memory + table + (selector & ~7u), &descriptor, sizeof descriptor);
}

static uint64_t field(unsigned segment, uint32_t first)
{
    return vmcs[SEGMENT_FIELD(first, segment)];
}

static int set_up(void **state)
{
    (void)state;
    memset(memory, 0, sizeof memory);
    memset(vmcs, 0, sizeof vmcs);
    raised = unmapped_page_3 = false;
    vmcs[VMCS_GUEST_GDTR_BASE] = GDT;
    vmcs[VMCS_GUEST_GDTR_LIMIT] = 0x7f;
    vmcs[SEGMENT_FIELD(VMCS_GUEST_RIGHTS, SEGMENT_LDTR)] = RIGHTS_UNUSABLE;
    return 0;
}

static void expect_raised(bool done, enum exception vector, uint32_t code)
{
    assert_false(done);
    assert_true(raised);
    assert_int_equal(exception, vector);
    assert_int_equal(error, code);
    raised = false;
}

static void test_task_of_32_bits(void **state)
{
    struct task out,
        in = {.eip = 1, .eflags = 2, .gpr = {3, 4, 5, 6, 7, 8, 9, 10}, .segment = {11, 12, 13, 14, 15, 16}};
    uint32_t *tss = (uint32_t *)(memory + TSS);
    (void)state;
    tss[7] = 0x70;
    tss[24] = 0x28;
    tss[25] = 0x680001;
    assert_true(task_write(&vcpu, TSS, true, &in));
    assert_int_equal(tss[7], 0x70); /* CR3 is not a switch's to write */
    assert_int_equal(tss[8], 1);
    assert_int_equal(tss[14], 7); /* ESP */
    assert_int_equal(tss[23], 16);
    assert_int_equal(tss[24], 0x28);
    assert_true(task_read(&vcpu, TSS, true, &out));
    in.cr3 = 0x70;
    in.ldtr = 0x28;
    in.trap = true;
    assert_memory_equal(&out, &in, offsetof(struct task, trap));
    assert_true(out.trap);
}

static void test_task_of_16_bits(void **state)
{
    struct task out, in = {.eip = 0x10001,
                           .eflags = 2,
                           .gpr = {3, 4, 5, 6, 7, 8, 9, 10},
                           .segment = {11, 12, 13, 14, 15, 16}};
    uint16_t *tss = (uint16_t *)(memory + TSS);
    (void)state;
    tss[21] = 0x28;
    assert_true(task_write(&vcpu, TSS, false, &in));
    assert_int_equal(tss[6], 0);
    assert_int_equal(tss[7], 1);
    assert_int_equal(tss[13], 7); /* SP */
    assert_int_equal(tss[20], 14);
    assert_int_equal(tss[21], 0x28);
    assert_true(task_read(&vcpu, TSS, false, &out));
    assert_int_equal(out.eip, 1);
    assert_int_equal(out.gpr[0], 0xffff0003u);
    assert_int_equal(out.segment[SEGMENT_DS], 14);
    assert_int_equal(out.segment[SEGMENT_GS], 0);
    assert_int_equal(out.ldtr, 0x28);
}

static void test_page_fault(void **state)
{
    struct task task = {0};
    (void)state;
    unmapped_page_3 = true;
    expect_raised(task_read(&vcpu, TSS, true, &task), EXCEPTION_PF, 0);
    assert_int_equal(cr2, 0x3000);
    expect_raised(task_write(&vcpu, TSS, true, &task), EXCEPTION_PF, FAULT_WRITE);
}

static void test_descriptor_fields(void **state)
{
    struct descriptor d;
    (void)state;
    put(GDT, 0x18, 0x12cf9b345678ffffull);
    assert_true(descriptor_read(&vcpu, 0x1b, &d));
    assert_int_equal(descriptor_base(&d), 0x12345678);
    assert_int_equal(descriptor_limit(&d), 0xffffffff);
    assert_int_equal(descriptor_rights(&d), 0xc09b);
    put(GDT, 0x20, 0x0000890000000067ull);
    assert_true(descriptor_set_type(&vcpu, 0x20, 2, true));
    assert_true(descriptor_read(&vcpu, 0x20, &d));
    assert_int_equal(descriptor_rights(&d), 0x8b);
    assert_int_equal(descriptor_limit(&d), 0x67);
    assert_true(descriptor_set_type(&vcpu, 0x20, 2, false));
    assert_true(descriptor_read(&vcpu, 0x20, &d));
    assert_int_equal(descriptor_rights(&d), 0x89);
    expect_raised(descriptor_read(&vcpu, 0x80, &d), EXCEPTION_TS, 0x80);
    expect_raised(descriptor_read(&vcpu, 0x0f, &d), EXCEPTION_TS, 0x0c); /* there is no LDT */
}

static void test_segments(void **state)
{
    static const struct {
        unsigned which, level;
        uint16_t selector;
        uint8_t rights; /* the descriptor's bits 40-47 */
        int raises;     /* -1: nothing */
    } cases[] = {
        {SEGMENT_CS, 0, 0x08, 0x9a, -1},           {SEGMENT_CS, 3, 0x0b, 0xfa, -1},
        {SEGMENT_CS, 3, 0x0b, 0x9a, EXCEPTION_TS}, {SEGMENT_CS, 3, 0x0b, 0x9e, -1}, /* conforming */
        {SEGMENT_CS, 0, 0x08, 0xfe, EXCEPTION_TS}, {SEGMENT_CS, 0, 0x08, 0x92, EXCEPTION_TS},
        {SEGMENT_CS, 0, 0x08, 0x1a, EXCEPTION_NP}, {SEGMENT_CS, 0, 0x00, 0x9a, EXCEPTION_TS},
        {SEGMENT_SS, 0, 0x08, 0x92, -1},           {SEGMENT_SS, 0, 0x08, 0x90, EXCEPTION_TS},
        {SEGMENT_SS, 0, 0x0b, 0x92, EXCEPTION_TS}, {SEGMENT_SS, 3, 0x0b, 0x92, EXCEPTION_TS},
        {SEGMENT_SS, 0, 0x08, 0x12, EXCEPTION_SS}, {SEGMENT_SS, 0, 0x00, 0x92, EXCEPTION_TS},
        {SEGMENT_DS, 0, 0x08, 0x90, -1},           {SEGMENT_DS, 0, 0x00, 0x00, -1},
        {SEGMENT_DS, 3, 0x0b, 0x92, EXCEPTION_TS}, {SEGMENT_DS, 0, 0x0b, 0x92, EXCEPTION_TS},
        {SEGMENT_FS, 0, 0x08, 0x98, EXCEPTION_TS}, {SEGMENT_FS, 3, 0x0b, 0x9e, -1},
        {SEGMENT_GS, 0, 0x08, 0x12, EXCEPTION_NP}, {SEGMENT_ES, 0, 0x08, 0x82, EXCEPTION_TS},
    };
    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(cases); i++) {
        put(GDT, 0x08, 0x00cf00000000ffffull | (uint64_t)cases[i].rights << 40);
        segment_set_null(cases[i].which, cases[i].selector);
        bool done = segment_load(&vcpu, cases[i].which, cases[i].selector, cases[i].level);
        if (cases[i].raises >= 0) {
            expect_raised(done, cases[i].raises, cases[i].selector & 0xfffc);
            continue;
        }
        assert_true(done);
        assert_false(raised);
        assert_int_equal(field(cases[i].which, VMCS_GUEST_SELECTORS), cases[i].selector);
        if (!(cases[i].selector & ~3u)) {
            assert_int_equal(field(cases[i].which, VMCS_GUEST_RIGHTS), RIGHTS_UNUSABLE);
            continue;
        }
        assert_int_equal(field(cases[i].which, VMCS_GUEST_RIGHTS), 0xc000 | cases[i].rights | TYPE_ACCESSED);
        assert_int_equal(field(cases[i].which, VMCS_GUEST_LIMITS), 0xffffffff);
        assert_int_equal(memory[GDT + 0x08 + 5], cases[i].rights | TYPE_ACCESSED);
    }
}

static void test_local_descriptors(void **state)
{
    (void)state;
    put(GDT, 0x28, 0x000082000000002full | (uint64_t)LDT << 16);
    assert_true(segment_load_ldt(&vcpu, 0x28));
    assert_int_equal(field(SEGMENT_LDTR, VMCS_GUEST_BASES), LDT);
    put(LDT, 0x2c, 0x00cf92000000ffffull);
    assert_true(segment_load(&vcpu, SEGMENT_DS, 0x2c, 0));
    expect_raised(segment_load(&vcpu, SEGMENT_DS, 0x34, 0), EXCEPTION_TS, 0x34);
    expect_raised(segment_load_ldt(&vcpu, 0x2c), EXCEPTION_TS, 0x2c);
    put(GDT, 0x30, 0x0000020000000000ull);
    expect_raised(segment_load_ldt(&vcpu, 0x30), EXCEPTION_TS, 0x30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_task_of_32_bits, set_up),
        cmocka_unit_test_setup(test_task_of_16_bits, set_up),
        cmocka_unit_test_setup(test_page_fault, set_up),
        cmocka_unit_test_setup(test_descriptor_fields, set_up),
        cmocka_unit_test_setup(test_segments, set_up),
        cmocka_unit_test_setup(test_local_descriptors, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
