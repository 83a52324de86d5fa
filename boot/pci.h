/* SPDX-License-Identifier: Apache-2.0 */
/* PCI functions as the firmware knows them. */
#ifndef SHOJI_BOOT_PCI_H
#define SHOJI_BOOT_PCI_H

#include "boot/firmware.h"
#include "include/handoff.h"

/* Finds the PCI function directly above a node of the disk's device path, and fills its location. */
bool pci_locate(EFI_DEVICE_PATH *disk, const EFI_DEVICE_PATH *node, EFI_HANDLE *controller,
                struct handoff_volume *out) must_check;

/* Class, subclass and programming interface, in 24 bits; 0 when it cannot be read. */
uint32_t pci_class(EFI_HANDLE controller);

#endif
