/* SPDX-License-Identifier: Apache-2.0 */
/* A small NVMe driver on the guest's side of the fake machine: it sees registers, its own queues and its own
 * memory only. */
#ifndef SHOJI_TESTS_GUEST_NVME_H
#define SHOJI_TESTS_GUEST_NVME_H

#include "drivers/storage/nvme/nvme_spec.h"
#include "include/handoff.h"
#include "lib/base.h"

#define GUEST_ASQ        0x200000ull
#define GUEST_ACQ        0x210000ull
#define GUEST_SQ(q)      (0x220000ull + (q)*0x20000ull)
#define GUEST_CQ(q)      (0x230000ull + (q)*0x20000ull)
#define GUEST_SHADOW     0x400000ull
#define GUEST_EVENT      0x401000ull
#define GUEST_DATA       0x500000ull
#define GUEST_PCI_DEVICE 3 /* on bus 0 */
#define GUEST_QUEUES     4
#define GUEST_VECTOR     0x40    /* of queue 0; the others count up */
#define GUEST_NOTHING    0xffffu /* "status" of a command that has not completed */

/* The volume of the fake disk, in its blocks. */
#define VOLUME_FIRST 2048ull
#define VOLUME_COUNT 8192ull
#define ESP_FIRST    40ull
#define ESP_COUNT    100ull

struct guest_queue {
    uint32_t entries, tail, head;
    uint16_t phase;
    uint64_t sq, cq;
};

struct guest_nvme {
    struct guest_queue queues[GUEST_QUEUES];
    uint16_t next_cid;
    uint32_t stride;
    bool messages;   /* MSI-X is enabled */
    bool buffer;     /* Doorbell Buffer Config was done */
    unsigned rings;  /* doorbell writes, each an exit */
    uint32_t result; /* of the last completion */
};
extern struct guest_nvme guest;

/* A hand-off with one volume on the fake disk. */
void guest_handoff(struct handoff *handoff, uint32_t block_bytes);

uint32_t guest_register(uint64_t offset);
void guest_register_write(uint64_t offset, uint32_t value);
/* Enables the controller with admin queues; with MSI-X, or with pin interrupts as firmware does. */
void guest_enable(bool messages, uint32_t admin_entries);
void guest_disable(void);
void guest_msix(bool on);
/* Creates completion and submission queue of this number. Returns the first bad status. */
uint16_t guest_create(uint16_t queue, uint32_t entries);
/* Puts a command into the queue without a doorbell; its CID is chosen here and returned. */
uint16_t guest_put(uint16_t queue, const struct nvme_command *command);
void guest_ring(uint16_t queue);
/* Takes the next completion, if there is one. */
bool guest_take(uint16_t queue, struct nvme_completion *completion);
/* Puts, rings, takes: the status. */
uint16_t guest_run(uint16_t queue, const struct nvme_command *command);
uint16_t guest_rw(uint8_t opcode, uint64_t lba, uint32_t blocks, uint64_t prp1, uint64_t prp2);
uint16_t guest_doorbell_buffer(void);

#endif
