/* SPDX-License-Identifier: Apache-2.0 */
/* A hostile guest against the IDE mediator: streams of register and configuration accesses, tables and data
 * made of the input, to a disk with a volume and to one without. Whatever it does, the bus master reaches
 * only memory that is the guest's or held for it, no plaintext comes to the volume's blocks, the pinned
 * partition entry stays, and from a disk that fails every command nothing is decrypted. */
#include "crypto/volume/sector.h"
#include "drivers/storage/ide/ide.h"
#include "lib/reader.h"
#include "tests/unit/support/fake_ide.h"
#include "tests/unit/support/fake_machine.h"
#include "tests/unit/support/guest_ide.h"
#include "tests/unit/support/guest_nvme.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK      512u
#define PLAIN      0xa5 /* what guest RAM is full of: a block of it must never be found in the volume */
#define SECRET     0x3c /* what the volume is full of, encrypted */
#define STEPS      400
#define DATA_BYTES KIB(512)

static struct handoff handoff;
static size_t pages_idle;
static uint8_t *volume; /* as it is at first */
static uint8_t pinned[2][BLOCK];

static void must(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static void put(uint8_t *at, uint64_t value, unsigned bytes)
{
    memcpy(at, &value, bytes);
}

static void make_volume(void)
{
    struct sector_key key;
    const struct handoff_volume *v = &handoff.volumes[0];
    volume = malloc(VOLUME_COUNT * BLOCK);
    must(volume && sector_key_set(&key, v->key, v->key_bytes, v->sector_bytes), "no volume");
    memset(volume, SECRET, VOLUME_COUNT * BLOCK);
    sector_encrypt(&key, 0, volume, volume, VOLUME_COUNT * BLOCK);
}

static void make_table(void)
{
    memcpy(pinned[0], "EFI PART", 8);
    put(pinned[0] + 72, 2, 8);
    put(pinned[0] + 80, 128, 4);
    put(pinned[0] + 84, 128, 4);
    put(pinned[1] + 160, VOLUME_FIRST, 8);
    put(pinned[1] + 168, VOLUME_FIRST + VOLUME_COUNT - 1, 8);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    struct report problem = {0};
    fake_ide_reset();
    guest_handoff(&handoff, BLOCK);
    handoff.volumes[0].namespace_id = 0;
    make_volume();
    make_table();
    must(storage_start(&handoff) && ide_take((struct pci_address){0, 0, GUEST_PCI_DEVICE, 0}, &problem),
         problem.text);
    pages_idle = fake_pages_held();
    return 0;
}

/* An address: often a good one, sometimes a bad one. */
static uint32_t address(struct reader *in)
{
    uint8_t kind = reader_u8(in);
    switch (kind % 16) {
    case 0:
        return reader_le32(in);
    case 1:
        return (uint32_t)(FAKE_RAM_BASE + FAKE_RAM_BYTES - reader_le16(in));
    case 2:
        return ide.master_table; /* the hypervisor's own */
    case 3:
        return (uint32_t)GUEST_TABLE;
    default:
        return (uint32_t)(GUEST_DATA + kind % 64 * PAGE_SIZE);
    }
}

static uint64_t block(struct reader *in)
{
    static const uint64_t places[] = {0,
                                      1,
                                      2,
                                      VOLUME_FIRST - 4,
                                      VOLUME_FIRST,
                                      VOLUME_FIRST + VOLUME_COUNT - 4,
                                      FAKE_IDE_DISK_BYTES / BLOCK - 9,
                                      1000};
    return places[reader_u8(in) % ARRAY_COUNT(places)] + reader_u8(in) % 16;
}

static void any_table(struct reader *in)
{
    unsigned count = reader_u8(in) % 8 + 1;
    for (unsigned i = 0; i < count; i++) {
        struct ide_region region = {address(in), reader_le16(in), i + 1 == count ? REGION_LAST : 0};
        memcpy(guest_ram(GUEST_TABLE + i * 8, 8), &region, 8);
    }
}

static void any_command(struct reader *in)
{
    static const uint8_t opcodes[] = {0x06, 0x20, 0x24, 0x25, 0x30, 0x34, 0x35, 0xc4,
                                      0xc5, 0xc6, 0xc8, 0xca, 0xec, 0xef, 0x90, 0xe7};
    uint8_t kind = reader_u8(in);
    uint8_t opcode = kind & 0x80 ? reader_u8(in) : opcodes[kind % ARRAY_COUNT(opcodes)];
    guest_ide_command(opcode, block(in), kind & 0x40 ? reader_le16(in) : reader_u8(in) % 12);
}

static void any_register(struct reader *in)
{
    const uint16_t bases[] = {GUEST_TASK, GUEST_TASK, GUEST_CONTROL, GUEST_MASTER, 0x170, 0x376};
    static const uint8_t widths[] = {1, 1, 2, 4};
    uint8_t kind = reader_u8(in), where = reader_u8(in);
    uint16_t port = (uint16_t)(bases[where % ARRAY_COUNT(bases)] + kind % 16);
    if (kind & 0x80)
        guest_out(port, widths[kind >> 5 & 3], reader_le32(in));
    else
        (void)guest_in(port, widths[kind >> 5 & 3]);
}

static void any_data(struct reader *in)
{
    uint8_t kind = reader_u8(in);
    unsigned count = kind & 0x40 ? 256 : kind % 64;
    for (unsigned i = 0; i < count; i++) {
        if (kind & 0x80)
            guest_out(GUEST_TASK, 2, PLAIN << 8 | PLAIN);
        else
            (void)guest_in(GUEST_TASK, 2);
    }
}

static void any_config(struct reader *in)
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
    uint8_t kind = reader_u8(in);
    switch (kind % 12) {
    case 0:
        any_config(in);
        break;
    case 1:
    case 2:
        any_register(in);
        break;
    case 3:
        any_table(in);
        break;
    case 4:
    case 5:
        any_data(in);
        break;
    case 6:
        ide.hold = kind & 0x10;
        fake_ide_run();
        break;
    case 7:
        guest_ide_select(kind >> 4 & 1);
        break;
    case 8:
        guest_ide_start(kind & 0x10);
        break;
    case 9:
        if (kind & 0x80)
            guest_ide_reset();
        else
            (void)guest_ide_finish();
        break;
    default:
        any_command(in);
    }
}

static void tidy(void)
{
    ide.hold = ide.fail_all = false;
    guest_config_write(0x20, 4, FAKE_IDE_MASTER);
    guest_config_write(4, 2, 5);
    guest_ide_reset();
}

static void judge(bool nothing_was_read)
{
    uint8_t plain[BLOCK], secret[BLOCK];
    memset(plain, PLAIN, sizeof(plain));
    memset(secret, SECRET, sizeof(secret));
    const uint8_t *disk = ide.drives[0].disk;
    must(!ide.bad_dma, "the bus master was sent to memory that is nobody's");
    must(!memcmp(disk + BLOCK, pinned[0], 8) && !memcmp(disk + BLOCK + 72, pinned[0] + 72, 16),
         "the pinned header was changed");
    must(!memcmp(disk + 2 * BLOCK + 160, pinned[1] + 160, 16), "the pinned entry was changed");
    for (uint64_t lba = VOLUME_FIRST; lba < VOLUME_FIRST + VOLUME_COUNT; lba++)
        must(memcmp(disk + lba * BLOCK, plain, BLOCK), "plaintext is on the disk");
    const uint8_t *ram = guest_ram(GUEST_DATA, DATA_BYTES);
    for (size_t at = 0; nothing_was_read && at < DATA_BYTES; at += BLOCK)
        must(memcmp(ram + at, secret, BLOCK), "a failed command was decrypted");
    must(fake_pages_held() == pages_idle, "pages were lost");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader in = reader_of(data, size);
    tidy();
    memset(guest_ram(GUEST_DATA, DATA_BYTES), PLAIN, DATA_BYTES);
    memcpy(ide.drives[0].disk + VOLUME_FIRST * BLOCK, volume, VOLUME_COUNT * BLOCK);
    memcpy(ide.drives[0].disk + BLOCK, pinned[0], BLOCK);
    memcpy(ide.drives[0].disk + 2 * BLOCK, pinned[1], BLOCK);
    guest_regions(GUEST_DATA, KIB(64), 0x3000);
    ide.bad_dma = ide.bad_data = 0;
    ide.fail_all = size & 1;
    fake.log_used = 0;
    for (unsigned i = 0; i < STEPS && reader_left(&in); i++)
        step(&in);
    tidy();
    judge(size & 1);
    return 0;
}
