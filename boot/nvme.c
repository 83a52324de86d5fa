/* SPDX-License-Identifier: Apache-2.0 */
/* NVMe controllers, through the firmware's driver while it is there (NVMe base specification 2.0). */
#include "boot/nvme.h"

#include "boot/device_path.h"
#include "boot/pci.h"
#include "lib/padded.h"
#include "lib/reader.h"

#define MESSAGING_NVME_NAMESPACE                                                                             \
    0x17 /* UEFI 2.10, 10.3.4.21: a 32-bit namespace identifier, then an EUI-64 */
#define NAMESPACE_NODE_BYTES (sizeof(EFI_DEVICE_PATH) + 4 + 8)

#define OPCODE_IDENTIFY     0x06
#define IDENTIFY_CONTROLLER 1
#define IDENTIFY_BYTES      4096
#define SERIAL_OFFSET       4
#define SERIAL_BYTES        20
#define PACKET_ADMIN_QUEUE  0
#define PACKET_CDW10_VALID  BIT(2)
#define PACKET_TIMEOUT      (5 * 10 * 1000 * 1000ull) /* 5 s, in units of 100 ns */

#define REGISTERS_BAR     0
#define REGISTER_CAP      0x00
#define REGISTER_CC       0x14
#define REGISTER_CSTS     0x1c
#define CC_ENABLE         BIT(0)
#define CSTS_READY        BIT(0)
#define CSTS_GONE         0xffffffffu        /* the bus answers for a device that is not there */
#define CAP_TIMEOUT(c)    ((c) >> 24 & 0xff) /* in units of 500 ms */
#define STEP_MICROSECONDS 1000
#define STEPS_PER_UNIT    500

static_assert(SERIAL_BYTES < HANDOFF_SERIAL_MAX, "a serial number fits");

static void read_serial(EFI_HANDLE controller, char out[HANDOFF_SERIAL_MAX])
{
    static uint8_t identify[IDENTIFY_BYTES] aligned_to(4096);
    uint32_t completion[4] = {0};
    struct nvme_pass_thru *nvme = protocol_of(controller, &nvme_guid);
    struct nvme_command command = {
        .cdw0 = OPCODE_IDENTIFY, .flags = PACKET_CDW10_VALID, .cdw10 = IDENTIFY_CONTROLLER};
    struct nvme_packet packet = {
        .timeout = PACKET_TIMEOUT,
        .transfer = identify,
        .transfer_bytes = sizeof(identify),
        .queue = PACKET_ADMIN_QUEUE,
        .command = &command,
        .completion = completion,
    };
    out[0] = 0;
    if (nvme && !EFI_ERROR(nvme->pass_thru(nvme, 0, &packet, NULL)))
        padded_text(out, HANDOFF_SERIAL_MAX, identify + SERIAL_OFFSET, SERIAL_BYTES);
}

bool nvme_identify(EFI_DEVICE_PATH *disk, EFI_HANDLE *controller, struct handoff_volume *out)
{
    const EFI_DEVICE_PATH *node =
        device_path_node(disk, MESSAGING_DEVICE_PATH, MESSAGING_NVME_NAMESPACE, NAMESPACE_NODE_BYTES);
    if (!node || !pci_locate(disk, node, controller, out))
        return false;
    struct reader r = reader_of(node + 1, sizeof(uint32_t));
    out->namespace_id = reader_le32(&r);
    read_serial(*controller, out->disk_serial);
    return true;
}

static bool register_read(EFI_PCI_IO_PROTOCOL *pci, uint64_t offset, uint32_t *value)
{
    return !EFI_ERROR(pci->Mem.Read(pci, EfiPciIoWidthUint32, REGISTERS_BAR, offset, 1, value));
}

/* Clears CC.EN and waits until the controller has noticed. */
static bool disable(EFI_PCI_IO_PROTOCOL *pci)
{
    uint32_t cap, configuration, status;
    if (!register_read(pci, REGISTER_CAP, &cap) || !register_read(pci, REGISTER_CC, &configuration))
        return false;
    configuration &= ~(uint32_t)CC_ENABLE;
    if (EFI_ERROR(pci->Mem.Write(pci, EfiPciIoWidthUint32, REGISTERS_BAR, REGISTER_CC, 1, &configuration)))
        return false;
    unsigned steps = (CAP_TIMEOUT(cap) + 1) * STEPS_PER_UNIT;
    for (unsigned i = 0; i < steps; i++) {
        if (!register_read(pci, REGISTER_CSTS, &status) || status == CSTS_GONE)
            return false;
        if (!(status & CSTS_READY))
            return true;
        firmware.services->Stall(STEP_MICROSECONDS);
    }
    return false;
}

bool nvme_quiet(EFI_HANDLE controller, struct report *problem)
{
    EFI_PCI_IO_PROTOCOL *pci = protocol_of(controller, &pci_io_guid);
    if (!pci ||
        EFI_ERROR(
            pci->Attributes(pci, EfiPciIoAttributeOperationEnable, EFI_PCI_IO_ATTRIBUTE_MEMORY, NULL)) ||
        !disable(pci) ||
        EFI_ERROR(
            pci->Attributes(pci, EfiPciIoAttributeOperationDisable, EFI_PCI_IO_ATTRIBUTE_BUS_MASTER, NULL)))
        return report(problem,
                      "The NVMe controller cannot be brought to rest; switch the machine off and on again.");
    return true;
}
