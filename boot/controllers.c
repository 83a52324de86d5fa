/* SPDX-License-Identifier: Apache-2.0 */
/* Disconnects and reconnects the firmware's drivers. */
#include "boot/controllers.h"

#include "boot/ide.h"
#include "boot/nvme.h"
#include "boot/pci.h"

static const struct kind {
    uint32_t class_code, class_mask;
    bool (*identify)(EFI_DEVICE_PATH *disk, EFI_HANDLE *controller, struct handoff_volume *out);
    bool (*quiet)(EFI_HANDLE controller, struct report *problem);
} kinds[] = {
    {0x010802, 0xffffff, nvme_identify, nvme_quiet},
    {0x010100, 0xffff00, ide_identify, ide_quiet}, /* whatever its modes are */
};

static bool is_of_kind(EFI_HANDLE controller, const struct kind *kind)
{
    return (pci_class(controller) & kind->class_mask) == kind->class_code;
}

bool controller_identify(EFI_DEVICE_PATH *disk, EFI_HANDLE *controller, struct handoff_volume *out)
{
    for (unsigned i = 0; i < ARRAY_COUNT(kinds); i++)
        if (kinds[i].identify(disk, controller, out) && is_of_kind(*controller, &kinds[i]))
            return true;
    return false;
}

static bool quiet(EFI_HANDLE controller, struct report *problem)
{
    for (unsigned i = 0; i < ARRAY_COUNT(kinds); i++)
        if (is_of_kind(controller, &kinds[i]))
            return kinds[i].quiet(controller, problem);
    return report(problem, "A disk controller is not of the kind any more that it was.");
}

/* Several volumes may lie behind one controller. */
static bool is_first_of_its_controller(const struct volume *volumes, unsigned index)
{
    for (unsigned i = 0; i < index; i++)
        if (volumes[i].controller == volumes[index].controller)
            return false;
    return true;
}

bool controllers_disconnect(const struct volume *volumes, unsigned count, struct report *problem)
{
    for (unsigned i = 0; i < count; i++) {
        if (!is_first_of_its_controller(volumes, i))
            continue;
        EFI_STATUS status = firmware.services->DisconnectController(volumes[i].controller, NULL, NULL);
        if (EFI_ERROR(status))
            report(problem, "Volume %s: the firmware does not let go of its disk; update the firmware.",
                   volumes[i].policy->name);
        if (EFI_ERROR(status) || !quiet(volumes[i].controller, problem)) {
            controllers_connect(volumes, i + 1);
            return false;
        }
    }
    return true;
}

void controllers_connect(const struct volume *volumes, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (is_first_of_its_controller(volumes, i))
            firmware.services->ConnectController(volumes[i].controller, NULL, NULL, TRUE);
}
