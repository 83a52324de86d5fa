/* SPDX-License-Identifier: Apache-2.0 */
/* Where the device reads or writes the data of a command: in the guest's own pages, or in pages of the pool.
 */
#include "core/memory.h"
#include "drivers/storage/nvme/nvme.h"
#include "guest/memory.h"
#include "lib/strings.h"

static uint64_t *device_list(struct nvme_transfer *transfer)
{
    return transfer->lists ? transfer->lists->device : transfer->device;
}

const uint64_t *transfer_device(const struct nvme_transfer *transfer)
{
    return transfer->lists ? transfer->lists->device : transfer->device;
}

static const struct nvme_scatter *guest_list(const struct nvme_transfer *transfer)
{
    return transfer->lists ? transfer->lists->guest : transfer->guest;
}

/* PRP form: only the first stretch may begin inside a page, only the last may end inside one. */
bool transfer_direct(struct nvme_transfer *transfer, uint32_t block_bytes)
{
    const struct nvme_scatter *guest = guest_list(transfer);
    uint64_t *device = device_list(transfer);
    uint32_t limit = transfer->lists ? NVME_TRANSFER_PAGES : NVME_INLINE;
    uint32_t count = 0;
    for (uint32_t i = 0; i < transfer->guest_count; i++) {
        uint64_t at = guest[i].address, end = at + guest[i].bytes;
        bool aligned = i ? !(at & PAGE_MASK) : !((at & PAGE_MASK) % MIN((uint64_t)block_bytes, PAGE_SIZE));
        if (!aligned || (i + 1 < transfer->guest_count && (end & PAGE_MASK)))
            return false;
        for (; at < end; at = (at | PAGE_MASK) + 1) {
            if (count == limit)
                return false;
            device[count++] = at;
        }
    }
    transfer->device_count = (uint16_t)count;
    return true;
}

bool transfer_bounce(struct nvme_transfer *transfer)
{
    unsigned count = (unsigned)(ROUND_UP(transfer->bytes, PAGE_SIZE) / PAGE_SIZE);
    if (!bounce_take(device_list(transfer), count))
        return false;
    transfer->device_count = (uint16_t)count;
    transfer->bounced = true;
    return true;
}

bool transfer_own(struct nvme_transfer *transfer, uint32_t bytes)
{
    uint64_t page;
    transfer->bytes = bytes;
    if (bytes > PAGE_SIZE) {
        if (!bounce_take(&page, 1))
            return false;
        transfer->lists = virtual_of(page);
    }
    if (!transfer_bounce(transfer))
        return false;
    for (unsigned i = 0; i < transfer->device_count; i++)
        memset(virtual_of(transfer_device(transfer)[i]), 0, PAGE_SIZE);
    return true;
}

void transfer_point(const struct nvme_transfer *transfer, struct nvme_command *command)
{
    const uint64_t *device = transfer_device(transfer);
    command->prp1 = transfer->device_count ? device[0] : 0;
    command->prp2 = transfer->device_count == 2  ? device[1]
                    : transfer->device_count > 2 ? physical_of(&device[1])
                                                 : 0;
}

void transfer_release(struct nvme_transfer *transfer)
{
    if (transfer->busy)
        busy_leave(transfer_device(transfer), transfer->device_count);
    if (transfer->bounced)
        bounce_release(transfer_device(transfer), transfer->device_count);
    if (transfer->lists) {
        uint64_t page = physical_of(transfer->lists);
        bounce_release(&page, 1);
    }
    *transfer = (struct nvme_transfer){0};
}

unsigned transfer_pieces(const struct nvme_transfer *transfer)
{
    return (unsigned)(ROUND_UP(transfer->bytes, PAGE_SIZE) / PAGE_SIZE);
}

void *transfer_piece(const struct nvme_transfer *transfer, unsigned index, uint32_t *bytes)
{
    *bytes = (uint32_t)MIN(PAGE_SIZE, transfer->bytes - index * PAGE_SIZE);
    return virtual_of(transfer_device(transfer)[index]);
}

bool transfer_span(const struct nvme_transfer *transfer, struct nvme_cursor *cursor, uint32_t bytes,
                   uint64_t *address)
{
    const struct nvme_scatter *at = &guest_list(transfer)[cursor->entry];
    if (cursor->entry >= transfer->guest_count || at->bytes - cursor->offset < bytes)
        return false;
    *address = at->address + cursor->offset;
    cursor->offset += bytes;
    if (cursor->offset == at->bytes)
        *cursor = (struct nvme_cursor){.entry = cursor->entry + 1};
    return true;
}

/* Copies between our buffer and as many stretches of the guest's as it takes. */
static bool copy(const struct nvme_transfer *transfer, struct nvme_cursor *cursor, uint8_t *own,
                 uint32_t bytes, bool to_guest)
{
    while (bytes && cursor->entry < transfer->guest_count) {
        uint32_t left = guest_list(transfer)[cursor->entry].bytes - cursor->offset;
        uint32_t now = MIN(left, bytes);
        uint64_t address;
        if (!transfer_span(transfer, cursor, now, &address) ||
            !(to_guest ? guest_memory_write(address, own, now) : guest_memory_read(address, own, now)))
            return false;
        own += now;
        bytes -= now;
    }
    return !bytes;
}

bool transfer_copy_in(const struct nvme_transfer *transfer, struct nvme_cursor *cursor, void *own,
                      uint32_t bytes)
{
    return copy(transfer, cursor, own, bytes, false);
}

static bool copy_all(const struct nvme_transfer *transfer, bool to_guest)
{
    struct nvme_cursor cursor = {0};
    bool good = true;
    for (unsigned i = 0; good && i < transfer_pieces(transfer); i++) {
        uint32_t bytes;
        uint8_t *own = transfer_piece(transfer, i, &bytes);
        good = copy(transfer, &cursor, own, bytes, to_guest);
    }
    return good;
}

bool transfer_gather(const struct nvme_transfer *transfer)
{
    return copy_all(transfer, false);
}

bool transfer_scatter(const struct nvme_transfer *transfer)
{
    return copy_all(transfer, true);
}
