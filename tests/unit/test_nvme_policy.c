/* SPDX-License-Identifier: Apache-2.0 */
/* The NVMe mediator on a disk of 4096-byte blocks, with a policy that denies writes elsewhere and allows
 * discard, and a controller that takes queues in pieces. */
#include "crypto/volume/sector.h"
#include "drivers/storage/nvme/nvme.h"
#include "tests/unit/support/fake_machine.h"
#include "tests/unit/support/fake_nvme.h"
#include "tests/unit/support/guest_nvme.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BLOCK 4096u
#define FIRST (VOLUME_FIRST / 8)
#define COUNT (VOLUME_COUNT / 8)

static struct handoff handoff;
static struct sector_key judge;
static size_t pages_idle;

static bool refuses(void)
{
    struct report problem = {0};
    return !nvme_take((struct pci_address){0, 0, GUEST_PCI_DEVICE, 0}, &problem) && problem.text[0];
}

static int start(void **state)
{
    (void)state;
    struct report problem = {0};
    fake_nvme_reset(12);
    nvme.scattered_queues = true;
    guest_handoff(&handoff, BLOCK);
    handoff.volumes[0].elsewhere_deny = handoff.volumes[0].discard = 1;
    if (!storage_start(&handoff))
        return 1;
    /* Another disk, or another format than was pinned: not taken. */
    nvme.block_shift = 9;
    if (!refuses())
        return 1;
    nvme.block_shift = 12;
    nvme.metadata = 8;
    if (!refuses())
        return 1;
    nvme.metadata = 0;
    if (!nvme_take((struct pci_address){0, 0, GUEST_PCI_DEVICE, 0}, &problem)) {
        print_error("%s\n", problem.text);
        return 1;
    }
    const struct handoff_volume *volume = &handoff.volumes[0];
    pages_idle = fake_pages_held();
    return sector_key_set(&judge, volume->key, volume->key_bytes, volume->sector_bytes) ? 0 : 1;
}

static int stop(void **state)
{
    (void)state;
    fake_reset();
    fake_nvme_free();
    return 0;
}

static int after(void **state)
{
    (void)state;
    guest_disable();
    guest_msix(false);
    return fake_pages_held() != pages_idle || nvme.bad_dma || fake.nmis_unclaimed;
}

static void fill(uint64_t address, size_t length, unsigned seed)
{
    uint8_t *at = guest_ram(address, length);
    for (size_t i = 0; i < length; i++)
        at[i] = (uint8_t)(seed * 17 + i * 11 + (i >> 8));
}

static void blocks_of_4096(void **state)
{
    (void)state;
    uint8_t plain[2 * BLOCK];
    guest_enable(true, 32);
    assert_int_equal(guest_create(1, 32), 0);
    fill(GUEST_DATA, sizeof(plain), 3);
    assert_int_equal(guest_rw(IO_WRITE, FIRST + 7, 2, GUEST_DATA, GUEST_DATA + PAGE_SIZE), 0);
    sector_decrypt(&judge, 7 * 8, nvme.disk + (FIRST + 7) * BLOCK, plain, sizeof(plain));
    assert_memory_equal(plain, guest_ram(GUEST_DATA, sizeof(plain)), sizeof(plain));
    uint64_t to = GUEST_DATA + 0x10000;
    assert_int_equal(guest_rw(IO_READ, FIRST + 7, 2, to, to + PAGE_SIZE), 0);
    assert_int_equal(nvme.last_io.prp1, to);
    assert_memory_equal(guest_ram(to, sizeof(plain)), plain, sizeof(plain));
    assert_int_equal(guest_rw(IO_READ, FIRST + 7, 1, to + 512, to + 0x2000), 0); /* straddles */
    assert_int_not_equal(nvme.last_io.prp1, to + 512);
    assert_memory_equal(guest_ram(to + 512, PAGE_SIZE - 512), plain, PAGE_SIZE - 512);
    assert_memory_equal(guest_ram(to + 0x2000, 512), plain + PAGE_SIZE - 512, 512);
}

static void elsewhere_is_denied(void **state)
{
    (void)state;
    guest_enable(true, 32);
    assert_int_equal(guest_create(1, 32), 0);
    assert_int_equal(guest_rw(IO_WRITE, ESP_FIRST, 1, GUEST_DATA, 0), 0);
    assert_int_equal(guest_rw(IO_WRITE, ESP_FIRST + ESP_COUNT - 1, 1, GUEST_DATA, 0), 0);
    assert_int_equal(guest_rw(IO_WRITE, ESP_FIRST + ESP_COUNT - 1, 2, GUEST_DATA, GUEST_DATA),
                     STATUS_WRITE_PROTECTED);
    assert_int_equal(guest_rw(IO_WRITE, ESP_FIRST - 1, 1, GUEST_DATA, 0), STATUS_WRITE_PROTECTED);
    assert_int_equal(guest_rw(IO_WRITE, FIRST - 1, 2, GUEST_DATA, GUEST_DATA), STATUS_WRITE_PROTECTED);
    assert_int_equal(guest_rw(IO_WRITE_ZEROES, FIRST + COUNT, 1, 0, 0), STATUS_WRITE_PROTECTED);
    assert_int_equal(guest_rw(IO_READ, FIRST - 1, 2, GUEST_DATA, GUEST_DATA + PAGE_SIZE), 0);
    assert_int_equal(guest_rw(IO_COMPARE, ESP_FIRST - 1, 1, GUEST_DATA + 0x8000, 0), 0);
}

static void discard_is_allowed_inside(void **state)
{
    (void)state;
    guest_enable(true, 32);
    assert_int_equal(guest_create(1, 32), 0);
    memset(nvme.disk, 0x77, FAKE_DISK_BYTES);
    struct nvme_dataset_range ranges[] = {{0, 2, FIRST + 1}, {0, 2, FIRST - 1}, {0, 2, FIRST + COUNT - 1}};
    memcpy(guest_ram(GUEST_DATA, sizeof(ranges)), ranges, sizeof(ranges));
    struct nvme_command trim = {.opcode = IO_DATASET, .nsid = 1, .prp1 = GUEST_DATA, .cdw10 = 2, .cdw11 = 4};
    assert_int_equal(guest_run(1, &trim), 0);
    assert_int_equal(nvme.disk[(FIRST + 1) * BLOCK], 0);
    assert_int_equal(nvme.disk[FIRST * BLOCK], 0x77);
    assert_int_equal(nvme.disk[(FIRST + COUNT) * BLOCK], 0x77);
    ranges[0].lba = FAKE_DISK_BYTES / BLOCK - 1;
    memcpy(guest_ram(GUEST_DATA, sizeof(ranges)), ranges, sizeof(ranges));
    assert_int_equal(guest_run(1, &trim), STATUS_LBA_RANGE);
}

/* Queues of 1024 entries whose pages lie anywhere: their lists are read once. */
static void queues_in_pieces(void **state)
{
    (void)state;
    struct nvme_completion completion;
    uint64_t sq_list = 0x300000, cq_list = 0x301000, sq_pages = 0x340000, cq_pages = 0x380000;
    guest_enable(true, 32);
    for (unsigned i = 0; i < 16; i++) /* 64 KiB of commands, backwards */
        *(uint64_t *)guest_ram(sq_list + i * 8, 8) = sq_pages + (15 - i) * PAGE_SIZE;
    for (unsigned i = 0; i < 4; i++)
        *(uint64_t *)guest_ram(cq_list + i * 8, 8) = cq_pages + (3 - i) * PAGE_SIZE;
    memset(guest_ram(cq_pages, 4 * PAGE_SIZE), 0, 4 * PAGE_SIZE);
    struct nvme_command cq = {.opcode = ADMIN_CREATE_CQ,
                              .prp1 = cq_list,
                              .cdw10 = 1023u << 16 | 1,
                              .cdw11 = QUEUE_INTERRUPTS | 1u << 16};
    struct nvme_command sq = {
        .opcode = ADMIN_CREATE_SQ, .prp1 = sq_list, .cdw10 = 1023u << 16 | 1, .cdw11 = 1u << 16};
    assert_int_equal(guest_run(0, &cq), 0);
    assert_int_equal(guest_run(0, &sq), 0);
    memset(guest_ram(sq_list, 2 * PAGE_SIZE), 0xff, 2 * PAGE_SIZE); /* too late */
    for (unsigned i = 0; i < 3000; i++) {
        struct nvme_command flush = {.opcode = IO_FLUSH, .cid = (uint16_t)i, .nsid = 1};
        unsigned sq_at = i % 1024 * 64, cq_at = i % 1024 * 16;
        memcpy(guest_ram(sq_pages + (15 - sq_at / 4096) * PAGE_SIZE + sq_at % 4096, 64), &flush, 64);
        guest_register_write(NVME_DOORBELL + 8, (i + 1) % 1024);
        fake_deliver();
        memcpy(&completion, guest_ram(cq_pages + (3 - cq_at / 4096) * PAGE_SIZE + cq_at % 4096, 16), 16);
        assert_int_equal(completion.cid, i);
        assert_int_equal(completion.status, i / 1024 % 2 ? 0 : 1);
        guest_register_write(NVME_DOORBELL + 12, (i + 1) % 1024);
    }
    *(uint64_t *)guest_ram(sq_list, 8) = 0xfe000000; /* not RAM */
    sq.cdw10 = 63u << 16 | 2;
    assert_int_equal(guest_run(0, &sq), STATUS_DATA_TRANSFER);
    *(uint64_t *)guest_ram(sq_list, 8) = sq_pages + 8;
    assert_int_equal(guest_run(0, &sq), STATUS_PRP_OFFSET);
}

#define POLICY_TEST(f) cmocka_unit_test_setup_teardown(f, NULL, after)

int main(void)
{
    const struct CMUnitTest tests[] = {
        POLICY_TEST(blocks_of_4096),
        POLICY_TEST(elsewhere_is_denied),
        POLICY_TEST(discard_is_allowed_inside),
        POLICY_TEST(queues_in_pieces),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
