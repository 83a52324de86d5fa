/* SPDX-License-Identifier: Apache-2.0 */
/* Bochs' firmware has no ACPI tables. This program installs those of its machine (i440fx, PIIX3 and the power
 * management of PIIX4) and starts \EFI\BOOT\NEXT.EFI. (ACPI specification 6.5, chapters 5, 6.4 and 20.) */
#include "boot/firmware.h"
#include "lib/strings.h"
#include "tests/system/efi/next.h"

#define CPUS_MAX             8u
#define PM_BASE              0xb000u
#define CONTROL              (PM_BASE + 4)
#define TIMER                (PM_BASE + 8)
#define SCI                  9u
#define CENTURY              0x32u
#define FLAG_WBINVD          BIT(0)
#define FLAG_C1              BIT(2)
#define FLAG_NO_POWER_BUTTON BIT(4)
#define FLAG_NO_SLEEP_BUTTON BIT(5)
#define IO_APIC_ID           2u
#define IO_APIC_BASE         0xfec00000u
#define APIC_BASE            0xfee00000u
#define HAS_PIC              1u
#define LEVEL_HIGH           0x0du

struct header {
    char signature[4];
    uint32_t length;
    uint8_t revision, checksum;
    char oem[6], table[8];
    uint32_t oem_revision;
    char creator[4];
    uint32_t creator_revision;
} packed;
static_assert(sizeof(struct header) == 36, "ACPI 5.2.6");

struct fixed {
    struct header header;
    uint32_t facs, dsdt;
    uint8_t model, profile;
    uint16_t sci;
    uint32_t smi;
    uint8_t commands[4];
    uint32_t pm1a_event, pm1b_event, pm1a_control, pm1b_control, pm2_control, timer, gpe0, gpe1;
    uint8_t event_bytes, control_bytes, pm2_bytes, timer_bytes, gpe0_bytes, gpe1_bytes, gpe1_first, cst;
    uint16_t c2_latency, c3_latency, flush_size, flush_stride;
    uint8_t duty[2], alarms[2], century;
    uint16_t boot_flags;
    uint8_t reserved;
    uint32_t flags;
} packed;
static_assert(sizeof(struct fixed) == 116, "FADT of revision 1");

struct firmware_control {
    char signature[4];
    uint32_t length, hardware, vector, lock, flags;
    uint8_t reserved[40];
} packed;
static_assert(sizeof(struct firmware_control) == 64, "FACS");

struct local_apic {
    uint8_t type, length, processor, id;
    uint32_t enabled;
} packed;

struct override {
    uint8_t type, length, bus, irq;
    uint32_t global;
    uint16_t flags;
} packed;

struct interrupts {
    struct header header;
    uint32_t local_base, flags;
    struct {
        uint8_t type, length, id, reserved;
        uint32_t base, first;
    } packed io;
    struct override timer, sci;
    struct local_apic cpus[CPUS_MAX]; /* the table ends after the last that is there */
} packed;

#define WORD(x)    (uint8_t)(x), (uint8_t)((x) >> 8)
#define DWORD(x)   WORD(x), WORD((x) >> 16)
#define PACKAGE(n) 0x40 | ((n)&15), (n) >> 4 /* a package's length in two bytes */
#define BUSES(first, last)                                                                                   \
    0x88, WORD(13), 2, 0x0c, 0, WORD(0), WORD(first), WORD(last), WORD(0), WORD((last) - (first) + 1)
#define PORTS(first, last)                                                                                   \
    0x88, WORD(13), 1, 0x0c, 3, WORD(0), WORD(first), WORD(last), WORD(0), WORD((last) - (first) + 1)
#define MEMORY(first, last, cached)                                                                          \
    0x87, WORD(23), 0, 0x0c, 1 | (cached) << 1, DWORD(0), DWORD(first), DWORD(last), DWORD(0),               \
        DWORD((last) - (first) + 1)
#define RESOURCES_BYTES 110
#define DEVICE_BYTES    (2 + 4 + 10 + 6 + 5 + 5 + RESOURCES_BYTES)
#define SCOPE_BYTES     (2 + 5 + 2 + DEVICE_BYTES)

static struct {
    struct header header;
    uint8_t aml[13 + 1 + SCOPE_BYTES];
} packed dsdt = {.header = {.signature = "DSDT"},
                 .aml = {0x08,
                         '\\',
                         '_',
                         'S',
                         '5',
                         '_',
                         0x12,
                         6,
                         4,
                         0,
                         0,
                         0,
                         0, /* Name (\_S5, Package {0, 0, 0, 0}) */
                         0x10,
                         PACKAGE(SCOPE_BYTES),
                         '\\',
                         '_',
                         'S',
                         'B',
                         '_', /* Scope (\_SB)                      */
                         0x5b,
                         0x82,
                         PACKAGE(DEVICE_BYTES),
                         'P',
                         'C',
                         'I',
                         '0', /* Device (PCI0)                     */
                         0x08,
                         '_',
                         'H',
                         'I',
                         'D',
                         0x0c,
                         0x41,
                         0xd0,
                         0x0a,
                         0x03, /* PNP0A03                           */
                         0x08,
                         '_',
                         'U',
                         'I',
                         'D',
                         0,
                         0x08,
                         '_',
                         'C',
                         'R',
                         'S',
                         0x11,
                         PACKAGE(4 + RESOURCES_BYTES),
                         0x0a,
                         RESOURCES_BYTES,
                         BUSES(0, 0xff),
                         0x47,
                         1,
                         WORD(0xcf8),
                         WORD(0xcf8),
                         1,
                         8,
                         PORTS(0, 0xcf7),
                         PORTS(0xd00, 0xffff),
                         MEMORY(0xa0000, 0xbffff, 1),
                         MEMORY(0x80000000, 0xfbffffff, 0),
                         0x79,
                         0}};

static struct firmware_control facs = {.signature = "FACS", .length = sizeof(facs)};
static struct fixed fadt = {
    .header = {.signature = "FACP"},
    .sci = SCI,
    .pm1a_event = PM_BASE,
    .pm1a_control = CONTROL,
    .timer = TIMER,
    .event_bytes = 4,
    .control_bytes = 2,
    .timer_bytes = 4,
    .c2_latency = 0xfff,
    .c3_latency = 0xfff,
    .century = CENTURY,
    .flags = FLAG_WBINVD | FLAG_C1 | FLAG_NO_POWER_BUTTON | FLAG_NO_SLEEP_BUTTON,
};
static struct interrupts madt = {
    .header = {.signature = "APIC"},
    .local_base = APIC_BASE,
    .flags = HAS_PIC,
    .io = {1, 12, IO_APIC_ID, 0, IO_APIC_BASE, 0},
    .timer = {2, 10, 0, 0, 2, 0},
    .sci = {2, 10, 0, SCI, SCI, LEVEL_HIGH},
};

struct acpi_table_protocol {
    EFI_STATUS(EFIAPI *install)(struct acpi_table_protocol *this, void *table, UINTN bytes, UINTN *key);
};
static EFI_GUID acpi_table_guid = {
    0xffe06bdd, 0x6107, 0x46a6, {0x7b, 0xb2, 0x5a, 0x9c, 0x7e, 0xc5, 0x27, 0x5c}};

static bool install(struct acpi_table_protocol *to, struct header *table, uint32_t bytes, bool is_table)
{
    UINTN key;
    if (is_table) {
        uint8_t sum = 0;
        table->length = bytes;
        table->revision = 1;
        memcpy(table->oem, "SHOJI ", sizeof(table->oem));
        memcpy(table->table, "TESTLANE", sizeof(table->table));
        memcpy(table->creator, "TEST", sizeof(table->creator));
        table->oem_revision = table->creator_revision = 1;
        for (uint32_t i = 0; i < bytes; i++)
            sum += ((uint8_t *)table)[i];
        table->checksum = (uint8_t)-sum;
    }
    return !EFI_ERROR(to->install(to, table, bytes, &key));
}

static uint32_t list_cpus(void)
{
    struct mp_services *mp = protocol_anywhere(&mp_services_guid);
    UINTN all = 1, enabled;
    if (mp)
        mp->get_number(mp, &all, &enabled);
    uint32_t count = (uint32_t)MIN(all, (UINTN)CPUS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        struct processor_information cpu = {0};
        if (mp)
            mp->get_information(mp, i, &cpu);
        madt.cpus[i] = (struct local_apic){0, 8, (uint8_t)i, (uint8_t)cpu.processor_id, 1};
    }
    return count;
}

static bool install_all(void)
{
    struct acpi_table_protocol *to = protocol_anywhere(&acpi_table_guid);
    uint32_t madt_bytes = (uint32_t)(offsetof(struct interrupts, cpus) + list_cpus() * sizeof(madt.cpus[0]));
    return to && install(to, &fadt.header, sizeof(fadt), true) &&
           install(to, (struct header *)&facs, sizeof(facs), false) &&
           install(to, &dsdt.header, sizeof(dsdt), true) && install(to, &madt.header, madt_bytes, true);
}

EFI_STATUS efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table)
{
    firmware_start(image, table);
    return install_all() ? start_next() : EFI_UNSUPPORTED;
}
