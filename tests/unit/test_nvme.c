/* SPDX-License-Identifier: Apache-2.0 */
/* The NVMe mediator's data path against a fake machine and controller: what the guest reads, and what the
 * disk holds. */
#include "drivers/storage/nvme/nvme.h"
#include "guest/memory.h"
#include "tests/unit/support/nvme_rig.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void write_and_read_with_messages(void **state)
{
    (void)state;
    rig_start_queue(true, 64);
    rig_write_and_read();
    assert_true(fake.raised[GUEST_VECTOR] > 0);
    assert_int_equal(fake.raised[GUEST_VECTOR + 1], 2);
}

static void write_and_read_with_pins(void **state)
{
    (void)state;
    rig_start_queue(false, 2);
    rig_write_and_read();
    assert_int_equal(fake.raised[GUEST_VECTOR], 0);
    assert_int_equal(fake.nmis, 0);
}

static void blocks_outside_pass_in_clear(void **state)
{
    (void)state;
    rig_start_queue(true, 64);
    rig_fill(GUEST_DATA, PAGE_SIZE, 9);
    assert_int_equal(guest_rw(IO_WRITE, 1000, 8, GUEST_DATA, 0), 0);
    assert_memory_equal(nvme.disk + 1000 * BLOCK, guest_ram(GUEST_DATA, PAGE_SIZE), PAGE_SIZE);
    assert_int_equal(guest_rw(IO_READ, 1000, 8, GUEST_DATA + PAGE_SIZE, 0), 0);
    assert_memory_equal(guest_ram(GUEST_DATA + PAGE_SIZE, PAGE_SIZE), guest_ram(GUEST_DATA, PAGE_SIZE),
                        PAGE_SIZE);
}

static void edges_are_transformed_inside_only(void **state)
{
    (void)state;
    uint8_t plain[4 * BLOCK];
    rig_start_queue(true, 64);
    rig_fill(GUEST_DATA, 8 * BLOCK, 4);
    const uint8_t *data = guest_ram(GUEST_DATA, 8 * BLOCK);
    assert_int_equal(guest_rw(IO_WRITE, VOLUME_FIRST - 4, 8, GUEST_DATA, 0), 0);
    assert_memory_equal(nvme.disk + (VOLUME_FIRST - 4) * BLOCK, data, 4 * BLOCK);
    rig_decrypt_disk(VOLUME_FIRST, plain, sizeof(plain));
    assert_memory_equal(plain, data + 4 * BLOCK, sizeof(plain));
    uint64_t end = VOLUME_FIRST + VOLUME_COUNT;
    assert_int_equal(guest_rw(IO_WRITE, end - 4, 8, GUEST_DATA, 0), 0);
    rig_decrypt_disk(end - 4, plain, sizeof(plain));
    assert_memory_equal(plain, data, sizeof(plain));
    assert_memory_equal(nvme.disk + end * BLOCK, data + 4 * BLOCK, 4 * BLOCK);
    assert_int_equal(guest_rw(IO_READ, end - 4, 8, GUEST_DATA + PAGE_SIZE, 0), 0);
    assert_memory_equal(guest_ram(GUEST_DATA + PAGE_SIZE, 8 * BLOCK), data, 8 * BLOCK);
}

static void lists_are_followed(void **state)
{
    (void)state;
    static uint8_t plain[NVME_TRANSFER_MAX];
    rig_start_queue(true, 64);
    uint64_t list = GUEST_DATA + 0xff8; /* one entry, then the next page's list */
    uint64_t next = GUEST_DATA + 0x2000, data = GUEST_DATA + 0x10000;
    unsigned pages = NVME_TRANSFER_MAX / PAGE_SIZE - 1;
    *(uint64_t *)guest_ram(list, 8) = next;
    rig_make_list(next, data, pages);
    rig_fill(data, pages * PAGE_SIZE, 5);
    rig_fill(GUEST_DATA + 0x8000, PAGE_SIZE, 6);
    assert_int_equal(guest_rw(IO_WRITE, VOLUME_FIRST, NVME_TRANSFER_MAX / BLOCK, GUEST_DATA + 0x8000, list),
                     0);
    rig_decrypt_disk(VOLUME_FIRST, plain, sizeof(plain));
    assert_memory_equal(plain, guest_ram(GUEST_DATA + 0x8000, PAGE_SIZE), PAGE_SIZE);
    for (unsigned i = 0; i < pages; i++)
        assert_memory_equal(plain + (i + 1) * PAGE_SIZE,
                            guest_ram(data + (pages - 1 - i) * PAGE_SIZE, PAGE_SIZE), PAGE_SIZE);
    memset(guest_ram(data, pages * PAGE_SIZE), 0, pages * PAGE_SIZE);
    assert_int_equal(guest_rw(IO_READ, VOLUME_FIRST, NVME_TRANSFER_MAX / BLOCK, GUEST_DATA + 0x8000, list),
                     0);
    for (unsigned i = 0; i < pages; i++)
        assert_memory_equal(plain + (i + 1) * PAGE_SIZE,
                            guest_ram(data + (pages - 1 - i) * PAGE_SIZE, PAGE_SIZE), PAGE_SIZE);
    assert_int_equal(
        guest_rw(IO_READ, VOLUME_FIRST, NVME_TRANSFER_MAX / BLOCK + 1, GUEST_DATA + 0x8000, list),
        STATUS_INVALID_FIELD);
}

static void reads_are_zero_copy_or_bounced(void **state)
{
    (void)state;
    rig_start_queue(true, 64);
    rig_fill(GUEST_DATA, 2 * PAGE_SIZE, 7);
    assert_int_equal(guest_rw(IO_WRITE, VOLUME_FIRST, 16, GUEST_DATA, GUEST_DATA + PAGE_SIZE), 0);
    uint64_t to = GUEST_DATA + 0x10000;
    assert_int_equal(guest_rw(IO_READ, VOLUME_FIRST, 8, to, 0), 0);
    assert_int_equal(nvme.last_io.prp1, to); /* the guest's own page */
    assert_memory_equal(guest_ram(to, PAGE_SIZE), guest_ram(GUEST_DATA, PAGE_SIZE), PAGE_SIZE);
    /* Sectors straddle the pages: */
    assert_int_equal(guest_rw(IO_READ, VOLUME_FIRST, 8, to + 256, to + 0x4000), 0);
    assert_int_not_equal(nvme.last_io.prp1, to + 256);
    assert_memory_equal(guest_ram(to + 256, PAGE_SIZE - 256), guest_ram(GUEST_DATA, PAGE_SIZE - 256),
                        PAGE_SIZE - 256);
    assert_memory_equal(guest_ram(to + 0x4000, 256), guest_ram(GUEST_DATA + PAGE_SIZE - 256, 256), 256);
    /* One page twice: the second half wins, decrypted once. */
    assert_int_equal(guest_rw(IO_READ, VOLUME_FIRST, 16, to, to), 0);
    assert_memory_equal(guest_ram(to, PAGE_SIZE), guest_ram(GUEST_DATA + PAGE_SIZE, PAGE_SIZE), PAGE_SIZE);
}

static void one_page_in_two_commands(void **state)
{
    (void)state;
    struct nvme_completion completion;
    rig_start_queue(true, 64);
    rig_fill(GUEST_DATA, PAGE_SIZE, 8);
    assert_int_equal(guest_rw(IO_WRITE, VOLUME_FIRST, 8, GUEST_DATA, 0), 0);
    nvme.hold = true;
    uint64_t to = GUEST_DATA + 0x10000;
    for (unsigned i = 0; i < 8; i++) {
        struct nvme_command read = {
            .opcode = IO_READ, .nsid = 1, .prp1 = to + i * BLOCK, .cdw10 = (uint32_t)VOLUME_FIRST + i};
        (void)guest_put(1, &read);
        guest_ring(1);
    }
    fake_nvme_run();
    fake_deliver();
    for (unsigned i = 0; i < 8; i++) {
        assert_true(guest_take(1, &completion));
        assert_int_equal(completion.status >> 1, 0);
    }
    assert_false(guest_take(1, &completion));
    assert_memory_equal(guest_ram(to, PAGE_SIZE), guest_ram(GUEST_DATA, PAGE_SIZE), PAGE_SIZE);
}

static void failed_reads_are_not_decrypted(void **state)
{
    (void)state;
    rig_start_queue(true, 64);
    rig_fill(GUEST_DATA, PAGE_SIZE, 1);
    uint8_t was[PAGE_SIZE];
    memcpy(was, guest_ram(GUEST_DATA, PAGE_SIZE), PAGE_SIZE);
    nvme.fail_opcode = IO_READ;
    assert_int_equal(guest_rw(IO_READ, VOLUME_FIRST, 8, GUEST_DATA, 0), 0x281);
    assert_int_equal(guest_rw(IO_READ, VOLUME_FIRST, 4, GUEST_DATA + 128, 0), 0x281);
    assert_memory_equal(guest_ram(GUEST_DATA, PAGE_SIZE), was, PAGE_SIZE);
}

static void pointers_outside_ram_are_refused(void **state)
{
    (void)state;
    static const uint64_t bad[] = {0,
                                   0xfe000000,
                                   FAKE_RAM_BASE - PAGE_SIZE,
                                   FAKE_RAM_BASE + FAKE_RAM_BYTES,
                                   UINT64_MAX & ~PAGE_MASK,
                                   1ull << 63};
    rig_start_queue(true, 64);
    unsigned executed = nvme.executed;
    for (unsigned i = 0; i < ARRAY_COUNT(bad); i++) {
        assert_int_equal(guest_rw(IO_READ, VOLUME_FIRST, 8, bad[i], 0), STATUS_DATA_TRANSFER);
        assert_int_equal(guest_rw(IO_WRITE, 1000, 8, bad[i], 0), STATUS_DATA_TRANSFER);
        assert_int_equal(guest_rw(IO_READ, VOLUME_FIRST, 16, GUEST_DATA, bad[i]), STATUS_DATA_TRANSFER);
        assert_int_equal(guest_rw(IO_READ, 1000, 64, GUEST_DATA, bad[i]), STATUS_DATA_TRANSFER);
    }
    /* The hypervisor's own memory is not the guest's: */
    assert_int_equal(guest_rw(IO_READ, 1000, 8, nvme.asq, 0), STATUS_DATA_TRANSFER);
    assert_int_equal(guest_rw(IO_READ, 1000, 8, GUEST_DATA + 1, 0), STATUS_PRP_OFFSET);
    assert_int_equal(guest_rw(IO_READ, 1000, 16, GUEST_DATA, GUEST_DATA + 8), STATUS_PRP_OFFSET);
    assert_int_equal(guest_rw(IO_READ, 1000, 64, GUEST_DATA, GUEST_DATA + 4), STATUS_PRP_OFFSET);
    assert_int_equal(nvme.by_opcode[IO_WRITE], 0);
    assert_true(nvme.executed > executed); /* decoys */
}

static void ranges_are_checked(void **state)
{
    (void)state;
    rig_start_queue(true, 64);
    assert_int_equal(guest_rw(IO_READ, FAKE_DISK_BYTES / BLOCK - 1, 2, GUEST_DATA, 0), STATUS_LBA_RANGE);
    assert_int_equal(guest_rw(IO_WRITE, UINT64_MAX, 2, GUEST_DATA, 0), STATUS_LBA_RANGE);
    struct nvme_command other = {.opcode = IO_READ, .nsid = 5, .prp1 = GUEST_DATA};
    assert_int_equal(guest_run(1, &other), STATUS_INVALID_NAMESPACE);
}

/* A namespace without a volume may have metadata: its pointer is checked like any other. */
static void metadata_passes_checked(void **state)
{
    (void)state;
    rig_start_queue(true, 64);
    struct nvme_command read = {.opcode = IO_READ,
                                .nsid = FAKE_METADATA_NAMESPACE,
                                .metadata = GUEST_DATA + 0x8000,
                                .prp1 = GUEST_DATA,
                                .cdw12 = 7};
    assert_int_equal(guest_run(1, &read), 0);
    assert_int_equal(nvme.last_io.metadata, GUEST_DATA + 0x8000);
    read.metadata = FAKE_RAM_BASE + FAKE_RAM_BYTES - 60; /* four bytes too few */
    assert_int_equal(guest_run(1, &read), STATUS_DATA_TRANSFER);
    read.metadata = nvme.asq;
    assert_int_equal(guest_run(1, &read), STATUS_DATA_TRANSFER);
    read.metadata = GUEST_DATA + 2;
    assert_int_equal(guest_run(1, &read), STATUS_DATA_TRANSFER);
    read.nsid = 1; /* where there is none, it does not reach the device */
    assert_int_equal(guest_run(1, &read), 0);
    assert_int_equal(nvme.last_io.metadata, 0);
}

static void write_zeroes_and_compare(void **state)
{
    (void)state;
    static uint8_t plain[1024 * BLOCK], zeroes[1024 * BLOCK];
    rig_start_queue(true, 64);
    memset(nvme.disk + VOLUME_FIRST * BLOCK, 0x55, sizeof(plain));
    assert_int_equal(guest_rw(IO_WRITE_ZEROES, VOLUME_FIRST, 1000, 0, 0), 0);
    rig_decrypt_disk(VOLUME_FIRST, plain, sizeof(plain));
    assert_memory_equal(plain, zeroes, 1000 * BLOCK);
    assert_int_equal(nvme.disk[(VOLUME_FIRST + 1000) * BLOCK], 0x55);
    assert_int_equal(nvme.by_opcode[IO_WRITE_ZEROES], 0);
    memset(guest_ram(GUEST_DATA, PAGE_SIZE), 0, PAGE_SIZE);
    assert_int_equal(guest_rw(IO_COMPARE, VOLUME_FIRST + 8, 8, GUEST_DATA, 0), 0);
    *(uint8_t *)guest_ram(GUEST_DATA, 1) = 1;
    assert_int_equal(guest_rw(IO_COMPARE, VOLUME_FIRST + 8, 8, GUEST_DATA, 0), 0x285);
    assert_int_equal(guest_rw(IO_WRITE_ZEROES, 500, 100, 0, 0), 0);
    assert_int_equal(nvme.by_opcode[IO_WRITE_ZEROES], 1);
    nvme.fail_opcode = IO_WRITE;
    assert_int_equal(guest_rw(IO_WRITE_ZEROES, VOLUME_FIRST, 1000, 0, 0), 0x281);
}

static void discard_follows_the_policy(void **state)
{
    (void)state;
    rig_start_queue(true, 64);
    memset(nvme.disk, 0x77, FAKE_DISK_BYTES);
    struct nvme_dataset_range ranges[] = {
        {0, 8, VOLUME_FIRST + 8}, {0, 8, 1000}, {0, 16, VOLUME_FIRST - 8}, {0, 40, 0}};
    memcpy(guest_ram(GUEST_DATA, sizeof(ranges)), ranges, sizeof(ranges));
    struct nvme_command trim = {.opcode = IO_DATASET, .nsid = 1, .prp1 = GUEST_DATA, .cdw10 = 3, .cdw11 = 4};
    assert_int_equal(guest_run(1, &trim), 0);
    assert_int_equal(nvme.disk[(VOLUME_FIRST + 8) * BLOCK], 0x77);
    assert_int_equal(nvme.disk[VOLUME_FIRST * BLOCK], 0x77);
    assert_int_equal(nvme.disk[1000 * BLOCK], 0);
    assert_int_equal(nvme.disk[1 * BLOCK], 0x77); /* a pinned header */
    trim.cdw10 = 0;
    assert_int_equal(guest_run(1, &trim), 0); /* nothing is left of it */
    assert_int_equal(nvme.by_opcode[IO_DATASET], 1);
}

static void pinned_entries_cannot_be_moved(void **state)
{
    (void)state;
    rig_start_queue(true, 64);
    uint8_t *table = guest_ram(GUEST_DATA, PAGE_SIZE);
    memset(table, 0, PAGE_SIZE);
    memcpy(table, "EFI PART", 8);
    uint64_t where = 2, first = VOLUME_FIRST, last = VOLUME_FIRST + VOLUME_COUNT - 1;
    uint32_t sizes[2] = {128, 128};
    memcpy(table + 72, &where, 8);
    memcpy(table + 80, sizes, 8);
    memcpy(table + BLOCK + 128 + 32, &first, 8);
    memcpy(table + BLOCK + 128 + 40, &last, 8);
    assert_int_equal(guest_rw(IO_WRITE, 1, 7, GUEST_DATA, 0), 0);
    table[BLOCK + 128 + 60] = 'x'; /* its name */
    assert_int_equal(guest_rw(IO_WRITE, 1, 7, GUEST_DATA, 0), 0);
    table[BLOCK + 128 + 40] ^= 1;
    assert_int_equal(guest_rw(IO_WRITE, 1, 7, GUEST_DATA, 0), STATUS_WRITE_PROTECTED);
    assert_int_equal(guest_rw(IO_WRITE, 2, 1, GUEST_DATA + BLOCK, 0), STATUS_WRITE_PROTECTED);
    table[BLOCK + 128 + 40] ^= 1;
    table[72]++;
    assert_int_equal(guest_rw(IO_WRITE, 1, 1, GUEST_DATA, 0), STATUS_WRITE_PROTECTED);
    assert_int_equal(guest_rw(IO_WRITE_ZEROES, 0, 8, 0, 0), STATUS_WRITE_PROTECTED);
    assert_int_equal(guest_rw(IO_WRITE, FAKE_DISK_BYTES / BLOCK - 1, 1, GUEST_DATA + 0x1000, 0),
                     STATUS_WRITE_PROTECTED);
}

static void sgls(void **state)
{
    (void)state;
    uint8_t plain[8 * BLOCK];
    rig_start_queue(true, 64);
    rig_fill(GUEST_DATA, PAGE_SIZE, 11);
    struct nvme_command write = {
        .opcode = IO_WRITE, .flags = 1 << 6, .nsid = 1, .cdw10 = (uint32_t)VOLUME_FIRST, .cdw12 = 7};
    struct nvme_sgl inline_data = {.address = GUEST_DATA, .length = PAGE_SIZE, .type = SGL_DATA};
    memcpy(&write.prp1, &inline_data, sizeof(inline_data));
    assert_int_equal(guest_run(1, &write), 0);
    rig_decrypt_disk(VOLUME_FIRST, plain, sizeof(plain));
    assert_memory_equal(plain, guest_ram(GUEST_DATA, PAGE_SIZE), PAGE_SIZE);
    /* Three odd pieces in two segments. */
    struct nvme_sgl *segment = guest_ram(GUEST_DATA + 0x10000, PAGE_SIZE);
    segment[0] = (struct nvme_sgl){.address = GUEST_DATA + 0x20001, .length = 1000};
    segment[1] = (struct nvme_sgl){.address = GUEST_DATA + 0x10100, .length = 32, .type = SGL_LAST_SEGMENT};
    segment[16] = (struct nvme_sgl){.address = GUEST_DATA + 0x30003, .length = 3000};
    segment[17] = (struct nvme_sgl){.address = GUEST_DATA + 0x40000, .length = 96};
    struct nvme_command read = write;
    struct nvme_sgl first = {.address = GUEST_DATA + 0x10000, .length = 32, .type = SGL_SEGMENT};
    read.opcode = IO_READ;
    memcpy(&read.prp1, &first, sizeof(first));
    assert_int_equal(guest_run(1, &read), 0);
    assert_memory_equal(guest_ram(GUEST_DATA + 0x20001, 1000), plain, 1000);
    assert_memory_equal(guest_ram(GUEST_DATA + 0x30003, 3000), plain + 1000, 3000);
    assert_memory_equal(guest_ram(GUEST_DATA + 0x40000, 96), plain + 4000, 96);
    segment[17].length = 95;
    assert_int_equal(guest_run(1, &read), STATUS_SGL_LENGTH);
    segment[17].length = 97;
    assert_int_equal(guest_run(1, &read), STATUS_SGL_LENGTH);
    segment[17] =
        (struct nvme_sgl){.address = GUEST_DATA + 0x10100, .length = 32, .type = SGL_SEGMENT}; /* a loop */
    segment[16].length = 0;
    assert_int_equal(guest_run(1, &read), STATUS_SGL_TYPE);
    segment[1].type = SGL_SEGMENT;
    assert_int_equal(guest_run(1, &read), STATUS_SGL_COUNT);
    segment[0].type = 0x10; /* bit bucket */
    assert_int_equal(guest_run(1, &read), STATUS_SGL_TYPE);
}

#define NVME_TEST(f) cmocka_unit_test_setup_teardown(f, rig_before, rig_after)

int main(void)
{
    const struct CMUnitTest tests[] = {
        NVME_TEST(write_and_read_with_messages),
        NVME_TEST(write_and_read_with_pins),
        NVME_TEST(blocks_outside_pass_in_clear),
        NVME_TEST(edges_are_transformed_inside_only),
        NVME_TEST(lists_are_followed),
        NVME_TEST(reads_are_zero_copy_or_bounced),
        NVME_TEST(one_page_in_two_commands),
        NVME_TEST(failed_reads_are_not_decrypted),
        NVME_TEST(pointers_outside_ram_are_refused),
        NVME_TEST(ranges_are_checked),
        NVME_TEST(metadata_passes_checked),
        NVME_TEST(write_zeroes_and_compare),
        NVME_TEST(discard_follows_the_policy),
        NVME_TEST(pinned_entries_cannot_be_moved),
        NVME_TEST(sgls),
    };
    return cmocka_run_group_tests(tests, rig_start, rig_stop);
}
