/* SPDX-License-Identifier: Apache-2.0 */
/* INS and OUTS on trapped ports: sizes, direction, segments, repetition in parts, page edges, and faults that
 * leave the registers as the CPU would. */
#include "guest/string_io.c"
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
#define CODE      0x5000u
#define DATA      0x8000u
#define PORT      0x1f0u
#define OPEN      (PTE_PRESENT | PTE_WRITE | PTE_USER)
#define NOTHING   EXCEPTION_COUNT

static uint8_t ram[RAM_BYTES];
static uint64_t cr0, cr2, cr4, efer;
static unsigned cpl;
static struct vcpu_segment segments[6];
static struct cpu cpu;
static struct vcpu vcpu;
static enum exception raised;
static uint32_t raised_code;
static unsigned skipped, skips;
static uint8_t port_bytes[RAM_BYTES]; /* what went out, or comes in */
static unsigned port_at;

void log_line(const char *fmt, ...)
{
    (void)fmt;
}

uint64_t vcpu_cr(const struct vcpu *v, enum control_register cr)
{
    (void)v;
    return cr == CR0 ? cr0 : cr == CR3 ? TOP : cr4;
}

void vcpu_set_cr2(struct vcpu *v, uint64_t linear)
{
    (void)v;
    cr2 = linear;
}

uint64_t vcpu_efer(const struct vcpu *v)
{
    (void)v;
    return efer;
}

unsigned vcpu_cpl(const struct vcpu *v)
{
    (void)v;
    return cpl;
}

struct vcpu_segment vcpu_segment(const struct vcpu *v, unsigned segment)
{
    (void)v;
    return segments[segment];
}

void vcpu_skip(struct vcpu *v, unsigned length)
{
    (void)v;
    skipped = length;
    skips++;
}

void vcpu_inject(struct vcpu *v, enum exception exception, uint32_t error_code)
{
    (void)v;
    raised = exception;
    raised_code = error_code;
}

bool guest_memory_is_ram(uint64_t address, uint64_t length)
{
    return range_fits(address, length, RAM_BYTES);
}

bool guest_memory_read(uint64_t address, void *to, size_t length)
{
    if (!guest_memory_is_ram(address, length))
        return false;
    memcpy(to, ram + address, length);
    return true;
}

bool guest_memory_write(uint64_t address, const void *from, size_t length)
{
    if (!guest_memory_is_ram(address, length))
        return false;
    memcpy(ram + address, from, length);
    return true;
}

void *guest_memory_open(uint64_t address, size_t length)
{
    return guest_memory_is_ram(address, length) ? ram + address : NULL;
}

void guest_memory_close(void)
{
}

void port_access_one(struct vcpu *v, uint16_t port, unsigned bytes, bool write, uint32_t *value)
{
    assert_ptr_equal(v, &vcpu);
    assert_int_equal(port, PORT);
    if (write)
        memcpy(port_bytes + port_at, value, bytes);
    else
        memcpy(value, port_bytes + port_at, bytes);
    port_at += bytes;
}

static void put(uint64_t address, uint64_t value, size_t bytes)
{
    memcpy(ram + address, &value, bytes);
}

/* Long mode; linear 0 to 1 MiB is where it is, but for one absent, one read-only and one supervisor page. */
#define PAGE_ABSENT    0x20000u
#define PAGE_READ_ONLY 0x22000u
#define PAGE_SYSTEM    0x24000u
#define PAGE_DEVICE    0x26000u

static int set_up(void **state)
{
    (void)state;
    memset(ram, 0, sizeof ram);
    vcpu = (struct vcpu){.cpu = &cpu, .rip = CODE};
    memset(segments, 0, sizeof segments);
    for (unsigned i = 0; i < ARRAY_COUNT(segments); i++)
        segments[i].limit = 0xffffffff;
    segments[SEGMENT_CS].long_mode = true;
    cr0 = CR0_PE | CR0_PG | CR0_WP;
    cr4 = CR4_PAE;
    efer = EFER_LMA;
    cpl = skipped = skips = port_at = 0;
    raised = NOTHING;
    put(TOP, SECOND | OPEN, 8);
    put(SECOND, THIRD | OPEN, 8);
    put(THIRD, FOURTH | OPEN, 8);
    for (unsigned i = 0; i < 256; i++)
        put(FOURTH + i * 8, i * PAGE_SIZE | OPEN, 8);
    put(FOURTH + PAGE_ABSENT / PAGE_SIZE * 8, 0, 8);
    put(FOURTH + PAGE_READ_ONLY / PAGE_SIZE * 8, PAGE_READ_ONLY | PTE_PRESENT | PTE_USER, 8);
    put(FOURTH + PAGE_SYSTEM / PAGE_SIZE * 8, PAGE_SYSTEM | PTE_PRESENT | PTE_WRITE, 8);
    put(FOURTH + PAGE_DEVICE / PAGE_SIZE * 8, RAM_BYTES | OPEN, 8);
    for (unsigned i = 0; i < sizeof port_bytes; i++)
        port_bytes[i] = (uint8_t)(i * 7 + 1);
    return 0;
}

static void protected_mode(bool wide)
{
    segments[SEGMENT_CS].long_mode = false;
    segments[SEGMENT_CS].default_32 = wide;
    efer = 0;
    cr0 = CR0_PE;
}

static void run(const char *code, size_t length, bool write)
{
    struct port_access access = {.port = PORT, .bytes = 1, .write = write, .string = true};
    memcpy(ram + CODE, code, length);
    raised = NOTHING;
    string_io(&vcpu, &access);
}
#define INS(code)  run(code, sizeof(code) - 1, false)
#define OUTS(code) run(code, sizeof(code) - 1, true)

static void test_sizes(void **state)
{
    (void)state;
    vcpu.gpr[RDI] = DATA;
    INS("\x6c");
    assert_int_equal(vcpu.gpr[RDI], DATA + 1);
    assert_int_equal(skipped, 1);
    INS("\x66\x6d");
    assert_int_equal(vcpu.gpr[RDI], DATA + 3);
    assert_int_equal(skipped, 2);
    INS("\x48\x6d"); /* REX.W means nothing */
    assert_int_equal(vcpu.gpr[RDI], DATA + 7);
    assert_memory_equal(ram + DATA, port_bytes, 7);
    assert_int_equal(vcpu.gpr[RCX], 0);
    assert_true(ram[FOURTH + DATA / PAGE_SIZE * 8] & PTE_DIRTY);
}

static void test_repetition_in_parts(void **state)
{
    (void)state;
    vcpu.gpr[RDI] = DATA;
    vcpu.gpr[RCX] = 1200;
    INS("\xf3\x66\x6d");
    assert_int_equal(vcpu.gpr[RCX], 1200 - REPETITIONS_MAX);
    assert_int_equal(skipped, 0);
    INS("\xf3\x66\x6d");
    INS("\xf2\x66\x6d");
    assert_int_equal(vcpu.gpr[RCX], 0);
    assert_int_equal(skipped, 3);
    assert_int_equal(vcpu.gpr[RDI], DATA + 2400);
    assert_memory_equal(ram + DATA, port_bytes, 2400);
    INS("\xf3\x66\x6d"); /* nothing left to do */
    assert_int_equal(vcpu.gpr[RDI], DATA + 2400);
    assert_int_equal(skipped, 3);
}

static void test_single_step_stops_after_each(void **state)
{
    (void)state;
    vcpu.rflags = RFLAGS_TF;
    vcpu.gpr[RDI] = DATA;
    vcpu.gpr[RCX] = 2;
    INS("\xf3\x6c");
    assert_int_equal(vcpu.gpr[RCX], 1);
    assert_int_equal(skipped, 0);
    assert_int_equal(skips, 1); /* where #DB is raised */
    INS("\xf3\x6c");
    assert_int_equal(skipped, 2);
}

static void test_direction_and_output(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 8; i++)
        ram[DATA + i] = (uint8_t)(0xa0 + i);
    vcpu.rflags = RFLAGS_DF;
    vcpu.gpr[RSI] = DATA + 6;
    vcpu.gpr[RCX] = 4;
    OUTS("\xf3\x66\x6f");
    const uint8_t expect[] = {0xa6, 0xa7, 0xa4, 0xa5, 0xa2, 0xa3, 0xa0, 0xa1};
    assert_memory_equal(port_bytes, expect, sizeof expect);
    assert_int_equal(vcpu.gpr[RSI], DATA - 2);
    assert_int_equal(skipped, 3);
    assert_false(ram[FOURTH + DATA / PAGE_SIZE * 8] & PTE_DIRTY);
    assert_true(ram[FOURTH + DATA / PAGE_SIZE * 8] & PTE_ACCESSED);
}

static void test_address_sizes(void **state)
{
    (void)state;
    vcpu.gpr[RDI] = 0xffffffff00000000ull | DATA;
    vcpu.gpr[RCX] = 0xffffffff00000001ull;
    INS("\x67\xf3\x6c"); /* 32 bits: the upper halves are cleared */
    assert_int_equal(vcpu.gpr[RDI], DATA + 1);
    assert_int_equal(vcpu.gpr[RCX], 0);
    protected_mode(false);
    vcpu.gpr[RDI] = 0xabcd0000ffff;
    vcpu.gpr[RCX] = 0x12340002;
    segments[SEGMENT_ES].base = 0x10000;
    segments[SEGMENT_ES].limit = 0xffff;
    INS("\xf3\x6c"); /* 16 bits: the offset wraps, the rest of the registers stays */
    assert_int_equal(vcpu.gpr[RDI], 0xabcd00000001);
    assert_int_equal(vcpu.gpr[RCX], 0x12340000);
    assert_int_equal(ram[0x1ffff], port_bytes[1]);
    assert_int_equal(ram[0x10000], port_bytes[2]);
    vcpu.gpr[RDI] = 0x8000;
    INS("\x67\x6d"); /* operand of 16 bits by default */
    assert_int_equal(vcpu.gpr[RDI], 0x8002);
}

static void test_segments(void **state)
{
    (void)state;
    segments[SEGMENT_FS].base = 0x3000;
    segments[SEGMENT_ES].base = segments[SEGMENT_DS].base = 0x7777;
    ram[DATA] = 0x5a;
    vcpu.gpr[RSI] = DATA - 0x3000;
    OUTS("\x64\x6e");
    assert_int_equal(port_bytes[0], 0x5a);
    vcpu.gpr[RSI] = DATA;
    OUTS("\x3e\x6e"); /* in long mode the others begin at zero */
    assert_int_equal(port_bytes[1], 0x5a);
    protected_mode(true);
    segments[SEGMENT_SS] = (struct vcpu_segment){.base = 0x1000, .limit = DATA};
    vcpu.gpr[RSI] = DATA - 0x1000;
    OUTS("\x36\x6e");
    assert_int_equal(port_bytes[2], 0x5a);
    vcpu.gpr[RSI] = DATA - 2;
    OUTS("\x36\x6f");
    assert_int_equal(raised, EXCEPTION_SS);
    segments[SEGMENT_DS].limit = 0x8000;
    vcpu.gpr[RSI] = 0x8001;
    OUTS("\x6e");
    assert_int_equal(raised, EXCEPTION_GP);
    assert_int_equal(vcpu.gpr[RSI], 0x8001);
}

static void test_not_canonical(void **state)
{
    (void)state;
    vcpu.gpr[RDI] = 0x7fffffffffffull;
    INS("\x6d");
    assert_int_equal(raised, EXCEPTION_GP);
    assert_int_equal(port_at, 0);
    assert_int_equal(skips, 0);
}

static void test_page_edge(void **state)
{
    (void)state;
    put(FOURTH + 9 * 8, 0x30000 | OPEN, 8);
    vcpu.gpr[RDI] = DATA + 0xffe;
    vcpu.gpr[RCX] = 2;
    INS("\xf3\x6d");
    assert_memory_equal(ram + DATA + 0xffe, port_bytes, 2);
    assert_memory_equal(ram + 0x30000, port_bytes + 2, 6);
}

/* The fault comes before the port is read, and what was done before it stands. */
static void test_page_fault_in_the_middle(void **state)
{
    (void)state;
    vcpu.gpr[RDI] = PAGE_ABSENT - 6;
    vcpu.gpr[RCX] = 10;
    INS("\xf3\x6d");
    assert_int_equal(raised, EXCEPTION_PF);
    assert_int_equal(raised_code, FAULT_WRITE);
    assert_int_equal(cr2, PAGE_ABSENT);
    assert_int_equal(vcpu.gpr[RCX], 9);
    assert_int_equal(vcpu.gpr[RDI], PAGE_ABSENT - 2);
    assert_int_equal(port_at, 4);
    assert_int_equal(skips, 0);
    put(FOURTH + PAGE_ABSENT / PAGE_SIZE * 8, 0x31000 | OPEN, 8); /* the guest maps it: again */
    INS("\xf3\x6d");
    assert_int_equal(raised, NOTHING);
    assert_int_equal(vcpu.gpr[RCX], 0);
    assert_memory_equal(ram + PAGE_ABSENT - 6, port_bytes, 6);
    assert_memory_equal(ram + 0x31000, port_bytes + 6, 34);
}

static void fault(uint64_t address, uint32_t code)
{
    vcpu.gpr[RDI] = vcpu.gpr[RSI] = address;
    INS("\x6c");
    assert_int_equal(raised, EXCEPTION_PF);
    assert_int_equal(raised_code, code);
    assert_int_equal(cr2, address);
    assert_int_equal(port_at, 0);
}

static void test_privilege(void **state)
{
    (void)state;
    fault(PAGE_READ_ONLY, FAULT_PRESENT | FAULT_WRITE);
    cr0 &= ~CR0_WP;
    vcpu.gpr[RDI] = PAGE_READ_ONLY;
    INS("\x6c");
    assert_int_equal(raised, NOTHING);
    port_at = 0;
    cpl = 3;
    fault(PAGE_READ_ONLY, FAULT_PRESENT | FAULT_WRITE | FAULT_USER);
    fault(PAGE_SYSTEM, FAULT_PRESENT | FAULT_WRITE | FAULT_USER);
    cpl = 0;
    cr4 |= CR4_SMAP;
    fault(DATA, FAULT_PRESENT | FAULT_WRITE);
    vcpu.rflags = RFLAGS_AC;
    vcpu.gpr[RDI] = DATA;
    INS("\x6c");
    assert_int_equal(raised, NOTHING);
}

static void test_device_memory_and_lost_instruction(void **state)
{
    (void)state;
    vcpu.gpr[RDI] = PAGE_DEVICE;
    INS("\x6c");
    assert_int_equal(raised, EXCEPTION_GP);
    INS("\x90");
    assert_int_equal(raised, EXCEPTION_GP);
    OUTS("\x6c"); /* another direction than the exit told */
    assert_int_equal(raised, EXCEPTION_GP);
    assert_int_equal(port_at, 0);
    assert_int_equal(skips, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_sizes, set_up),
        cmocka_unit_test_setup(test_repetition_in_parts, set_up),
        cmocka_unit_test_setup(test_single_step_stops_after_each, set_up),
        cmocka_unit_test_setup(test_direction_and_output, set_up),
        cmocka_unit_test_setup(test_address_sizes, set_up),
        cmocka_unit_test_setup(test_segments, set_up),
        cmocka_unit_test_setup(test_not_canonical, set_up),
        cmocka_unit_test_setup(test_page_edge, set_up),
        cmocka_unit_test_setup(test_page_fault_in_the_middle, set_up),
        cmocka_unit_test_setup(test_privilege, set_up),
        cmocka_unit_test_setup(test_device_memory_and_lost_instruction, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
