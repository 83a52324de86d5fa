/* SPDX-License-Identifier: Apache-2.0 */
/* The ACPI reader on tables built here, whole and damaged. Each mapping is a copy of exactly its length, so
 * that ASan sees a read past it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/acpi.h"

#define BASE       0x7f000000ull
#define AREA       0x2000u
#define RSDP       0x000u
#define RSDT       0x100u
#define XSDT       0x200u
#define MCFG       0x300u
#define FADT       0x400u
#define FADT_BYTES 276u
#define DSDT       0x1000u
#define HEADER     36u

#define COPIES 64

struct machine {
    uint8_t area[AREA];
    void *copies[COPIES];
    unsigned copy_count;
};

static const void *map_copy(void *context, uint64_t address, size_t length)
{
    struct machine *m = context;
    if (address < BASE || !range_fits(address - BASE, length, AREA))
        return NULL;
    assert_true(m->copy_count < COPIES);
    void *copy = malloc(length);
    assert_non_null(copy);
    memcpy(copy, m->area + (address - BASE), length);
    m->copies[m->copy_count++] = copy;
    return copy;
}

static bool read_at(struct machine *m, uint64_t rsdp, struct handoff_acpi *out)
{
    struct acpi_memory memory = {.map = map_copy, .context = m};
    bool good = acpi_read(&memory, rsdp, out);
    while (m->copy_count > 0)
        free(m->copies[--m->copy_count]);
    return good;
}

static void put(struct machine *m, unsigned at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        m->area[at + i] = (uint8_t)(value >> (8 * i));
}

/* Sets the byte at `sum` so that all of the range adds up to zero. */
static void seal(struct machine *m, unsigned at, unsigned length, unsigned sum)
{
    uint8_t total = 0;
    m->area[sum] = 0;
    for (unsigned i = 0; i < length; i++)
        total = (uint8_t)(total + m->area[at + i]);
    m->area[sum] = (uint8_t)-total;
}

static void seal_table(struct machine *m, unsigned at)
{
    seal(m, at, m->area[at + 4] | (unsigned)m->area[at + 5] << 8, at + 9);
}

static void begin_table(struct machine *m, unsigned at, const char *signature, unsigned length)
{
    memset(m->area + at, 0, length);
    memcpy(m->area + at, signature, 4);
    put(m, at + 4, length, 4);
}

static void put_rsdp(struct machine *m, unsigned revision)
{
    memset(m->area + RSDP, 0, 36);
    memcpy(m->area + RSDP, "RSD PTR ", 8);
    put(m, RSDP + 15, revision, 1);
    put(m, RSDP + 16, BASE + RSDT, 4);
    put(m, RSDP + 20, 36, 4);
    put(m, RSDP + 24, BASE + XSDT, 8);
    seal(m, RSDP, 20, RSDP + 8);
    seal(m, RSDP, 36, RSDP + 32);
}

/* The root table named, with MCFG and FADT behind a pointer to nothing. */
static void put_root(struct machine *m, unsigned at, const char *signature, unsigned pointer)
{
    begin_table(m, at, signature, HEADER + 3 * pointer);
    put(m, at + HEADER, 0xfffff000, pointer);
    put(m, at + HEADER + pointer, BASE + MCFG, pointer);
    put(m, at + HEADER + 2 * pointer, BASE + FADT, pointer);
    seal_table(m, at);
}

static void put_mcfg(struct machine *m, unsigned entries)
{
    begin_table(m, MCFG, "MCFG", 44 + 16 * entries);
    for (unsigned i = 0; i < entries; i++) {
        put(m, MCFG + 44 + 16 * i, 0xb0000000ull + ((uint64_t)i << 32), 8);
        put(m, MCFG + 52 + 16 * i, i, 2);
        put(m, MCFG + 54 + 16 * i, i, 1);
        put(m, MCFG + 55 + 16 * i, 255, 1);
    }
    seal_table(m, MCFG);
}

static void put_fadt(struct machine *m)
{
    begin_table(m, FADT, "FACP", FADT_BYTES);
    put(m, FADT + 40, BASE + DSDT, 4);
    put(m, FADT + 64, 0x604, 4);
    put(m, FADT + 68, 0x704, 4);
    put(m, FADT + 112, BIT(10), 4);
    put(m, FADT + 116, 1, 1);
    put(m, FADT + 120, 0xcf9, 8);
    put(m, FADT + 128, 0x0f, 1);
    put(m, FADT + 140, BASE + DSDT, 8);
    put(m, FADT + 172, 1, 1);
    put(m, FADT + 176, 0x1804, 8);
    seal_table(m, FADT);
}

static void put_dsdt(struct machine *m, const void *code, unsigned length)
{
    begin_table(m, DSDT, "DSDT", HEADER + length);
    memcpy(m->area + DSDT + HEADER, code, length);
    seal_table(m, DSDT);
}

/* Name (_S3_, Package {1, One, Zero, Zero}) with a few bytes before; Name (\_S5_, Package {5, 5}) in the long
 * form of a length. */
static const uint8_t sleep_code[] = {
    0x5b, 0x80, '_',  'S',  '3',  '_',  0x08, '_', 'S', '3', '_',  0x12, 0x07,
    0x04, 0x01, 0x01, 0x00, 0x00, 0x08, '\\', '_', 'S', '5', '_',  0x12, 0x46,
    0x00, 0x02, 0x0a, 0x05, 0x00, 0x08, 'X',  'Y', 'Z', '_', 0x00,
};
#define S3_OFFSET (HEADER + 7)

static struct machine *new_machine(unsigned revision)
{
    static struct machine m;
    memset(&m, 0, sizeof(m));
    put_rsdp(&m, revision);
    put_root(&m, RSDT, "RSDT", 4);
    put_root(&m, XSDT, "XSDT", 8);
    put_mcfg(&m, 2);
    put_fadt(&m);
    put_dsdt(&m, sleep_code, sizeof(sleep_code));
    return &m;
}

static void check_everything(const struct handoff_acpi *a)
{
    assert_int_equal(a->mcfg_count, 2);
    assert_true(a->mcfg[0].base == 0xb0000000ull);
    assert_true(a->mcfg[1].base == 0x1b0000000ull);
    assert_int_equal(a->mcfg[1].segment, 1);
    assert_int_equal(a->mcfg[1].first_bus, 1);
    assert_int_equal(a->mcfg[1].last_bus, 255);
    assert_int_equal(a->pm1a_control, 0x1804);
    assert_int_equal(a->pm1b_control, 0x704);
    assert_int_equal(a->reset_register, 0xcf9);
    assert_int_equal(a->reset_is_port, 1);
    assert_int_equal(a->reset_value, 0x0f);
    assert_int_equal(a->sleep_type_known, 3);
    assert_int_equal(a->s3_type, 1);
    assert_int_equal(a->s5_type, 5);
    assert_true(a->dsdt == BASE + DSDT);
    assert_int_equal(a->dsdt_s3_offset, S3_OFFSET);
}

static void reads_every_revision(void **state)
{
    (void)state;
    struct handoff_acpi a;
    assert_true(read_at(new_machine(0), BASE, &a));
    check_everything(&a);
    assert_true(read_at(new_machine(2), BASE, &a));
    check_everything(&a);

    struct machine *m = new_machine(2); /* no XSDT: the RSDT serves */
    put(m, RSDP + 24, 0, 8);
    seal(m, RSDP, 36, RSDP + 32);
    assert_true(read_at(m, BASE, &a));
    check_everything(&a);

    m = new_machine(0); /* revision 0 has no XSDT, and its RSDP ends after 20 bytes */
    memset(m->area + RSDP + 20, 0xff, 16);
    memset(m->area + XSDT, 0xff, 64);
    assert_true(read_at(m, BASE, &a));
    check_everything(&a);
}

static void refuses_a_damaged_root(void **state)
{
    (void)state;
    struct handoff_acpi a;
    static const struct handoff_acpi nothing;
    static const unsigned flips[] = {RSDP, RSDP + 8, RSDP + 16, RSDP + 32, XSDT, XSDT + 9, XSDT + HEADER};
    for (unsigned i = 0; i < ARRAY_COUNT(flips); i++) {
        struct machine *m = new_machine(2);
        m->area[flips[i]] ^= 0x20;
        assert_false(read_at(m, BASE, &a));
        assert_memory_equal(&a, &nothing, sizeof(a));
    }
    assert_false(read_at(new_machine(2), 0, &a));
    assert_false(read_at(new_machine(2), BASE - 1, &a));
    assert_false(read_at(new_machine(2), BASE + AREA - 8, &a));
    assert_false(read_at(new_machine(2), UINT64_MAX - 4, &a));

    static const uint32_t lengths[] = {0, 35, AREA, 0x01000001, UINT32_MAX};
    for (unsigned i = 0; i < ARRAY_COUNT(lengths); i++) {
        struct machine *m = new_machine(2);
        put(m, XSDT + 4, lengths[i], 4);
        assert_false(read_at(m, BASE, &a));
        m = new_machine(2);
        put(m, RSDP + 20, lengths[i], 4);
        seal(m, RSDP, 36, RSDP + 32);
        assert_false(read_at(m, BASE, &a));
    }
    struct machine *m = new_machine(2);
    put(m, RSDP + 24, BASE + MCFG, 8);
    seal(m, RSDP, 36, RSDP + 32);
    assert_false(read_at(m, BASE, &a));
}

static void does_without_what_is_absent(void **state)
{
    (void)state;
    struct handoff_acpi a;
    struct machine *m = new_machine(2);
    m->area[MCFG + 9] ^= 1;
    assert_true(read_at(m, BASE, &a));
    assert_int_equal(a.mcfg_count, 0);
    assert_int_equal(a.sleep_type_known, 3);

    m = new_machine(2);
    m->area[FADT + 9] ^= 1;
    assert_true(read_at(m, BASE, &a));
    assert_int_equal(a.mcfg_count, 2);
    assert_int_equal(a.pm1a_control, 0);
    assert_true(a.dsdt == 0 && a.reset_register == 0);

    m = new_machine(2);
    m->area[DSDT + 9] ^= 1;
    assert_true(read_at(m, BASE, &a));
    assert_int_equal(a.sleep_type_known, 0);
    assert_true(a.dsdt == 0 && a.dsdt_s3_offset == 0);
    assert_int_equal(a.reset_register, 0xcf9);

    m = new_machine(2); /* a root table with no entry at all */
    begin_table(m, XSDT, "XSDT", HEADER);
    seal_table(m, XSDT);
    static const struct handoff_acpi nothing;
    assert_true(read_at(m, BASE, &a));
    assert_memory_equal(&a, &nothing, sizeof(a));
}

static void reads_old_and_odd_fadts(void **state)
{
    (void)state;
    struct handoff_acpi a;
    struct machine *m = new_machine(2); /* ACPI 1.0: no flags for reset, no X_ fields */
    put(m, FADT + 4, 116, 4);
    seal_table(m, FADT);
    assert_true(read_at(m, BASE, &a));
    assert_int_equal(a.pm1a_control, 0x604);
    assert_int_equal(a.pm1b_control, 0x704);
    assert_true(a.reset_register == 0 && a.reset_value == 0);
    assert_true(a.dsdt == BASE + DSDT);

    static const struct {
        unsigned offset, bytes;
        uint64_t value;
        uint64_t reset;
        bool port;
    } cases[] = {
        {112, 4, 0, 0, false},       {116, 1, 0, 0xcf9, false},  {116, 1, 2, 0, false},
        {120, 8, 0x10000, 0, false}, {120, 8, 0x64, 0x64, true},
    };
    for (unsigned i = 0; i < ARRAY_COUNT(cases); i++) {
        m = new_machine(2);
        put(m, FADT + cases[i].offset, cases[i].value, cases[i].bytes);
        seal_table(m, FADT);
        assert_true(read_at(m, BASE, &a));
        assert_true(a.reset_register == cases[i].reset);
        assert_int_equal(a.reset_is_port, cases[i].port);
    }

    m = new_machine(2); /* the X_ field is no port: the older one counts; that is none either */
    put(m, FADT + 172, 0, 1);
    put(m, FADT + 68, 0x10000, 4);
    seal_table(m, FADT);
    assert_true(read_at(m, BASE, &a));
    assert_int_equal(a.pm1a_control, 0x604);
    assert_int_equal(a.pm1b_control, 0);
}

static void limits_pci_segments(void **state)
{
    (void)state;
    struct handoff_acpi a;
    struct machine *m = new_machine(2);
    put_mcfg(m, HANDOFF_MCFG_MAX + 2);
    assert_true(read_at(m, BASE, &a));
    assert_int_equal(a.mcfg_count, HANDOFF_MCFG_MAX);

    m = new_machine(2); /* the first entry ends before it begins, the third is cut short */
    put_mcfg(m, 3);
    put(m, MCFG + 44 + 10, 9, 1);
    put(m, MCFG + 44 + 11, 8, 1);
    put(m, MCFG + 4, 44 + 40, 4);
    seal_table(m, MCFG);
    assert_true(read_at(m, BASE, &a));
    assert_int_equal(a.mcfg_count, 1);
    assert_int_equal(a.mcfg[0].segment, 1);
}

struct code {
    uint8_t bytes[16];
    unsigned length;
    bool named, known;
    uint8_t type;
};

static void reads_sleep_packages(void **state)
{
    (void)state;
    static const struct code codes[] = {
        {{0x08, '_', 'S', '3', '_', 0x12, 0x03, 0x01, 0x00}, 9, true, true, 0},
        {{0x08, '\\', '_', 'S', '3', '_', 0x12, 0x03, 0x01, 0x01}, 10, true, true, 1},
        {{0x08, '_', 'S', '3', '_', 0x12, 0x04, 0x01, 0x0a, 0x07}, 10, true, true, 7},
        {{0x08, '_', 'S', '3', '_', 0x12, 0x85, 0x00, 0x00, 0x01, 0x01}, 11, true, true, 1},
        {{0x08, '_', 'S', '3', '_', 0x12, 0x85, 0x00, 0x00, 0x01, 0x01}, 10, true, false, 0},
        {{0x08, '_', 'S', '3', '_', 0x12, 0x45, 0x00, 0x01, 0x0a, 0x05}, 11, true, true, 5},
        {{0x08, '_', 'S', '3', '_', 0x12, 0x04, 0x01, 0x0a, 0x08}, 10, true, false, 0}, /* no SLP_TYP */
        {{0x08, '_', 'S', '3', '_', 0x12, 0x04, 0x00, 0x0a, 0x01}, 10, true, false, 0}, /* no element */
        {{0x08, '_', 'S', '3', '_', 0x12, 0x03, 0x01, 0x0a, 0x01}, 10, true, false, 0}, /* ends within */
        {{0x08, '_', 'S', '3', '_', 0x12, 0x00, 0x01, 0x00}, 9, true, false, 0}, /* no length         */
        {{0x08, '_', 'S', '3', '_', 0x12, 0x30, 0x01, 0x00}, 9, true, false, 0}, /* past the table    */
        {{0x08, '_', 'S', '3', '_', 0x12, 0xff, 0xff, 0xff, 0xff}, 10, true, false, 0}, /* far past it */
        {{0x08, '_', 'S', '3', '_', 0x12, 0x03, 0x01, 0x0b, 0x01}, 10, true, false, 0}, /* not a byte */
        {{0x08, '_', 'S', '3', '_', 0x12}, 6, true, false, 0},
        {{0x08, '_', 'S', '3', '_'}, 5, false, false, 0},
        {{0x08, '_', 'S', '3', '_', 0x00}, 6, false, false, 0},
        {{0x09, '_', 'S', '3', '_', 0x12, 0x03, 0x01, 0x00}, 9, false, false, 0},
        {{0x08, '_', 'S', '4', '_', 0x12, 0x03, 0x01, 0x00}, 9, false, false, 0},
        {{0x08, '\\'}, 2, false, false, 0},
        {{0x08}, 1, false, false, 0},
        {{0}, 0, false, false, 0},
    };
    for (unsigned i = 0; i < ARRAY_COUNT(codes); i++) {
        struct handoff_acpi a;
        struct machine *m = new_machine(2);
        put_dsdt(m, codes[i].bytes, codes[i].length);
        assert_true(read_at(m, BASE, &a));
        assert_true(a.dsdt == BASE + DSDT);
        if ((a.dsdt_s3_offset != 0) != codes[i].named || (a.sleep_type_known == 1) != codes[i].known)
            fail_msg("code %u: offset %u, known %u", i, (unsigned)a.dsdt_s3_offset, a.sleep_type_known);
        if (codes[i].named)
            assert_memory_equal(m->area + DSDT + a.dsdt_s3_offset, "_S3_", 4);
        assert_int_equal(a.s3_type, codes[i].type);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_revision),        cmocka_unit_test(refuses_a_damaged_root),
        cmocka_unit_test(does_without_what_is_absent), cmocka_unit_test(reads_old_and_odd_fadts),
        cmocka_unit_test(limits_pci_segments),         cmocka_unit_test(reads_sleep_packages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
