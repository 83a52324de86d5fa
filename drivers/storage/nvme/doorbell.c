/* SPDX-License-Identifier: Apache-2.0 */
/* Doorbells: the trapped registers, and the shadow doorbell and event index pages of Doorbell Buffer Config
 * (NVMe Base 1.3 section 5.7), which save the guest most of its doorbell exits. The pages are the guest's:
 * what it scribbles there can only hurt its own queues. */
#include "core/log.h"
#include "drivers/storage/nvme/nvme.h"
#include "guest/memory.h"

#define DOORBELL_BYTES 4

static uint32_t sq_offset(const struct nvme_controller *controller, uint16_t id)
{
    return id * 2u * controller->stride;
}

static uint32_t cq_offset(const struct nvme_controller *controller, uint16_t id)
{
    return (id * 2u + 1) * controller->stride;
}

static bool in_page(const struct nvme_controller *controller, uint16_t id)
{
    return controller->shadow_page && cq_offset(controller, id) + DOORBELL_BYTES <= PAGE_SIZE;
}

/* Drivers differ about whether the admin queue has a shadow: its own is never believed, and it is asked to
 * ring each time. */
static bool has_shadow(const struct nvme_controller *controller, uint16_t id)
{
    return id && in_page(controller, id);
}

static bool shadow_read(uint64_t address, uint32_t *value)
{
    volatile uint32_t *at = guest_memory_open(address, DOORBELL_BYTES);
    if (!at)
        return false;
    *value = *at;
    guest_memory_close();
    return true;
}

/* The fence: the guest writes its doorbell, then reads the event index; we do it the other way round. */
static void event_write(uint64_t address, uint32_t value)
{
    volatile uint32_t *at = guest_memory_open(address, DOORBELL_BYTES);
    if (!at)
        return;
    *at = value;
    guest_memory_close();
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static void log_odd(const struct nvme_controller *controller, bool *logged, const char *kind, unsigned id,
                    uint32_t value)
{
    if (!*logged)
        log_limited("nvme %02x:%02x.%x: the guest set the doorbell of %s queue %u to %u, which is not in the "
                    "queue; ignored",
                    controller->at.bus, controller->at.device, controller->at.function, kind, id,
                    (unsigned)value);
    *logged = true;
}

bool doorbell_refresh_tail(struct nvme_sq *sq)
{
    uint32_t tail;
    if (!sq->live || !has_shadow(sq->controller, sq->id) ||
        !shadow_read(sq->controller->shadow_page + sq_offset(sq->controller, sq->id), &tail) ||
        tail == sq->guest_tail)
        return false;
    if (tail >= sq->guest_entries) {
        log_odd(sq->controller, &sq->odd_doorbell, "submission", sq->id, tail);
        return false;
    }
    sq->guest_tail = tail;
    return true;
}

bool doorbell_refresh_head(struct nvme_cq *cq)
{
    uint32_t head;
    if (!cq->live || !has_shadow(cq->controller, cq->id) ||
        !shadow_read(cq->controller->shadow_page + cq_offset(cq->controller, cq->id), &head) ||
        head == cq->guest_head)
        return false;
    if (head >= cq->guest_entries) {
        log_odd(cq->controller, &cq->odd_doorbell, "completion", cq->id, head);
        return false;
    }
    cq->guest_head = head;
    return true;
}

/* An index one behind the guest's position is not passed before a whole lap; one at the position is passed at
 * once. */
static uint32_t event_index(uint32_t position, uint32_t entries, bool ring)
{
    return ring ? position : position ? position - 1 : entries - 1;
}

void doorbell_event_tail(struct nvme_sq *sq, bool ring)
{
    if ((sq->live || !sq->id) && in_page(sq->controller, sq->id))
        event_write(sq->controller->event_page + sq_offset(sq->controller, sq->id),
                    event_index(sq->guest_tail, sq->guest_entries, ring || !sq->id));
}

void doorbell_event_head(struct nvme_cq *cq, bool ring)
{
    if ((cq->live || !cq->id) && in_page(cq->controller, cq->id))
        event_write(cq->controller->event_page + cq_offset(cq->controller, cq->id),
                    event_index(cq->guest_head, cq->guest_entries, ring || !cq->id));
}

void doorbell_restart_sq(struct nvme_sq *sq)
{
    sq->live = false;
    if (in_page(sq->controller, sq->id))
        event_write(sq->controller->event_page + sq_offset(sq->controller, sq->id), sq->guest_tail);
}

void doorbell_restart_cq(struct nvme_cq *cq)
{
    cq->live = false;
    if (in_page(cq->controller, cq->id))
        event_write(cq->controller->event_page + cq_offset(cq->controller, cq->id), cq->guest_head);
}

static void ring_sq(struct nvme_sq *sq, uint32_t value)
{
    struct nvme_cq *cq = __atomic_load_n(&sq->cq, __ATOMIC_ACQUIRE);
    if (!cq)
        return;
    spin_lock(&cq->lock);
    if (sq->cq == cq && !cq->closed) {
        if (value >= sq->guest_entries) {
            log_odd(sq->controller, &sq->odd_doorbell, "submission", sq->id, value);
        } else {
            sq->guest_tail = value;
            sq->live = true;
            (void)sq_process(sq);
        }
    }
    spin_unlock(&cq->lock);
}

static void ring_cq(struct nvme_cq *cq, uint32_t value)
{
    spin_lock(&cq->lock);
    if (cq->used && !cq->closed) {
        if (value >= cq->guest_entries) {
            log_odd(cq->controller, &cq->odd_doorbell, "completion", cq->id, value);
        } else {
            cq->guest_head = value;
            if (!cq->live || !cq->id) {
                cq->live = true;
                doorbell_event_head(cq, false);
            }
            /* With a pin interrupt the guest comes and looks by itself: the pin is still held. */
            if (cq->wants_room && !cq->watched)
                cq->owed |= cq_sweep_locked(cq) != 0;
        }
    }
    spin_unlock(&cq->lock);
}

void doorbell_write(struct nvme_controller *controller, uint64_t offset, uint32_t value)
{
    uint64_t index = offset / controller->stride;
    if (offset % controller->stride || index / 2 >= NVME_QUEUES_MAX)
        return;
    if (index % 2)
        ring_cq(&controller->cq[index / 2], value);
    else
        ring_sq(&controller->sq[index / 2], value);
    resume_stalled();
}
