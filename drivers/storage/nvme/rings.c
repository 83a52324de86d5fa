/* SPDX-License-Identifier: Apache-2.0 */
/* Making and ending queues: the rings that the device sees lie in hypervisor memory, the guest's are only
 * looked at by us. */
#include "core/memory.h"
#include "drivers/storage/nvme/nvme.h"
#include "guest/memory.h"
#include "lib/strings.h"

#define LIST_ENTRIES (PAGE_SIZE / sizeof(uint64_t))

static size_t pages_for(size_t bytes)
{
    return ROUND_UP(bytes, PAGE_SIZE) / PAGE_SIZE;
}

/* The index-th page of a guest queue. A queue that is not contiguous is named by a PRP list, whose last entry
 * per page leads on. False: not guest RAM. */
struct page_walk {
    uint64_t list;
    unsigned index;
};
static nvme_status next_page(struct page_walk *walk, const struct nvme_queue_request *request, unsigned left,
                             uint64_t *page)
{
    if (request->contiguous) {
        *page = request->base + walk->index++ * PAGE_SIZE;
    } else {
        if (walk->index == LIST_ENTRIES - 1 && left > 1) {
            uint64_t next;
            if (!guest_memory_read(walk->list + walk->index * sizeof(next), &next, sizeof(next)))
                return STATUS_DATA_TRANSFER;
            if (next & PAGE_MASK)
                return STATUS_PRP_OFFSET;
            *walk = (struct page_walk){.list = next};
        }
        if (!guest_memory_read(walk->list + walk->index++ * sizeof(*page), page, sizeof(*page)))
            return STATUS_DATA_TRANSFER;
        if (*page & PAGE_MASK)
            return STATUS_PRP_OFFSET;
    }
    return guest_memory_is_ram(*page, PAGE_SIZE) ? STATUS_SUCCESS : STATUS_DATA_TRANSFER;
}

static void before_access(void *owner)
{
    (void)cq_sweep(owner);
}

static nvme_status read_cq_pages(struct nvme_cq *cq, const struct nvme_queue_request *request)
{
    struct page_walk walk = {.list = request->base};
    for (unsigned i = 0; i < cq->page_count; i++) {
        nvme_status status = next_page(&walk, request, cq->page_count - i, &cq->pages[i].address);
        if (status)
            return status;
        cq->pages[i].before = before_access;
        cq->pages[i].owner = cq;
    }
    return STATUS_SUCCESS;
}

nvme_status cq_open(struct nvme_cq *cq, const struct nvme_queue_request *request)
{
    if (request->base & PAGE_MASK)
        return STATUS_PRP_OFFSET;
    bool messages = interrupts_enabled(&cq->controller->irq);
    cq->guest_entries = request->entries;
    cq->guest_phase = 1;
    cq->guest_base = request->contiguous ? request->base : 0;
    cq->guest_interrupts = request->interrupts;
    cq->device_interrupts = request->interrupts || messages;
    cq->vector = request->interrupts ? request->vector : 0;
    cq->phase = 1;
    cq->entries = MIN(request->entries, (uint32_t)NVME_DEPTH_MAX);
    cq->page_count = (uint32_t)pages_for((size_t)request->entries * sizeof(struct nvme_completion));
    cq->ring = pages_allocate(pages_for(cq->entries * sizeof(struct nvme_completion)));
    cq->pages = pages_allocate(pages_for(cq->page_count * sizeof(*cq->pages)));
    cq->used = true;
    nvme_status status = cq->ring && cq->pages ? read_cq_pages(cq, request) : (nvme_status)STATUS_INTERNAL;
    if (!status && !cq_watch_update(cq))
        status = STATUS_INTERNAL;
    if (status)
        cq_close(cq);
    return status;
}

bool cq_watch_update(struct nvme_cq *cq)
{
    struct interrupts *irq = &cq->controller->irq;
    bool announced = cq->device_interrupts && interrupts_enabled(irq);
    /* After a shutdown the queues are ordinary memory of whoever boots next, who may use it for anything. */
    bool wanted = cq->used && !announced && !__atomic_load_n(&cq->controller->shut_down, __ATOMIC_ACQUIRE);
    if (wanted == cq->watched)
        return true;
    unsigned done = 0;
    while (done < cq->page_count && (!wanted || page_watch(&cq->pages[done]))) {
        if (!wanted)
            page_unwatch(&cq->pages[done]);
        done++;
    }
    bool all = done == cq->page_count;
    while (!all && done)
        page_unwatch(&cq->pages[--done]);
    if (all)
        cq->watched = wanted;
    return all;
}

void cq_close(struct nvme_cq *cq)
{
    for (unsigned i = 0; cq->watched && i < cq->page_count; i++)
        page_unwatch(&cq->pages[i]);
    while (cq->queues)
        sq_close(cq->queues);
    if (cq->ring)
        pages_free(cq->ring, pages_for(cq->entries * sizeof(struct nvme_completion)));
    if (cq->pages)
        pages_free(cq->pages, pages_for(cq->page_count * sizeof(*cq->pages)));
    bool owed = cq->owed;
    size_t keep = offsetof(struct nvme_cq, queues);
    uint16_t id = cq->id;
    memset((uint8_t *)cq + keep, 0, sizeof(*cq) - keep);
    cq->id = id;
    cq->owed = owed;
}

static nvme_status read_sq_pages(struct nvme_sq *sq, const struct nvme_queue_request *request)
{
    struct page_walk walk = {.list = request->base};
    unsigned count = (unsigned)pages_for((size_t)request->entries * sizeof(struct nvme_command));
    if (!request->contiguous) {
        sq->guest_pages = pages_allocate(pages_for(count * sizeof(uint64_t)));
        if (!sq->guest_pages)
            return STATUS_INTERNAL;
        sq->guest_page_count = count;
    }
    for (unsigned i = 0; i < count; i++) {
        uint64_t page;
        nvme_status status = next_page(&walk, request, count - i, &page);
        if (status)
            return status;
        if (sq->guest_pages)
            sq->guest_pages[i] = page;
    }
    return STATUS_SUCCESS;
}

nvme_status sq_open(struct nvme_sq *sq, struct nvme_cq *cq, const struct nvme_queue_request *request)
{
    if (request->base & PAGE_MASK)
        return STATUS_PRP_OFFSET;
    sq->guest_entries = request->entries;
    sq->guest_base = request->base;
    sq->entries = MIN(request->entries, (uint32_t)NVME_DEPTH_MAX);
    sq->ring = pages_allocate(pages_for(sq->entries * sizeof(*sq->ring)));
    sq->slots = pages_allocate(pages_for(sq->entries * sizeof(*sq->slots)));
    __atomic_store_n(&sq->cq, cq, __ATOMIC_RELEASE);
    sq->next = cq->queues;
    cq->queues = sq;
    nvme_status status = sq->ring && sq->slots ? read_sq_pages(sq, request) : (nvme_status)STATUS_INTERNAL;
    if (status) {
        sq_close(sq);
        return status;
    }
    for (unsigned i = 0; i < sq->entries; i++)
        sq->slots[i].next_free = (uint16_t)(i + 1 < sq->entries ? i + 1 : NVME_NO_SLOT);
    return STATUS_SUCCESS;
}

void sq_close(struct nvme_sq *sq)
{
    struct nvme_sq **link = &sq->cq->queues;
    while (*link != sq)
        link = &(*link)->next;
    *link = sq->next;
    for (unsigned i = 0; sq->slots && i < sq->entries; i++)
        if (sq->slots[i].used)
            slot_release(sq, &sq->slots[i]);
    if (sq->ring)
        pages_free(sq->ring, pages_for(sq->entries * sizeof(*sq->ring)));
    if (sq->slots)
        pages_free(sq->slots, pages_for(sq->entries * sizeof(*sq->slots)));
    if (sq->guest_pages)
        pages_free(sq->guest_pages, pages_for(sq->guest_page_count * sizeof(uint64_t)));
    struct nvme_controller *controller = sq->controller;
    uint16_t id = sq->id;
    sq_unstall(sq);
    __atomic_store_n(&sq->cq, NULL, __ATOMIC_RELEASE);
    size_t keep = offsetof(struct nvme_sq, next);
    memset((uint8_t *)sq + keep, 0, sizeof(*sq) - keep);
    sq->controller = controller;
    sq->id = id;
}

uint64_t sq_guest_entry(const struct nvme_sq *sq, uint32_t index)
{
    uint64_t offset = (uint64_t)index * sizeof(struct nvme_command);
    return sq->guest_pages ? sq->guest_pages[offset / PAGE_SIZE] + offset % PAGE_SIZE
                           : sq->guest_base + offset;
}

uint64_t cq_guest_entry(const struct nvme_cq *cq, uint32_t index)
{
    uint64_t offset = (uint64_t)index * sizeof(struct nvme_completion);
    return cq->pages[offset / PAGE_SIZE].address + offset % PAGE_SIZE;
}
