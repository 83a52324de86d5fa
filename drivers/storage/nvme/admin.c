/* SPDX-License-Identifier: Apache-2.0 */
/* The admin command table: what is not in it is refused. */
#include "core/memory.h"
#include "drivers/storage/nvme/nvme.h"
#include "guest/memory.h"
#include "lib/strings.h"

#define STATUS_CODE_MASK 0x7ff
#define ABORT_NOT_DONE   1u

bool completion_good(const struct nvme_completion *completion)
{
    return !(completion->status >> 1 & STATUS_CODE_MASK);
}

void admin_copy(struct nvme_slot *slot, const struct nvme_command *guest)
{
    slot->command = (struct nvme_command){
        .opcode = guest->opcode,
        .nsid = guest->nsid,
        .cdw10 = guest->cdw10,
        .cdw11 = guest->cdw11,
        .cdw12 = guest->cdw12,
        .cdw13 = guest->cdw13,
        .cdw14 = guest->cdw14,
        .cdw15 = guest->cdw15,
    };
    transfer_point(&slot->transfer, &slot->command);
}

nvme_status admin_data(struct nvme_slot *slot, const struct nvme_command *guest, uint32_t bytes)
{
    if (bytes > NVME_TRANSFER_MAX)
        return STATUS_INVALID_FIELD;
    nvme_status status = scatter_prp(&slot->transfer, guest->prp1, guest->prp2, bytes);
    if (status)
        return status;
    if (!transfer_bounce(&slot->transfer))
        return STATUS_WAIT;
    for (unsigned i = 0; i < transfer_pieces(&slot->transfer); i++) {
        uint32_t piece;
        uint8_t *at = transfer_piece(&slot->transfer, i, &piece);
        memset(at, 0, PAGE_SIZE);
    }
    return STATUS_SUCCESS;
}

void admin_data_finish(struct nvme_sq *sq, struct nvme_slot *slot, struct nvme_completion *completion)
{
    (void)sq;
    if (completion_good(completion) && !transfer_scatter(&slot->transfer))
        completion->status = STATUS_DATA_TRANSFER << 1;
}

/* A command without data, every dword of which is harmless. */
static nvme_status plain_prepare(struct nvme_sq *sq, struct nvme_slot *slot, const struct nvme_command *guest)
{
    (void)sq;
    admin_copy(slot, guest);
    return STATUS_SUCCESS;
}

/* The device's identifier of a command that the guest knows by its own. Under the queue's lock. */
static bool find_command(const struct nvme_sq *sq, uint16_t guest_cid, uint16_t *cid)
{
    for (uint32_t i = 0; i < sq->entries; i++) {
        if (sq->slots[i].used && sq->slots[i].guest_cid == guest_cid) {
            *cid = (uint16_t)i;
            return true;
        }
    }
    return false;
}

static nvme_status abort_prepare(struct nvme_sq *sq, struct nvme_slot *slot, const struct nvme_command *guest)
{
    uint16_t id = (uint16_t)guest->cdw10, guest_cid = (uint16_t)(guest->cdw10 >> 16), cid;
    bool found = false;
    if (id < NVME_QUEUES_MAX) {
        struct nvme_sq *target = &sq->controller->sq[id];
        struct nvme_cq *cq = __atomic_load_n(&target->cq, __ATOMIC_ACQUIRE);
        if (cq && cq != sq->cq)
            spin_lock(&cq->lock);
        found = cq && target->cq == cq && target->slots && find_command(target, guest_cid, &cid);
        if (cq && cq != sq->cq)
            spin_unlock(&cq->lock);
    }
    if (!found) { /* completed, or not yet taken from the guest's queue: it was not aborted */
        slot_decoy(sq, slot, STATUS_SUCCESS, ABORT_NOT_DONE);
        return STATUS_SUCCESS;
    }
    slot->command = (struct nvme_command){.opcode = ADMIN_ABORT, .cdw10 = (uint32_t)cid << 16 | id};
    return STATUS_SUCCESS;
}

/* Doorbell Buffer Config is ours: the device never sees it. */
static nvme_status doorbell_buffer_prepare(struct nvme_sq *sq, struct nvme_slot *slot,
                                           const struct nvme_command *guest)
{
    struct nvme_controller *controller = sq->controller;
    if ((guest->prp1 | guest->prp2) & PAGE_MASK || !guest_memory_is_ram(guest->prp1, PAGE_SIZE) ||
        !guest_memory_is_ram(guest->prp2, PAGE_SIZE))
        return STATUS_INVALID_FIELD;
    __atomic_store_n(&controller->event_page, guest->prp2, __ATOMIC_RELEASE);
    __atomic_store_n(&controller->shadow_page, guest->prp1, __ATOMIC_RELEASE);
    doorbell_restart_cq(sq->cq); /* the admin queue, whose lock we hold */
    doorbell_restart_sq(sq);
    for (unsigned i = 1; i < NVME_QUEUES_MAX; i++) {
        struct nvme_cq *cq = &controller->cq[i];
        spin_lock(&cq->lock);
        if (cq->used)
            doorbell_restart_cq(cq);
        for (struct nvme_sq *queue = cq->queues; queue; queue = queue->next)
            doorbell_restart_sq(queue);
        spin_unlock(&cq->lock);
    }
    slot_decoy(sq, slot, STATUS_SUCCESS, 0);
    return STATUS_SUCCESS;
}

static const struct nvme_operation plain_operation = {.prepare = plain_prepare};
static const struct nvme_operation abort_operation = {.prepare = abort_prepare};
static const struct nvme_operation doorbell_buffer_operation = {.prepare = doorbell_buffer_prepare};

static const struct nvme_operation *const operations[256] = {
    [ADMIN_DELETE_SQ] = &delete_sq_operation,
    [ADMIN_CREATE_SQ] = &create_sq_operation,
    [ADMIN_GET_LOG] = &log_operation,
    [ADMIN_DELETE_CQ] = &delete_cq_operation,
    [ADMIN_CREATE_CQ] = &create_cq_operation,
    [ADMIN_IDENTIFY] = &identify_operation,
    [ADMIN_ABORT] = &abort_operation,
    [ADMIN_SET_FEATURES] = &set_features_operation,
    [ADMIN_GET_FEATURES] = &get_features_operation,
    [ADMIN_ASYNC_EVENT] = &plain_operation,
    [ADMIN_KEEP_ALIVE] = &plain_operation,
    [ADMIN_DOORBELL_BUFFER] = &doorbell_buffer_operation,
};

const struct nvme_operation *admin_operation(uint8_t opcode)
{
    return operations[opcode];
}
