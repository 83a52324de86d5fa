/* SPDX-License-Identifier: Apache-2.0 */
/* Taking an IDE controller: its memory, its drives, its traps. */
#include "core/log.h"
#include "core/memory.h"
#include "drivers/storage/ide/ide.h"

static unsigned taken; /* written at start only */

static bool has_volume(const struct ide_controller *controller, unsigned channel)
{
    for (uint32_t drive = 0; drive < IDE_DRIVES; drive++)
        if (storage_unit_has_volume(controller->at, channel * IDE_DRIVES + drive))
            return true;
    return false;
}

static bool is_reachable(const void *memory, uint64_t bytes)
{
    return range_fits(physical_of(memory), bytes, IDE_ADDRESS_LIMIT);
}

/* Each channel gets a table, and those with a volume a buffer: bus masters have 32-bit addresses. */
static bool allocate(struct ide_controller *controller, struct report *problem)
{
    static_assert(IDE_REGIONS_MAX * sizeof(struct ide_region) == PAGE_SIZE, "a page crosses no 64 KiB");
    for (unsigned i = 0; i < IDE_CHANNELS; i++) {
        struct ide_channel *channel = &controller->channels[i];
        bool wanted = has_volume(controller, i);
        channel->table = pages_allocate(1);
        if (wanted)
            channel->buffer = pages_allocate(IDE_BUFFER_BYTES / PAGE_SIZE);
        if (!channel->table || (wanted && !channel->buffer))
            return report(problem, "There is not enough memory to mediate the IDE disks.");
        if (!is_reachable(channel->table, PAGE_SIZE) ||
            (wanted && !is_reachable(channel->buffer, IDE_BUFFER_BYTES)))
            return report(problem,
                          "Shoji's memory lies above 4 GiB, where the IDE controller does not reach; "
                          "give the firmware more memory below 4 GiB.");
    }
    return true;
}

bool ide_take(struct pci_address at, struct report *problem)
{
    if (taken == IDE_CONTROLLERS_MAX)
        return report(problem, "There are more IDE controllers with volumes than Shoji can carry.");
    struct ide_controller *controller = pages_allocate(ROUND_UP(sizeof(*controller), PAGE_SIZE) / PAGE_SIZE);
    if (!controller)
        return report(problem, "There is not enough memory to mediate the IDE disks.");
    controller->at = at;
    if (!allocate(controller, problem) || !ide_config_start(controller, problem) ||
        !ide_survey(controller, problem))
        return false;
    if (storage_volumes_attached(at) != storage_volumes_expected(at))
        return report(problem,
                      "A volume of the policy lies on a drive that the IDE controller %02x:%02x.%x does not "
                      "have.",
                      at.bus, at.device, at.function);
    if (!ide_config_trap(controller))
        return report(problem, "The IDE controller %02x:%02x.%x cannot be trapped.", at.bus, at.device,
                      at.function);
    for (unsigned i = 0; i < IDE_CHANNELS; i++)
        for (unsigned drive = 0; drive < IDE_DRIVES; drive++)
            if (controller->channels[i].drives[drive].disk)
                storage_set_active(controller->channels[i].drives[drive].disk, true);
    taken++;
    log_line("ide %02x:%02x.%x: mediated, ports %x and %x, bus master %x, %u volumes", at.bus, at.device,
             at.function, controller->channels[0].task, controller->channels[1].task,
             controller->channels[0].master, storage_volumes_attached(at));
    return true;
}
