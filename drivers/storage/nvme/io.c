/* SPDX-License-Identifier: Apache-2.0 */
/* The I/O command table (NVM Command Set 1.0 section 3): what is not in it is refused. */
#include "core/memory.h"
#include "core/simd.h"
#include "drivers/storage/nvme/nvme.h"
#include "guest/memory.h"
#include "lib/strings.h"

#define DIRECT_ALIGNMENT  4       /* what a PRP needs where nothing is transformed */
#define ZERO_PART         KIB(64) /* Write Zeroes in a volume goes in parts of so much */
#define ZEROES_DEALLOCATE (1u << 25)
#define PSDT_SGL          1
#define PSDT_RESERVED     3

/* The namespace and the range of blocks that most commands begin with. */
static nvme_status find_range(struct nvme_sq *sq, struct nvme_slot *slot, const struct nvme_command *guest)
{
    slot->namespace = namespace_find(sq->controller, guest->nsid);
    if (!slot->namespace || slot->namespace->refused)
        return STATUS_INVALID_NAMESPACE;
    slot->lba = guest->cdw10 | (uint64_t)guest->cdw11 << 32;
    slot->blocks = RW_BLOCKS(guest->cdw12);
    return range_fits(slot->lba, slot->blocks, slot->namespace->blocks) ? STATUS_SUCCESS : STATUS_LBA_RANGE;
}

static nvme_status map_bytes(struct nvme_slot *slot, const struct nvme_command *guest, uint64_t bytes)
{
    unsigned psdt = COMMAND_PSDT(guest->flags);
    if (bytes > NVME_TRANSFER_MAX || psdt == PSDT_RESERVED)
        return STATUS_INVALID_FIELD;
    if (psdt >= PSDT_SGL)
        return scatter_sgl(&slot->transfer, guest, (uint32_t)bytes);
    return scatter_prp(&slot->transfer, guest->prp1, guest->prp2, (uint32_t)bytes);
}

/* Maps the data of a range, and checks the pointer to metadata where the namespace has that apart. */
static nvme_status map_blocks(struct nvme_slot *slot, const struct nvme_command *guest)
{
    const struct nvme_namespace *namespace = slot->namespace;
    uint64_t bytes = (uint64_t)slot->blocks << namespace->block_shift;
    uint64_t metadata = (uint64_t)slot->blocks * namespace->metadata;
    if (namespace->protection && namespace->metadata == PROTECTION_BYTES && guest->cdw12 & RW_PRACT)
        metadata = 0; /* it does not leave the controller */
    if (namespace->extended)
        return map_bytes(slot, guest, bytes + metadata);
    if (metadata && COMMAND_PSDT(guest->flags) > PSDT_SGL)
        return STATUS_INVALID_FIELD;
    if (metadata && (guest->metadata % DIRECT_ALIGNMENT || !guest_memory_is_ram(guest->metadata, metadata)))
        return STATUS_DATA_TRANSFER;
    return map_bytes(slot, guest, bytes);
}

/* The device's command for the slot's range: only fields that are understood reach it. */
static void make_command(struct nvme_slot *slot, uint8_t opcode, uint32_t flags)
{
    slot->command = (struct nvme_command){
        .opcode = opcode,
        .nsid = slot->namespace->id,
        .cdw10 = (uint32_t)slot->lba,
        .cdw11 = (uint32_t)(slot->lba >> 32),
        .cdw12 = (slot->blocks - 1) | flags,
    };
    transfer_point(&slot->transfer, &slot->command);
}

static uint32_t flags_kept(const struct nvme_slot *slot)
{
    return RW_LIMITED_RETRY | RW_FORCE_ACCESS | (slot->namespace->metadata ? RW_PROTECTION : 0);
}

static void make_data_command(struct nvme_slot *slot, const struct nvme_command *guest)
{
    make_command(slot, guest->opcode, guest->cdw12 & flags_kept(slot));
    slot->command.cdw13 = guest->cdw13 & RW_HINTS;
    if (slot->namespace->metadata) {
        slot->command.metadata = slot->namespace->extended ? 0 : guest->metadata;
        slot->command.cdw14 = guest->cdw14;
        slot->command.cdw15 = guest->cdw15;
    }
    slot->quick = guest->opcode != IO_COMPARE && slot->transfer.bytes <= NVME_QUICK_MAX;
}

static bool in_volume(const struct nvme_slot *slot)
{
    return storage_touches(slot->namespace->disk, slot->lba, slot->blocks);
}

/* Transforms the pool pages of a bounced transfer. */
static bool transform_bounced(const struct nvme_slot *slot, enum storage_direction direction)
{
    bool good = true;
    simd_begin();
    for (unsigned i = 0; good && i < transfer_pieces(&slot->transfer); i++) {
        uint32_t bytes;
        void *at = transfer_piece(&slot->transfer, i, &bytes);
        uint64_t lba = slot->lba + (i * PAGE_SIZE >> slot->namespace->block_shift);
        struct storage_buffers buffers = {.in = at, .out = at, .bytes = bytes};
        good = storage_transform(slot->namespace->disk, direction, lba, &buffers);
    }
    simd_end();
    return good;
}

/* Decrypts what the device has written into the guest's own pages. */
static bool decrypt_direct(const struct nvme_slot *slot)
{
    const uint64_t *page = transfer_device(&slot->transfer);
    uint64_t lba = slot->lba;
    uint32_t left = slot->transfer.bytes;
    bool good = true;
    simd_begin();
    for (unsigned i = 0; good && left; i++) {
        uint32_t bytes = (uint32_t)MIN((uint64_t)left, PAGE_SIZE - (page[i] & PAGE_MASK));
        void *at = guest_memory_open(page[i], bytes);
        struct storage_buffers buffers = {.in = at, .out = at, .bytes = bytes};
        good = at && storage_transform(slot->namespace->disk, STORAGE_DECRYPT, lba, &buffers);
        if (at)
            guest_memory_close();
        lba += bytes >> slot->namespace->block_shift;
        left -= bytes;
    }
    simd_end();
    return good;
}

/* ---- Read ---- */

static nvme_status read_prepare(struct nvme_sq *sq, struct nvme_slot *slot, const struct nvme_command *guest)
{
    nvme_status status = find_range(sq, slot, guest);
    if (!status)
        status = map_blocks(slot, guest);
    if (status)
        return status;
    struct nvme_transfer *transfer = &slot->transfer;
    bool inside = in_volume(slot);
    bool direct = transfer_direct(transfer, inside ? 1u << slot->namespace->block_shift : DIRECT_ALIGNMENT);
    if (direct && inside)
        direct = transfer->busy = busy_enter(transfer_device(transfer), transfer->device_count);
    if (!direct && !transfer_bounce(transfer))
        return STATUS_WAIT;
    make_data_command(slot, guest);
    return STATUS_SUCCESS;
}

static void read_finish(struct nvme_sq *sq, struct nvme_slot *slot, struct nvme_completion *completion)
{
    (void)sq;
    bool good = true;
    if (!completion_good(completion))
        return; /* what the device left there is not decrypted */
    if (slot->transfer.busy)
        good = decrypt_direct(slot);
    else if (slot->transfer.bounced)
        good = (!in_volume(slot) || transform_bounced(slot, STORAGE_DECRYPT)) &&
               transfer_scatter(&slot->transfer);
    if (!good)
        completion->status = STATUS_INTERNAL << 1;
}

/* ---- Write, Compare ---- */

static bool content_allowed(const struct nvme_slot *slot)
{
    bool allowed = true;
    for (unsigned i = 0; allowed && i < transfer_pieces(&slot->transfer); i++) {
        uint32_t bytes;
        const void *at = transfer_piece(&slot->transfer, i, &bytes);
        allowed = storage_content_allowed(
            slot->namespace->disk, slot->lba + (i * PAGE_SIZE >> slot->namespace->block_shift), at, bytes);
    }
    return allowed;
}

/* Encrypts one page from the guest's memory into the pool; where the guest's page is in pieces, a copy of it.
 */
static bool encrypt_piece(const struct nvme_slot *slot, unsigned index, struct nvme_cursor *cursor)
{
    uint32_t bytes;
    uint64_t address;
    uint8_t *own = transfer_piece(&slot->transfer, index, &bytes);
    struct storage_buffers buffers = {.in = own, .out = own, .bytes = bytes};
    uint64_t lba = slot->lba + (index * PAGE_SIZE >> slot->namespace->block_shift);
    if (!transfer_span(&slot->transfer, cursor, bytes, &address))
        return transfer_copy_in(&slot->transfer, cursor, own, bytes) &&
               storage_transform(slot->namespace->disk, STORAGE_ENCRYPT, lba, &buffers);
    buffers.in = guest_memory_open(address, bytes);
    bool good = buffers.in && storage_transform(slot->namespace->disk, STORAGE_ENCRYPT, lba, &buffers);
    if (buffers.in)
        guest_memory_close();
    return good;
}

static bool encrypt_out(const struct nvme_slot *slot)
{
    struct nvme_cursor cursor = {0};
    bool good = true;
    simd_begin();
    for (unsigned i = 0; good && i < transfer_pieces(&slot->transfer); i++)
        good = encrypt_piece(slot, i, &cursor);
    simd_end();
    return good;
}

/* Brings the guest's data into the pool. What has to be checked is copied once, and the copy is checked and
 * encrypted. */
static nvme_status bounce_out(struct nvme_slot *slot, bool check)
{
    if (!transfer_bounce(&slot->transfer))
        return STATUS_WAIT;
    if (!check && in_volume(slot))
        return encrypt_out(slot) ? STATUS_SUCCESS : STATUS_WRITE_PROTECTED;
    if (!transfer_gather(&slot->transfer))
        return STATUS_DATA_TRANSFER;
    if (check && !content_allowed(slot))
        return STATUS_WRITE_PROTECTED;
    if (in_volume(slot) && !transform_bounced(slot, STORAGE_ENCRYPT))
        return STATUS_WRITE_PROTECTED;
    return STATUS_SUCCESS;
}

static nvme_status write_prepare(struct nvme_sq *sq, struct nvme_slot *slot, const struct nvme_command *guest)
{
    nvme_status status = find_range(sq, slot, guest);
    if (status)
        return status;
    enum storage_verdict verdict = STORAGE_PASS;
    if (guest->opcode == IO_WRITE)
        verdict = storage_write_verdict(slot->namespace->disk, slot->lba, slot->blocks);
    if (verdict == STORAGE_DENY)
        return STATUS_WRITE_PROTECTED;
    status = map_blocks(slot, guest);
    if (status)
        return status;
    if (verdict == STORAGE_CHECK || in_volume(slot) || !transfer_direct(&slot->transfer, DIRECT_ALIGNMENT))
        status = bounce_out(slot, verdict == STORAGE_CHECK);
    if (!status)
        make_data_command(slot, guest);
    return status;
}

/* ---- Write Zeroes ---- */

/* Makes the slot's command one part of zeroes, encrypted where they lie in a volume. */
static bool zero_part(struct nvme_slot *slot)
{
    uint64_t limit = slot->transfer.device_count * PAGE_SIZE >> slot->namespace->block_shift;
    slot->blocks = (uint32_t)MIN((uint64_t)slot->blocks_left, limit);
    slot->blocks_left -= slot->blocks;
    slot->transfer.bytes = slot->blocks << slot->namespace->block_shift;
    for (unsigned i = 0; i < transfer_pieces(&slot->transfer); i++) {
        uint32_t bytes;
        memset(transfer_piece(&slot->transfer, i, &bytes), 0, PAGE_SIZE);
    }
    make_command(slot, IO_WRITE, slot->command.cdw12 & RW_FORCE_ACCESS);
    return transform_bounced(slot, STORAGE_ENCRYPT);
}

static nvme_status zeroes_prepare(struct nvme_sq *sq, struct nvme_slot *slot,
                                  const struct nvme_command *guest)
{
    nvme_status status = find_range(sq, slot, guest);
    if (status)
        return status;
    if (storage_write_verdict(slot->namespace->disk, slot->lba, slot->blocks) != STORAGE_PASS)
        return STATUS_WRITE_PROTECTED; /* a pinned field is never zero */
    if (!in_volume(slot)) {
        make_command(slot, IO_WRITE_ZEROES, guest->cdw12 & (flags_kept(slot) | ZEROES_DEALLOCATE));
        return STATUS_SUCCESS;
    }
    uint64_t bytes = (uint64_t)slot->blocks << slot->namespace->block_shift;
    if (!transfer_own(&slot->transfer, (uint32_t)MIN(bytes, ZERO_PART)))
        return STATUS_WAIT;
    slot->blocks_left = slot->blocks;
    slot->parts = true;
    slot->command.cdw12 = guest->cdw12;
    return zero_part(slot) ? STATUS_SUCCESS : STATUS_WRITE_PROTECTED;
}

bool io_continue(struct nvme_sq *sq, struct nvme_slot *slot, const struct nvme_completion *completion)
{
    if (slot->decoy || !slot->blocks_left || !completion_good(completion))
        return false;
    slot->lba += slot->blocks;
    if (zero_part(slot) && sq_submit(sq, slot))
        return true;
    slot->decoy = true; /* the keys are gone: the command fails with this status */
    slot->status = STATUS_WRITE_PROTECTED;
    return false;
}

/* ---- Dataset Management ---- */

/* Drops the ranges that may not be deallocated: the command is advice, so it succeeds without them. */
static nvme_status keep_ranges(const struct nvme_slot *slot, struct nvme_dataset_range *ranges,
                               unsigned *count)
{
    const struct nvme_namespace *namespace = slot->namespace;
    unsigned kept = 0;
    for (unsigned i = 0; i < *count; i++) {
        if (!range_fits(ranges[i].lba, ranges[i].blocks, namespace->blocks))
            return STATUS_LBA_RANGE;
        if (ranges[i].blocks &&
            (!namespace->disk || storage_discard_allowed(namespace->disk, ranges[i].lba, ranges[i].blocks)))
            ranges[kept++] = ranges[i];
    }
    *count = kept;
    return STATUS_SUCCESS;
}

static nvme_status dataset_prepare(struct nvme_sq *sq, struct nvme_slot *slot,
                                   const struct nvme_command *guest)
{
    unsigned count = (guest->cdw10 & 0xff) + 1;
    static_assert(DATASET_RANGES_MAX * sizeof(struct nvme_dataset_range) == PAGE_SIZE,
                  "all ranges are in one piece");
    slot->namespace = namespace_find(sq->controller, guest->nsid);
    if (!slot->namespace || slot->namespace->refused)
        return STATUS_INVALID_NAMESPACE;
    nvme_status status = map_bytes(slot, guest, count * sizeof(struct nvme_dataset_range));
    if (status)
        return status;
    if (!transfer_bounce(&slot->transfer))
        return STATUS_WAIT;
    if (!transfer_gather(&slot->transfer))
        return STATUS_DATA_TRANSFER;
    uint32_t bytes;
    status = keep_ranges(slot, transfer_piece(&slot->transfer, 0, &bytes), &count);
    if (status)
        return status;
    if (!count) {
        slot_decoy(sq, slot, STATUS_SUCCESS, 0);
        return STATUS_SUCCESS;
    }
    slot->command = (struct nvme_command){.opcode = IO_DATASET,
                                          .nsid = slot->namespace->id,
                                          .cdw10 = count - 1,
                                          .cdw11 = guest->cdw11 & DATASET_ADVICE};
    transfer_point(&slot->transfer, &slot->command);
    return STATUS_SUCCESS;
}

/* ---- Flush, Verify ---- */

static nvme_status flush_prepare(struct nvme_sq *sq, struct nvme_slot *slot, const struct nvme_command *guest)
{
    slot->namespace = namespace_find(sq->controller, guest->nsid);
    if (!slot->namespace && guest->nsid != BROADCAST_NAMESPACE)
        return STATUS_INVALID_NAMESPACE;
    slot->command = (struct nvme_command){.opcode = IO_FLUSH, .nsid = guest->nsid};
    return STATUS_SUCCESS;
}

static nvme_status verify_prepare(struct nvme_sq *sq, struct nvme_slot *slot,
                                  const struct nvme_command *guest)
{
    nvme_status status = find_range(sq, slot, guest);
    if (!status)
        make_command(slot, IO_VERIFY, guest->cdw12 & flags_kept(slot));
    return status;
}

static const struct nvme_operation operations[] = {
    [IO_FLUSH] = {.prepare = flush_prepare},
    [IO_WRITE] = {.prepare = write_prepare},
    [IO_READ] = {.prepare = read_prepare, .finish = read_finish},
    [IO_COMPARE] = {.prepare = write_prepare},
    [IO_WRITE_ZEROES] = {.prepare = zeroes_prepare},
    [IO_DATASET] = {.prepare = dataset_prepare},
    [IO_VERIFY] = {.prepare = verify_prepare},
};

const struct nvme_operation *io_operation(uint8_t opcode)
{
    return opcode < ARRAY_COUNT(operations) && operations[opcode].prepare ? &operations[opcode] : NULL;
}
