/* SPDX-License-Identifier: Apache-2.0 */
/* The fake NVMe controller. */
#include "tests/unit/support/fake_nvme.h"

#include "tests/unit/support/fake_machine.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CAPABILITIES    (1023ull | CAP_CQR | 1ull << 24 | BIT(37) | 4ull << 52 | CAP_CMBS | CAP_PMRS)
#define CLASS_CODE      0x010802u
#define VERSION         0x00010400u
#define STATUS_FAILED   0x281u /* unrecovered read error */
#define COMPARE_FAILURE 0x285u

struct fake_nvme nvme;

static void put(uint8_t *at, uint64_t value, unsigned bytes)
{
    memcpy(at, &value, bytes);
}

/* ---- Data ---- */

static bool chunk(uint64_t address, void *data, size_t length, bool to_memory)
{
    void *memory = fake_dma(address, length);
    if (!memory) {
        nvme.bad_dma++;
        return false;
    }
    memcpy(to_memory ? memory : data, to_memory ? data : memory, length);
    return true;
}

static bool prp_transfer(const struct nvme_command *c, uint8_t *data, size_t length, bool to_memory)
{
    size_t first = MIN(length, PAGE_SIZE - (c->prp1 & PAGE_MASK));
    if (!chunk(c->prp1, data, first, to_memory))
        return false;
    data += first;
    length -= first;
    if (!length)
        return true;
    if (length <= PAGE_SIZE)
        return chunk(c->prp2, data, length, to_memory);
    uint64_t list = c->prp2;
    while (length) {
        uint64_t entry;
        size_t now = MIN(length, PAGE_SIZE);
        if (!chunk(list, &entry, sizeof(entry), false))
            return false;
        if ((list & PAGE_MASK) == PAGE_SIZE - sizeof(entry) && length > PAGE_SIZE) {
            list = entry;
            continue;
        }
        if (!chunk(entry, data, now, to_memory))
            return false;
        data += now;
        length -= now;
        list += sizeof(entry);
    }
    return true;
}

/* ---- Admin commands ---- */

static void identify_controller(uint8_t *page)
{
    memset(page + 4, ' ', 60);
    memcpy(page + 4, FAKE_SERIAL, strlen(FAKE_SERIAL));
    page[77] = 9;
    put(page + 256, 0x1ff, 2);    /* OACS: everything */
    put(page + 272, 1000, 4);     /* HMPRE */
    put(page + 520, 0x1ff, 2);    /* ONCS: everything */
    put(page + 522, 1, 2);        /* FUSES */
    put(page + 536, 0x80001u, 4); /* SGLS */
    page[512] = 0x66;
    page[513] = 0x44;
}

static void identify_namespace(uint8_t *page)
{
    uint64_t blocks = FAKE_DISK_BYTES >> nvme.block_shift;
    put(page, blocks, 8);
    put(page + 8, blocks, 8);
    page[31] = 0xff;
    page[33] = 9;
    put(page + 128, (uint64_t)nvme.block_shift << 16 | nvme.metadata, 4);
}

/* 512-byte blocks with 8 bytes of metadata in a buffer of their own. */
static void identify_metadata_namespace(uint8_t *page)
{
    put(page, FAKE_METADATA_BLOCKS, 8);
    put(page + 128, 9u << 16 | FAKE_METADATA_BYTES, 4);
}

static uint16_t identify(const struct nvme_command *c)
{
    uint8_t page[4096] = {0};
    unsigned cns = c->cdw10 & 0xff;
    if (cns == 0 && c->nsid == 1)
        identify_namespace(page);
    else if (cns == 1)
        identify_controller(page);
    else if (cns == 0 && c->nsid == FAKE_METADATA_NAMESPACE)
        identify_metadata_namespace(page);
    else if (cns == 2)
        put(page, 1 | (uint64_t)FAKE_METADATA_NAMESPACE << 32, 8);
    else
        return STATUS_INVALID_FIELD;
    return prp_transfer(c, page, sizeof(page), true) ? 0 : STATUS_DATA_TRANSFER;
}

static uint16_t create_cq(const struct nvme_command *c)
{
    uint16_t id = (uint16_t)c->cdw10;
    if (!id || id >= FAKE_QUEUES || nvme.cq[id].exists)
        return STATUS_QUEUE_ID;
    if (c->cdw11 >> 16 >= FAKE_VECTORS)
        return STATUS_DNR | 0x108;
    nvme.cq[id] = (struct fake_queue){.exists = true,
                                      .base = c->prp1,
                                      .entries = (c->cdw10 >> 16) + 1,
                                      .vector = (uint16_t)(c->cdw11 >> 16),
                                      .phase = 1,
                                      .interrupts = c->cdw11 & QUEUE_INTERRUPTS};
    return 0;
}

static uint16_t create_sq(const struct nvme_command *c)
{
    uint16_t id = (uint16_t)c->cdw10, cq = (uint16_t)(c->cdw11 >> 16);
    if (!id || id >= FAKE_QUEUES || nvme.sq[id].exists)
        return STATUS_QUEUE_ID;
    if (!cq || cq >= FAKE_QUEUES || !nvme.cq[cq].exists)
        return STATUS_CQ_INVALID;
    nvme.sq[id] =
        (struct fake_queue){.exists = true, .base = c->prp1, .entries = (c->cdw10 >> 16) + 1, .cq = cq};
    return 0;
}

static uint16_t delete_queue(const struct nvme_command *c, struct fake_queue *queues, bool completion)
{
    uint16_t id = (uint16_t)c->cdw10;
    if (!id || id >= FAKE_QUEUES || !queues[id].exists)
        return STATUS_QUEUE_ID;
    for (unsigned i = 1; completion && i < FAKE_QUEUES; i++)
        if (nvme.sq[i].exists && nvme.sq[i].cq == id)
            return STATUS_DNR | 0x10c;
    queues[id].exists = false;
    return 0;
}

static uint16_t log_page(const struct nvme_command *c)
{
    size_t bytes = ((size_t)(c->cdw10 >> 16) + 1) * 4;
    uint8_t *data = calloc(1, bytes);
    for (size_t i = 0; i + 4 <= bytes && (c->cdw10 & 0xff) == 5; i += 4)
        put(data + i, 1, 4);
    uint16_t status = prp_transfer(c, data, bytes, true) ? 0 : STATUS_DATA_TRANSFER;
    free(data);
    return status;
}

static uint16_t admin(const struct nvme_command *c, uint32_t *result)
{
    nvme.last_admin = *c;
    switch (c->opcode) {
    case ADMIN_IDENTIFY:
        return identify(c);
    case ADMIN_CREATE_CQ:
        return create_cq(c);
    case ADMIN_CREATE_SQ:
        return create_sq(c);
    case ADMIN_DELETE_CQ:
        return delete_queue(c, nvme.cq, true);
    case ADMIN_DELETE_SQ:
        return delete_queue(c, nvme.sq, false);
    case ADMIN_GET_LOG:
        return log_page(c);
    case ADMIN_ABORT:
        *result = 1;
        return 0;
    case ADMIN_SET_FEATURES:
    case ADMIN_GET_FEATURES:
        *result = (c->cdw10 & 0xff) == FEATURE_QUEUES ? 127u << 16 | 127u : 0;
        return 0;
    case ADMIN_KEEP_ALIVE:
        return 0;
    default:
        return STATUS_INVALID_OPCODE;
    }
}

/* ---- I/O commands ---- */

static uint16_t compare(const struct nvme_command *c, const uint8_t *disk, size_t bytes)
{
    uint8_t *data = malloc(bytes);
    uint16_t status = prp_transfer(c, data, bytes, false) ? 0 : STATUS_DATA_TRANSFER;
    if (!status && memcmp(data, disk, bytes))
        status = COMPARE_FAILURE;
    free(data);
    return status;
}

static uint16_t dataset(const struct nvme_command *c)
{
    struct nvme_dataset_range ranges[DATASET_RANGES_MAX];
    unsigned count = (c->cdw10 & 0xff) + 1;
    if (!prp_transfer(c, (uint8_t *)ranges, count * sizeof(ranges[0]), false))
        return STATUS_DATA_TRANSFER;
    for (unsigned i = 0; i < count; i++) {
        if (!range_fits(ranges[i].lba, ranges[i].blocks, FAKE_DISK_BYTES >> nvme.block_shift))
            return STATUS_LBA_RANGE;
        memset(nvme.disk + (ranges[i].lba << nvme.block_shift), 0,
               (size_t)ranges[i].blocks << nvme.block_shift);
    }
    return 0;
}

/* The second namespace: reads give zeroes, writes vanish, but the device does its DMA. */
static uint16_t metadata_io(const struct nvme_command *c)
{
    uint64_t lba = c->cdw10 | (uint64_t)c->cdw11 << 32;
    size_t blocks = RW_BLOCKS(c->cdw12);
    if (c->opcode != IO_READ && c->opcode != IO_WRITE)
        return 0;
    if (!range_fits(lba, blocks, FAKE_METADATA_BLOCKS))
        return STATUS_LBA_RANGE;
    uint8_t *data = calloc(blocks, 512 + FAKE_METADATA_BYTES);
    bool read = c->opcode == IO_READ;
    bool good = prp_transfer(c, data, blocks * 512, read) &&
                chunk(c->metadata, data + blocks * 512, blocks * FAKE_METADATA_BYTES, read);
    free(data);
    return good ? 0 : STATUS_DATA_TRANSFER;
}

static uint16_t io(const struct nvme_command *c)
{
    nvme.last_io = *c;
    nvme.executed++;
    nvme.by_opcode[c->opcode]++;
    if (c->opcode == nvme.fail_opcode)
        return STATUS_FAILED;
    if (c->opcode == IO_FLUSH)
        return 0;
    if (c->nsid == FAKE_METADATA_NAMESPACE)
        return metadata_io(c);
    if (c->nsid != 1)
        return STATUS_INVALID_NAMESPACE;
    if (c->opcode == IO_DATASET)
        return dataset(c);
    uint64_t lba = c->cdw10 | (uint64_t)c->cdw11 << 32;
    size_t blocks = RW_BLOCKS(c->cdw12), bytes = blocks << nvme.block_shift;
    if (!range_fits(lba, blocks, FAKE_DISK_BYTES >> nvme.block_shift))
        return STATUS_LBA_RANGE;
    uint8_t *disk = nvme.disk + (lba << nvme.block_shift);
    switch (c->opcode) {
    case IO_READ:
        return prp_transfer(c, disk, bytes, true) ? 0 : STATUS_DATA_TRANSFER;
    case IO_WRITE:
        return prp_transfer(c, disk, bytes, false) ? 0 : STATUS_DATA_TRANSFER;
    case IO_COMPARE:
        return compare(c, disk, bytes);
    case IO_WRITE_ZEROES:
        memset(disk, 0, bytes);
        return 0;
    case IO_VERIFY:
        return 0;
    default:
        return STATUS_INVALID_OPCODE;
    }
}

/* ---- Queues ---- */

static void post(uint16_t sq_id, uint16_t cid, uint16_t status, uint32_t result)
{
    struct fake_queue *sq = &nvme.sq[sq_id], *cq = &nvme.cq[sq->cq];
    struct nvme_completion *to = fake_dma(cq->base + cq->tail * sizeof(*to), sizeof(*to));
    if (!to) {
        nvme.bad_dma++;
        return;
    }
    *to = (struct nvme_completion){.result = result,
                                   .sq_head = (uint16_t)sq->head,
                                   .sq_id = sq_id,
                                   .cid = cid,
                                   .status = (uint16_t)(status << 1 | cq->phase)};
    cq->tail = (cq->tail + 1) % cq->entries;
    cq->phase ^= cq->tail == 0;
    const uint32_t *entry = &nvme.table[cq->vector * 4];
    bool enabled = fake.config[FAKE_MSIX + 3] & 0x80;
    if (cq->interrupts && enabled && !(entry[3] & 1))
        fake_message((uint64_t)entry[1] << 32 | entry[0], entry[2]);
    if (cq->interrupts && fake.config[FAKE_MSI + 2] & 1) {
        uint64_t address;
        memcpy(&address, fake.config + FAKE_MSI + 4, sizeof(address));
        fake_message(address,
                     (uint32_t)fake.config[FAKE_MSI + 12] | (uint32_t)fake.config[FAKE_MSI + 13] << 8);
    }
}

static bool has_room(const struct fake_queue *cq)
{
    return (cq->tail + 1) % cq->entries != cq->head;
}

static void run_queue(uint16_t id)
{
    struct fake_queue *sq = &nvme.sq[id];
    while (sq->exists && sq->head != sq->tail && has_room(&nvme.cq[sq->cq])) {
        struct nvme_command command;
        uint32_t result = 0;
        if (!chunk(sq->base + sq->head * sizeof(command), &command, sizeof(command), false))
            return;
        sq->head = (sq->head + 1) % sq->entries;
        if (!id && command.opcode == ADMIN_ASYNC_EVENT) {
            nvme.event_waiting = true;
            nvme.event_cid = command.cid;
            continue;
        }
        uint16_t status = id ? io(&command) : admin(&command, &result);
        post(id, command.cid, status, result);
    }
}

void fake_nvme_run(void)
{
    if (nvme.csts & CSTS_RDY && fake.config[4] & 4)
        for (uint16_t i = 0; i < FAKE_QUEUES; i++)
            run_queue(i);
}

void fake_nvme_event(void)
{
    if (!nvme.event_waiting || !(nvme.csts & CSTS_RDY) || !has_room(&nvme.cq[0]))
        return;
    nvme.event_waiting = false;
    post(0, nvme.event_cid, 0, 0x10001);
}

/* ---- Registers ---- */

static void write_cc(uint32_t value)
{
    bool was = nvme.cc & CC_EN;
    nvme.cc = value;
    if (!(value & CC_EN))
        nvme.event_waiting = false;
    if (!was && (value & CC_EN)) {
        memset(nvme.sq, 0, sizeof(nvme.sq));
        memset(nvme.cq, 0, sizeof(nvme.cq));
        nvme.sq[0] =
            (struct fake_queue){.exists = true, .base = nvme.asq, .entries = AQA_SQ_ENTRIES(nvme.aqa)};
        nvme.cq[0] = (struct fake_queue){.exists = true,
                                         .base = nvme.acq,
                                         .entries = AQA_CQ_ENTRIES(nvme.aqa),
                                         .phase = 1,
                                         .interrupts = true};
        nvme.csts |= CSTS_RDY;
    } else if (was && !(value & CC_EN) && !nvme.slow_reset) {
        nvme.csts &= ~CSTS_RDY;
        memset(nvme.sq, 0, sizeof(nvme.sq));
    }
}

static void ring(uint32_t index, uint32_t value)
{
    struct fake_queue *queue = index % 2 ? &nvme.cq[index / 2] : &nvme.sq[index / 2];
    if (index / 2 >= FAKE_QUEUES || !queue->exists || value >= queue->entries) {
        fprintf(stderr, "fake NVMe: bad doorbell %u = %u\n", index, value);
        abort();
    }
    if (index % 2)
        queue->head = value;
    else
        queue->tail = value;
    if (!nvme.hold || index / 2 == 0)
        fake_nvme_run();
}

static uint32_t read_register(void *owner, uint64_t offset)
{
    (void)owner;
    if (offset >= FAKE_MSIX_TABLE && offset < FAKE_MSIX_TABLE + sizeof(nvme.table))
        return nvme.table[(offset - FAKE_MSIX_TABLE) / 4];
    switch (offset) {
    case NVME_CAP:
        return (uint32_t)CAPABILITIES & ~(nvme.scattered_queues ? (uint32_t)CAP_CQR : 0);
    case NVME_CAP + 4:
        return (uint32_t)(CAPABILITIES >> 32);
    case NVME_VS:
        return VERSION;
    case NVME_CC:
        return nvme.cc;
    case NVME_CSTS:
        return nvme.csts;
    default:
        return 0;
    }
}

static void write_register(void *owner, uint64_t offset, uint32_t value)
{
    (void)owner;
    if (offset >= FAKE_MSIX_TABLE && offset < FAKE_MSIX_TABLE + sizeof(nvme.table))
        nvme.table[(offset - FAKE_MSIX_TABLE) / 4] = value;
    else if (offset >= NVME_DOORBELL)
        ring((uint32_t)(offset - NVME_DOORBELL) / 4, value);
    else if (offset == NVME_CC)
        write_cc(value);
    else if (offset == NVME_AQA)
        nvme.aqa = value;
    else if (offset == NVME_ASQ || offset == NVME_ASQ + 4)
        memcpy((uint8_t *)&nvme.asq + (offset - NVME_ASQ), &value, 4);
    else if (offset == NVME_ACQ || offset == NVME_ACQ + 4)
        memcpy((uint8_t *)&nvme.acq + (offset - NVME_ACQ), &value, 4);
    else if (offset == NVME_INTMS)
        nvme.masks |= value;
    else if (offset == NVME_INTMC)
        nvme.masks &= ~value;
}

static void write_config(void)
{
    uint8_t *config = fake.config;
    put(config, 0x00101b36, 4);
    put(config + 4, 2 | 0x10 << 16, 4); /* memory decoding; capabilities list */
    put(config + 8, CLASS_CODE << 8, 4);
    put(config + 0x10, FAKE_BAR_ADDRESS | 4, 8);
    config[0x34] = FAKE_MSIX;
    put(config + FAKE_MSIX, 0x11 | FAKE_MSI << 8 | (FAKE_VECTORS - 1) << 16, 4);
    put(config + FAKE_MSIX + 4, FAKE_MSIX_TABLE, 4);
    put(config + FAKE_MSIX + 8, FAKE_MSIX_PENDING, 4);
    put(config + FAKE_MSI, 0x05 | FAKE_EXPRESS << 8 | 0x80u << 16, 4); /* 64-bit addresses */
    put(config + FAKE_EXPRESS, 0x10 | FAKE_POWER << 8, 4);
    put(config + FAKE_EXPRESS + 4, 1u << 28, 4); /* function-level reset */
    put(config + FAKE_POWER, 0x01, 4);
}

void fake_nvme_reset(uint32_t block_shift)
{
    fake_reset();
    free(nvme.disk);
    memset(&nvme, 0, sizeof(nvme));
    nvme.disk = calloc(1, FAKE_DISK_BYTES);
    nvme.block_shift = block_shift;
    nvme.fail_opcode = 0x100;
    fake.bar_size = FAKE_BAR_BYTES;
    fake.device = (struct fake_device){.read = read_register, .write = write_register};
    write_config();
}

void fake_nvme_free(void)
{
    free(nvme.disk);
    nvme.disk = NULL;
}
