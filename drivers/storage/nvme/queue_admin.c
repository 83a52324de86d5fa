/* SPDX-License-Identifier: Apache-2.0 */
/* Create and Delete Queue: the guest's queue becomes a pair, its own and the one that the device sees. */
#include "core/log.h"
#include "core/memory.h"
#include "drivers/storage/nvme/nvme.h"

static struct nvme_queue_request request_of(const struct nvme_command *guest)
{
    return (struct nvme_queue_request){
        .id = (uint16_t)guest->cdw10,
        .entries = (guest->cdw10 >> 16) + 1,
        .base = guest->prp1,
        .contiguous = guest->cdw11 & QUEUE_CONTIGUOUS,
    };
}

static nvme_status check_request(const struct nvme_controller *controller,
                                 const struct nvme_queue_request *request)
{
    if (!request->id || request->id > NVME_IO_QUEUES_MAX ||
        NVME_DOORBELL + (request->id + 1ull) * 2 * controller->stride > controller->doorbell_end)
        return STATUS_QUEUE_ID;
    if (request->entries < 2 || request->entries - 1 > (controller->capabilities & CAP_MQES))
        return STATUS_QUEUE_SIZE;
    if (!request->contiguous && (controller->capabilities & CAP_CQR))
        return STATUS_INVALID_FIELD;
    if ((controller->cc & (0xfu << 16 | 0xfu << 20)) != CC_IO_SIZES)
        return STATUS_QUEUE_SIZE;
    return STATUS_SUCCESS;
}

/* A guest that has no messages enabled and makes I/O queues without interrupts polls them, as firmware does:
 * then real messages announce completions to us, and its polling costs no exits. The first queue with (pin)
 * interrupts ends that. */
static void choose_polling(struct nvme_controller *controller, bool interrupts)
{
    bool polls = !interrupts;
    for (unsigned i = 1; i < NVME_QUEUES_MAX; i++)
        if (controller->cq[i].used && controller->cq[i].guest_interrupts)
            polls = false;
    bool was = interrupts_polled(&controller->irq);
    if (interrupts_set_polled(&controller->irq, polls) == was)
        return;
    /* What completed before the messages were on announces itself to nobody; we hold the admin queue's lock,
     * so it is looked at a little later. */
    bool watched = cq_watch_update(&controller->cq[0]);
    __atomic_store_n(&controller->look_at_admin, true, __ATOMIC_RELEASE);
    if (!watched)
        log_limited("nvme %02x:%02x.%x: the admin completion queue cannot be watched", controller->at.bus,
                    controller->at.device, controller->at.function);
    for (unsigned i = 1; i < NVME_QUEUES_MAX; i++) {
        struct nvme_cq *cq = &controller->cq[i];
        spin_lock(&cq->lock);
        bool good = !cq->used || cq_watch_update(cq);
        spin_unlock(&cq->lock);
        if (!good)
            log_line(
                "nvme %02x:%02x.%x: completion queue %u cannot be watched; its completions will not be seen",
                controller->at.bus, controller->at.device, controller->at.function, i);
    }
}

static nvme_status create_cq_prepare(struct nvme_sq *sq, struct nvme_slot *slot,
                                     const struct nvme_command *guest)
{
    struct nvme_controller *controller = sq->controller;
    struct nvme_queue_request request = request_of(guest);
    nvme_status status = check_request(controller, &request);
    if (status)
        return status;
    request.interrupts = guest->cdw11 & QUEUE_INTERRUPTS;
    request.vector = (uint16_t)(guest->cdw11 >> 16);
    struct nvme_cq *cq = &controller->cq[request.id];
    choose_polling(controller, request.interrupts);
    spin_lock(&cq->lock);
    status = cq->used ? (nvme_status)STATUS_QUEUE_ID : cq_open(cq, &request);
    if (!status) {
        cq->opening = true;
        uint32_t flags =
            QUEUE_CONTIGUOUS | (cq->device_interrupts ? QUEUE_INTERRUPTS : 0) | (uint32_t)cq->vector << 16;
        slot->command = (struct nvme_command){.opcode = ADMIN_CREATE_CQ,
                                              .prp1 = physical_of(cq->ring),
                                              .cdw10 = (cq->entries - 1) << 16 | request.id,
                                              .cdw11 = flags};
        slot->queue = request.id;
        doorbell_restart_cq(cq);
    }
    spin_unlock(&cq->lock);
    return status;
}

static void create_cq_finish(struct nvme_sq *sq, struct nvme_slot *slot, struct nvme_completion *completion)
{
    struct nvme_cq *cq = &sq->controller->cq[slot->queue];
    spin_lock(&cq->lock);
    cq->opening = false;
    if (!completion_good(completion))
        cq_close(cq);
    spin_unlock(&cq->lock);
}

static nvme_status create_sq_prepare(struct nvme_sq *admin, struct nvme_slot *slot,
                                     const struct nvme_command *guest)
{
    struct nvme_controller *controller = admin->controller;
    struct nvme_queue_request request = request_of(guest);
    uint32_t cq_id = guest->cdw11 >> 16;
    nvme_status status = check_request(controller, &request);
    if (status)
        return status;
    if (!cq_id || cq_id > NVME_IO_QUEUES_MAX)
        return STATUS_CQ_INVALID;
    struct nvme_sq *sq = &controller->sq[request.id];
    struct nvme_cq *cq = &controller->cq[cq_id];
    if (__atomic_load_n(&sq->cq,
                        __ATOMIC_ACQUIRE)) /* only admin commands change it, and we hold that queue's lock */
        return STATUS_QUEUE_ID;
    spin_lock(&cq->lock);
    status = !cq->used || cq->opening ? (nvme_status)STATUS_CQ_INVALID : sq_open(sq, cq, &request);
    if (!status) {
        sq->opening = true;
        slot->command =
            (struct nvme_command){.opcode = ADMIN_CREATE_SQ,
                                  .prp1 = physical_of(sq->ring),
                                  .cdw10 = (sq->entries - 1) << 16 | request.id,
                                  .cdw11 = cq_id << 16 | (guest->cdw11 & SQ_PRIORITY) | QUEUE_CONTIGUOUS};
        slot->queue = request.id;
        doorbell_restart_sq(sq);
    }
    spin_unlock(&cq->lock);
    return status;
}

/* Ends the wait for the device's word about a queue: it goes on, or it is no more. */
static void settle(struct nvme_sq *sq, bool exists)
{
    struct nvme_cq *cq = sq->cq;
    if (!cq)
        return;
    spin_lock(&cq->lock);
    sq->opening = sq->closing = false;
    if (exists)
        (void)sq_process(sq);
    else
        sq_close(sq);
    spin_unlock(&cq->lock);
}

static void create_sq_finish(struct nvme_sq *sq, struct nvme_slot *slot, struct nvme_completion *completion)
{
    settle(&sq->controller->sq[slot->queue], completion_good(completion));
}

static nvme_status delete_sq_prepare(struct nvme_sq *admin, struct nvme_slot *slot,
                                     const struct nvme_command *guest)
{
    uint32_t id = guest->cdw10 & 0xffff;
    struct nvme_cq *cq = id && id <= NVME_IO_QUEUES_MAX ? admin->controller->sq[id].cq : NULL;
    if (!cq)
        return STATUS_QUEUE_ID;
    struct nvme_sq *sq = &admin->controller->sq[id];
    spin_lock(&cq->lock);
    bool busy = sq->opening || sq->closing;
    if (!busy)
        sq->closing = true;
    spin_unlock(&cq->lock);
    if (busy)
        return STATUS_QUEUE_ID;
    slot->queue = (uint16_t)id;
    slot->command = (struct nvme_command){.opcode = ADMIN_DELETE_SQ, .cdw10 = id};
    return STATUS_SUCCESS;
}

/* The commands that it aborted have been completed before it: show them while their slots exist. */
static void delete_sq_finish(struct nvme_sq *admin, struct nvme_slot *slot,
                             struct nvme_completion *completion)
{
    struct nvme_sq *sq = &admin->controller->sq[slot->queue];
    struct nvme_cq *cq = sq->cq;
    if (!cq)
        return;
    spin_lock(&cq->lock);
    cq->owed |= cq_sweep_locked(cq) && !cq->watched;
    spin_unlock(&cq->lock);
    settle(sq, !completion_good(completion));
}

static nvme_status delete_cq_prepare(struct nvme_sq *admin, struct nvme_slot *slot,
                                     const struct nvme_command *guest)
{
    uint32_t id = guest->cdw10 & 0xffff;
    if (!id || id > NVME_IO_QUEUES_MAX)
        return STATUS_QUEUE_ID;
    struct nvme_cq *cq = &admin->controller->cq[id];
    nvme_status status = STATUS_SUCCESS;
    spin_lock(&cq->lock);
    if (!cq->used || cq->opening)
        status = STATUS_QUEUE_ID;
    else if (cq->queues)
        status = STATUS_QUEUE_DELETION;
    else
        cq->opening = true; /* takes no new submission queues */
    spin_unlock(&cq->lock);
    slot->queue = (uint16_t)id;
    slot->command = (struct nvme_command){.opcode = ADMIN_DELETE_CQ, .cdw10 = id};
    return status;
}

static void delete_cq_finish(struct nvme_sq *admin, struct nvme_slot *slot,
                             struct nvme_completion *completion)
{
    struct nvme_cq *cq = &admin->controller->cq[slot->queue];
    spin_lock(&cq->lock);
    cq->opening = false;
    if (completion_good(completion))
        cq_close(cq);
    spin_unlock(&cq->lock);
}

const struct nvme_operation create_cq_operation = {.prepare = create_cq_prepare, .finish = create_cq_finish};
const struct nvme_operation create_sq_operation = {.prepare = create_sq_prepare, .finish = create_sq_finish};
const struct nvme_operation delete_cq_operation = {.prepare = delete_cq_prepare, .finish = delete_cq_finish};
const struct nvme_operation delete_sq_operation = {.prepare = delete_sq_prepare, .finish = delete_sq_finish};
