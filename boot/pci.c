/* SPDX-License-Identifier: Apache-2.0 */
/* EFI_PCI_IO_PROTOCOL (UEFI 2.10, 14.4). */
#include "boot/pci.h"

#define PCI_CLASS_WORD  0x08
#define PCI_CLASS_SHIFT 8

bool pci_locate(EFI_DEVICE_PATH *disk, const EFI_DEVICE_PATH *node, EFI_HANDLE *controller,
                struct handoff_volume *out)
{
    EFI_DEVICE_PATH *rest = disk;
    if (EFI_ERROR(firmware.services->LocateDevicePath(&pci_io_guid, &rest, controller)) || rest != node)
        return false;
    EFI_PCI_IO_PROTOCOL *pci = protocol_of(*controller, &pci_io_guid);
    UINTN segment, bus, device, function;
    if (!pci || EFI_ERROR(pci->GetLocation(pci, &segment, &bus, &device, &function)))
        return false;
    out->pci_segment = (uint16_t)segment;
    out->pci_bus = (uint8_t)bus;
    out->pci_device = (uint8_t)device;
    out->pci_function = (uint8_t)function;
    return true;
}

uint32_t pci_class(EFI_HANDLE controller)
{
    EFI_PCI_IO_PROTOCOL *pci = protocol_of(controller, &pci_io_guid);
    uint32_t word;
    if (!pci || EFI_ERROR(pci->Pci.Read(pci, EfiPciIoWidthUint32, PCI_CLASS_WORD, 1, &word)))
        return 0;
    return word >> PCI_CLASS_SHIFT;
}
