/* SPDX-License-Identifier: Apache-2.0 */
/* A hostile guest against the NVMe mediator: registers, configuration space, queues and lists made of the
 * input. Whatever it does, the device reaches only memory that is the guest's or held for it, no plaintext
 * comes to a volume's blocks, the pinned partition entry stays, and a reset gives every page back. */
#include "drivers/storage/nvme/nvme.h"
#include "lib/reader.h"
#include "tests/unit/support/fake_machine.h"
#include "tests/unit/support/fake_nvme.h"
#include "tests/unit/support/guest_nvme.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK        512u
#define PLAIN        0xa5 /* what guest RAM is full of: a block of it must never be found in the volume */
#define STEPS        200
#define QUEUES_BYTES KIB(512)
#define DATA_BYTES   KIB(512)
#define ADDRESSES    24

static struct handoff handoff;
static size_t pages_idle;

static void must(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static uint8_t pinned[2][BLOCK]; /* header block, entry block as they must stay */

static void put(uint8_t *at, uint64_t value, unsigned bytes)
{
    memcpy(at, &value, bytes);
}

static void make_table(void)
{
    memcpy(pinned[0], "EFI PART", 8);
    put(pinned[0] + 72, 2, 8);
    put(pinned[0] + 80, 128, 4);
    put(pinned[0] + 84, 128, 4);
    put(pinned[1] + 160, VOLUME_FIRST, 8);
    put(pinned[1] + 168, VOLUME_FIRST + VOLUME_COUNT - 1, 8);
    memcpy(nvme.disk + 1 * BLOCK, pinned[0], BLOCK);
    memcpy(nvme.disk + 2 * BLOCK, pinned[1], BLOCK);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    struct report problem = {0};
    fake_nvme_reset(9);
    guest_handoff(&handoff, BLOCK);
    must(storage_start(&handoff) && nvme_take((struct pci_address){0, 0, GUEST_PCI_DEVICE, 0}, &problem),
         problem.text);
    pages_idle = fake_pages_held();
    return 0;
}

/* An address: often a good one, sometimes a bad one. */
static uint64_t address(struct reader *in)
{
    uint8_t kind = reader_u8(in);
    switch (kind % ADDRESSES) {
    case 0:
        return reader_le64(in);
    case 1:
        return FAKE_RAM_BASE + FAKE_RAM_BYTES - reader_le16(in);
    case 2:
        return nvme.asq; /* the hypervisor's own */
    case 3:
        return GUEST_CQ(1) + reader_le16(in) % PAGE_SIZE;
    case 4:
        return GUEST_DATA + reader_le16(in);
    case 5:
        return GUEST_SHADOW;
    case 6:
        return GUEST_DATA + 0xff8;
    default:
        return GUEST_DATA + kind % 64 * PAGE_SIZE;
    }
}

static struct nvme_command any_command(struct reader *in)
{
    static const uint32_t namespaces[] = {1, 1, 1, 1, 0, 2, BROADCAST_NAMESPACE};
    static const uint64_t places[] = {
        0,   1, VOLUME_FIRST - 4, VOLUME_FIRST, VOLUME_FIRST + VOLUME_COUNT - 4, FAKE_DISK_BYTES / BLOCK - 33,
        1000};
    uint64_t lba = places[reader_u8(in) % ARRAY_COUNT(places)] + reader_u8(in);
    struct nvme_command command = {
        .opcode = reader_u8(in) % 16,
        .flags = reader_u8(in) & 0x40,
        .nsid = namespaces[reader_u8(in) % ARRAY_COUNT(namespaces)],
        .prp1 = address(in),
        .prp2 = address(in),
        .cdw10 = (uint32_t)lba,
        .cdw12 = reader_u8(in),
    };
    uint8_t odd = reader_u8(in);
    if (odd == 1)
        command.opcode = reader_u8(in);
    if (odd == 2)
        command.cdw12 = reader_le32(in);
    if (odd == 3)
        command.cdw10 = reader_le32(in);
    if (odd == 4)
        command.cdw11 = reader_le32(in);
    if (odd == 5)
        command.flags = reader_u8(in);
    if (odd == 6)
        command.metadata = address(in);
    return command;
}

static struct nvme_command any_admin_command(struct reader *in)
{
    static const uint8_t opcodes[] = {0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 0x18, 0x7c};
    return (struct nvme_command){
        .opcode = opcodes[reader_u8(in) % ARRAY_COUNT(opcodes)],
        .nsid = reader_u8(in) & 1,
        .prp1 = address(in),
        .prp2 = address(in),
        .cdw10 = reader_u8(in) | (uint32_t)reader_le16(in) << 16,
        .cdw11 = reader_le32(in) & 0x3ffff,
        .cdw12 = reader_u8(in),
    };
}

static void send(struct reader *in, uint16_t queue)
{
    struct nvme_command command = queue ? any_command(in) : any_admin_command(in);
    if (!guest.queues[queue].entries)
        return;
    (void)guest_put(queue, &command);
    if (reader_u8(in) & 1)
        guest_ring(queue);
}

static void scribble(struct reader *in)
{
    uint64_t at = address(in);
    uint64_t value = reader_u8(in) & 1 ? address(in) : reader_le64(in);
    if (at >= FAKE_RAM_BASE && range_fits(at - FAKE_RAM_BASE, 8, FAKE_RAM_BYTES))
        memcpy(guest_ram(at, 8), &value, 8);
}

static void touch_registers(struct reader *in)
{
    static const uint16_t offsets[] = {0x00,   0x08,   0x0c,   0x14,   0x1c,   0x20,   0x24,
                                       0x28,   0x30,   0x38,   0x1000, 0x1004, 0x1008, 0x100c,
                                       0x1010, 0x2000, 0x2010, 0x201c, 0x3000};
    static const uint8_t widths[] = {4, 8, 4, 2};
    uint8_t kind = reader_u8(in);
    uint64_t offset = kind & 0x80 ? reader_le16(in) % FAKE_BAR_BYTES : offsets[kind % ARRAY_COUNT(offsets)];
    (void)guest_mmio(FAKE_BAR_ADDRESS + offset, widths[kind >> 5 & 3], kind & 0x10, reader_le16(in));
}

static void touch_config(struct reader *in)
{
    static const uint8_t widths[] = {1, 2, 4, 4};
    uint8_t kind = reader_u8(in);
    unsigned bytes = widths[kind >> 6], offset = reader_u8(in) & ~(bytes - 1);
    if (kind & 1)
        guest_config_write(offset, bytes, reader_le32(in));
    else
        (void)guest_config_read(offset, bytes);
}

static void step(struct reader *in)
{
    struct nvme_completion completion;
    uint8_t kind = reader_u8(in);
    switch (kind % 16) {
    case 0:
        touch_config(in);
        break;
    case 1:
        touch_registers(in);
        break;
    case 2:
        scribble(in);
        break;
    case 3:
    case 4:
        send(in, 0);
        break;
    case 5:
        fake_deliver();
        break;
    case 6:
        nvme.hold = kind & 0x10;
        fake_nvme_run();
        break;
    case 7:
        while (guest_take(kind >> 4 & 1, &completion))
            fake_deliver();
        break;
    case 8:
        if (kind & 0x10)
            guest_disable();
        guest_enable(kind & 0x20, 8);
        (void)guest_create(1, kind & 0x40 ? 300 : 16);
        break;
    case 9:
        (void)guest_doorbell_buffer();
        break;
    case 10:
        fake_nvme_event();
        break;
    default:
        send(in, 1);
    }
}

/* A controller that the guest may have left anywhere goes back to where it was. */
static void tidy(void)
{
    nvme.hold = false;
    guest_config_write(4, 2, 0);
    guest_config_write(0x10, 4, FAKE_BAR_ADDRESS);
    guest_config_write(0x14, 4, 0);
    guest_config_write(FAKE_POWER + 4, 4, 0);
    guest_config_write(4, 2, 6);
    guest_disable();
    guest_msix(false);
    guest_config_write(FAKE_MSI + 2, 2, 0);
    fake.nmis = 0;
}

static void judge(void)
{
    must(!nvme.bad_dma, "the device was sent to memory that is nobody's");
    must(!memcmp(nvme.disk + BLOCK, pinned[0], 8) && !memcmp(nvme.disk + BLOCK + 72, pinned[0] + 72, 16),
         "the pinned header was changed");
    must(!memcmp(nvme.disk + 2 * BLOCK + 160, pinned[1] + 160, 16), "the pinned entry was changed");
    uint8_t plain[BLOCK];
    memset(plain, PLAIN, sizeof(plain));
    for (uint64_t lba = VOLUME_FIRST; lba < VOLUME_FIRST + VOLUME_COUNT; lba++)
        must(memcmp(nvme.disk + lba * BLOCK, plain, BLOCK), "plaintext is on the disk");
    must(fake_pages_held() == pages_idle, "pages were lost");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader in = reader_of(data, size);
    memset(guest_ram(GUEST_ASQ, QUEUES_BYTES), PLAIN, QUEUES_BYTES);
    memset(guest_ram(GUEST_DATA, DATA_BYTES), PLAIN, DATA_BYTES);
    memset(guest_ram(GUEST_SHADOW, 2 * PAGE_SIZE), 0, 2 * PAGE_SIZE);
    nvme.bad_dma = 0;
    fake.log_used = 0;
    make_table();
    guest_enable(size & 1, 8);
    (void)guest_create(1, 64);
    for (unsigned i = 0; i < STEPS && reader_left(&in); i++)
        step(&in);
    tidy();
    judge();
    return 0;
}
