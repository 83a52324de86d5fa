/* SPDX-License-Identifier: Apache-2.0 */
/* PCI configuration space of the guest; what devices ask of it is in guest/trap.h. */
#ifndef SHOJI_GUEST_PCI_CONFIG_H
#define SHOJI_GUEST_PCI_CONFIG_H

#include "include/handoff.h"

/* Keeps the pointer. Before the first CPU runs. */
bool pci_config_start(const struct handoff_acpi *acpi) must_check;

#endif
