/* SPDX-License-Identifier: Apache-2.0 */
/* The NVMe mediator's registers, queues, admin commands, doorbells and interrupts against a fake machine and
 * controller. */
#include "drivers/storage/nvme/nvme.h"
#include "guest/memory.h"
#include "tests/unit/support/nvme_rig.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void refused_commands(void **state)
{
    (void)state;
    static const uint8_t io[] = {0x04, 0x0d, 0x0e, 0x11, 0x15, 0x19, 0x79, 0x7a, 0x7d, 0x80, 0xff};
    static const uint8_t admin[] = {0x0d, 0x10, 0x11, 0x14, 0x15, 0x19, 0x1a, 0x1c, 0x1d,
                                    0x1e, 0x80, 0x81, 0x82, 0x84, 0x86, 0xc0, 0xff};
    rig_start_queue(true, 64);
    for (unsigned i = 0; i < ARRAY_COUNT(io); i++) {
        struct nvme_command command = {.opcode = io[i], .nsid = 1, .prp1 = GUEST_DATA};
        assert_int_equal(guest_run(1, &command), STATUS_INVALID_OPCODE);
        assert_int_equal(nvme.by_opcode[io[i]], 0);
    }
    for (unsigned i = 0; i < ARRAY_COUNT(admin); i++) {
        struct nvme_command command = {.opcode = admin[i], .nsid = 1, .prp1 = GUEST_DATA};
        assert_int_equal(guest_run(0, &command), STATUS_INVALID_OPCODE);
        assert_int_not_equal(nvme.last_admin.opcode, admin[i]);
    }
    struct nvme_command fused = {.opcode = IO_READ, .flags = 1, .nsid = 1, .prp1 = GUEST_DATA};
    assert_int_equal(guest_run(1, &fused), STATUS_INVALID_FIELD);
    struct nvme_command memory = {.opcode = ADMIN_SET_FEATURES, .cdw10 = 0x0d, .cdw11 = 1};
    assert_int_equal(guest_run(0, &memory), STATUS_INVALID_FIELD);
    struct status_volume status;
    storage_volume_status(0, &status);
    assert_true(status.commands_refused >= ARRAY_COUNT(io));
    assert_non_null(strstr(fake.log, "refused I/O command 04"));
}

static void identify_is_filtered(void **state)
{
    (void)state;
    rig_start_queue(true, 64);
    struct nvme_command command = {
        .opcode = ADMIN_IDENTIFY, .prp1 = GUEST_DATA + 512, .prp2 = GUEST_DATA + PAGE_SIZE, .cdw10 = 1};
    assert_int_equal(guest_run(0, &command), 0);
    const uint8_t *page = guest_ram(GUEST_DATA + 512, 4096);
    assert_memory_equal(page + 4, FAKE_SERIAL, strlen(FAKE_SERIAL));
    assert_int_equal(page[77], NVME_TRANSFER_SHIFT);
    assert_int_equal(page[256] | page[257] << 8, 0x100);
    assert_int_equal(page[272] | page[273], 0);
    assert_int_equal(page[520] | page[521] << 8, 0xdd);
    assert_int_equal(page[522], 0);
    command = (struct nvme_command){.opcode = ADMIN_IDENTIFY, .nsid = 1, .prp1 = GUEST_DATA};
    assert_int_equal(guest_run(0, &command), 0);
    page = guest_ram(GUEST_DATA, 4096);
    assert_int_equal(page[31] | page[33], 0);
    command = (struct nvme_command){.opcode = ADMIN_GET_LOG, .prp1 = GUEST_DATA, .cdw10 = 1023u << 16 | 5};
    assert_int_equal(guest_run(0, &command), 0);
    const uint32_t *effects = guest_ram(GUEST_DATA, 4096);
    assert_int_equal(effects[ADMIN_IDENTIFY], 1);
    assert_int_equal(effects[0x80], 0); /* Format */
    assert_int_equal(effects[256 + IO_READ], 1);
    assert_int_equal(effects[256 + 0x19], 0); /* Copy */
    command = (struct nvme_command){.opcode = ADMIN_SET_FEATURES, .cdw10 = 7, .cdw11 = 200u << 16 | 200u};
    assert_int_equal(guest_run(0, &command), 0);
    assert_int_equal(guest.result, 63u << 16 | 63u);
}

static void registers_are_shadowed(void **state)
{
    (void)state;
    guest_enable(true, 32);
    uint64_t cap = guest_mmio(FAKE_BAR_ADDRESS, 8, false, 0);
    assert_int_equal(cap & (CAP_CMBS | CAP_PMRS | CAP_BPS | CAP_MPSMAX), 0);
    assert_int_equal(cap & 0xffff, 1023);
    assert_int_equal(guest_register(NVME_VS), 0x10400);
    assert_int_equal(guest_mmio(FAKE_BAR_ADDRESS + NVME_ASQ, 8, false, 0), GUEST_ASQ);
    assert_int_not_equal(nvme.asq, GUEST_ASQ);
    assert_non_null(fake_dma(nvme.asq, 64));
    assert_false(guest_memory_is_ram(nvme.asq, 64));
    assert_int_equal(guest_register(0x38), 0);
    guest_disable();
    guest_register_write(NVME_ASQ, 0); /* not RAM */
    guest_register_write(NVME_CC, CC_EN | CC_IO_SIZES);
    assert_int_equal(guest_register(NVME_CSTS) & 3, CSTS_CFS);
    assert_int_equal(nvme.cc & CC_EN, 0);
    guest_register_write(NVME_CC, 0);
    assert_int_equal(guest_register(NVME_CSTS) & 3, 0);
}

static void reset_in_flight(void **state)
{
    (void)state;
    rig_start_queue(true, 64);
    nvme.hold = nvme.slow_reset = true;
    for (unsigned i = 0; i < 20; i++) {
        struct nvme_command read = {.opcode = IO_READ,
                                    .nsid = 1,
                                    .prp1 = GUEST_DATA + i * BLOCK,
                                    .cdw10 = (uint32_t)VOLUME_FIRST + i};
        (void)guest_put(1, &read);
    }
    guest_ring(1);
    size_t held = fake_pages_held();
    guest_disable(); /* the device is still at it */
    assert_int_equal(fake_pages_held(), held);
    nvme.csts |= CSTS_RDY;
    fake_nvme_run();
    fake.nmis = 0;
    guest_register_write(NVME_CC, CC_EN | CC_IO_SIZES); /* too early: held off */
    assert_int_equal(nvme.cc & CC_EN, 0);
    nvme.csts = 0;
    nvme.slow_reset = nvme.hold = false;
    assert_int_equal(guest_register(NVME_CSTS), 0);
    assert_int_equal(fake_pages_held(), rig_pages_idle);
    rig_start_queue(true, 16);
    rig_write_and_read();
}

/* After the shutdown notification the queues and doorbell pages belong to whoever boots next, who enables
 * messages before it resets the controller. */
static void memory_after_shutdown_is_left_alone(void **state)
{
    static const uint64_t places[] = {GUEST_ASQ,   GUEST_ACQ,    GUEST_SQ(1),
                                      GUEST_CQ(1), GUEST_SHADOW, GUEST_EVENT};
    struct nvme_command event = {.opcode = ADMIN_ASYNC_EVENT};
    (void)state;
    rig_start_queue(true, 64);
    assert_int_equal(guest_doorbell_buffer(), 0);
    rig_write_and_read();
    (void)guest_put(0, &event);
    guest_ring(0);
    guest_register_write(NVME_CC, CC_EN | CC_IO_SIZES | CC_SHN_NORMAL);
    guest_msix(false);
    for (unsigned i = 0; i < ARRAY_COUNT(places); i++)
        for (unsigned word = 0; word < PAGE_SIZE / 4; word++)
            ((uint32_t *)guest_ram(places[i], PAGE_SIZE))[word] = 5; /* as a doorbell: five more commands */
    unsigned executed = nvme.executed;
    guest_msix(true);
    guest_register_write(NVME_DOORBELL, 5);
    guest_register_write(NVME_DOORBELL + 2 * guest.stride, 5);
    fake_nvme_event();
    fake_deliver();
    for (unsigned i = 0; i < ARRAY_COUNT(places); i++)
        for (unsigned word = 0; word < PAGE_SIZE / 4; word++)
            assert_int_equal(((uint32_t *)guest_ram(places[i], PAGE_SIZE))[word], 5);
    assert_int_equal(nvme.executed, executed);
    guest_disable();
    rig_start_queue(true, 16);
    rig_write_and_read();
}

static void queues_come_and_go(void **state)
{
    (void)state;
    rig_start_queue(true, 64);
    struct nvme_command delete_cq = {.opcode = ADMIN_DELETE_CQ, .cdw10 = 1},
                        delete_sq = {.opcode = ADMIN_DELETE_SQ, .cdw10 = 1};
    assert_int_equal(guest_run(0, &delete_cq), STATUS_DNR | 0x10c);
    assert_int_equal(guest_rw(IO_READ, VOLUME_FIRST, 8, GUEST_DATA, 0), 0);
    assert_int_equal(guest_run(0, &delete_sq), 0);
    assert_int_equal(guest_run(0, &delete_sq), STATUS_QUEUE_ID);
    assert_int_equal(guest_run(0, &delete_cq), 0);
    assert_int_equal(guest_create(1, 1024), 0);
    assert_int_equal(guest_create(1, 1024), STATUS_QUEUE_ID);
    assert_int_equal(guest_create(2, 1025), STATUS_QUEUE_SIZE);
    assert_int_equal(guest_create(2, 1), STATUS_QUEUE_SIZE);
    assert_int_equal(guest_create(2, 1024), 0);
    struct nvme_command odd = {
        .opcode = ADMIN_CREATE_CQ, .prp1 = GUEST_CQ(3), .cdw10 = 15u << 16, .cdw11 = 1};
    assert_int_equal(guest_run(0, &odd), STATUS_QUEUE_ID);
    odd.cdw10 = 15u << 16 | 65;
    assert_int_equal(guest_run(0, &odd), STATUS_QUEUE_ID);
    odd.cdw10 = 15u << 16 | 3;
    odd.prp1 += 8;
    assert_int_equal(guest_run(0, &odd), STATUS_PRP_OFFSET);
    odd.prp1 = 0xfe000000;
    assert_int_equal(guest_run(0, &odd), STATUS_DATA_TRANSFER);
}

/* Far more commands than the device's ring, the guest's completion queue and the pool can hold at once. */
static void deep_queues(void **state)
{
    (void)state;
    struct nvme_completion completion;
    rig_start_queue(true, 1024);
    assert_int_equal(guest_doorbell_buffer(), 0);
    rig_fill(GUEST_DATA, NVME_TRANSFER_MAX, 2);
    rig_make_list(GUEST_DATA - 0x10000, GUEST_DATA, 128);
    nvme.hold = true;
    for (unsigned i = 0; i < 1000; i++) {
        struct nvme_command write = {.opcode = IO_WRITE,
                                     .nsid = 1,
                                     .prp1 = GUEST_DATA,
                                     .prp2 = GUEST_DATA - 0x10000,
                                     .cdw10 = (uint32_t)VOLUME_FIRST,
                                     .cdw12 = NVME_TRANSFER_MAX / BLOCK - 1};
        (void)guest_put(1, &write);
        guest_ring(1);
    }
    assert_true(guest.rings < 50);
    unsigned done = 0;
    for (unsigned i = 0; i < 1000 && done < 1000; i++) {
        fake_nvme_run();
        fake_deliver();
        while (guest_take(1, &completion)) {
            assert_int_equal(completion.status >> 1, 0);
            done++;
        }
    }
    assert_int_equal(done, 1000);
    assert_int_equal(nvme.executed, 1000);
}

/* Depth 1 needs one doorbell exit per command and none for completions; with commands in flight there are
 * fewer. */
static void doorbell_exits(void **state)
{
    (void)state;
    rig_start_queue(true, 64);
    assert_int_equal(guest_doorbell_buffer(), 0);
    unsigned before_reads = guest.rings;
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(guest_rw(IO_READ, VOLUME_FIRST + i, 1, GUEST_DATA, 0), 0);
    assert_in_range(guest.rings - before_reads, 1000, 1002);
    /* A driver that has a shadow for its admin queue too is asked to ring each time. */
    struct nvme_command alive = {.opcode = ADMIN_KEEP_ALIVE};
    assert_int_equal(guest_run(0, &alive), 0);
    assert_int_equal(*(uint32_t *)guest_ram(GUEST_EVENT, 4), guest.queues[0].tail);
    assert_int_equal(*(uint32_t *)guest_ram(GUEST_EVENT + 4, 4), guest.queues[0].head);
    nvme.hold = true;
    unsigned in_flight = 0, done = 0, rings = guest.rings;
    struct nvme_completion completion;
    while (done < 2000) {
        while (in_flight < 32) {
            struct nvme_command read = {.opcode = IO_READ,
                                        .nsid = 1,
                                        .prp1 = GUEST_DATA + in_flight * PAGE_SIZE,
                                        .cdw10 = (uint32_t)VOLUME_FIRST};
            (void)guest_put(1, &read);
            guest_ring(1);
            in_flight++;
        }
        fake_nvme_run();
        fake_deliver();
        while (guest_take(1, &completion)) {
            in_flight--;
            done++;
        }
    }
    assert_true(guest.rings - rings < 2000 / 4);
}

static void full_completion_queue(void **state)
{
    (void)state;
    struct nvme_completion completion;
    rig_start_queue(true, 64);
    struct nvme_command cq = {
        .opcode = ADMIN_CREATE_CQ, .prp1 = GUEST_CQ(2), .cdw10 = 3u << 16 | 2, .cdw11 = 3 | 2u << 16};
    struct nvme_command sq = {
        .opcode = ADMIN_CREATE_SQ, .prp1 = GUEST_SQ(2), .cdw10 = 63u << 16 | 2, .cdw11 = 1 | 2u << 16};
    assert_int_equal(guest_run(0, &cq), 0);
    assert_int_equal(guest_run(0, &sq), 0);
    memset(guest_ram(GUEST_CQ(2), 64), 0, 64);
    guest.queues[2] = (struct guest_queue){.entries = 64, .phase = 1, .sq = GUEST_SQ(2), .cq = GUEST_CQ(2)};
    for (unsigned i = 0; i < 40; i++) {
        struct nvme_command flush = {.opcode = IO_FLUSH, .nsid = 1};
        (void)guest_put(2, &flush);
    }
    guest_ring(2);
    fake_deliver();
    guest.queues[2].entries = 4; /* of the completion queue */
    unsigned done = 0;
    while (guest_take(2, &completion)) {
        done++;
        fake_deliver();
    }
    assert_int_equal(done, 40);
}

static void events_and_aborts(void **state)
{
    (void)state;
    struct nvme_completion completion;
    rig_start_queue(true, 64);
    struct nvme_command event = {.opcode = ADMIN_ASYNC_EVENT};
    uint16_t cid = guest_put(0, &event);
    guest_ring(0);
    assert_true(nvme.event_waiting);
    struct nvme_command abort_event = {.opcode = ADMIN_ABORT, .cdw10 = (uint32_t)cid << 16};
    assert_int_equal(guest_run(0, &abort_event), 0);
    assert_int_equal(nvme.last_admin.opcode, ADMIN_ABORT);
    assert_int_equal(nvme.last_admin.cdw10 >> 16, nvme.event_cid);
    struct nvme_command abort_none = {.opcode = ADMIN_ABORT, .cdw10 = 0x1234u << 16 | 1};
    assert_int_equal(guest_run(0, &abort_none), 0);
    assert_int_equal(guest.result, 1);
    fake_nvme_event();
    fake_deliver();
    assert_true(guest_take(0, &completion));
    assert_int_equal(completion.cid, cid);
    assert_int_equal(completion.result, 0x10001);
}

static void masked_vectors_pend(void **state)
{
    (void)state;
    struct nvme_completion completion;
    rig_start_queue(true, 64);
    guest_register_write(FAKE_MSIX_TABLE + 16 + 12, 1);
    fake.raised[GUEST_VECTOR + 1] = 0;
    struct nvme_command flush = {.opcode = IO_FLUSH, .nsid = 1};
    (void)guest_put(1, &flush);
    guest_ring(1);
    fake_deliver();
    assert_int_equal(fake.raised[GUEST_VECTOR + 1], 0);
    assert_int_equal(guest_register(FAKE_MSIX_PENDING), 2);
    guest_register_write(FAKE_MSIX_TABLE + 16 + 12, 0);
    assert_int_equal(fake.raised[GUEST_VECTOR + 1], 1);
    assert_int_equal(guest_register(FAKE_MSIX_PENDING), 0);
    assert_true(guest_take(1, &completion));
    /* Aimed at the other CPU: the real message follows, the guest reads back its own. */
    guest_register_write(FAKE_MSIX_TABLE + 16, 0xfee01000);
    assert_int_equal(nvme.table[4], 0xfee01000);
    assert_int_equal(nvme.table[6], nmi_message_data());
    assert_int_equal(guest_register(FAKE_MSIX_TABLE + 16 + 8), GUEST_VECTOR + 1);
    assert_int_equal(guest_run(1, &flush), 0);
    assert_int_equal(fake.raised[GUEST_VECTOR + 1], 2);
}

static void interrupt_modes_change(void **state)
{
    (void)state;
    rig_start_queue(false, 64);
    guest_register_write(NVME_INTMS, 6);
    guest_register_write(NVME_INTMC, 4);
    assert_int_equal(nvme.masks, 2);
    rig_write_and_read();
    guest_msix(true); /* queue 1 has vector 0 */
    guest_register_write(NVME_INTMS, 8);
    assert_int_equal(nvme.masks, 2);
    assert_int_equal(guest_register(NVME_INTMS), 10);
    rig_write_and_read();
    assert_int_equal(fake.raised[GUEST_VECTOR], 2);
    guest_msix(false);
    assert_int_equal(nvme.masks, 10);
    rig_write_and_read();
    assert_int_equal(fake.raised[GUEST_VECTOR], 2);
    guest_config_write(FAKE_MSI + 4, 4, 0xfee00000);
    guest_config_write(FAKE_MSI + 12, 2, 0x51);
    guest_config_write(FAKE_MSI + 2, 2, 0x81);
    assert_int_equal(guest_config_read(FAKE_MSI + 2, 2), 0x81);
    assert_int_equal(nvme.masks, 0);
    rig_write_and_read();
    assert_int_equal(fake.raised[0x51], 2);
    guest_config_write(FAKE_MSI + 2, 2, 0x80);
}

static void bars_move(void **state)
{
    (void)state;
    guest_config_write(4, 2, 4);
    assert_int_equal(guest_register(NVME_VS), UINT32_MAX);
    guest_config_write(0x10, 4, UINT32_MAX);
    guest_config_write(0x14, 4, UINT32_MAX);
    assert_int_equal(guest_config_read(0x10, 4), 0xffffc004);
    assert_int_equal(guest_config_read(0x14, 4), UINT32_MAX);
    guest_config_write(0x10, 4, 0xfd000000);
    guest_config_write(0x14, 4, 0);
    guest_config_write(4, 2, 6);
    assert_int_equal((uint32_t)guest_mmio(0xfd000000 + NVME_VS, 4, false, 0), 0x10400);
    assert_int_equal(guest_mmio(FAKE_BAR_ADDRESS + NVME_VS, 4, false, 0), UINT64_MAX);
    guest_config_write(0x10, 4, FAKE_BLOCK_BASE); /* never over memory: decoding stays off instead */
    assert_int_equal(fake.config[4] & 2, 0);
    assert_int_equal(guest_mmio(FAKE_BLOCK_BASE + NVME_VS, 4, false, 0), UINT64_MAX);
    guest_config_write(0x10, 4, FAKE_RAM_BASE);
    assert_int_equal(fake.config[4] & 2, 0);
    guest_config_write(0x10, 4, 0xfee00000);
    assert_int_equal(fake.config[4] & 2, 0);
    guest_config_write(0x10, 4, FAKE_BAR_ADDRESS);
    assert_int_equal(guest_register(NVME_VS), 0x10400);
    rig_start_queue(true, 64);
    rig_write_and_read();
    guest_config_write(4, 2, 7); /* I/O decoding stays off */
    assert_int_equal(fake.config[4], 6);
    guest_config_write(FAKE_EXPRESS + 8, 2, 0x8000); /* so does function-level reset */
    assert_int_equal(fake.config[FAKE_EXPRESS + 9], 0);
    assert_int_equal(guest_config_read(FAKE_EXPRESS + 4, 4) & 1u << 28, 0);
}

static void odd_doorbells_are_ignored(void **state)
{
    (void)state;
    rig_start_queue(true, 64);
    guest_register_write(NVME_DOORBELL + 8, 64);
    guest_register_write(NVME_DOORBELL + 8, UINT32_MAX);
    guest_register_write(NVME_DOORBELL + 12, 64);
    guest_register_write(NVME_DOORBELL + 16, 3);
    guest_register_write(NVME_DOORBELL + 0x200, 3);
    rig_write_and_read();
    assert_non_null(strstr(fake.log, "not in the queue"));
}

static void status_is_told(void **state)
{
    (void)state;
    struct status_volume first, second;
    storage_volume_status(0, &first);
    assert_int_equal(first.active, 0);
    rig_start_queue(true, 64);
    storage_volume_status(0, &first);
    assert_string_equal(first.name, "root");
    assert_int_equal(first.active, 1);
    assert_int_equal(first.pci_devfn, 3 << 3);
    assert_int_equal(first.key_bits, 512);
    assert_int_equal(guest_rw(IO_READ, VOLUME_FIRST - 1, 4, GUEST_DATA, 0), 0);
    assert_int_equal(guest_rw(IO_WRITE, VOLUME_FIRST, 2, GUEST_DATA, 0), 0);
    storage_volume_status(0, &second);
    assert_int_equal(second.bytes_read - first.bytes_read, 3 * BLOCK);
    assert_int_equal(second.bytes_written - first.bytes_written, 2 * BLOCK);
}

/* The last one: there is no way back. */
static void wiped_keys_stop_everything(void **state)
{
    (void)state;
    rig_start_queue(true, 64);
    storage_wipe();
    assert_int_equal(guest_rw(IO_WRITE, VOLUME_FIRST, 8, GUEST_DATA, 0), STATUS_WRITE_PROTECTED);
    assert_int_equal(guest_rw(IO_READ, VOLUME_FIRST, 8, GUEST_DATA, 0), STATUS_INTERNAL);
    assert_int_equal(guest_rw(IO_WRITE_ZEROES, VOLUME_FIRST, 8, 0, 0), STATUS_WRITE_PROTECTED);
    assert_int_equal(guest_rw(IO_READ, 1000, 8, GUEST_DATA, 0), 0);
}

#define NVME_TEST(f) cmocka_unit_test_setup_teardown(f, rig_before, rig_after)

int main(void)
{
    const struct CMUnitTest tests[] = {
        NVME_TEST(refused_commands),
        NVME_TEST(identify_is_filtered),
        NVME_TEST(registers_are_shadowed),
        NVME_TEST(reset_in_flight),
        NVME_TEST(memory_after_shutdown_is_left_alone),
        NVME_TEST(queues_come_and_go),
        NVME_TEST(deep_queues),
        NVME_TEST(doorbell_exits),
        NVME_TEST(full_completion_queue),
        NVME_TEST(events_and_aborts),
        NVME_TEST(masked_vectors_pend),
        NVME_TEST(interrupt_modes_change),
        NVME_TEST(bars_move),
        NVME_TEST(odd_doorbells_are_ignored),
        NVME_TEST(status_is_told),
        NVME_TEST(wiped_keys_stop_everything),
    };
    return cmocka_run_group_tests(tests, rig_start, rig_stop);
}
