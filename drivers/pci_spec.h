/* SPDX-License-Identifier: Apache-2.0 */
/* The common header of PCI configuration space (PCI Local Bus 3.0 section 6.1), and how an access to a part
 * of a double word relates to the whole. */
#ifndef SHOJI_DRIVERS_PCI_SPEC_H
#define SHOJI_DRIVERS_PCI_SPEC_H

#include "lib/base.h"

#define PCI_COMMAND             0x04u
#define PCI_STATUS              0x06u
#define PCI_STATUS_CAPABILITIES 0x10u
#define PCI_CLASS               0x08u
#define PCI_BAR(n)              (0x10u + 4 * (n))
#define PCI_BARS                6u
#define PCI_BAR_IO              1u
#define PCI_CAPABILITIES        0x34u

#define COMMAND_IO     1u
#define COMMAND_MEMORY 2u
#define COMMAND_MASTER 4u

static inline uint32_t pci_part_mask(unsigned bytes)
{
    return (uint32_t)(BIT(bytes * 8) - 1);
}

/* What a read at this offset finds in the double word around it. */
static inline uint32_t pci_part(uint32_t whole, unsigned offset, unsigned bytes)
{
    return whole >> (offset % 4) * 8 & pci_part_mask(bytes);
}

/* The double word after a write to a part of it. */
static inline uint32_t pci_merge(uint32_t whole, unsigned offset, unsigned bytes, uint32_t value)
{
    unsigned shift = (offset % 4) * 8;
    uint32_t mask = pci_part_mask(bytes);
    return (whole & ~(mask << shift)) | (value & mask) << shift;
}

#endif
