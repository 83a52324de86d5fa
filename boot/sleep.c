/* SPDX-License-Identifier: Apache-2.0 */
/* Changes one name in the DSDT (ACPI 6.5, 5.2.6 and 7.4.2.4). */
#include "boot/sleep.h"

#include "boot/pagetable.h"
#include "lib/strings.h"

#define CHECKSUM_OFFSET 9 /* in every table's header: all bytes add up to zero */
#define NAME_BYTES      4

void sleep_hide_s3(const struct handoff_acpi *acpi)
{
    static const char hidden[NAME_BYTES] = {'X', 'S', '3', '_'};
    if (!acpi->dsdt || !acpi->dsdt_s3_offset)
        return;
    /* Where the firmware guards its tables against writing, the guest sees S3, and the core refuses it. */
    if (!pagetable_is_writable(acpi->dsdt) || !pagetable_is_writable(acpi->dsdt + acpi->dsdt_s3_offset))
        return;
    uint8_t *table = (uint8_t *)acpi->dsdt;
    uint8_t *name = table + acpi->dsdt_s3_offset;
    uint8_t sum = table[CHECKSUM_OFFSET];
    for (unsigned i = 0; i < NAME_BYTES; i++)
        sum = (uint8_t)(sum + name[i] - (uint8_t)hidden[i]);
    memcpy(name, hidden, NAME_BYTES);
    table[CHECKSUM_OFFSET] = sum;
}
