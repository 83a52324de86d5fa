/* SPDX-License-Identifier: Apache-2.0 */
/* ACPI tables (ACPI 6.5 chapter 5): the firmware is trusted to mean well, but not to give lengths that fit.
 */
#include "lib/acpi.h"
#include "lib/reader.h"
#include "lib/strings.h"

#define RSDP_BYTES           20u /* revision 0, and what its checksum covers in all of them */
#define RSDP2_BYTES          36u
#define RSDP_REVISION_OFFSET 15u
#define RSDP_RSDT_OFFSET     16u
#define RSDP_LENGTH_OFFSET   20u
#define RSDP_XSDT_OFFSET     24u

#define HEADER_BYTES 36u
#define TABLE_MAX    MIB(16)

#define MCFG_ENTRIES_OFFSET 44u

#define FADT_DSDT          40u
#define FADT_PM1A          64u
#define FADT_PM1B          68u
#define FADT_FLAGS         112u
#define FADT_RESET         116u
#define FADT_RESET_VAL     128u
#define FADT_X_DSDT        140u
#define FADT_X_PM1A        172u
#define FADT_X_PM1B        184u
#define FADT_RESET_REG_SUP BIT(10)

#define SPACE_MEMORY 0u
#define SPACE_IO     1u
#define IO_PORT_MAX  0xffffu

/* AML opcodes (ACPI 6.5 section 20.3). */
#define AML_ZERO    0x00
#define AML_ONE     0x01
#define AML_NAME    0x08
#define AML_BYTE    0x0a
#define AML_PACKAGE 0x12
#define AML_ROOT    '\\'

#define SLEEP_TYPE_MAX 7u /* SLP_TYP has three bits */
#define SLEEP_KNOWN_S3 BIT(0)
#define SLEEP_KNOWN_S5 BIT(1)

/* A whole table, checked. */
struct table {
    const uint8_t *data;
    uint32_t size;
    uint64_t address;
};

static bool sum_is_zero(const uint8_t *data, size_t size)
{
    uint8_t sum = 0;
    for (size_t i = 0; i < size; i++)
        sum = (uint8_t)(sum + data[i]);
    return sum == 0;
}

/* A field of the table; zero where the table, being of an older revision, ends before it. */
static uint64_t field(const struct table *table, size_t offset, unsigned bytes)
{
    struct reader r = reader_of(table->data, table->size);
    reader_seek(&r, offset);
    return reader_le(&r, bytes);
}

static bool has_signature(const struct table *table, const char *signature)
{
    return memcmp(table->data, signature, 4) == 0;
}

/* Maps the table at an address and checks its length and sum. */
static bool open_table(const struct acpi_memory *memory, uint64_t address, struct table *out)
{
    *out = (struct table){.address = address, .size = HEADER_BYTES};
    if (address == 0 || !(out->data = memory->map(memory->context, address, HEADER_BYTES)))
        return false;
    uint32_t length = (uint32_t)field(out, 4, 4);
    if (length < HEADER_BYTES || length > TABLE_MAX || address > UINT64_MAX - length ||
        !(out->data = memory->map(memory->context, address, length)))
        return false;
    out->size = length;
    return sum_is_zero(out->data, length);
}

static void read_mcfg(const struct table *mcfg, struct handoff_acpi *out)
{
    struct reader r = reader_of(mcfg->data, mcfg->size);
    reader_seek(&r, MCFG_ENTRIES_OFFSET);
    while (out->mcfg_count < HANDOFF_MCFG_MAX) {
        struct handoff_mcfg entry = {.base = reader_le64(&r),
                                     .segment = reader_le16(&r),
                                     .first_bus = reader_u8(&r),
                                     .last_bus = reader_u8(&r)};
        (void)reader_le32(&r); /* reserved */
        if (r.failed)
            return;
        if (entry.base != 0 && entry.first_bus <= entry.last_bus)
            out->mcfg[out->mcfg_count++] = entry;
    }
}

/* The port of a PM1 control block: the generic address where it names a port, else the older field. */
static uint32_t control_port(const struct table *fadt, size_t generic, size_t older)
{
    uint64_t address = field(fadt, generic + 4, 8);
    if (field(fadt, generic, 1) != SPACE_IO || address == 0)
        address = field(fadt, older, 4);
    return address <= IO_PORT_MAX ? (uint32_t)address : 0;
}

static void read_reset(const struct table *fadt, struct handoff_acpi *out)
{
    uint64_t space = field(fadt, FADT_RESET, 1), address = field(fadt, FADT_RESET + 4, 8);
    if (!(field(fadt, FADT_FLAGS, 4) & FADT_RESET_REG_SUP))
        return;
    if (space != SPACE_MEMORY && (space != SPACE_IO || address > IO_PORT_MAX))
        return;
    out->reset_register = address;
    out->reset_is_port = space == SPACE_IO;
    out->reset_value = (uint8_t)field(fadt, FADT_RESET_VAL, 1);
}

/* ---- The DSDT's sleep packages ---- */

/* Reads a package's length (ACPI 6.5 section 20.2.4) and makes the reader end where the package does. */
static bool enter_package(struct reader *r)
{
    size_t start = r->at;
    uint8_t lead = reader_u8(r);
    unsigned more = lead >> 6;
    uint32_t length = more == 0 ? lead & 0x3fu : lead & 0x0fu;
    for (unsigned i = 0; i < more; i++)
        length |= (uint32_t)reader_u8(r) << (4 + 8 * i);
    if (r->failed || length > r->size - start || start + length < r->at)
        return false;
    r->size = start + length;
    return true;
}

/* The first element of the package at the reader, which is SLP_TYPa. */
static bool read_sleep_type(struct reader r, uint8_t *type)
{
    if (reader_u8(&r) != AML_PACKAGE || !enter_package(&r) || reader_u8(&r) == 0)
        return false;
    uint8_t value = reader_u8(&r);
    if (value == AML_BYTE)
        value = reader_u8(&r);
    else if (value != AML_ZERO && value != AML_ONE)
        return false;
    if (r.failed || value > SLEEP_TYPE_MAX)
        return false;
    *type = value;
    return true;
}

/* Looks for Name(name, Package...) in the byte code; gives the offset of the name, 0 when there is none, and
 * its sleep type if it can be read. */
static uint64_t find_sleep_package(const struct table *dsdt, const char *name, uint8_t *type, bool *known)
{
    *known = false;
    for (size_t at = HEADER_BYTES; at < dsdt->size; at++) {
        struct reader r = reader_of(dsdt->data, dsdt->size);
        reader_seek(&r, at);
        if (reader_u8(&r) != AML_NAME)
            continue;
        if (reader_left(&r) > 0 && r.data[r.at] == AML_ROOT)
            (void)reader_u8(&r);
        uint64_t offset = r.at;
        const uint8_t *found = reader_bytes(&r, 4);
        if (!found || memcmp(found, name, 4) != 0 || reader_left(&r) == 0 || r.data[r.at] != AML_PACKAGE)
            continue;
        *known = read_sleep_type(r, type);
        return offset;
    }
    return 0;
}

static void read_dsdt(const struct acpi_memory *memory, uint64_t address, struct handoff_acpi *out)
{
    struct table dsdt;
    if (!open_table(memory, address, &dsdt) || !has_signature(&dsdt, "DSDT"))
        return;
    bool s3, s5;
    out->dsdt = address;
    out->dsdt_s3_offset = find_sleep_package(&dsdt, "_S3_", &out->s3_type, &s3);
    (void)find_sleep_package(&dsdt, "_S5_", &out->s5_type, &s5);
    out->sleep_type_known = (uint32_t)((s3 ? SLEEP_KNOWN_S3 : 0) | (s5 ? SLEEP_KNOWN_S5 : 0));
}

static void read_fadt(const struct acpi_memory *memory, const struct table *fadt, struct handoff_acpi *out)
{
    out->pm1a_control = control_port(fadt, FADT_X_PM1A, FADT_PM1A);
    out->pm1b_control = control_port(fadt, FADT_X_PM1B, FADT_PM1B);
    read_reset(fadt, out);
    uint64_t dsdt = field(fadt, FADT_X_DSDT, 8);
    read_dsdt(memory, dsdt != 0 ? dsdt : field(fadt, FADT_DSDT, 4), out);
}

/* ---- The way to the tables ---- */

/* The address of the root table from a checked RSDP, and the size of its pointers. Zero when the RSDP is
 * damaged. */
static uint64_t root_address(const struct acpi_memory *memory, uint64_t rsdp, unsigned *pointer_bytes)
{
    struct table table = {.size = RSDP_BYTES};
    *pointer_bytes = 4;
    if (rsdp == 0 || !(table.data = memory->map(memory->context, rsdp, RSDP_BYTES)))
        return 0;
    if (memcmp(table.data, "RSD PTR ", 8) != 0 || !sum_is_zero(table.data, RSDP_BYTES))
        return 0;
    uint64_t rsdt = field(&table, RSDP_RSDT_OFFSET, 4);
    if (field(&table, RSDP_REVISION_OFFSET, 1) < 2)
        return rsdt;

    table.size = RSDP2_BYTES;
    if (!(table.data = memory->map(memory->context, rsdp, RSDP2_BYTES)))
        return 0;
    uint64_t length = field(&table, RSDP_LENGTH_OFFSET, 4);
    if (length < RSDP2_BYTES || length > PAGE_SIZE ||
        !(table.data = memory->map(memory->context, rsdp, length)) || !sum_is_zero(table.data, length))
        return 0;
    uint64_t xsdt = field(&table, RSDP_XSDT_OFFSET, 8);
    *pointer_bytes = xsdt != 0 ? 8 : 4;
    return xsdt != 0 ? xsdt : rsdt;
}

bool acpi_read(const struct acpi_memory *memory, uint64_t rsdp, struct handoff_acpi *out)
{
    *out = (struct handoff_acpi){0};
    unsigned pointer_bytes;
    struct table root;
    if (!open_table(memory, root_address(memory, rsdp, &pointer_bytes), &root) ||
        !has_signature(&root, pointer_bytes == 8 ? "XSDT" : "RSDT"))
        return false;

    bool mcfg_seen = false, fadt_seen = false;
    for (size_t at = HEADER_BYTES; at + pointer_bytes <= root.size; at += pointer_bytes) {
        struct table table;
        if (!open_table(memory, field(&root, at, pointer_bytes), &table))
            continue;
        if (!mcfg_seen && has_signature(&table, "MCFG")) {
            mcfg_seen = true;
            read_mcfg(&table, out);
        }
        if (!fadt_seen && has_signature(&table, "FACP")) {
            fadt_seen = true;
            read_fadt(memory, &table, out);
        }
    }
    return true;
}
