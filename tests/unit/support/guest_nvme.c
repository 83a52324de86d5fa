/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's driver. */
#include "tests/unit/support/guest_nvme.h"

#include "tests/unit/support/fake_machine.h"
#include "tests/unit/support/fake_nvme.h"
#include <string.h>

struct guest_nvme guest;

void guest_handoff(struct handoff *handoff, uint32_t block_bytes)
{
    memset(handoff, 0, sizeof(*handoff));
    handoff->volume_count = 1;
    struct handoff_volume *volume = &handoff->volumes[0];
    strcpy(volume->name, "root");
    strcpy(volume->disk_serial, FAKE_SERIAL);
    for (unsigned i = 0; i < sizeof(volume->key); i++)
        volume->key[i] = (uint8_t)(i * 7 + 1);
    volume->key_bytes = 64;
    volume->sector_bytes = volume->block_bytes = block_bytes;
    volume->pci_device = GUEST_PCI_DEVICE;
    volume->namespace_id = 1;
    volume->first_lba = VOLUME_FIRST / (block_bytes / 512);
    volume->lba_count = VOLUME_COUNT / (block_bytes / 512);
    volume->esp_first_lba = ESP_FIRST;
    volume->esp_lba_count = ESP_COUNT;
    uint64_t last = FAKE_DISK_BYTES / block_bytes - 1;
    for (unsigned i = 0; i < 2; i++) {
        volume->gpt[i].header_lba = i ? last : 1;
        volume->gpt[i].entries_lba = i ? last - 32 : 2;
        volume->gpt[i].entry_index = 1;
        volume->gpt[i].entry_bytes = 128;
        volume->gpt[i].entry_count = 128;
    }
}

uint32_t guest_register(uint64_t offset)
{
    return (uint32_t)guest_mmio(FAKE_BAR_ADDRESS + offset, 4, false, 0);
}

void guest_register_write(uint64_t offset, uint32_t value)
{
    (void)guest_mmio(FAKE_BAR_ADDRESS + offset, 4, true, value);
}

void guest_msix(bool on)
{
    guest.messages = on;
    for (unsigned i = 0; on && i < FAKE_VECTORS; i++) {
        guest_register_write(FAKE_MSIX_TABLE + i * 16, 0xfee00000);
        guest_register_write(FAKE_MSIX_TABLE + i * 16 + 4, 0);
        guest_register_write(FAKE_MSIX_TABLE + i * 16 + 8, GUEST_VECTOR + i);
        guest_register_write(FAKE_MSIX_TABLE + i * 16 + 12, 0);
    }
    guest_config_write(FAKE_MSIX + 2, 2, on ? 0x8000 : 0);
}

static void queue_start(struct guest_queue *queue, uint32_t entries, uint64_t sq, uint64_t cq)
{
    *queue = (struct guest_queue){.entries = entries, .phase = 1, .sq = sq, .cq = cq};
    memset(guest_ram(cq, entries * 16ull), 0, entries * 16ull);
}

void guest_enable(bool messages, uint32_t admin_entries)
{
    memset(&guest, 0, sizeof(guest));
    guest.stride = 4;
    guest_config_write(4, 2, 6);
    guest_msix(messages);
    queue_start(&guest.queues[0], admin_entries, GUEST_ASQ, GUEST_ACQ);
    guest_register_write(NVME_AQA, (admin_entries - 1) << 16 | (admin_entries - 1));
    guest_mmio(FAKE_BAR_ADDRESS + NVME_ASQ, 8, true, GUEST_ASQ);
    guest_mmio(FAKE_BAR_ADDRESS + NVME_ACQ, 8, true, GUEST_ACQ);
    guest_register_write(NVME_CC, CC_EN | CC_IO_SIZES);
}

void guest_disable(void)
{
    guest_register_write(NVME_CC, 0);
    (void)guest_register(NVME_CSTS);
}

uint16_t guest_put(uint16_t id, const struct nvme_command *command)
{
    struct guest_queue *queue = &guest.queues[id];
    struct nvme_command copy = *command;
    copy.cid = guest.next_cid++;
    memcpy(guest_ram(queue->sq + queue->tail * sizeof(copy), sizeof(copy)), &copy, sizeof(copy));
    queue->tail = (queue->tail + 1) % queue->entries;
    return copy.cid;
}

/* As Linux does it: the shadow is written, and the register only when the event index was passed. */
static void doorbell(uint32_t index, uint32_t value)
{
    if (guest.buffer && index > 1) {
        uint32_t *shadow = guest_ram(GUEST_SHADOW + index * guest.stride, 4),
                 *event = guest_ram(GUEST_EVENT + index * guest.stride, 4);
        uint16_t old = (uint16_t)*shadow;
        *shadow = value;
        if ((uint16_t)(value - *event - 1) >= (uint16_t)(value - old))
            return;
    }
    guest.rings++;
    guest_register_write(NVME_DOORBELL + index * guest.stride, value);
}

void guest_ring(uint16_t id)
{
    doorbell(id * 2u, guest.queues[id].tail);
}

bool guest_take(uint16_t id, struct nvme_completion *completion)
{
    struct guest_queue *queue = &guest.queues[id];
    uint64_t at = queue->cq + queue->head * sizeof(*completion);
    guest_touch(at);
    memcpy(completion, guest_ram(at, sizeof(*completion)), sizeof(*completion));
    if ((completion->status & 1) != queue->phase)
        return false;
    queue->head++;
    if (queue->head == queue->entries) {
        queue->head = 0;
        queue->phase ^= 1;
    }
    doorbell(id * 2u + 1, queue->head);
    guest.result = completion->result;
    return true;
}

uint16_t guest_run(uint16_t id, const struct nvme_command *command)
{
    struct nvme_completion completion;
    uint16_t cid = guest_put(id, command);
    guest_ring(id);
    fake_deliver();
    if (!guest_take(id, &completion) || completion.cid != cid || completion.sq_id != id)
        return GUEST_NOTHING;
    return completion.status >> 1;
}

uint16_t guest_create(uint16_t id, uint32_t entries)
{
    struct nvme_command cq = {.opcode = ADMIN_CREATE_CQ,
                              .prp1 = GUEST_CQ(id),
                              .cdw10 = (entries - 1) << 16 | id,
                              .cdw11 = QUEUE_CONTIGUOUS | QUEUE_INTERRUPTS |
                                       (guest.messages ? (uint32_t)id << 16 : 0)};
    struct nvme_command sq = {.opcode = ADMIN_CREATE_SQ,
                              .prp1 = GUEST_SQ(id),
                              .cdw10 = (entries - 1) << 16 | id,
                              .cdw11 = QUEUE_CONTIGUOUS | (uint32_t)id << 16};
    queue_start(&guest.queues[id], entries, GUEST_SQ(id), GUEST_CQ(id));
    uint16_t status = guest_run(0, &cq);
    return status ? status : guest_run(0, &sq);
}

uint16_t guest_rw(uint8_t opcode, uint64_t lba, uint32_t blocks, uint64_t prp1, uint64_t prp2)
{
    struct nvme_command command = {.opcode = opcode,
                                   .nsid = 1,
                                   .prp1 = prp1,
                                   .prp2 = prp2,
                                   .cdw10 = (uint32_t)lba,
                                   .cdw11 = (uint32_t)(lba >> 32),
                                   .cdw12 = blocks - 1};
    return guest_run(1, &command);
}

uint16_t guest_doorbell_buffer(void)
{
    struct nvme_command command = {
        .opcode = ADMIN_DOORBELL_BUFFER, .prp1 = GUEST_SHADOW, .prp2 = GUEST_EVENT};
    memset(guest_ram(GUEST_SHADOW, 2 * PAGE_SIZE), 0, 2 * PAGE_SIZE);
    uint16_t status = guest_run(0, &command);
    guest.buffer = !status;
    return status;
}
