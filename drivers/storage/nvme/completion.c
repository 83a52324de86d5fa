/* SPDX-License-Identifier: Apache-2.0 */
/* Completion: what the device posted is finished (decrypted, copied, filtered), shown in the guest's own
 * queue, and the guest's vector raised. */
#include "core/device.h"
#include "core/log.h"
#include "drivers/storage/nvme/nvme.h"
#include "guest/memory.h"
#include "lib/strings.h"

#define PHASE 1u

/* Is there an entry free in the guest's queue? Where not, its next head doorbell is asked to ring. */
static bool has_room(struct nvme_cq *cq)
{
    uint32_t next = (cq->guest_tail + 1) % cq->guest_entries;
    if (next == cq->guest_head && doorbell_refresh_head(cq))
        doorbell_event_head(cq, false);
    if (next == cq->guest_head) {
        doorbell_event_head(cq, true);
        if (doorbell_refresh_head(cq))
            doorbell_event_head(cq, false);
    }
    cq->wants_room = next == cq->guest_head;
    return !cq->wants_room;
}

/* Writes an entry so that its phase bit appears last. */
static void show(struct nvme_cq *cq, const struct nvme_completion *completion)
{
    volatile struct nvme_completion *to = guest_memory_open(cq_guest_entry(cq, cq->guest_tail), sizeof(*to));
    if (to) {
        to->result = completion->result;
        to->result_high = completion->result_high;
        to->sq_head = completion->sq_head;
        to->sq_id = completion->sq_id;
        to->cid = completion->cid;
        __atomic_thread_fence(__ATOMIC_RELEASE);
        to->status = completion->status;
        guest_memory_close();
    }
    cq->guest_tail++;
    if (cq->guest_tail == cq->guest_entries) {
        cq->guest_tail = 0;
        cq->guest_phase ^= PHASE;
    }
}

static struct nvme_slot *slot_of(struct nvme_cq *cq, const struct nvme_completion *completion)
{
    if (completion->sq_id >= NVME_QUEUES_MAX)
        return NULL;
    struct nvme_sq *sq = &cq->controller->sq[completion->sq_id];
    if (sq->cq != cq || completion->cid >= sq->entries || !sq->slots[completion->cid].used)
        return NULL;
    return &sq->slots[completion->cid];
}

static void finish(struct nvme_sq *sq, struct nvme_slot *slot, struct nvme_completion *completion)
{
    const struct nvme_operation *operation =
        sq->id ? io_operation(slot->guest_opcode) : admin_operation(slot->guest_opcode);
    if (slot->decoy) {
        completion->status = (uint16_t)(slot->status << 1);
        completion->result = slot->result;
    } else if (slot->own_finish && operation) {
        operation->finish(sq, slot, completion);
    }
}

/* One completion of the device. True when it became one of the guest's. */
static bool complete(struct nvme_cq *cq, struct nvme_completion *completion)
{
    struct nvme_slot *slot = slot_of(cq, completion);
    if (!slot) {
        log_line("nvme %02x:%02x.%x: the device completed a command that it was not given (queue %u, id %u)",
                 cq->controller->at.bus, cq->controller->at.device, cq->controller->at.function,
                 completion->sq_id, completion->cid);
        return false;
    }
    struct nvme_sq *sq = &cq->controller->sq[completion->sq_id];
    if (completion->sq_head < sq->entries)
        sq->device_head = completion->sq_head;
    if (sq->id && io_continue(sq, slot, completion)) {
        sq_ring_device(sq);
        return false;
    }
    completion->status &= (uint16_t)~PHASE;
    finish(sq, slot, completion);
    completion->sq_head = (uint16_t)sq->guest_head;
    completion->cid = slot->guest_cid;
    completion->status |= cq->guest_phase;
    slot_release(sq, slot);
    show(cq, completion);
    return true;
}

static bool device_posted(const struct nvme_cq *cq)
{
    const volatile struct nvme_completion *at = &cq->ring[cq->head];
    return (at->status & PHASE) == cq->phase;
}

static void next_completion(struct nvme_cq *cq, struct nvme_completion *completion)
{
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    *completion = cq->ring[cq->head];
    cq->head++;
    if (cq->head == cq->entries) {
        cq->head = 0;
        cq->phase ^= PHASE;
    }
}

unsigned cq_sweep_locked(struct nvme_cq *cq)
{
    struct nvme_completion completion;
    unsigned taken = 0, shown = 0;
    if (!cq->used)
        return 0;
    while (device_posted(cq) && (cq->closed || has_room(cq))) {
        next_completion(cq, &completion);
        taken++;
        if (!cq->closed)
            shown += complete(cq, &completion);
    }
    if (cq->closed)
        return taken; /* their messages are claimed, and nobody is told */
    volatile uint8_t *registers = __atomic_load_n(&cq->controller->registers, __ATOMIC_ACQUIRE);
    if (taken && registers)
        device_write32(registers + NVME_DOORBELL + (cq->id * 2u + 1) * cq->controller->stride, cq->head);
    for (struct nvme_sq *sq = cq->queues; sq; sq = sq->next) {
        unsigned found = sq_process(sq);
        if (taken)
            sq->found8 += found - sq->found8 / 8;
    }
    if (shown && cq->guest_interrupts)
        interrupts_signal(&cq->controller->irq, cq->vector);
    return taken;
}

unsigned cq_sweep(struct nvme_cq *cq)
{
    spin_lock(&cq->lock);
    unsigned taken = cq_sweep_locked(cq);
    cq->owed |= taken && cq->device_interrupts && interrupts_enabled(&cq->controller->irq);
    spin_unlock(&cq->lock);
    resume_stalled();
    return taken;
}

void controller_sweep(struct nvme_controller *controller)
{
    for (unsigned i = 0; i < NVME_QUEUES_MAX; i++)
        if (__atomic_load_n(&controller->cq[i].used, __ATOMIC_ACQUIRE))
            (void)cq_sweep(&controller->cq[i]);
}

unsigned controller_claim(void *owner, unsigned cpu)
{
    struct nvme_controller *controller = owner;
    unsigned claimed = 0;
    if (!interrupts_enabled(&controller->irq))
        return 0;
    for (unsigned i = 0; i < NVME_QUEUES_MAX; i++) {
        struct nvme_cq *cq = &controller->cq[i];
        if (!__atomic_load_n(&cq->used, __ATOMIC_ACQUIRE) ||
            interrupts_cpu(&controller->irq, cq->vector) != cpu)
            continue;
        spin_lock(&cq->lock);
        unsigned taken = cq_sweep_locked(cq);
        claimed +=
            taken ? taken : cq->owed || cq->wants_room; /* its message came after a sweep that needed none */
        cq->owed = false;
        spin_unlock(&cq->lock);
    }
    resume_stalled();
    return claimed;
}

void controller_mode_changed(struct nvme_controller *controller)
{
    registers_apply_masks(controller);
    for (unsigned i = 0; i < NVME_QUEUES_MAX; i++) {
        struct nvme_cq *cq = &controller->cq[i];
        if (!__atomic_load_n(&cq->used, __ATOMIC_ACQUIRE))
            continue;
        spin_lock(&cq->lock);
        bool good = cq_watch_update(cq);
        spin_unlock(&cq->lock);
        if (!good)
            log_line(
                "nvme %02x:%02x.%x: completion queue %u cannot be watched; its completions will not be seen",
                controller->at.bus, controller->at.device, controller->at.function, i);
    }
    /* With pin interrupts the completions stay where they are until the guest looks: taking them would drop
     * the pin before it was seen. */
    if (interrupts_enabled(&controller->irq))
        controller_sweep(controller);
}
