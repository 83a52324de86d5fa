/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the guest's data pointers, PRPs and SGLs (NVMe Base 2.0 section 4.1), once, into a list of stretches
 * of guest RAM. */
#include "core/memory.h"
#include "drivers/storage/nvme/nvme.h"
#include "guest/memory.h"
#include "lib/strings.h"

#define CHUNK         32 /* list entries or descriptors read at a time */
#define PRP_ALIGNMENT 4
#define PRP_ENTRY     sizeof(uint64_t)

static struct nvme_scatter *guest_list(struct nvme_transfer *transfer)
{
    return transfer->lists ? transfer->lists->guest : transfer->guest;
}

static nvme_status take_lists(struct nvme_transfer *transfer)
{
    uint64_t page;
    if (!bounce_take(&page, 1))
        return STATUS_WAIT;
    transfer->lists = virtual_of(page);
    return STATUS_SUCCESS;
}

/* Appends a stretch, joined to the one before it where they touch. */
static nvme_status add(struct nvme_transfer *transfer, uint64_t address, uint32_t bytes)
{
    struct nvme_scatter *list = guest_list(transfer);
    if (!guest_memory_is_ram(address, bytes))
        return STATUS_DATA_TRANSFER;
    if (transfer->guest_count) {
        struct nvme_scatter *last = &list[transfer->guest_count - 1];
        if (last->address + last->bytes == address) {
            last->bytes += bytes;
            return STATUS_SUCCESS;
        }
    }
    if (transfer->guest_count == (transfer->lists ? NVME_SCATTER_MAX : NVME_INLINE))
        return STATUS_SGL_COUNT;
    list[transfer->guest_count++] = (struct nvme_scatter){.address = address, .bytes = bytes};
    return STATUS_SUCCESS;
}

/* Follows a PRP list for the rest of a transfer. The last entry of a list page leads to the next page when
 * more is left than it could name. */
static nvme_status add_prp_list(struct nvme_transfer *transfer, uint64_t list, uint32_t left)
{
    uint64_t chunk[CHUNK];
    if (list % PRP_ENTRY)
        return STATUS_PRP_OFFSET;
    while (left) {
        uint32_t pages = (uint32_t)ROUND_UP(left, PAGE_SIZE) / PAGE_SIZE;
        uint32_t in_page = (uint32_t)((PAGE_SIZE - (list & PAGE_MASK)) / PRP_ENTRY);
        uint32_t count = MIN(MIN(pages, in_page), (uint32_t)CHUNK);
        if (!guest_memory_read(list, chunk, count * PRP_ENTRY))
            return STATUS_DATA_TRANSFER;
        for (uint32_t i = 0; i < count; i++) {
            if (chunk[i] & PAGE_MASK)
                return STATUS_PRP_OFFSET;
            if (i + 1 == in_page && left > PAGE_SIZE) {
                list = chunk[i];
                break;
            }
            uint32_t bytes = (uint32_t)MIN((uint64_t)left, PAGE_SIZE);
            nvme_status status = add(transfer, chunk[i], bytes);
            if (status)
                return status;
            left -= bytes;
            list += PRP_ENTRY;
        }
    }
    return STATUS_SUCCESS;
}

nvme_status scatter_prp(struct nvme_transfer *transfer, uint64_t prp1, uint64_t prp2, uint32_t bytes)
{
    transfer->bytes = bytes;
    if (prp1 % PRP_ALIGNMENT)
        return STATUS_PRP_OFFSET;
    if (bytes > PAGE_SIZE) {
        nvme_status status = take_lists(transfer);
        if (status)
            return status;
    }
    uint32_t first = (uint32_t)MIN((uint64_t)bytes, PAGE_SIZE - (prp1 & PAGE_MASK));
    nvme_status status = add(transfer, prp1, first);
    uint32_t left = bytes - first;
    if (status || !left)
        return status;
    if (left > PAGE_SIZE)
        return add_prp_list(transfer, prp2, left);
    return prp2 & PAGE_MASK ? (nvme_status)STATUS_PRP_OFFSET : add(transfer, prp2, left);
}

/* One descriptor of data. Those without length say nothing. */
static nvme_status add_sgl_data(struct nvme_transfer *transfer, const struct nvme_sgl *sgl, uint32_t *left)
{
    if (!sgl->length)
        return STATUS_SUCCESS;
    if (sgl->length > *left)
        return STATUS_SGL_LENGTH;
    *left -= sgl->length;
    return add(transfer, sgl->address, sgl->length);
}

/* Walks one segment. On return *next holds the descriptor of the segment that follows, with its length zero
 * at the end. */
static nvme_status add_segment(struct nvme_transfer *transfer, struct nvme_sgl *next, uint32_t *left)
{
    struct nvme_sgl chunk[CHUNK];
    struct nvme_sgl segment = *next;
    bool last = segment.type == SGL_LAST_SEGMENT;
    uint32_t count = segment.length / sizeof(chunk[0]);
    next->length = 0;
    if (!segment.length || segment.length % sizeof(chunk[0]))
        return STATUS_SGL_SEGMENT;
    if (count > NVME_SCATTER_MAX + 1)
        return STATUS_SGL_COUNT;
    for (uint32_t done = 0; done < count;) {
        uint32_t now = MIN(count - done, (uint32_t)CHUNK);
        if (!guest_memory_read(segment.address + done * sizeof(chunk[0]), chunk, now * sizeof(chunk[0])))
            return STATUS_DATA_TRANSFER;
        for (uint32_t i = 0; i < now; i++) {
            bool final = done + i + 1 == count;
            if (final && !last && (chunk[i].type == SGL_SEGMENT || chunk[i].type == SGL_LAST_SEGMENT)) {
                *next = chunk[i];
                return STATUS_SUCCESS;
            }
            if (chunk[i].type != SGL_DATA)
                return STATUS_SGL_TYPE;
            nvme_status status = add_sgl_data(transfer, &chunk[i], left);
            if (status)
                return status;
        }
        done += now;
    }
    return STATUS_SUCCESS;
}

nvme_status scatter_sgl(struct nvme_transfer *transfer, const struct nvme_command *command, uint32_t bytes)
{
    struct nvme_sgl sgl;
    static_assert(offsetof(struct nvme_command, prp2) == offsetof(struct nvme_command, prp1) + 8,
                  "SGL1 takes both");
    memcpy(&sgl, &command->prp1, sizeof(sgl));
    transfer->bytes = bytes;
    nvme_status status = take_lists(transfer);
    if (status)
        return status;
    uint32_t left = bytes;
    if (sgl.type == SGL_DATA) {
        status = add_sgl_data(transfer, &sgl, &left);
    } else if (sgl.type == SGL_SEGMENT || sgl.type == SGL_LAST_SEGMENT) {
        for (unsigned segments = 0; !status && (!segments || sgl.length); segments++)
            status = segments > NVME_SCATTER_MAX ? (nvme_status)STATUS_SGL_COUNT
                                                 : add_segment(transfer, &sgl, &left);
    } else {
        status = STATUS_SGL_TYPE;
    }
    return status ? status : left ? (nvme_status)STATUS_SGL_LENGTH : (nvme_status)STATUS_SUCCESS;
}
