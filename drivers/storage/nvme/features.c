/* SPDX-License-Identifier: Apache-2.0 */
/* Get and Set Features: a table of those that are harmless; the number of queues is bounded by what Shoji
 * carries. */
#include "drivers/storage/nvme/nvme.h"

#define FEATURE_ID(dword)     ((dword)&0xff)
#define FEATURE_SELECT(dword) ((dword) >> 8 & 7)
#define SELECT_CAPABILITIES   3
#define QUEUES_COUNT(n)       ((n)&0xffff)
#define QUEUES_INVALID        0xffff
#define FEATURES_MAX          0x81

struct feature {
    bool known, may_set;
    uint16_t bytes; /* of data */
};
static const struct feature features[FEATURES_MAX] = {
    [0x01] = {true, true, 0},                                     /* arbitration */
    [0x02] = {true, true, 0},                                     /* power management */
    [0x04] = {true, true, 0},                                     /* temperature threshold */
    [0x05] = {true, true, 0},                                     /* error recovery */
    [0x06] = {true, true, 0},                                     /* volatile write cache */
    [FEATURE_QUEUES] = {true, true, 0}, [0x08] = {true, true, 0}, /* interrupt coalescing */
    [0x09] = {true, true, 0},                                     /* interrupt vector configuration */
    [0x0a] = {true, true, 0},                                     /* write atomicity */
    [0x0b] = {true, true, 0},                                     /* asynchronous events */
    [FEATURE_APST] = {true, true, 256}, [FEATURE_TIMESTAMP] = {true, true, 8},
    [0x0f] = {true, true, 0},                                     /* keep alive timer */
    [0x10] = {true, true, 0},                                     /* thermal management */
    [0x11] = {true, true, 0},                                     /* non-operational power states */
    [0x12] = {true, true, 0},                                     /* read recovery level */
    [FEATURE_HOST] = {true, true, 512}, [0x19] = {true, true, 0}, /* I/O command set profile */
    [0x80] = {true, true, 0},                                     /* software progress marker */
};

static const struct feature *find(uint32_t dword)
{
    return FEATURE_ID(dword) < FEATURES_MAX && features[FEATURE_ID(dword)].known
               ? &features[FEATURE_ID(dword)]
               : NULL;
}

/* Two counts less one, of submission and completion queues. */
static uint32_t bound_queues(uint32_t counts, bool keep_invalid)
{
    uint32_t sq = QUEUES_COUNT(counts), cq = QUEUES_COUNT(counts >> 16);
    if (!(keep_invalid && sq == QUEUES_INVALID))
        sq = MIN(sq, (uint32_t)NVME_IO_QUEUES_MAX - 1);
    if (!(keep_invalid && cq == QUEUES_INVALID))
        cq = MIN(cq, (uint32_t)NVME_IO_QUEUES_MAX - 1);
    return cq << 16 | sq;
}

static nvme_status set_prepare(struct nvme_sq *sq, struct nvme_slot *slot, const struct nvme_command *guest)
{
    (void)sq;
    const struct feature *feature = find(guest->cdw10);
    if (!feature || !feature->may_set)
        return STATUS_INVALID_FIELD;
    if (feature->bytes) {
        nvme_status status = admin_data(slot, guest, feature->bytes);
        if (status)
            return status;
        if (!transfer_gather(&slot->transfer))
            return STATUS_DATA_TRANSFER;
    }
    admin_copy(slot, guest);
    if (FEATURE_ID(guest->cdw10) == FEATURE_QUEUES)
        slot->command.cdw11 = bound_queues(guest->cdw11, true);
    return STATUS_SUCCESS;
}

static nvme_status get_prepare(struct nvme_sq *sq, struct nvme_slot *slot, const struct nvme_command *guest)
{
    (void)sq;
    const struct feature *feature = find(guest->cdw10);
    if (!feature)
        return STATUS_INVALID_FIELD;
    if (feature->bytes && FEATURE_SELECT(guest->cdw10) != SELECT_CAPABILITIES) {
        nvme_status status = admin_data(slot, guest, feature->bytes);
        if (status)
            return status;
    }
    admin_copy(slot, guest);
    return STATUS_SUCCESS;
}

static void bound_result(const struct nvme_slot *slot, struct nvme_completion *completion)
{
    if (FEATURE_ID(slot->command.cdw10) == FEATURE_QUEUES)
        completion->result = bound_queues(completion->result, false);
}

static void set_finish(struct nvme_sq *sq, struct nvme_slot *slot, struct nvme_completion *completion)
{
    (void)sq;
    if (completion_good(completion))
        bound_result(slot, completion);
}

static void get_finish(struct nvme_sq *sq, struct nvme_slot *slot, struct nvme_completion *completion)
{
    if (completion_good(completion) && FEATURE_SELECT(slot->command.cdw10) != SELECT_CAPABILITIES)
        bound_result(slot, completion);
    admin_data_finish(sq, slot, completion);
}

const struct nvme_operation set_features_operation = {.prepare = set_prepare, .finish = set_finish};
const struct nvme_operation get_features_operation = {.prepare = get_prepare, .finish = get_finish};
