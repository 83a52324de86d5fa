/* SPDX-License-Identifier: Apache-2.0 */
/* The hypervisor's own access to PCI configuration space, which does not disturb the guest's. */
#ifndef SHOJI_CORE_PCI_H
#define SHOJI_CORE_PCI_H

#include "lib/base.h"

struct pci_address {
    uint16_t segment;
    uint8_t bus, device, function;
};

/* bytes: 1, 2 or 4, naturally aligned. All-ones where there is no such function. Any CPU; own lock. */
uint32_t pci_read(struct pci_address at, unsigned offset, unsigned bytes);
void pci_write(struct pci_address at, unsigned offset, unsigned bytes, uint32_t value);

#endif
