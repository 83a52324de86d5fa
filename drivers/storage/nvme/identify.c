/* SPDX-License-Identifier: Apache-2.0 */
/* Identify and Get Log Page: passed through the pool, and what Shoji refuses is taken out of what the device
 * tells about itself. */
#include "drivers/storage/nvme/nvme.h"
#include "lib/strings.h"

/* Fields of the Identify structures (Base 2.0 figures 275 and 280, NVM Command Set 1.0 figures 97 and 100).
 */
#define CONTROLLER_MDTS     77
#define CONTROLLER_OACS     256
#define CONTROLLER_HMPRE    272 /* and HMMIN */
#define CONTROLLER_SANICAP  328
#define CONTROLLER_HMMINDS  332 /* and HMMAXD */
#define CONTROLLER_ONCS     520
#define CONTROLLER_FUSES    522
#define CONTROLLER_NVSCC    530 /* vendor specific commands, and NWPC behind it */
#define CONTROLLER_OCFS     534
#define CONTROLLER_SGLS     536
#define OACS_DOORBELLS      0x0100u
#define ONCS_KEPT           0x00ddu /* Compare, Dataset Management, Write Zeroes, saved features, Timestamp, Verify */
#define SGLS_KEPT           3u /* SGLs at all, of which alignment */
#define NAMESPACE_RESCAP    31
#define NAMESPACE_DLFEAT    33
#define NAMESPACE_COPY      74 /* MSSRL, MCL, MSRC */
#define NAMESPACE_COPY_SIZE 7
#define INDEPENDENT_RESCAP  2
#define NVM_WUSL            2
#define COMMAND_SETS        512
#define COMMAND_SET_NVM     1u

#define CNS(dword)       ((dword)&0xff)
#define CSI(dword)       ((dword) >> 24)
#define IDENTIFY_CNS_MAX 0x20

static void put(uint8_t *page, unsigned offset, uint64_t value, unsigned bytes)
{
    memcpy(page + offset, &value, bytes);
}

static uint32_t get32(const uint8_t *page, unsigned offset)
{
    uint32_t value;
    memcpy(&value, page + offset, sizeof(value));
    return value;
}

static void filter_none(uint8_t *page, const struct nvme_command *command)
{
    (void)page;
    (void)command;
}

static void filter_controller(uint8_t *page, const struct nvme_command *command)
{
    (void)command;
    uint8_t mdts = page[CONTROLLER_MDTS];
    page[CONTROLLER_MDTS] = !mdts || mdts > NVME_TRANSFER_SHIFT ? NVME_TRANSFER_SHIFT : mdts;
    put(page, CONTROLLER_OACS, OACS_DOORBELLS, 2);
    put(page, CONTROLLER_HMPRE, 0, 8);
    put(page, CONTROLLER_SANICAP, 0, 4);
    put(page, CONTROLLER_HMMINDS, 0, 6);
    put(page, CONTROLLER_ONCS, get32(page, CONTROLLER_ONCS) & ONCS_KEPT, 2);
    put(page, CONTROLLER_FUSES, 0, 2);
    put(page, CONTROLLER_NVSCC, 0, 2);
    put(page, CONTROLLER_OCFS, 0, 2);
    put(page, CONTROLLER_SGLS, get32(page, CONTROLLER_SGLS) & SGLS_KEPT, 4);
}

/* Deallocated blocks of a volume do not read as zeroes: that is no longer promised. */
static void filter_namespace(uint8_t *page, const struct nvme_command *command)
{
    (void)command;
    page[NAMESPACE_RESCAP] = 0;
    page[NAMESPACE_DLFEAT] = 0;
    memset(page + NAMESPACE_COPY, 0, NAMESPACE_COPY_SIZE);
}

static void filter_controller_set(uint8_t *page, const struct nvme_command *command)
{
    if (CSI(command->cdw11) == 0)
        page[NVM_WUSL] = 0;
}

static void filter_independent(uint8_t *page, const struct nvme_command *command)
{
    (void)command;
    page[INDEPENDENT_RESCAP] = 0;
}

/* Only the NVM command set is mediated. */
static void filter_sets(uint8_t *page, const struct nvme_command *command)
{
    (void)command;
    for (unsigned i = 0; i < COMMAND_SETS; i++)
        put(page, i * 8, get32(page, i * 8) & COMMAND_SET_NVM, 8);
}

typedef void (*identify_filter)(uint8_t *page, const struct nvme_command *command);
static const identify_filter filters[IDENTIFY_CNS_MAX] = {
    [0x00] = filter_namespace,      [0x01] = filter_controller, [0x02] = filter_none, /* active namespaces */
    [0x03] = filter_none,                                 /* namespace identifiers */
    [0x05] = filter_none,                                 /* namespace, of a command set */
    [0x06] = filter_controller_set, [0x07] = filter_none, /* active namespaces, of a command set */
    [0x08] = filter_independent,    [0x10] = filter_none, /* allocated namespaces */
    [0x11] = filter_namespace,      [0x12] = filter_none, /* controllers of a namespace */
    [0x13] = filter_none,                                 /* controllers */
    [0x16] = filter_none,                                 /* granularity */
    [0x17] = filter_none,                                 /* UUIDs */
    [0x1c] = filter_sets,
};

static nvme_status identify_prepare(struct nvme_sq *sq, struct nvme_slot *slot,
                                    const struct nvme_command *guest)
{
    (void)sq;
    unsigned cns = CNS(guest->cdw10);
    if (cns >= IDENTIFY_CNS_MAX || !filters[cns])
        return STATUS_INVALID_FIELD;
    nvme_status status = admin_data(slot, guest, IDENTIFY_BYTES);
    if (!status)
        admin_copy(slot, guest);
    return status;
}

static void identify_finish(struct nvme_sq *sq, struct nvme_slot *slot, struct nvme_completion *completion)
{
    uint32_t bytes;
    uint8_t *page = transfer_piece(&slot->transfer, 0, &bytes);
    filters[CNS(slot->command.cdw10)](page, &slot->command);
    admin_data_finish(sq, slot, completion);
}

/* ---- Get Log Page ---- */

#define LOG_ID(dword)   ((dword)&0xff)
#define LOG_EFFECTS     0x05u
#define LOG_EFFECTS_IO  256u /* dword at which the I/O opcodes begin */
#define LOG_EFFECTS_END 512u
#define LOGS_KEPT                                                                                            \
    (BIT(0x00) | BIT(0x01) | BIT(0x02) | BIT(0x03) | BIT(0x04) | BIT(0x05) | BIT(0x06) | BIT(0x0c) |         \
     BIT(0x12))

static nvme_status log_prepare(struct nvme_sq *sq, struct nvme_slot *slot, const struct nvme_command *guest)
{
    (void)sq;
    unsigned id = LOG_ID(guest->cdw10);
    uint64_t dwords = (guest->cdw10 >> 16 | (uint64_t)(guest->cdw11 & 0xffff) << 16) + 1;
    if (id >= 64 || !(LOGS_KEPT >> id & 1))
        return STATUS_INVALID_LOG;
    if (dwords > NVME_TRANSFER_MAX / sizeof(uint32_t))
        return STATUS_INVALID_FIELD;
    nvme_status status = admin_data(slot, guest, (uint32_t)(dwords * sizeof(uint32_t)));
    if (!status)
        admin_copy(slot, guest);
    return status;
}

/* The effects log lists the opcodes that the device knows: those that we refuse are not among them. */
static void filter_effects(struct nvme_slot *slot)
{
    uint64_t first = (slot->command.cdw12 | (uint64_t)slot->command.cdw13 << 32) / sizeof(uint32_t);
    uint32_t bytes;
    uint8_t *page = transfer_piece(&slot->transfer, 0, &bytes);
    for (uint64_t i = 0;
         i < bytes / sizeof(uint32_t) && first < LOG_EFFECTS_END && first + i < LOG_EFFECTS_END; i++) {
        uint64_t entry = first + i;
        bool known = entry < LOG_EFFECTS_IO ? admin_operation((uint8_t)entry) : io_operation((uint8_t)entry);
        if (!known)
            put(page, (unsigned)(i * sizeof(uint32_t)), 0, sizeof(uint32_t));
    }
}

static void log_finish(struct nvme_sq *sq, struct nvme_slot *slot, struct nvme_completion *completion)
{
    if (LOG_ID(slot->command.cdw10) == LOG_EFFECTS)
        filter_effects(slot);
    admin_data_finish(sq, slot, completion);
}

const struct nvme_operation identify_operation = {.prepare = identify_prepare, .finish = identify_finish};
const struct nvme_operation log_operation = {.prepare = log_prepare, .finish = log_finish};
