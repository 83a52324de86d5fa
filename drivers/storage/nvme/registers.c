/* SPDX-License-Identifier: Apache-2.0 */
/* The controller's registers as the guest sees them (NVMe Base 2.0 section 3.1). The device's admin queue is
 * always ours; what is not named here reads as zero. */
#include "core/device.h"
#include "core/log.h"
#include "core/memory.h"
#include "drivers/pci_spec.h"
#include "drivers/storage/nvme/nvme.h"

#define DWORD 4u

static uint32_t device_get(struct nvme_controller *controller, unsigned offset)
{
    return controller->registers ? device_read32(controller->registers + offset) : UINT32_MAX;
}

static void device_put(struct nvme_controller *controller, unsigned offset, uint32_t value)
{
    if (controller->registers)
        device_write32(controller->registers + offset, value);
}

static void set_active(struct nvme_controller *controller, bool active)
{
    for (unsigned i = 0; i < controller->namespace_count; i++)
        if (controller->namespaces[i].disk)
            storage_set_active(controller->namespaces[i].disk, active);
}

/* Frees the queues of a controller that does no more DMA. */
static void reclaim(struct nvme_controller *controller)
{
    spin_lock(&controller->cq[0].lock);
    for (unsigned i = 1; i < NVME_QUEUES_MAX; i++) {
        spin_lock(&controller->cq[i].lock);
        if (controller->cq[i].used)
            cq_close(&controller->cq[i]);
        spin_unlock(&controller->cq[i].lock);
    }
    if (controller->cq[0].used)
        cq_close(&controller->cq[0]);
    controller->shadow_page = controller->event_page = 0;
    (void)interrupts_set_polled(&controller->irq, false); /* off is always possible */
    spin_unlock(&controller->cq[0].lock);
    controller->state = NVME_STOPPED;
}

/* From now on nothing is submitted and nothing shown; memory is kept until the device is quiet. */
static void close_queues(struct nvme_controller *controller)
{
    for (unsigned i = 0; i < NVME_QUEUES_MAX; i++) {
        spin_lock(&controller->cq[i].lock);
        controller->cq[i].closed = controller->cq[i].used;
        spin_unlock(&controller->cq[i].lock);
    }
    controller->state = NVME_RESETTING;
    set_active(controller, false);
}

void registers_stop(struct nvme_controller *controller)
{
    close_queues(controller);
    reclaim(controller);
    controller->cc &= ~CC_EN;
    controller->fatal = false;
}

/* Makes the admin queues, ours and the guest's. False: the guest's cannot be. */
static bool open_admin(struct nvme_controller *controller, uint32_t cc)
{
    struct nvme_queue_request cq = {.entries = AQA_CQ_ENTRIES(controller->aqa),
                                    .base = controller->acq,
                                    .contiguous = true,
                                    .interrupts = true};
    struct nvme_queue_request sq = {
        .entries = AQA_SQ_ENTRIES(controller->aqa), .base = controller->asq, .contiguous = true};
    if (CC_MPS(cc) || cq.entries < 2 || sq.entries < 2)
        return false;
    spin_lock(&controller->cq[0].lock);
    bool good = !cq_open(&controller->cq[0], &cq);
    if (good && sq_open(&controller->sq[0], &controller->cq[0], &sq)) {
        cq_close(&controller->cq[0]);
        good = false;
    }
    spin_unlock(&controller->cq[0].lock);
    return good;
}

static void put_address(struct nvme_controller *controller, unsigned offset, const void *ring)
{
    uint64_t address = physical_of(ring);
    device_put(controller, offset, (uint32_t)address);
    device_put(controller, offset + DWORD, (uint32_t)(address >> 32));
}

static void enable(struct nvme_controller *controller, uint32_t cc)
{
    if (controller->state == NVME_RESETTING && !(device_get(controller, NVME_CSTS) & CSTS_RDY))
        reclaim(controller);
    if (controller->state != NVME_STOPPED) {
        log_limited("nvme %02x:%02x.%x: the guest enabled the controller before it was ready to be; ignored",
                    controller->at.bus, controller->at.device, controller->at.function);
        return;
    }
    controller->cc = cc;
    __atomic_store_n(&controller->shut_down, false, __ATOMIC_RELEASE);
    if (!open_admin(controller, cc)) {
        log_limited("nvme %02x:%02x.%x: the guest's admin queues are not in its memory; the controller stays "
                    "disabled",
                    controller->at.bus, controller->at.device, controller->at.function);
        controller->fatal = true;
        return;
    }
    device_put(controller, NVME_AQA, (controller->cq[0].entries - 1) << 16 | (controller->sq[0].entries - 1));
    put_address(controller, NVME_ASQ, controller->sq[0].ring);
    put_address(controller, NVME_ACQ, controller->cq[0].ring);
    controller->state = NVME_RUNNING;
    set_active(controller, true);
    device_put(controller, NVME_CC, cc);
}

/* The guest is done with the controller until it enables it anew (NVMe Base 2.0 section 3.6.1), and with that
 * its queues and doorbell pages are ordinary memory of whoever boots next. That one may turn messages on
 * before it resets the controller, as Linux does after a kexec: nothing may be looked at or written there any
 * more. */
static void shut_down(struct nvme_controller *controller)
{
    __atomic_store_n(&controller->shut_down, true, __ATOMIC_RELEASE);
    close_queues(controller);
    for (unsigned i = 0; i < NVME_QUEUES_MAX; i++) {
        spin_lock(&controller->cq[i].lock);
        bool done = cq_watch_update(&controller->cq[i]);
        spin_unlock(&controller->cq[i].lock);
        if (!done) /* taking a watch away needs no memory */
            log_limited("nvme: completion queue %u is still watched after the shutdown", i);
    }
}

static void write_cc(struct nvme_controller *controller, uint32_t value)
{
    bool was = controller->cc & CC_EN;
    if (!was && (value & CC_EN)) {
        enable(controller, value);
        return;
    }
    controller->cc = value;
    if (was && !(value & CC_EN)) {
        if (!controller->fatal)
            close_queues(controller);
        controller->fatal = false;
    }
    if (!controller->fatal)
        device_put(controller, NVME_CC, value);
    if (was && (value & CC_SHN) && !controller->fatal)
        shut_down(controller);
}

static uint32_t read_status(struct nvme_controller *controller)
{
    uint32_t status = device_get(controller, NVME_CSTS);
    if (controller->state == NVME_RESETTING && !(status & CSTS_RDY))
        reclaim(controller);
    return controller->fatal ? (status & ~CSTS_RDY) | CSTS_CFS : status;
}

static uint32_t register_read(struct nvme_controller *controller, uint64_t offset)
{
    switch (offset) {
    case NVME_CAP:
        return (uint32_t)controller->capabilities;
    case NVME_CAP + DWORD:
        return (uint32_t)(controller->capabilities >> 32);
    case NVME_INTMS:
    case NVME_INTMC:
        return controller->masks;
    case NVME_CC:
        return controller->cc;
    case NVME_CSTS:
        return read_status(controller);
    case NVME_AQA:
        return controller->aqa;
    case NVME_ASQ:
        return (uint32_t)controller->asq;
    case NVME_ASQ + DWORD:
        return (uint32_t)(controller->asq >> 32);
    case NVME_ACQ:
        return (uint32_t)controller->acq;
    case NVME_ACQ + DWORD:
        return (uint32_t)(controller->acq >> 32);
    case NVME_VS:
    case NVME_CRTO:
        return device_get(controller, (unsigned)offset);
    default:
        return 0;
    }
}

/* The masks of pin interrupts (and of MSI, whose real messages are never masked). */
static void write_masks(struct nvme_controller *controller, unsigned offset, uint32_t value)
{
    controller->masks = offset == NVME_INTMS ? controller->masks | value : controller->masks & ~value;
    if (!interrupts_enabled(&controller->irq))
        device_put(controller, offset, value);
}

void registers_apply_masks(struct nvme_controller *controller)
{
    spin_lock(&controller->lock);
    uint32_t masks = interrupts_enabled(&controller->irq) ? 0 : controller->masks;
    if (!interrupts_msix_enabled(&controller->irq)) {
        device_put(controller, NVME_INTMS, masks);
        device_put(controller, NVME_INTMC, ~masks);
    }
    spin_unlock(&controller->lock);
}

static void set_half(uint64_t *whole, bool high, uint32_t value)
{
    *whole = high ? (*whole & UINT32_MAX) | (uint64_t)value << 32 : (*whole & ~(uint64_t)UINT32_MAX) | value;
}

static void register_write(struct nvme_controller *controller, uint64_t offset, uint32_t value)
{
    switch (offset) {
    case NVME_INTMS:
    case NVME_INTMC:
        write_masks(controller, (unsigned)offset, value);
        break;
    case NVME_CC:
        write_cc(controller, value);
        break;
    case NVME_AQA:
        controller->aqa = value & (0xfffu << 16 | 0xfffu);
        break;
    case NVME_ASQ:
        set_half(&controller->asq, false, value & ~(uint32_t)PAGE_MASK);
        break;
    case NVME_ASQ + DWORD:
        set_half(&controller->asq, true, value);
        break;
    case NVME_ACQ:
        set_half(&controller->acq, false, value & ~(uint32_t)PAGE_MASK);
        break;
    case NVME_ACQ + DWORD:
        set_half(&controller->acq, true, value);
        break;
    default:
        break; /* CSTS.NSSRO, boot partition, controller memory: hidden */
    }
}

static bool is_doorbell(const struct nvme_bar *bar, uint64_t offset)
{
    return bar->number == 0 && offset >= NVME_DOORBELL && offset < bar->controller->doorbell_end;
}

static uint32_t read_dword(struct nvme_bar *bar, uint64_t offset)
{
    struct nvme_controller *controller = bar->controller;
    uint32_t value = 0;
    if (is_doorbell(bar, offset) || interrupts_table_read(&controller->irq, bar->number, offset, &value) ||
        bar->number != 0)
        return value;
    spin_lock(&controller->lock);
    value = register_read(controller, offset);
    spin_unlock(&controller->lock);
    return value;
}

static void write_dword(struct nvme_bar *bar, uint64_t offset, uint32_t value)
{
    struct nvme_controller *controller = bar->controller;
    if (is_doorbell(bar, offset)) {
        doorbell_write(controller, offset - NVME_DOORBELL, value);
        return;
    }
    enum interrupts_change change = interrupts_table_write(&controller->irq, bar->number, offset, value);
    if (change == INTERRUPTS_CHANGED)
        controller_mode_changed(controller);
    if (change != INTERRUPTS_NOT_MINE || bar->number != 0)
        return;
    spin_lock(&controller->lock);
    register_write(controller, offset, value);
    spin_unlock(&controller->lock);
}

/* Registers are dwords and quadwords; a smaller read gets its part, a smaller write is ignored. */
void registers_access(void *owner, struct mmio_access *access)
{
    struct nvme_bar *bar = owner;
    uint64_t offset = access->address - bar->region.base, aligned = offset & ~(uint64_t)(DWORD - 1);
    if (!(__atomic_load_n(&bar->controller->command, __ATOMIC_RELAXED) & COMMAND_MEMORY)) {
        access->value = UINT64_MAX;
    } else if (!access->write) {
        uint64_t value = read_dword(bar, aligned);
        if (offset - aligned + access->bytes > DWORD)
            value |= (uint64_t)read_dword(bar, aligned + DWORD) << 32;
        access->value = value >> (offset - aligned) * 8;
    } else if (offset == aligned && access->bytes >= DWORD) {
        write_dword(bar, offset, (uint32_t)access->value);
        if (access->bytes > DWORD && !is_doorbell(bar, offset))
            write_dword(bar, offset + DWORD, (uint32_t)(access->value >> 32));
    }
}
