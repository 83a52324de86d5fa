/* SPDX-License-Identifier: Apache-2.0 */
/* Asks a controller, before the guest has it, what disks it carries. Waits are bounded by the time that the
 * controller itself names. */
#include "core/device.h"
#include "core/log.h"
#include "core/memory.h"
#include "drivers/pci_spec.h"
#include "drivers/storage/nvme/nvme.h"
#include "lib/padded.h"
#include "lib/strings.h"

#define ENTRIES             16u
#define CLOCKS_PER_HALF     2500000000ull /* half a second of the fastest time stamp counter */
#define NSZE                0
#define FLBAS               26
#define FLBAS_EXTENDED      0x10
#define DPS_TYPE            7
#define DPS                 29
#define LBA_FORMATS         128
#define FLBAS_FORMAT(flbas) (((flbas)&0xf) | ((flbas) >> 1 & 0x30)) /* bits 6:5 are the format's bits 5:4 */
#define BLOCK_SHIFT_MIN     9
#define BLOCK_SHIFT_MAX     16
#define VOLUME_SHIFT_MAX    PAGE_SHIFT
#define FORMATS_MAX         64

struct surveyor {
    struct nvme_controller *controller;
    struct nvme_command *sq;
    struct nvme_completion *cq;
    uint8_t *page;
    uint32_t tail, head;
    uint16_t phase;
};

static uint32_t get(const struct surveyor *s, unsigned offset)
{
    return device_read32(s->controller->registers + offset);
}

static void put(const struct surveyor *s, unsigned offset, uint32_t value)
{
    device_write32(s->controller->registers + offset, value);
}

static uint64_t patience(const struct surveyor *s)
{
    return (CAP_TO(s->controller->capabilities) + 1) * CLOCKS_PER_HALF;
}

static bool wait_ready(const struct surveyor *s, uint32_t ready)
{
    uint64_t start = device_clock();
    do {
        if ((get(s, NVME_CSTS) & CSTS_RDY) == ready)
            return true;
    } while (device_clock() - start < patience(s));
    return false;
}

static bool start(struct surveyor *s)
{
    put(s, NVME_CC, 0);
    if (!wait_ready(s, 0))
        return false;
    uint64_t sq = physical_of(s->sq), cq = physical_of(s->cq);
    put(s, NVME_AQA, (ENTRIES - 1) << 16 | (ENTRIES - 1));
    put(s, NVME_ASQ, (uint32_t)sq);
    put(s, NVME_ASQ + 4, (uint32_t)(sq >> 32));
    put(s, NVME_ACQ, (uint32_t)cq);
    put(s, NVME_ACQ + 4, (uint32_t)(cq >> 32));
    put(s, NVME_INTMS, UINT32_MAX);
    put(s, NVME_CC, CC_EN | CC_IO_SIZES);
    return wait_ready(s, CSTS_RDY);
}

/* One Identify into the page. */
static bool identify(struct surveyor *s, uint32_t cns, uint32_t nsid)
{
    memset(s->page, 0, IDENTIFY_BYTES);
    s->sq[s->tail] = (struct nvme_command){.opcode = ADMIN_IDENTIFY,
                                           .cid = (uint16_t)s->tail,
                                           .nsid = nsid,
                                           .prp1 = physical_of(s->page),
                                           .cdw10 = cns};
    s->tail = (s->tail + 1) % ENTRIES;
    put(s, NVME_DOORBELL, s->tail);
    uint64_t begin = device_clock();
    volatile struct nvme_completion *entry = &s->cq[s->head];
    while ((entry->status & 1) != s->phase)
        if (device_clock() - begin > patience(s))
            return false;
    uint16_t status = entry->status;
    s->head = (s->head + 1) % ENTRIES;
    s->phase ^= s->head == 0;
    put(s, NVME_DOORBELL + s->controller->stride, s->head);
    return !(status >> 1 & 0x7ff);
}

static uint32_t get32(const uint8_t *page, unsigned offset)
{
    uint32_t value;
    memcpy(&value, page + offset, sizeof(value));
    return value;
}

/* What a namespace is formatted as. Where Shoji cannot follow the format, its commands are refused. */
static void read_namespace(const struct surveyor *s, struct nvme_namespace *namespace)
{
    unsigned format = FLBAS_FORMAT(s->page[FLBAS]);
    uint32_t entry = get32(s->page, LBA_FORMATS + (format < FORMATS_MAX ? format : 0) * 4);
    namespace->blocks = get32(s->page, NSZE) | (uint64_t)get32(s->page, NSZE + 4) << 32;
    namespace->block_shift = FORMAT_BLOCK_SHIFT(entry);
    namespace->metadata = FORMAT_METADATA(entry);
    namespace->extended = namespace->metadata && s->page[FLBAS] & FLBAS_EXTENDED;
    namespace->protection = s->page[DPS] & DPS_TYPE;
    namespace->refused = namespace->block_shift < BLOCK_SHIFT_MIN ||
                         namespace->block_shift > BLOCK_SHIFT_MAX ||
                         namespace->blocks > UINT64_MAX >> namespace->block_shift;
}

static bool attach(struct nvme_controller *controller, struct nvme_namespace *namespace, const char *serial,
                   struct report *problem)
{
    if (!storage_unit_has_volume(controller->at, namespace->id))
        return true;
    if (namespace->refused || namespace->metadata || namespace->block_shift > VOLUME_SHIFT_MAX)
        return report(problem,
                      "The disk %s (namespace %u) is formatted with metadata or an unknown block size, which "
                      "Shoji cannot encrypt; format it with plain 512 or 4096 byte blocks.",
                      serial, (unsigned)namespace->id);
    struct storage_identity identity = {.at = controller->at,
                                        .unit = namespace->id,
                                        .block_bytes = 1u << namespace->block_shift,
                                        .blocks = namespace->blocks,
                                        .serial = serial};
    namespace->disk = storage_attach(&identity, problem);
    controller->decoy_namespace = namespace->id;
    return namespace->disk != NULL;
}

static bool survey_namespaces(struct surveyor *s, const char *serial, struct report *problem)
{
    struct nvme_controller *controller = s->controller;
    if (!identify(s, IDENTIFY_ACTIVE, 0))
        return report(problem, "The NVMe controller did not list its namespaces.");
    for (unsigned i = 0; i < NVME_NAMESPACES_MAX; i++) {
        uint32_t id = get32(s->page, i * 4);
        if (!id)
            break;
        controller->namespaces[controller->namespace_count++].id = id;
    }
    for (unsigned i = 0; i < controller->namespace_count; i++) {
        struct nvme_namespace *namespace = &controller->namespaces[i];
        if (identify(s, IDENTIFY_NAMESPACE, namespace->id))
            read_namespace(s, namespace);
        else
        namespace->refused = true;
        if (namespace->refused)
            log_line("nvme %02x:%02x.%x: namespace %u has a format that is not mediated; its commands will "
                     "be refused",
                     controller->at.bus, controller->at.device, controller->at.function,
                     (unsigned)namespace->id);
        if (!attach(controller, namespace, serial, problem))
            return false;
    }
    return true;
}

bool survey(struct nvme_controller *controller, struct report *problem)
{
    struct surveyor s = {.controller = controller, .phase = 1};
    char serial[IDENTIFY_SERIAL_BYTES + 1];
    uint8_t *pages = pages_allocate(3);
    if (!pages)
        return report(problem, "There is not enough memory to look at the NVMe disks.");
    s.sq = (struct nvme_command *)pages;
    s.cq = (struct nvme_completion *)(pages + PAGE_SIZE);
    s.page = pages + 2 * PAGE_SIZE;
    uint16_t command = (uint16_t)pci_read(controller->at, PCI_COMMAND, 2);
    pci_write(controller->at, PCI_COMMAND, 2, command | COMMAND_MASTER);
    bool good = start(&s) && identify(&s, IDENTIFY_CONTROLLER, 0);
    if (good) {
        padded_text(serial, sizeof(serial), s.page + IDENTIFY_SERIAL, IDENTIFY_SERIAL_BYTES);
        good = survey_namespaces(&s, serial, problem);
    } else {
        (void)report(problem,
                     "The NVMe controller %02x:%02x.%x does not answer; switch the machine off and on again.",
                     controller->at.bus, controller->at.device, controller->at.function);
    }
    put(&s, NVME_CC, 0);
    bool quiet = wait_ready(&s, 0);
    put(&s, NVME_INTMC, UINT32_MAX);
    pci_write(controller->at, PCI_COMMAND, 2, command);
    if (quiet) /* otherwise the device may still write there: the pages are lost */
        pages_free(pages, 3);
    return good &&
           (quiet ||
            report(problem, "The NVMe controller cannot be disabled; switch the machine off and on again."));
}
