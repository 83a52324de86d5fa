/* SPDX-License-Identifier: Apache-2.0 */
/* The nested page tables of two vCPUs, on a small machine: what they show, what they never show, and when a
 * CPU must flush. */
#include "guest/nested.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define BLOCK_BASE    GIB(1)
#define BLOCK_BYTES   MIB(4)
#define PAGES_MAX     4096
#define PHYSICAL_BITS 40

struct vcpu *vcpus[HANDOFF_CPUS_MAX];

/* The hypervisor's memory: physical addresses from BLOCK_BASE on. */
static uint8_t (*memory)[PAGE_SIZE];
static size_t pages_used, pages_limit;
static unsigned flushes[2], requests;

void *pages_allocate(size_t count)
{
    if (pages_used + count > pages_limit)
        return NULL;
    void *pages = memory[pages_used];
    pages_used += count;
    return memset(pages, 0, count * PAGE_SIZE);
}

uint64_t physical_of(const void *address)
{
    return BLOCK_BASE + ((uint64_t)address - (uint64_t)memory);
}

void *virtual_of(uint64_t physical)
{
    return (uint8_t *)memory + (physical - BLOCK_BASE);
}

struct vcpu *this_vcpu(void)
{
    return vcpus[0];
}

/* The other CPU obeys at once. */
void vcpu_request(struct vcpu *vcpu, uint32_t request)
{
    assert_int_equal(request, REQUEST_LOOK);
    requests++;
    vcpu->in_guest = false;
}

void vcpu_flush(struct vcpu *vcpu)
{
    flushes[vcpu == vcpus[1]]++;
}

static struct nested_format entries = {
    .table = PTE_PRESENT | PTE_WRITE | PTE_USER,
    .leaf = PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_ACCESSED | PTE_DIRTY,
    .write = PTE_WRITE,
    .present = PTE_PRESENT,
    .large = PTE_LARGE,
};

static void start(bool gigabyte_pages)
{
    static struct vcpu cpus[2];
    const struct handoff_range hole = {BLOCK_BASE, BLOCK_BYTES};
    pages_used = 0;
    pages_limit = PAGES_MAX;
    entries.gigabyte_pages = gigabyte_pages;
    assert_true(nested_start(&entries, gigabyte_pages ? PHYSICAL_BITS : 36, hole));
    for (unsigned i = 0; i < ARRAY_COUNT(cpus); i++) {
        cpus[i] = (struct vcpu){0};
        vcpus[i] = &cpus[i];
        assert_true(nested_attach(&cpus[i]));
        cpus[i].scratch_page = pages_allocate(1);
        nested_look(&cpus[i]);
    }
    flushes[0] = flushes[1] = requests = 0;
}

static int set_up_small(void **state)
{
    (void)state;
    start(false);
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    start(true);
    return 0;
}

static int allocate(void **state)
{
    (void)state;
    memory = aligned_alloc(PAGE_SIZE, PAGES_MAX * PAGE_SIZE);
    return memory ? 0 : -1;
}

static int release(void **state)
{
    (void)state;
    free(memory);
    return 0;
}

/* Walks as the CPU does: the leaf entry for an address with its page's offset added, 0: not mapped. */
static uint64_t walk(unsigned cpu, uint64_t address)
{
    const uint64_t *table = vcpus[cpu]->nested_root;
    for (unsigned level = LEVEL_TOP;; level--) {
        uint64_t entry = table[LEVEL_INDEX(address, level)];
        if (!(entry & PTE_PRESENT))
            return 0;
        if (level == 0 || (entry & PTE_LARGE)) {
            uint64_t inside = address & (LEVEL_BYTES(level) - 1) & ~PAGE_MASK;
            assert_int_equal(entry & PTE_ADDRESS & (LEVEL_BYTES(level) - 1), 0);
            return ((entry & PTE_ADDRESS) + inside) | (entry & PTE_WRITE) | PTE_PRESENT;
        }
        table = table_of(entry);
    }
}

static uint64_t identity(uint64_t page)
{
    return page | PTE_PRESENT | PTE_WRITE;
}

static void test_identity_without_the_block(void **state)
{
    (void)state;
    const uint64_t shown[] = {
        0, 0xfee00000, BLOCK_BASE - PAGE_SIZE, BLOCK_BASE + BLOCK_BYTES, GIB(5) + MIB(3), GIB(1000)};
    for (unsigned cpu = 0; cpu < 2; cpu++) {
        for (unsigned i = 0; i < ARRAY_COUNT(shown); i++)
            assert_int_equal(walk(cpu, shown[i]), identity(shown[i]));
        for (uint64_t at = BLOCK_BASE; at < BLOCK_BASE + BLOCK_BYTES; at += PAGE_SIZE)
            assert_int_equal(walk(cpu, at), 0);
    }
    assert_false(nested_reaches(1ull << PHYSICAL_BITS));
}

static void test_one_page_for_all(void **state)
{
    (void)state;
    const uint64_t page = 0xfebc1000;
    assert_true(nested_set_all(page, NESTED_NONE));
    for (unsigned cpu = 0; cpu < 2; cpu++) {
        assert_int_equal(walk(cpu, page), 0);
        assert_int_equal(walk(cpu, page - PAGE_SIZE), identity(page - PAGE_SIZE));
        assert_int_equal(walk(cpu, page + PAGE_SIZE), identity(page + PAGE_SIZE));
        assert_int_equal(walk(cpu, page + MIB(2)), identity(page + MIB(2)));
        assert_int_equal(walk(cpu, page - GIB(1)), identity(page - GIB(1)));
    }
    assert_true(nested_set_all(page, NESTED_READ));
    assert_int_equal(walk(1, page), page | PTE_PRESENT);
    size_t before = pages_used;
    assert_true(nested_set_all(page, NESTED_ALL));
    assert_int_equal(walk(1, page), identity(page));
    assert_int_equal(pages_used, before); /* the path stands */
}

static void test_one_page_for_one(void **state)
{
    (void)state;
    const uint64_t page = MIB(100), scratch = physical_of(vcpus[0]->scratch_page);
    assert_true(nested_set_all(page, NESTED_NONE));
    assert_true(nested_set(vcpus[0], page, page, NESTED_ALL));
    assert_int_equal(walk(0, page), identity(page));
    assert_int_equal(walk(1, page), 0);
    assert_true(nested_set(vcpus[0], BLOCK_BASE, scratch, NESTED_ALL));
    assert_int_equal(walk(0, BLOCK_BASE), identity(scratch));
    assert_int_equal(walk(1, BLOCK_BASE), 0);
    assert_int_equal(walk(0, BLOCK_BASE + PAGE_SIZE), 0);
    assert_true(nested_set(vcpus[0], BLOCK_BASE, BLOCK_BASE, NESTED_NONE));
    assert_int_equal(walk(0, BLOCK_BASE), 0);
}

static void test_the_block_is_never_shown(void **state)
{
    (void)state;
    const uint64_t inside = BLOCK_BASE + BLOCK_BYTES - PAGE_SIZE;
    assert_true(nested_set_all(inside, NESTED_ALL));
    assert_int_equal(walk(0, inside), 0);
    assert_int_equal(walk(1, inside), 0);
    assert_false(nested_set(vcpus[0], inside, inside, NESTED_ALL));
    assert_false(nested_set(vcpus[0], inside, inside, NESTED_READ));
    assert_false(nested_set(vcpus[0], MIB(5), inside, NESTED_ALL));
    assert_false(nested_set(vcpus[0], inside, physical_of(vcpus[1]->scratch_page), NESTED_ALL));
    assert_int_equal(walk(0, inside), 0);
    assert_int_equal(walk(0, MIB(5)), identity(MIB(5)));
}

/* An address beyond the tables must not be taken for the one that has the same low bits. */
static void test_addresses_do_not_wrap(void **state)
{
    (void)state;
    const uint64_t scratch = physical_of(vcpus[0]->scratch_page);
    for (unsigned bit = PHYSICAL_BITS; bit < 52; bit++) {
        assert_false(nested_set(vcpus[0], BLOCK_BASE | 1ull << bit, scratch, NESTED_ALL));
        assert_false(nested_set_all(BLOCK_BASE | 1ull << bit, NESTED_ALL));
    }
    assert_int_equal(walk(0, BLOCK_BASE), 0);
}

static void test_flushes(void **state)
{
    (void)state;
    vcpus[1]->in_guest = true;
    assert_true(nested_set_all(MIB(7), NESTED_NONE));
    assert_int_equal(requests, 1);
    assert_int_equal(flushes[1], 0);
    nested_look(vcpus[1]);
    nested_look(vcpus[1]);
    assert_int_equal(flushes[1], 1);
    nested_look(vcpus[0]);
    assert_int_equal(flushes[0], 1);
    assert_true(nested_set_all(MIB(7), NESTED_ALL)); /* nobody is in the guest: nobody is disturbed */
    assert_int_equal(requests, 1);
    nested_look(vcpus[1]);
    assert_int_equal(flushes[1], 2);
    assert_true(nested_set(vcpus[0], MIB(8), MIB(8), NESTED_NONE));
    assert_int_equal(flushes[0], 2);
}

static void test_memory_runs_out(void **state)
{
    (void)state;
    pages_limit = pages_used + 1;
    assert_false(nested_set_all(MIB(9), NESTED_NONE));
    pages_limit = PAGES_MAX;
    assert_int_equal(walk(1, MIB(9)), identity(MIB(9)));
    assert_true(nested_set_all(MIB(9), NESTED_NONE));
    assert_int_equal(walk(0, MIB(9)), 0);
    assert_int_equal(walk(1, MIB(9)), 0);
}

static void test_without_gigabyte_pages(void **state)
{
    (void)state;
    assert_int_equal(walk(0, GIB(33) + MIB(2)), identity(GIB(33) + MIB(2)));
    assert_int_equal(walk(0, BLOCK_BASE), 0);
    assert_int_equal(walk(0, BLOCK_BASE + BLOCK_BYTES), identity(BLOCK_BASE + BLOCK_BYTES));
    assert_true(nested_set_all(GIB(33), NESTED_NONE));
    assert_int_equal(walk(0, GIB(33)), 0);
    assert_int_equal(walk(0, GIB(33) + PAGE_SIZE), identity(GIB(33) + PAGE_SIZE));
}

/* ---- Memory types in the entries ---- */

#define TYPE_MASK 0x38ull
#define TYPE_WB   (6ull << 3)

static uint64_t uncached_first, uncached_end; /* all else is write-back */

static uint64_t type_by_range(uint64_t address, uint64_t bytes, bool *uniform)
{
    bool inside = address >= uncached_first && address + bytes <= uncached_end;
    *uniform = inside || !ranges_overlap(address, bytes, uncached_first, uncached_end - uncached_first);
    return inside || !*uniform ? 0 : TYPE_WB;
}

static int set_up_types(void **state)
{
    (void)state;
    entries.type = type_by_range;
    entries.type_mask = TYPE_MASK;
    entries.leaf &= ~TYPE_MASK;
    uncached_first = MIB(2) + KIB(16);
    uncached_end = MIB(2) + KIB(32);
    start(true);
    return 0;
}

static int tear_down_types(void **state)
{
    (void)state;
    entries.type = NULL;
    entries.leaf |= PTE_ACCESSED | PTE_DIRTY;
    return 0;
}

static uint64_t type_at(unsigned cpu, uint64_t address)
{
    const uint64_t *table = vcpus[cpu]->nested_root;
    for (unsigned level = LEVEL_TOP;; level--) {
        uint64_t entry = table[LEVEL_INDEX(address, level)];
        assert_true(entry & PTE_PRESENT);
        if (level == 0 || (entry & PTE_LARGE))
            return entry & TYPE_MASK;
        table = table_of(entry);
    }
}

/* Every page of the first 8 MiB and some above has the type of the range, and still maps itself. */
static void expect_types(void)
{
    for (unsigned cpu = 0; cpu < 2; cpu++)
        for (uint64_t at = 0; at < MIB(8); at += PAGE_SIZE) {
            bool uniform;
            assert_int_equal(type_at(cpu, at), type_by_range(at, PAGE_SIZE, &uniform));
            assert_int_equal(walk(cpu, at) & ~TYPE_MASK, identity(at));
        }
    assert_int_equal(type_at(0, GIB(5)), TYPE_WB);
}

static void test_types_at_the_start(void **state)
{
    (void)state;
    expect_types();
}

static void test_types_change(void **state)
{
    (void)state;
    assert_true(nested_set(vcpus[1], MIB(6), MIB(6), NESTED_ALL));
    assert_true(nested_set_all(GIB(5) + MIB(4), NESTED_NONE));
    uncached_first = MIB(4) + KIB(4);
    uncached_end = MIB(8);
    vcpus[1]->in_guest = true;
    requests = 0;
    assert_true(nested_retype());
    assert_int_equal(requests, 1);
    expect_types();
    assert_int_equal(walk(0, GIB(5) + MIB(4)), 0);
    nested_look(vcpus[1]);
    assert_true(flushes[1] > 0);
    uncached_first = uncached_end = 0;
    assert_true(nested_retype());
    expect_types();
}

static void test_types_without_memory(void **state)
{
    (void)state;
    pages_limit = pages_used;
    uncached_first = GIB(6) + KIB(4);
    uncached_end = GIB(6) + KIB(8);
    assert_false(nested_retype());
    assert_int_equal(type_at(0, GIB(6)), 0); /* the whole of it: safe, though slow */
    assert_int_equal(walk(0, GIB(6) + MIB(1)) & ~TYPE_MASK, identity(GIB(6) + MIB(1)));
    pages_limit = PAGES_MAX;
    assert_true(nested_retype());
    assert_int_equal(type_at(0, GIB(6)), TYPE_WB);
    assert_int_equal(type_at(0, GIB(6) + KIB(4)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_identity_without_the_block, set_up),
        cmocka_unit_test_setup(test_one_page_for_all, set_up),
        cmocka_unit_test_setup(test_one_page_for_one, set_up),
        cmocka_unit_test_setup(test_the_block_is_never_shown, set_up),
        cmocka_unit_test_setup(test_addresses_do_not_wrap, set_up),
        cmocka_unit_test_setup(test_flushes, set_up),
        cmocka_unit_test_setup(test_memory_runs_out, set_up),
        cmocka_unit_test_setup(test_without_gigabyte_pages, set_up_small),
        cmocka_unit_test_setup_teardown(test_types_at_the_start, set_up_types, tear_down_types),
        cmocka_unit_test_setup_teardown(test_types_change, set_up_types, tear_down_types),
        cmocka_unit_test_setup_teardown(test_types_without_memory, set_up_types, tear_down_types),
    };
    return cmocka_run_group_tests(tests, allocate, release);
}
