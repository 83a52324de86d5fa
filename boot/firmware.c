/* SPDX-License-Identifier: Apache-2.0 */
/* The firmware's tables and protocols. */
#include "boot/firmware.h"

#include "lib/strings.h"

struct firmware firmware;

EFI_GUID block_io_guid = EFI_BLOCK_IO_PROTOCOL_GUID;
EFI_GUID device_path_guid = EFI_DEVICE_PATH_PROTOCOL_GUID;
EFI_GUID disk_file_system_guid = EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID;
EFI_GUID disk_info_guid = {0xd432a67f, 0x14dc, 0x484b, {0xb3, 0xbb, 0x3f, 0x02, 0x91, 0x84, 0x93, 0x27}};
EFI_GUID file_info_guid = EFI_FILE_INFO_ID;
EFI_GUID graphics_guid = EFI_GRAPHICS_OUTPUT_PROTOCOL_GUID;
EFI_GUID loaded_image_guid = EFI_LOADED_IMAGE_PROTOCOL_GUID;
EFI_GUID pci_io_guid = EFI_PCI_IO_PROTOCOL_GUID;
EFI_GUID hii_font_guid = {0xe9ca4775, 0x8657, 0x47fc, {0x97, 0xe7, 0x7e, 0xd6, 0x5a, 0x08, 0x43, 0x24}};
EFI_GUID mp_services_guid = {0x3fdda605, 0xa76e, 0x4f46, {0xad, 0x29, 0x12, 0xf4, 0x53, 0x1b, 0x3d, 0x08}};
EFI_GUID nvme_guid = {0x52c78312, 0x8edc, 0x4233, {0x98, 0xf2, 0x1a, 0x1a, 0xa5, 0xe3, 0x88, 0xa5}};
EFI_GUID acpi_20_guid = {0x8868e871, 0xe4f1, 0x11d3, {0xbc, 0x22, 0x00, 0x80, 0xc7, 0x3c, 0x88, 0x81}};
EFI_GUID acpi_10_guid = {0xeb9d2d30, 0x2d88, 0x11d3, {0x9a, 0x16, 0x00, 0x90, 0x27, 0x3f, 0xc1, 0x4d}};

void firmware_start(EFI_HANDLE image, EFI_SYSTEM_TABLE *table)
{
    firmware = (struct firmware){.image = image, .table = table, .services = table->BootServices};
}

void *protocol_of(EFI_HANDLE handle, EFI_GUID *protocol)
{
    void *interface = NULL;
    EFI_STATUS status = firmware.services->HandleProtocol(handle, protocol, &interface);
    return EFI_ERROR(status) ? NULL : interface;
}

void *protocol_anywhere(EFI_GUID *protocol)
{
    void *interface = NULL;
    EFI_STATUS status = firmware.services->LocateProtocol(protocol, NULL, &interface);
    return EFI_ERROR(status) ? NULL : interface;
}

void *configuration_table(const EFI_GUID *identifier)
{
    for (UINTN i = 0; i < firmware.table->NumberOfTableEntries; i++) {
        EFI_CONFIGURATION_TABLE *entry = &firmware.table->ConfigurationTable[i];
        if (memcmp(&entry->VendorGuid, identifier, sizeof(*identifier)) == 0)
            return entry->VendorTable;
    }
    return NULL;
}
