/* SPDX-License-Identifier: Apache-2.0 */
/* Submission: each command of the guest is read once into our memory, decided by the tables, and put into the
 * ring that the device sees. */
#include "core/device.h"
#include "core/log.h"
#include "core/memory.h"
#include "drivers/storage/nvme/nvme.h"
#include "guest/memory.h"
#include "lib/strings.h"

static uint32_t stalled_queues; /* atomic: how many wait for pool pages, of all controllers */

static uint16_t slot_index(const struct nvme_sq *sq, const struct nvme_slot *slot)
{
    return (uint16_t)(slot - sq->slots);
}

static uint32_t ring_room(const struct nvme_sq *sq)
{
    return (sq->device_head + sq->entries - sq->tail - 1) % sq->entries;
}

/* Each command that goes on in parts has an entry kept for its next part. */
static bool is_full(const struct nvme_sq *sq)
{
    return ring_room(sq) <= sq->parts_in_flight || sq->free_slot == NVME_NO_SLOT;
}

void sq_ring_device(struct nvme_sq *sq)
{
    volatile uint8_t *registers = __atomic_load_n(&sq->controller->registers, __ATOMIC_ACQUIRE);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    if (registers)
        device_write32(registers + NVME_DOORBELL + sq->id * 2u * sq->controller->stride, sq->tail);
}

bool sq_submit(struct nvme_sq *sq, struct nvme_slot *slot)
{
    if (!ring_room(sq))
        return false;
    slot->command.cid = slot_index(sq, slot);
    sq->ring[sq->tail] = slot->command;
    sq->tail = (sq->tail + 1) % sq->entries;
    return true;
}

void slot_release(struct nvme_sq *sq, struct nvme_slot *slot)
{
    transfer_release(&slot->transfer);
    if (slot->quick)
        sq->quick_in_flight--;
    if (slot->parts)
        sq->parts_in_flight--;
    memset(slot, 0, sizeof(*slot));
    slot->next_free = sq->free_slot;
    sq->free_slot = slot_index(sq, slot);
}

void slot_decoy(struct nvme_sq *sq, struct nvme_slot *slot, nvme_status status, uint32_t result)
{
    const struct nvme_controller *controller = sq->controller;
    transfer_release(&slot->transfer);
    if (sq->id)
        slot->command = (struct nvme_command){
            .opcode = IO_READ, .nsid = controller->decoy_namespace, .prp1 = physical_of(controller->scratch)};
    else
        slot->command = (struct nvme_command){.opcode = ADMIN_GET_FEATURES, .cdw10 = FEATURE_QUEUES};
    slot->decoy = true;
    slot->status = status;
    slot->result = result;
}

/* One line per kind of refused command. */
static void log_refused(struct nvme_sq *sq, uint8_t opcode, nvme_status status)
{
    struct nvme_controller *controller = sq->controller;
    uint64_t *seen = sq->id ? controller->refused_io : controller->refused_admin;
    uint64_t bit = BIT(opcode % 64);
    if (!(__atomic_fetch_or(&seen[opcode / 64], bit, __ATOMIC_RELAXED) & bit))
        log_line("nvme %02x:%02x.%x: refused %s command %02x with status %03x (told once per opcode)",
                 controller->at.bus, controller->at.device, controller->at.function, sq->id ? "I/O" : "admin",
                 opcode, status & 0x7ffu);
}

static void count_refused(struct nvme_sq *sq, const struct nvme_slot *slot)
{
    struct nvme_controller *controller = sq->controller;
    if (slot->namespace)
        storage_count_refused(slot->namespace->disk);
    for (unsigned i = 0; !slot->namespace && i < controller->namespace_count; i++)
        storage_count_refused(controller->namespaces[i].disk);
}

static nvme_status decide(struct nvme_sq *sq, struct nvme_slot *slot, const struct nvme_command *guest)
{
    const struct nvme_operation *operation =
        sq->id ? io_operation(guest->opcode) : admin_operation(guest->opcode);
    if (!operation)
        return STATUS_INVALID_OPCODE;
    if (COMMAND_FUSE(guest->flags) || (!sq->id && COMMAND_PSDT(guest->flags)))
        return STATUS_INVALID_FIELD;
    slot->own_finish = operation->finish != NULL;
    return operation->prepare(sq, slot, guest);
}

/* Takes the command at the guest's head. False when it has to wait. */
static bool take_one(struct nvme_sq *sq)
{
    struct nvme_command guest;
    if (is_full(sq))
        return false;
    if (!guest_memory_read(sq_guest_entry(sq, sq->guest_head), &guest, sizeof(guest)))
        return false; /* checked when the queue was made: RAM does not go away */
    struct nvme_slot *slot = &sq->slots[sq->free_slot];
    sq->free_slot = slot->next_free;
    slot->used = true;
    slot->guest_cid = guest.cid;
    slot->guest_opcode = guest.opcode;
    nvme_status status = decide(sq, slot, &guest);
    sq->quick_in_flight += slot->quick;
    sq->parts_in_flight += slot->parts;
    if (status == STATUS_WAIT) {
        slot_release(sq, slot);
        return false;
    }
    if (status) {
        count_refused(sq, slot);
        log_refused(sq, guest.opcode, status);
        slot_decoy(sq, slot, status, 0);
    }
    sq->guest_head = (sq->guest_head + 1) % sq->guest_entries;
    return sq_submit(sq, slot);
}

void sq_unstall(struct nvme_sq *sq)
{
    if (sq->stalled)
        __atomic_sub_fetch(&stalled_queues, 1, __ATOMIC_SEQ_CST);
    sq->stalled = false;
}

/* Takes all commands that there are room and pages for. A queue that must wait says so before its last try,
 * so that whoever frees pages afterwards sees it. */
static bool drain(struct nvme_sq *sq, unsigned *taken)
{
    bool last_try = false;
    while (sq->guest_head != sq->guest_tail) {
        if (take_one(sq)) {
            last_try = false;
            ++*taken;
            continue;
        }
        if (last_try || is_full(sq))
            return false;
        if (!sq->stalled)
            __atomic_add_fetch(&stalled_queues, 1, __ATOMIC_SEQ_CST);
        sq->stalled = last_try = true;
    }
    sq_unstall(sq);
    return true;
}

static bool may_defer(const struct nvme_sq *sq)
{
    return sq->quick_in_flight >= (sq->found8 >= NVME_BUSY_FOUND8 ? NVME_DEFER_BUSY : NVME_DEFER_IN_FLIGHT);
}

unsigned sq_process(struct nvme_sq *sq)
{
    if (sq->cq->closed || sq->opening || sq->closing)
        return 0;
    uint32_t tail = sq->tail;
    unsigned taken = 0;
    (void)doorbell_refresh_tail(sq);
    /* Where completions are on their way, the sweep that shows them will also find what the guest submits
     * meanwhile. */
    while (drain(sq, &taken)) {
        doorbell_event_tail(sq, !may_defer(sq));
        if (!doorbell_refresh_tail(sq))
            break;
    }
    if (sq->guest_head != sq->guest_tail)
        doorbell_event_tail(sq, false);
    if (sq->tail != tail)
        sq_ring_device(sq);
    return taken;
}

static void look_at_admin(void)
{
    for (unsigned c = 0; c < nvme_controller_count; c++)
        if (__atomic_load_n(&nvme_controllers[c]->look_at_admin, __ATOMIC_ACQUIRE) &&
            __atomic_exchange_n(&nvme_controllers[c]->look_at_admin, false, __ATOMIC_ACQ_REL))
            (void)cq_sweep(&nvme_controllers[c]->cq[0]);
}

void resume_stalled(void)
{
    look_at_admin();
    for (unsigned c = 0; __atomic_load_n(&stalled_queues, __ATOMIC_SEQ_CST) && c < nvme_controller_count;
         c++) {
        for (unsigned i = 0; i < NVME_QUEUES_MAX; i++) {
            struct nvme_sq *sq = &nvme_controllers[c]->sq[i];
            struct nvme_cq *cq = __atomic_load_n(&sq->cq, __ATOMIC_ACQUIRE);
            if (!cq || !__atomic_load_n(&sq->stalled, __ATOMIC_RELAXED))
                continue;
            spin_lock(&cq->lock);
            if (sq->cq == cq && sq->stalled)
                (void)sq_process(sq);
            spin_unlock(&cq->lock);
        }
    }
}
