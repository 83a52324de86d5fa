/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the driver of each disk controller that carries a volume. Controllers without one are the guest's
 * own. */
#include "core/probe.h"
#include "core/log.h"
#include "drivers/pci_spec.h"
#include "drivers/storage/ide/ide.h"
#include "drivers/storage/nvme/nvme.h"
#include "drivers/storage/storage.h"
#include "guest/status_source.h"

#define CLASS_NVME 0x010802u /* mass storage, non-volatile memory, NVM Express */
#define CLASS_ALL  0xffffffu

struct storage_driver {
    uint32_t class_code, class_mask;
    bool (*take)(struct pci_address at, struct report *problem);
};
static const struct storage_driver drivers[] = {
    {CLASS_NVME, CLASS_ALL, nvme_take},
    {IDE_CLASS, IDE_CLASS_MASK, ide_take},
};

static bool take(struct pci_address at, struct report *problem)
{
    uint32_t class_code = pci_read(at, PCI_CLASS, 4) >> 8;
    for (unsigned i = 0; i < ARRAY_COUNT(drivers); i++)
        if (drivers[i].class_code == (class_code & drivers[i].class_mask))
            return drivers[i].take(at, problem);
    return report(
        problem,
        "The volume's disk is on a controller of class %06x at %02x:%02x.%x, which Shoji has no driver for.",
        (unsigned)class_code, at.bus, at.device, at.function);
}

static uint64_t storage_probe(const struct handoff *handoff)
{
    struct report problem = {0};
    if (!storage_start(handoff)) {
        log_line("A volume's key or range in the hand-off cannot be used.");
        return CORE_BAD_HANDOFF;
    }
    for (unsigned i = 0; i < handoff->volume_count; i++) {
        const struct handoff_volume *volume = &handoff->volumes[i];
        struct pci_address at = {volume->pci_segment, volume->pci_bus, volume->pci_device,
                                 volume->pci_function};
        if (!storage_volumes_attached(at) && !take(at, &problem)) {
            log_line("%s", problem.text);
            return CORE_DEVICE;
        }
    }
    return CORE_OK;
}

PROBE(storage, "storage", storage_probe);
ON_STOP(storage_keys, storage_wipe);
STATUS_SOURCE(storage_volumes, storage_volume_status);
