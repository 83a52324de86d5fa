/* SPDX-License-Identifier: Apache-2.0 */
/* The software walk of the guest's page tables in each paging mode, with hostile tables too, and the fetch of
 * instructions across pages. */
#include "guest/walk.c"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define RAM_BYTES 0x40000u
#define TOP       0x1000u
#define SECOND    0x2000u
#define THIRD     0x3000u
#define FOURTH    0x4000u
#define DATA      0x8000u
#define OPEN      (PTE_PRESENT | PTE_WRITE | PTE_USER)

static uint8_t ram[RAM_BYTES];
static uint64_t cr0, cr3, cr4, efer;
static struct vcpu_segment cs;
static struct vcpu vcpu;

uint64_t vcpu_cr(const struct vcpu *unused, enum control_register cr)
{
    (void)unused;
    return cr == CR0 ? cr0 : cr == CR3 ? cr3 : cr4;
}

uint64_t vcpu_efer(const struct vcpu *unused)
{
    (void)unused;
    return efer;
}

struct vcpu_segment vcpu_segment(const struct vcpu *unused, unsigned segment)
{
    (void)unused;
    assert_int_equal(segment, SEGMENT_CS);
    return cs;
}

bool guest_memory_read(uint64_t address, void *to, size_t length)
{
    if (!range_fits(address, length, RAM_BYTES))
        return false;
    memcpy(to, ram + address, length);
    return true;
}

void *guest_memory_open(uint64_t address, size_t length)
{
    return range_fits(address, length, RAM_BYTES) ? ram + address : NULL;
}

void guest_memory_close(void)
{
}

static void put(uint64_t address, uint64_t value, size_t bytes)
{
    assert_true(range_fits(address, bytes, RAM_BYTES));
    memcpy(ram + address, &value, bytes);
}

static int set_up(void **state)
{
    (void)state;
    memset(ram, 0, sizeof ram);
    vcpu = (struct vcpu){0};
    cs = (struct vcpu_segment){0};
    cr0 = CR0_PE | CR0_PG;
    cr3 = TOP;
    cr4 = efer = 0;
    return 0;
}

static void long_mode(void)
{
    cr4 = CR4_PAE;
    efer = EFER_LME | EFER_LMA;
    cs.long_mode = true;
}

static uint64_t physical(uint64_t linear)
{
    struct walk at;
    assert_true(walk_linear(&vcpu, linear, &at));
    return at.physical;
}

static bool is_mapped(uint64_t linear)
{
    struct walk at;
    return walk_linear(&vcpu, linear, &at);
}

static void test_no_paging(void **state)
{
    (void)state;
    cr0 = 0;
    assert_int_equal(physical(0x12345678), 0x12345678);
    assert_int_equal(physical(0x1ffffffffull), 0xffffffff);
}

static void test_two_levels(void **state)
{
    (void)state;
    const uint32_t linear = 0x00c05678; /* directory 3, table 5 */
    put(TOP + 3 * 4, SECOND | OPEN, 4);
    put(SECOND + 5 * 4, DATA | OPEN, 4);
    assert_int_equal(physical(linear), DATA + 0x678);
    assert_int_equal(physical(0xffffffff00000000ull | linear), DATA + 0x678);
    assert_false(is_mapped(linear + 0x1000));
    assert_false(is_mapped(0x01000000));
    cr3 = TOP | 0x18; /* its flags are no address */
    assert_int_equal(physical(linear), DATA + 0x678);
}

static void test_four_megabyte_pages(void **state)
{
    (void)state;
    /* Bits 13 to 20 of the entry are bits 32 to 39 of the address. */
    put(TOP, 0x00c00000 | 0x5u << LARGE_4M_HIGH_SHIFT | PTE_LARGE | OPEN, 4);
    assert_false(is_mapped(0x1234)); /* without PSE the entry names a table, which is not in RAM */
    cr4 = CR4_PSE;
    assert_int_equal(physical(0x00121234), 0x500000000ull + 0x00c00000 + 0x121234);
}

static void test_three_levels(void **state)
{
    (void)state;
    cr4 = CR4_PAE;
    cr3 = TOP + 0x20; /* the top table is 32 bytes, 32-byte aligned */
    put(cr3 + 2 * 8, SECOND | PTE_PRESENT, 8);
    put(SECOND + 1 * 8, THIRD | OPEN, 8);
    put(THIRD + 3 * 8, DATA | OPEN | PTE_NX, 8);
    struct walk at;
    assert_true(walk_linear(&vcpu, 0x80203abc, &at));
    assert_int_equal(at.physical, DATA + 0xabc);
    assert_true(at.writable && at.user); /* the top entries have no such bits */
    put(SECOND + 2 * 8, 0x7fe00000ull | PTE_LARGE | OPEN, 8);
    assert_int_equal(physical(0x80412345), 0x7fe12345);
    assert_false(is_mapped(0x40000000));
}

static void test_four_levels(void **state)
{
    (void)state;
    const uint64_t linear = 0xffff800000203123ull;
    long_mode();
    put(TOP + 256 * 8, SECOND | OPEN, 8);
    put(SECOND, THIRD | PTE_PRESENT | PTE_WRITE, 8);
    put(THIRD + 8, FOURTH | PTE_PRESENT | PTE_USER, 8);
    put(FOURTH + 3 * 8, DATA | OPEN, 8);
    struct walk at;
    assert_true(walk_linear(&vcpu, linear, &at));
    assert_int_equal(at.physical, DATA + 0x123);
    assert_false(at.writable);
    assert_false(at.user);
    put(SECOND + 8, 0xc0000000ull | PTE_LARGE | OPEN, 8);
    assert_int_equal(physical(0xffff800040000000ull + 0x3456789), 0xc3456789ull);
    put(THIRD + 2 * 8, 0x12200000ull | PTE_LARGE | OPEN | 1ull << 12 /* PAT */, 8);
    assert_int_equal(physical(0xffff800000400000ull + 0x54321), 0x12254321ull);
    put(FOURTH + 3 * 8, DATA | PTE_WRITE | PTE_USER, 8);
    assert_false(is_mapped(linear));
}

static void test_large_bit_at_the_top_is_no_page(void **state)
{
    (void)state;
    long_mode();
    put(TOP, SECOND | PTE_LARGE | OPEN, 8);
    put(SECOND, THIRD | PTE_LARGE | OPEN, 8); /* 1 GiB page: its low address bits do not count */
    assert_int_equal(physical(0x5678), 0x5678);
}

static void test_five_levels(void **state)
{
    (void)state;
    long_mode();
    cr4 |= CR4_LA57;
    put(TOP + 16 * 8, SECOND | OPEN, 8);
    put(SECOND, THIRD | OPEN, 8);
    put(THIRD, FOURTH | OPEN, 8);
    put(FOURTH, 0x600000ull | PTE_LARGE | OPEN, 8);
    assert_int_equal(physical(16ull << 48 | 0x1234), 0x601234);
}

static void test_tables_outside_of_ram(void **state)
{
    (void)state;
    long_mode();
    cr3 = RAM_BYTES;
    assert_false(is_mapped(0));
    cr3 = PTE_ADDRESS;
    assert_false(is_mapped(0));
    cr3 = TOP;
    put(TOP, (RAM_BYTES + 0x1000) | OPEN, 8);
    assert_false(is_mapped(0));
    put(TOP, TOP | OPEN, 8); /* a table that is its own page */
    assert_int_equal(physical(0x10), TOP + 0x10);
}

static void test_access_is_noted(void **state)
{
    (void)state;
    struct walk at;
    put(TOP + 3 * 4, SECOND | OPEN, 4);
    put(SECOND + 5 * 4, DATA | OPEN, 4);
    assert_true(walk_linear(&vcpu, 0x00c05678, &at));
    walk_note_access(&at, false);
    assert_int_equal(ram[SECOND + 5 * 4], OPEN | PTE_ACCESSED);
    walk_note_access(&at, true);
    assert_int_equal(ram[SECOND + 5 * 4], OPEN | PTE_ACCESSED | PTE_DIRTY);
    cr0 = 0;
    assert_true(walk_linear(&vcpu, 0x5678, &at));
    walk_note_access(&at, true);
    assert_int_equal(at.leaf, 0);
}

static void test_fetch_over_a_page_edge(void **state)
{
    (void)state;
    uint8_t bytes[INSTRUCTION_MAX];
    long_mode();
    put(TOP, SECOND | OPEN, 8);
    put(SECOND, THIRD | OPEN, 8);
    put(THIRD, FOURTH | OPEN, 8);
    put(FOURTH + 1 * 8, (DATA + 0x5000) | OPEN, 8);
    put(FOURTH + 2 * 8, DATA | OPEN, 8);
    for (unsigned i = 0; i < 16; i++) {
        ram[DATA + 0x5ff8 + i % 8] = (uint8_t)(i % 8);
        ram[DATA + i] = (uint8_t)(8 + i);
    }
    vcpu.rip = 0x1ff8;
    assert_int_equal(walk_fetch(&vcpu, bytes), INSTRUCTION_MAX);
    for (unsigned i = 0; i < INSTRUCTION_MAX; i++)
        assert_int_equal(bytes[i], i);
    vcpu.rip = 0x2ffb;
    assert_int_equal(walk_fetch(&vcpu, bytes), 5); /* the page after it is absent */
    vcpu.rip = 0x8000;
    assert_int_equal(walk_fetch(&vcpu, bytes), 0);
    vcpu.rip = UINT64_MAX - 3;
    assert_int_equal(walk_fetch(&vcpu, bytes), 0);
}

static void test_fetch_with_a_segment(void **state)
{
    (void)state;
    uint8_t bytes[INSTRUCTION_MAX];
    cr0 = 0;
    cs.base = 0xfffff000;
    vcpu.rip = 0x1000 + DATA; /* wraps at 4 GiB */
    ram[DATA] = 0x90;
    assert_int_equal(walk_fetch(&vcpu, bytes), INSTRUCTION_MAX);
    assert_int_equal(bytes[0], 0x90);
    assert_int_equal(walk_decode_mode(&vcpu), DECODE_16);
    cs.default_32 = true;
    assert_int_equal(walk_decode_mode(&vcpu), DECODE_32);
    vcpu.rflags = RFLAGS_VM;
    assert_int_equal(walk_decode_mode(&vcpu), DECODE_16);
    cs.long_mode = true; /* means nothing outside long mode */
    assert_int_equal(walk_decode_mode(&vcpu), DECODE_16);
    efer = EFER_LMA;
    assert_int_equal(walk_decode_mode(&vcpu), DECODE_64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_no_paging, set_up),
        cmocka_unit_test_setup(test_two_levels, set_up),
        cmocka_unit_test_setup(test_four_megabyte_pages, set_up),
        cmocka_unit_test_setup(test_three_levels, set_up),
        cmocka_unit_test_setup(test_four_levels, set_up),
        cmocka_unit_test_setup(test_large_bit_at_the_top_is_no_page, set_up),
        cmocka_unit_test_setup(test_five_levels, set_up),
        cmocka_unit_test_setup(test_tables_outside_of_ram, set_up),
        cmocka_unit_test_setup(test_access_is_noted, set_up),
        cmocka_unit_test_setup(test_fetch_over_a_page_edge, set_up),
        cmocka_unit_test_setup(test_fetch_with_a_segment, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
