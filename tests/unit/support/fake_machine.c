/* SPDX-License-Identifier: Apache-2.0 */
/* The fake machine: memory, PCI configuration space, traps, interrupts and the log. */
#include "tests/unit/support/fake_machine.h"

#include "core/device.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/probe.h"
#include "core/simd.h"
#include "guest/memory.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define NMI_ADDRESS 0xfee00000ull
#define NMI_DATA    0x400u
#define CLOCK_STEP  1000000

struct fake_machine fake;

static void must(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "fake machine: %s\n", what);
    abort();
}

static uint8_t *reserve(size_t count)
{
    if (!fake.low_pages)
        return aligned_alloc(PAGE_SIZE, count * PAGE_SIZE);
    void *at =
        mmap(NULL, count * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

static void release(uint8_t *at, size_t count)
{
    if (fake.low_pages)
        munmap(at, count * PAGE_SIZE);
    else
        free(at);
}

void fake_reset(void)
{
    for (unsigned i = 0; i < fake.allocation_count; i++)
        release(fake.allocations[i].at, fake.allocations[i].pages);
    free(fake.ram);
    memset(&fake, 0, sizeof(fake));
    fake.ram = calloc(1, FAKE_RAM_BYTES);
    fake.pages_left = MIB(64);
    must(fake.ram != NULL, "no memory");
}

/* ---- core/memory.h ---- */

void *pages_allocate(size_t count)
{
    if (!count || count * PAGE_SIZE > fake.pages_left || fake.allocation_count == FAKE_PAGES_MAX)
        return NULL;
    uint8_t *at = reserve(count);
    must(at != NULL, "no memory");
    memset(at, 0, count * PAGE_SIZE);
    fake.allocations[fake.allocation_count].at = at;
    fake.allocations[fake.allocation_count++].pages = count;
    fake.pages_left -= count * PAGE_SIZE;
    return at;
}

void pages_free(void *pages, size_t count)
{
    for (unsigned i = 0; i < fake.allocation_count; i++) {
        if (fake.allocations[i].at != pages)
            continue;
        must(fake.allocations[i].pages == count, "pages freed with another count");
        release(pages, count);
        fake.allocations[i] = fake.allocations[--fake.allocation_count];
        fake.pages_left += count * PAGE_SIZE;
        return;
    }
    must(false, "pages freed that are not allocated");
}

size_t fake_pages_held(void)
{
    size_t held = 0;
    for (unsigned i = 0; i < fake.allocation_count; i++)
        held += fake.allocations[i].pages;
    return held;
}

uint64_t pages_left(void)
{
    return fake.pages_left;
}

uint64_t physical_of(const void *address)
{
    return (uint64_t)(uintptr_t)address;
}

void *virtual_of(uint64_t physical)
{
    return (void *)(uintptr_t)physical;
}

/* Registers are reached through a handle that is no memory: the device model answers. */
volatile void *device_map(uint64_t physical, size_t length)
{
    (void)length;
    return (volatile void *)(uintptr_t)physical;
}

/* ---- core/device.h, core/simd.h, core/log.h ---- */

static uint64_t real_bar(void)
{
    uint64_t bar;
    memcpy(&bar, fake.config + 0x10, sizeof(bar));
    return bar & ~0xfull;
}

static uint64_t bar_offset(const volatile void *at)
{
    uint64_t offset = (uint64_t)(uintptr_t)at - real_bar();
    must(offset < fake.bar_size && fake.config[4] & 2, "the hypervisor reads registers where there are none");
    return offset;
}

uint32_t device_read32(const volatile void *at)
{
    return fake.device.read(fake.device.owner, bar_offset(at));
}

void device_write32(volatile void *at, uint32_t value)
{
    fake.device.write(fake.device.owner, bar_offset(at), value);
}

uint32_t device_in(uint16_t port, unsigned bytes)
{
    return fake.device.in(port, bytes);
}

void device_out(uint16_t port, unsigned bytes, uint32_t value)
{
    fake.device.out(port, bytes, value);
}

uint64_t device_clock(void)
{
    return fake.clock += CLOCK_STEP;
}

void simd_begin(void)
{
    must(!fake.in_simd, "simd_begin is nested");
    fake.in_simd = true;
}

void simd_end(void)
{
    must(fake.in_simd, "simd_end without simd_begin");
    fake.in_simd = false;
}

void log_line(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    if (fake.log_used < FAKE_LOG_BYTES - 256) {
        fake.log_used += (size_t)vsnprintf(fake.log + fake.log_used, 255, fmt, args);
        fake.log[fake.log_used++] = '\n';
    }
    va_end(args);
}

/* ---- guest/memory.h ---- */

bool guest_memory_is_ram(uint64_t address, uint64_t length)
{
    return address >= FAKE_RAM_BASE && range_fits(address - FAKE_RAM_BASE, length, FAKE_RAM_BYTES);
}

bool guest_memory_read(uint64_t address, void *to, size_t length)
{
    must(!fake.window_open, "guest memory is read inside a window");
    if (!guest_memory_is_ram(address, length))
        return false;
    memcpy(to, fake.ram + (address - FAKE_RAM_BASE), length);
    return true;
}

bool guest_memory_write(uint64_t address, const void *from, size_t length)
{
    must(!fake.window_open, "guest memory is written inside a window");
    if (!guest_memory_is_ram(address, length))
        return false;
    memcpy(fake.ram + (address - FAKE_RAM_BASE), from, length);
    return true;
}

void *guest_memory_open(uint64_t address, size_t length)
{
    must(!fake.window_open, "a window is open");
    if (!guest_memory_is_ram(address, length))
        return NULL;
    fake.window_open = true;
    return fake.ram + (address - FAKE_RAM_BASE);
}

void guest_memory_close(void)
{
    must(fake.window_open, "no window is open");
    fake.window_open = false;
}

void *guest_ram(uint64_t address, size_t length)
{
    must(guest_memory_is_ram(address, length), "the test uses memory that is not RAM");
    return fake.ram + (address - FAKE_RAM_BASE);
}

/* ---- core/probe.h, core/pci.h ---- */

const struct handoff *the_handoff(void)
{
    static struct handoff handoff = {
        .block_base = FAKE_BLOCK_BASE,
        .block_length = MIB(2),
        .ram_count = 1,
        .ram = {{FAKE_RAM_BASE, FAKE_RAM_BYTES}},
    };
    return &handoff;
}

uint32_t pci_read(struct pci_address at, unsigned offset, unsigned bytes)
{
    uint32_t value = 0;
    (void)at;
    must(offset + bytes <= sizeof(fake.config) && offset % bytes == 0, "odd configuration access");
    memcpy(&value, fake.config + offset, bytes);
    return value;
}

void pci_write(struct pci_address at, unsigned offset, unsigned bytes, uint32_t value)
{
    (void)at;
    must(offset + bytes <= sizeof(fake.config) && offset % bytes == 0, "odd configuration access");
    memcpy(fake.config + offset, &value, bytes);
    if (fake.device.configured) {
        fake.device.configured();
    } else if (offset >= 0x10 && offset < 0x18) { /* BAR 0, 64 bits */
        uint64_t bar;
        memcpy(&bar, fake.config + 0x10, sizeof(bar));
        bar = (bar & ~(fake.bar_size - 1)) | 4;
        memcpy(fake.config + 0x10, &bar, sizeof(bar));
    }
}

/* ---- guest/trap.h ---- */

bool mmio_trap(struct mmio_region *region)
{
    for (unsigned i = 0; i < FAKE_REGIONS_MAX; i++) {
        if (!fake.regions[i]) {
            fake.regions[i] = region;
            return true;
        }
    }
    return false;
}

void mmio_release(struct mmio_region *region)
{
    for (unsigned i = 0; i < FAKE_REGIONS_MAX; i++)
        if (fake.regions[i] == region)
            fake.regions[i] = NULL;
}

bool port_trap(const struct port_region *region)
{
    for (unsigned i = 0; i < FAKE_PORTS_MAX; i++) {
        if (!fake.ports[i]) {
            fake.ports[i] = region;
            return true;
        }
    }
    return false;
}

bool page_watch(struct watched_page *page)
{
    must(guest_memory_is_ram(page->address, PAGE_SIZE) && !(page->address & PAGE_MASK),
         "watched page is not RAM");
    for (unsigned i = 0; i < FAKE_WATCHES_MAX; i++) {
        if (!fake.watches[i]) {
            fake.watches[i] = page;
            return true;
        }
    }
    return false;
}

void page_unwatch(struct watched_page *page)
{
    for (unsigned i = 0; i < FAKE_WATCHES_MAX; i++) {
        if (fake.watches[i] == page) {
            fake.watches[i] = NULL;
            return;
        }
    }
    must(false, "a page is unwatched that was not watched");
}

bool pci_trap(struct pci_trap *trap)
{
    fake.pci = trap;
    return true;
}

bool nmi_claim(struct nmi_claim *claim)
{
    fake.claim = claim;
    return true;
}

unsigned this_cpu_index(void)
{
    return 0;
}

unsigned cpu_of_message(uint64_t msi_address)
{
    return (unsigned)(msi_address >> 12 & 1);
}

uint64_t nmi_message_address(unsigned cpu)
{
    return NMI_ADDRESS | (uint64_t)cpu << 12;
}

uint32_t nmi_message_data(void)
{
    return NMI_DATA;
}

void vector_raise(uint8_t vector)
{
    fake.raised[vector]++;
}

void vector_raise_on(unsigned cpu, uint8_t vector)
{
    (void)cpu;
    fake.raised[vector]++;
}

/* ---- The guest, the device ---- */

uint64_t guest_mmio(uint64_t address, unsigned bytes, bool write, uint64_t value)
{
    for (unsigned i = 0; i < FAKE_REGIONS_MAX; i++) {
        struct mmio_region *region = fake.regions[i];
        if (!region || address < region->base || address - region->base >= region->length)
            continue;
        struct mmio_access access = {
            .address = address, .bytes = (uint8_t)bytes, .write = write, .value = value};
        region->access(region->owner, &access);
        return access.value;
    }
    return UINT64_MAX;
}

/* As guest/ports.c does it: what lies wholly in a region at once, the rest byte by byte; untrapped ports are
 * nobody's here. */
static void guest_port(uint16_t port, unsigned bytes, bool write, uint32_t *value)
{
    for (unsigned i = 0; i < FAKE_PORTS_MAX && fake.ports[i]; i++) {
        const struct port_region *region = fake.ports[i];
        if (port >= region->first && port + bytes <= region->first + region->count) {
            region->access(region->owner, port, bytes, write, value);
            return;
        }
    }
    uint32_t result = bytes == 1 ? 0xff : 0;
    for (unsigned i = 0; bytes > 1 && i < bytes; i++) {
        uint32_t byte = *value >> 8 * i & 0xff;
        guest_port((uint16_t)(port + i), 1, write, &byte);
        result |= (byte & 0xff) << 8 * i;
    }
    *value = result;
}

uint32_t guest_in(uint16_t port, unsigned bytes)
{
    uint32_t value = 0;
    guest_port(port, bytes, false, &value);
    return value & (uint32_t)(BIT(bytes * 8) - 1);
}

void guest_out(uint16_t port, unsigned bytes, uint32_t value)
{
    guest_port(port, bytes, true, &value);
}

uint32_t guest_config_read(unsigned offset, unsigned bytes)
{
    uint32_t value = 0;
    fake.pci->read(fake.pci->owner, offset, bytes, &value);
    return value;
}

void guest_config_write(unsigned offset, unsigned bytes, uint32_t value)
{
    fake.pci->write(fake.pci->owner, offset, bytes, value);
}

void guest_touch(uint64_t address)
{
    for (unsigned i = 0; i < FAKE_WATCHES_MAX; i++)
        if (fake.watches[i] && fake.watches[i]->address == (address & ~(uint64_t)PAGE_MASK))
            fake.watches[i]->before(fake.watches[i]->owner);
}

void *fake_dma(uint64_t address, size_t length)
{
    if (guest_memory_is_ram(address, length))
        return fake.ram + (address - FAKE_RAM_BASE);
    for (unsigned i = 0; i < fake.allocation_count; i++) {
        uint64_t base = (uint64_t)(uintptr_t)fake.allocations[i].at;
        if (address >= base && range_fits(address - base, length, fake.allocations[i].pages * PAGE_SIZE))
            return (void *)(uintptr_t)address;
    }
    return NULL;
}

void fake_message(uint64_t address, uint32_t data)
{
    must((address & ~0xff000ull) == NMI_ADDRESS && data == NMI_DATA,
         "the device sent a message that is no NMI");
    fake.nmis |= 1u << cpu_of_message(address);
}

void fake_deliver(void)
{
    while (fake.nmis) {
        unsigned cpu = fake.nmis & 1 ? 0 : 1;
        fake.nmis &= ~(1u << cpu);
        bool claimed = fake.claim->sweep(fake.claim->owner, cpu) != 0;
        fake.nmis_unclaimed +=
            !claimed && !fake.echo_possible; /* guest/nmi.c swallows one echo of each claimed batch */
        fake.echo_possible = claimed;
    }
}
