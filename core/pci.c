/* SPDX-License-Identifier: Apache-2.0 */
#include "core/pci.h"

#include "core/cpu.h"
#include "core/pci_access.h"
#include "core/spinlock.h"

static struct spinlock
    lock; /* of the address port: the guest's own accesses to it come through here as well */

/* Mechanism 1 reaches the first 256 bytes of segment 0, which is all that Shoji itself needs. */
static bool reachable(struct pci_address at, unsigned offset)
{
    return !at.segment && offset < 0x100;
}

static uint32_t address_word(struct pci_address at, unsigned offset)
{
    return (uint32_t)PCI_ADDRESS_ENABLE | (uint32_t)at.bus << 16 | (uint32_t)at.device << 11 |
           (uint32_t)at.function << 8 | (offset & 0xfc);
}

uint32_t pci_read(struct pci_address at, unsigned offset, unsigned bytes)
{
    if (!reachable(at, offset))
        return ~0u;
    spin_lock(&lock);
    port_write(PCI_ADDRESS_PORT, 4, address_word(at, offset));
    uint32_t value = port_read((uint16_t)(PCI_DATA_PORT + (offset & 3)), bytes);
    spin_unlock(&lock);
    return value;
}

void pci_write(struct pci_address at, unsigned offset, unsigned bytes, uint32_t value)
{
    if (!reachable(at, offset))
        return;
    spin_lock(&lock);
    port_write(PCI_ADDRESS_PORT, 4, address_word(at, offset));
    port_write((uint16_t)(PCI_DATA_PORT + (offset & 3)), bytes, value);
    spin_unlock(&lock);
}
