/* SPDX-License-Identifier: Apache-2.0 */
/* The NVMe test rig. */
#include "tests/unit/support/nvme_rig.h"

#include "crypto/volume/sector.h"
#include "drivers/storage/nvme/nvme.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct handoff handoff;
static struct sector_key judge; /* the same key, used by the test itself */
size_t rig_pages_idle;

int rig_start(void **state)
{
    (void)state;
    struct report problem = {0};
    fake_nvme_reset(9);
    guest_handoff(&handoff, BLOCK);
    if (!storage_start(&handoff) || !nvme_take((struct pci_address){0, 0, GUEST_PCI_DEVICE, 0}, &problem)) {
        print_error("%s\n", problem.text);
        return 1;
    }
    const struct handoff_volume *volume = &handoff.volumes[0];
    rig_pages_idle = fake_pages_held();
    return sector_key_set(&judge, volume->key, volume->key_bytes, volume->sector_bytes) ? 0 : 1;
}

int rig_stop(void **state)
{
    (void)state;
    fake_reset();
    fake_nvme_free();
    return 0;
}

/* Each test begins with a disabled controller, and leaves nothing behind. */
int rig_before(void **state)
{
    (void)state;
    nvme.hold = nvme.slow_reset = false;
    nvme.fail_opcode = 0x100;
    nvme.executed = nvme.bad_dma = 0;
    memset(nvme.by_opcode, 0, sizeof(nvme.by_opcode));
    memset(fake.raised, 0, sizeof(fake.raised));
    fake.nmis = fake.nmis_unclaimed = 0;
    return 0;
}

int rig_after(void **state)
{
    (void)state;
    nvme.slow_reset = false;
    nvme.csts &= ~CSTS_RDY;
    guest_disable();
    guest_msix(false);
    if (fake_pages_held() != rig_pages_idle || nvme.bad_dma || fake.nmis_unclaimed)
        print_error("pages %zu of %zu, bad DMA %u, unclaimed NMIs %u\n", fake_pages_held(), rig_pages_idle,
                    nvme.bad_dma, fake.nmis_unclaimed);
    return fake_pages_held() != rig_pages_idle || nvme.bad_dma || fake.nmis_unclaimed;
}

void rig_fill(uint64_t address, size_t length, unsigned seed)
{
    uint8_t *at = guest_ram(address, length);
    for (size_t i = 0; i < length; i++)
        at[i] = (uint8_t)(seed * 31 + i * 13 + (i >> 8));
}

/* The plaintext of blocks of the volume, as the disk holds them. */
void rig_decrypt_disk(uint64_t lba, uint8_t *to, size_t length)
{
    sector_decrypt(&judge, lba - VOLUME_FIRST, nvme.disk + lba * BLOCK, to, length);
}

void rig_start_queue(bool messages, uint32_t entries)
{
    guest_enable(messages, 32);
    assert_int_equal(guest_register(NVME_CSTS) & 3, CSTS_RDY);
    assert_int_equal(guest_create(1, entries), 0);
}

void rig_write_and_read(void)
{
    uint8_t plain[16 * BLOCK];
    rig_fill(GUEST_DATA, 16 * BLOCK, 3);
    assert_int_equal(guest_rw(IO_WRITE, VOLUME_FIRST + 5, 16, GUEST_DATA, GUEST_DATA + PAGE_SIZE), 0);
    assert_memory_not_equal(nvme.disk + (VOLUME_FIRST + 5) * BLOCK, guest_ram(GUEST_DATA, sizeof(plain)),
                            BLOCK);
    rig_decrypt_disk(VOLUME_FIRST + 5, plain, sizeof(plain));
    assert_memory_equal(plain, guest_ram(GUEST_DATA, sizeof(plain)), sizeof(plain));
    assert_int_equal(guest_rw(IO_READ, VOLUME_FIRST + 5, 16, GUEST_DATA + 0x10000, GUEST_DATA + 0x20000), 0);
    assert_memory_equal(guest_ram(GUEST_DATA + 0x10000, PAGE_SIZE), plain, PAGE_SIZE);
    assert_memory_equal(guest_ram(GUEST_DATA + 0x20000, PAGE_SIZE), plain + PAGE_SIZE, PAGE_SIZE);
}

/* A PRP list of `count` pages at `list`, scattered backwards from `data`. */
void rig_make_list(uint64_t list, uint64_t data, unsigned count)
{
    uint64_t *entries = guest_ram(list, count * 8);
    for (unsigned i = 0; i < count; i++)
        entries[i] = data + (count - 1 - i) * PAGE_SIZE;
}
