/* SPDX-License-Identifier: Apache-2.0 */
/* IDE controllers, through the firmware's driver while it is there. */
#include "boot/ide.h"

#include "boot/device_path.h"
#include "boot/pci.h"
#include "lib/ata.h"
#include "lib/reader.h"

#define MESSAGING_ATAPI  0x01 /* UEFI 2.10, 10.3.4.1: channel, drive, and a 16-bit unit */
#define ATAPI_NODE_BYTES (sizeof(EFI_DEVICE_PATH) + 4)
#define CHANNELS         2
#define DRIVES           2

#define MODE_NATIVE        1u /* of channel 0; of channel 1 two bits further */
#define CONTROL_PORT(n)    ((n) ? 0x376u : 0x3f6u)
#define CONTROL_BAR(n)     ((uint8_t)(2 * (n) + 1))
#define CONTROL_BAR_OFFSET 2
#define CONTROL_QUIET      0x0a /* nIEN: no interrupts */
#define MASTER_BAR         4
#define MASTER_BYTES       8 /* of one channel; its command is the first of them */

static void read_serial(EFI_DEVICE_PATH *disk, char out[HANDOFF_SERIAL_MAX])
{
    static uint8_t identify[ATA_IDENTIFY_BYTES];
    uint32_t size = sizeof(identify);
    EFI_DEVICE_PATH *rest = disk;
    EFI_HANDLE handle;
    static_assert(ATA_SERIAL_BYTES < HANDOFF_SERIAL_MAX, "a serial number fits");
    out[0] = 0;
    if (EFI_ERROR(firmware.services->LocateDevicePath(&disk_info_guid, &rest, &handle)) ||
        !device_path_is_end(rest))
        return;
    struct disk_info *info = protocol_of(handle, &disk_info_guid);
    if (info && !EFI_ERROR(info->identify(info, identify, &size)) && size == sizeof(identify))
        ata_serial(identify, out);
}

bool ide_identify(EFI_DEVICE_PATH *disk, EFI_HANDLE *controller, struct handoff_volume *out)
{
    const EFI_DEVICE_PATH *node =
        device_path_node(disk, MESSAGING_DEVICE_PATH, MESSAGING_ATAPI, ATAPI_NODE_BYTES);
    if (!node || !pci_locate(disk, node, controller, out))
        return false;
    struct reader r = reader_of(node + 1, ATAPI_NODE_BYTES - sizeof(*node));
    uint8_t channel = reader_u8(&r), drive = reader_u8(&r);
    if (channel >= CHANNELS || drive >= DRIVES)
        return false;
    out->namespace_id = channel * DRIVES + drive;
    read_serial(disk, out->disk_serial);
    return true;
}

static bool quiet_channel(EFI_PCI_IO_PROTOCOL *pci, unsigned channel, bool native)
{
    uint8_t stop = 0, quiet = CONTROL_QUIET;
    uint8_t bar = native ? CONTROL_BAR(channel) : EFI_PCI_IO_PASS_THROUGH_BAR;
    uint64_t offset = native ? CONTROL_BAR_OFFSET : CONTROL_PORT(channel);
    return !EFI_ERROR(pci->Io.Write(pci, EfiPciIoWidthUint8, MASTER_BAR, channel * MASTER_BYTES, 1, &stop)) &&
           !EFI_ERROR(pci->Io.Write(pci, EfiPciIoWidthUint8, bar, offset, 1, &quiet));
}

bool ide_quiet(EFI_HANDLE controller, struct report *problem)
{
    EFI_PCI_IO_PROTOCOL *pci = protocol_of(controller, &pci_io_guid);
    uint32_t modes = pci_class(controller);
    bool quiet = pci && !EFI_ERROR(pci->Attributes(pci, EfiPciIoAttributeOperationEnable,
                                                   EFI_PCI_IO_ATTRIBUTE_IO, NULL));
    for (unsigned i = 0; quiet && i < CHANNELS; i++)
        quiet = quiet_channel(pci, i, modes & MODE_NATIVE << 2 * i);
    if (!quiet || EFI_ERROR(pci->Attributes(pci, EfiPciIoAttributeOperationDisable,
                                            EFI_PCI_IO_ATTRIBUTE_BUS_MASTER, NULL)))
        return report(problem,
                      "The IDE controller cannot be brought to rest; switch the machine off and on again.");
    return true;
}
