/* SPDX-License-Identifier: Apache-2.0 */
/* Disconnects and reconnects the firmware's drivers. */
#include "boot/controllers.h"

#include "boot/nvme.h"

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
        if (EFI_ERROR(status) || !nvme_quiet(volumes[i].controller, problem)) {
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
