/* SPDX-License-Identifier: Apache-2.0 */
/* Taking an NVMe controller: the mediated ones, and what the guest is told about their abilities. */
#include "core/device.h"
#include "core/log.h"
#include "core/memory.h"
#include "drivers/storage/nvme/nvme.h"

/* Written at start only. */
struct nvme_controller *nvme_controllers[HANDOFF_VOLUMES_MAX];
unsigned nvme_controller_count;

struct nvme_namespace *namespace_find(struct nvme_controller *controller, uint32_t id)
{
    for (unsigned i = 0; i < controller->namespace_count; i++)
        if (controller->namespaces[i].id == id)
            return &controller->namespaces[i];
    return NULL;
}

/* Doorbells end where the queues that Shoji carries end, or another structure of BAR 0 begins. */
static uint64_t doorbell_end(const struct nvme_controller *controller)
{
    const struct interrupts *irq = &controller->irq;
    uint64_t end = MIN(NVME_DOORBELL + 2ull * NVME_QUEUES_MAX * controller->stride, controller->bars[0].size);
    if (irq->msix && irq->table_bar == 0 && irq->table_offset >= NVME_DOORBELL)
        end = MIN(end, irq->table_offset);
    if (irq->msix && irq->pending_bar == 0 && irq->pending_offset >= NVME_DOORBELL)
        end = MIN(end, irq->pending_offset);
    return end;
}

static bool read_capabilities(struct nvme_controller *controller, struct report *problem)
{
    uint64_t cap = device_read32(controller->registers + NVME_CAP) |
                   (uint64_t)device_read32(controller->registers + NVME_CAP + 4) << 32;
    if (CAP_MPSMIN(cap))
        return report(
            problem,
            "The NVMe controller needs memory pages larger than 4 KiB, which Shoji does not support.");
    controller->stride = 4u << CAP_DSTRD(cap);
    controller->capabilities = cap & ~(CAP_MPSMAX | CAP_CMBS | CAP_PMRS | CAP_BPS | CAP_NSSRS);
    controller->doorbell_end = doorbell_end(controller);
    if (controller->doorbell_end < NVME_DOORBELL + 4ull * controller->stride)
        return report(problem, "The NVMe controller's registers are too small.");
    return true;
}

static void prepare_queues(struct nvme_controller *controller)
{
    for (uint16_t i = 0; i < NVME_QUEUES_MAX; i++) {
        controller->sq[i].controller = controller;
        controller->cq[i].controller = controller;
        controller->sq[i].id = controller->cq[i].id = i;
    }
}

bool nvme_take(struct pci_address at, struct report *problem)
{
    if (nvme_controller_count == ARRAY_COUNT(nvme_controllers))
        return report(problem, "There are more NVMe controllers with volumes than Shoji can carry.");
    struct nvme_controller *controller = pages_allocate(ROUND_UP(sizeof(*controller), PAGE_SIZE) / PAGE_SIZE);
    if (!bounce_start() || !controller)
        return report(problem, "There is not enough memory to mediate the NVMe disks.");
    controller->scratch = pages_allocate(1);
    controller->at = at;
    if (!controller->scratch)
        return report(problem, "There is not enough memory to mediate the NVMe disks.");
    prepare_queues(controller);
    if (!config_start(controller, problem) || !read_capabilities(controller, problem) ||
        !survey(controller, problem))
        return false;
    if (storage_volumes_attached(at) != storage_volumes_expected(at))
        return report(problem,
                      "A volume of the policy lies in an NVMe namespace that the controller %02x:%02x.%x "
                      "does not have.",
                      at.bus, at.device, at.function);
    if (!config_trap(controller))
        return report(problem, "The NVMe controller %02x:%02x.%x cannot be trapped.", at.bus, at.device,
                      at.function);
    nvme_controllers[nvme_controller_count++] = controller;
    log_line("nvme %02x:%02x.%x: mediated, %u namespaces, %u volumes", at.bus, at.device, at.function,
             controller->namespace_count, storage_volumes_attached(at));
    return true;
}
