/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration ports that core/pci.c uses and that the guest sees emulated. */
#ifndef SHOJI_CORE_PCI_ACCESS_H
#define SHOJI_CORE_PCI_ACCESS_H

#include "lib/base.h"

/* Ports of configuration mechanism 1 (PCI 3.0 section 3.2.2.3.2). */
#define PCI_ADDRESS_PORT   0xcf8u
#define PCI_DATA_PORT      0xcfcu
#define PCI_ADDRESS_ENABLE BIT(31)

#endif
