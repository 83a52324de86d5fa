/* SPDX-License-Identifier: Apache-2.0 */
/* What Shoji needs from the ACPI tables (ACPI 6.5): the PCI configuration window, and the registers of reset
 * and sleep. */
#ifndef SHOJI_LIB_ACPI_H
#define SHOJI_LIB_ACPI_H

#include "include/handoff.h"
#include "lib/base.h"

/* Maps length bytes of physical memory for reading, or returns NULL. The loader's is the identity; tests give
 * a checked buffer. */
struct acpi_memory {
    const void *(*map)(void *context, uint64_t address, size_t length);
    void *context;
};

/* Walks RSDP -> XSDT (or RSDT) -> MCFG, FADT, DSDT; signatures, lengths and checksums are checked; a table
 * that is absent leaves its part zero. False only when the RSDP or the root table itself is damaged. */
bool acpi_read(const struct acpi_memory *memory, uint64_t rsdp, struct handoff_acpi *out) must_check;

#endif
