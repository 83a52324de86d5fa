/* SPDX-License-Identifier: Apache-2.0 */
/* The contracts of core/ and guest/ that drivers call, as a small machine in the test's own memory: guest
 * RAM, hypervisor pages, one PCI function, traps and vectors. */
#ifndef SHOJI_TESTS_FAKE_MACHINE_H
#define SHOJI_TESTS_FAKE_MACHINE_H

#include "guest/trap.h"
#include "lib/base.h"

#define FAKE_RAM_BASE    0x100000ull
#define FAKE_RAM_BYTES   MIB(16)
#define FAKE_BLOCK_BASE  0x10000000ull /* of the hypervisor, as the hand-off tells */
#define FAKE_PAGES_MAX   8192
#define FAKE_BAR_BYTES   0x4000ull
#define FAKE_BAR_ADDRESS 0xfe000000ull
#define FAKE_REGIONS_MAX 4
#define FAKE_PORTS_MAX   8
#define FAKE_WATCHES_MAX 512
#define FAKE_LOG_BYTES   8192

/* The device behind the PCI function: its registers in memory, or at ports. */
struct fake_device {
    uint32_t (*read)(void *owner, uint64_t offset);
    void (*write)(void *owner, uint64_t offset, uint32_t value);
    uint32_t (*in)(uint16_t port, unsigned bytes);
    void (*out)(uint16_t port, unsigned bytes, uint32_t value);
    /* After a write to configuration space: what of it stays. NULL: one BAR of 64 bits. */
    void (*configured)(void);
    void *owner;
};

struct fake_machine {
    uint8_t *ram; /* FAKE_RAM_BYTES at FAKE_RAM_BASE */
    bool window_open, in_simd;
    struct {
        uint8_t *at;
        size_t pages;
    } allocations[FAKE_PAGES_MAX];
    unsigned allocation_count;
    bool low_pages; /* hypervisor pages below 4 GiB, as devices with short addresses need them */
    uint64_t pages_left;
    uint8_t config[4096];
    uint64_t bar_size;
    struct fake_device device;
    struct mmio_region *regions[FAKE_REGIONS_MAX];
    const struct port_region *ports[FAKE_PORTS_MAX];
    struct watched_page *watches[FAKE_WATCHES_MAX];
    struct pci_trap *pci;
    struct nmi_claim *claim;
    unsigned nmis;           /* not yet delivered */
    unsigned nmis_unclaimed; /* nobody's */
    bool echo_possible;      /* the next one may be of completions that the last sweep took */
    unsigned raised[256];    /* vectors */
    uint64_t clock;
    char log[FAKE_LOG_BYTES];
    size_t log_used;
};
extern struct fake_machine fake;

/* A fresh machine; what the last one held is freed. */
void fake_reset(void);

/* What the guest's CPU does. */
uint64_t guest_mmio(uint64_t address, unsigned bytes, bool write, uint64_t value);
uint32_t guest_in(uint16_t port, unsigned bytes);
void guest_out(uint16_t port, unsigned bytes, uint32_t value);
uint32_t guest_config_read(unsigned offset, unsigned bytes);
void guest_config_write(unsigned offset, unsigned bytes, uint32_t value);
/* Touches a page as a polling guest does: the watch sees it first. */
void guest_touch(uint64_t address);
/* Guest RAM as the guest sees it; the test fails when the range is not RAM. */
void *guest_ram(uint64_t address, size_t length);

/* What the device does: memory at a DMA address, or NULL when the access would hit neither guest RAM nor a
 * page that the hypervisor holds. */
void *fake_dma(uint64_t address, size_t length);
/* A message write of the device: an NMI where the real MSI-X table says so. */
void fake_message(uint64_t address, uint32_t data);
/* Delivers all pending NMIs. */
void fake_deliver(void);
/* Hypervisor pages that are allocated now. */
size_t fake_pages_held(void);

#endif
