/* SPDX-License-Identifier: Apache-2.0 */
/* PCI configuration space as the guest sees it: ports CF8h and CFCh wholly, and of the memory-mapped window
 * the pages of mediated functions and of what could move them or the window. Bus numbers of bridges stay as
 * the firmware set them, so that an address keeps meaning the same function. */
#include "guest/pci_config.h"

#include "core/cpu.h"
#include "core/log.h"
#include "core/pci_access.h"
#include "guest/ports.h"
#include "guest/power.h"
#include "guest/trap.h"
#include "lib/decode.h"

#define TRAPS_MAX          32
#define CONFIG_BYTES       0x100u
#define HEADER_TYPE        0x0eu
#define HEADER_TYPE_MASK   0x7fu
#define HEADER_BRIDGE      1u
#define BUS_NUMBERS        0x18u
#define BUS_NUMBERS_BYTES  3u
#define CLASS_WORD         0x0au
#define VENDOR_INTEL       0x8086u
#define PORT_RESET_CONTROL 0xcf9u

struct window_page {
    struct pci_address address;
    struct mmio_region region;
};

static struct pci_trap
    *traps[TRAPS_MAX]; /* constant once the first CPU runs, like all here but the address */
static unsigned trap_count;
static struct window_page pages[TRAPS_MAX];
static unsigned page_count;
static const struct handoff_acpi *acpi;
static uint32_t
    address_port; /* what the guest last wrote to CF8h; the guest serialises its use, as on hardware */

static bool same(struct pci_address a, struct pci_address b)
{
    return a.segment == b.segment && a.bus == b.bus && a.device == b.device && a.function == b.function;
}

static struct pci_trap *trap_of(struct pci_address at)
{
    for (unsigned i = 0; i < trap_count; i++)
        if (same(traps[i]->address, at))
            return traps[i];
    return NULL;
}

static bool is_bridge(struct pci_address at)
{
    return (pci_read(at, HEADER_TYPE, 1) & HEADER_TYPE_MASK) == HEADER_BRIDGE;
}

/* Registers of Intel chipsets that would move what Shoji traps. */
static const struct frozen {
    uint8_t device, function;
    uint16_t class;
    uint8_t offset, bytes;
} frozen[] = {
    {0x00, 0, 0x0600, 0x60, 8}, /* PCIEXBAR of host bridges: the window's base, enable and length */
    {0x1f, 0, 0x0601, 0x40,
     8}, /* PMBASE and ACPI_CNTL of LPC bridges: the port that puts the machine to sleep */
    {0x1f, 2, 0x0580, 0x40, 8}, /* the same, ABASE and ACTL, of a power management controller */
    {0x01, 3, 0x0680, 0x40, 4}, /* PMBA of PIIX4, and PMREGMISC, which enables it */
    {0x01, 3, 0x0680, 0x80, 1},
};

static struct pci_address address_of(const struct frozen *f)
{
    return (struct pci_address){.device = f->device, .function = f->function};
}

static bool is_present(const struct frozen *f)
{
    struct pci_address at = address_of(f);
    return (pci_read(at, 0, 2) & 0xffff) == VENDOR_INTEL &&
           (pci_read(at, CLASS_WORD, 2) & 0xffff) == f->class;
}

/* Registers that place the bus topology, the window or the sleep port. */
static bool is_frozen(struct pci_address at, unsigned offset, unsigned bytes)
{
    if (ranges_overlap(offset, bytes, BUS_NUMBERS, BUS_NUMBERS_BYTES) && is_bridge(at))
        return true;
    for (const struct frozen *f = frozen; f < frozen + ARRAY_COUNT(frozen); f++)
        if (same(at, address_of(f)) && ranges_overlap(offset, bytes, f->offset, f->bytes) && is_present(f))
            return true;
    return false;
}

static uint32_t guest_read(struct pci_address at, unsigned offset, unsigned bytes)
{
    struct pci_trap *trap = trap_of(at);
    uint32_t value = 0;
    if (!trap)
        return pci_read(at, offset, bytes);
    /* Extended capabilities of mediated functions (SR-IOV among them) are not there. */
    if (offset < CONFIG_BYTES)
        trap->read(trap->owner, offset, bytes, &value);
    return value;
}

static void guest_write(struct pci_address at, unsigned offset, unsigned bytes, uint32_t value)
{
    struct pci_trap *trap = trap_of(at);
    if (trap) {
        if (offset < CONFIG_BYTES)
            trap->write(trap->owner, offset, bytes, value);
        return;
    }
    if (is_frozen(at, offset, bytes)) {
        uint32_t now = pci_read(at, offset & ~3u, 4);
        uint32_t shift = 8 * (offset & 3), mask = bytes == 4 ? ~0u : (1u << 8 * bytes) - 1;
        if ((now >> shift & mask) != (value & mask))
            log_limited("a change of PCI %02x:%02x.%u register %x is ignored", at.bus, at.device, at.function,
                        offset);
        if (!ranges_overlap(offset, bytes, BUS_NUMBERS + BUS_NUMBERS_BYTES, 1) || !is_bridge(at))
            return;
        /* The byte beside the bus numbers is the latency timer, which is the guest's. */
        uint32_t own = (BUS_NUMBERS + BUS_NUMBERS_BYTES - offset) * 8;
        pci_write(at, BUS_NUMBERS + BUS_NUMBERS_BYTES, 1, value >> own & 0xff);
        return;
    }
    pci_write(at, offset, bytes, value);
}

/* ---- Ports ---- */

static struct pci_address port_address(void)
{
    return (struct pci_address){.bus = (uint8_t)(address_port >> 16),
                                .device = address_port >> 11 & 0x1f,
                                .function = address_port >> 8 & 7};
}

static void data_port(uint16_t port, unsigned bytes, bool write, uint32_t *value)
{
    unsigned offset = (address_port & 0xfc) + (port & 3);
    if (!(address_port & PCI_ADDRESS_ENABLE) || (port & 3) + bytes > 4) {
        if (!write)
            *value = ~0u;
        return;
    }
    if (write)
        guest_write(port_address(), offset, bytes, *value);
    else
        *value = guest_read(port_address(), offset, bytes);
}

static void access(struct vcpu *vcpu, uint16_t port, unsigned bytes, bool write, uint32_t *value)
{
    (void)vcpu;
    if (port >= PCI_DATA_PORT)
        data_port(port, bytes, write, value);
    else if (port == PCI_ADDRESS_PORT && bytes == 4 && write)
        address_port = *value;
    else if (port == PCI_ADDRESS_PORT && bytes == 4)
        *value = address_port;
    else if (port == PORT_RESET_CONTROL && bytes == 1)
        power_reset_control(port, bytes, write, value);
    else if (!write)
        *value = ~0u;
}

/* ---- Memory-mapped window ---- */

static void window_access(void *owner, struct mmio_access *request)
{
    const struct window_page *page = owner;
    uint64_t result = 0;
    unsigned first = request->address & PAGE_MASK;
    for (unsigned done = 0; done < request->bytes;) {
        unsigned offset = first + done;
        unsigned piece = MIN(request->bytes - done, 4u);
        while (offset & (piece - 1))
            piece /= 2;
        if (request->write)
            guest_write(page->address, offset, piece, (uint32_t)(request->value >> 8 * done));
        else
            result |= decode_extend(guest_read(page->address, offset, piece), piece, false) << 8 * done;
        done += piece;
    }
    request->value = result;
}

static bool trap_window_page(struct pci_address at)
{
    for (unsigned i = 0; i < acpi->mcfg_count; i++) {
        const struct handoff_mcfg *w = &acpi->mcfg[i];
        if (w->segment != at.segment || at.bus < w->first_bus || at.bus > w->last_bus)
            continue;
        if (page_count == TRAPS_MAX)
            return false;
        struct window_page *page = &pages[page_count++];
        uint64_t base =
            w->base + ((uint64_t)at.bus << 20 | (uint64_t)at.device << 15 | (uint64_t)at.function << 12);
        page->address = at;
        page->region = (struct mmio_region){base, PAGE_SIZE, window_access, page};
        if (!mmio_trap(&page->region))
            return false;
    }
    return true;
}

/* The bridges on the way to a bus, by their own (secondary, subordinate) numbers. */
static bool trap_bridges_to(uint8_t bus)
{
    for (unsigned b = 0; b < bus; b++)
        for (unsigned device = 0; device < 32; device++)
            for (unsigned function = 0; function < 8; function++) {
                struct pci_address at = {0, (uint8_t)b, (uint8_t)device, (uint8_t)function};
                if ((pci_read(at, 0, 2) & 0xffff) == 0xffff || !is_bridge(at))
                    continue;
                uint32_t numbers = pci_read(at, BUS_NUMBERS, 4);
                if (bus >= (numbers >> 8 & 0xff) && bus <= (numbers >> 16 & 0xff) && !trap_window_page(at))
                    return false;
            }
    return true;
}

static bool trap_frozen(void)
{
    for (unsigned i = 0; i < ARRAY_COUNT(frozen); i++) {
        bool same_as_before = i && same(address_of(&frozen[i]), address_of(&frozen[i - 1]));
        if (!same_as_before && is_present(&frozen[i]) && !trap_window_page(address_of(&frozen[i])))
            return false;
    }
    return true;
}

bool pci_trap(struct pci_trap *trap)
{
    if (trap_count == TRAPS_MAX)
        return false;
    if (!trap_count && !trap_frozen())
        return false;
    traps[trap_count++] = trap;
    return trap_window_page(trap->address) && trap_bridges_to(trap->address.bus);
}

bool pci_config_start(const struct handoff_acpi *tables)
{
    acpi = tables;
    return ports_trap((struct port_rule){.first = PCI_ADDRESS_PORT, .count = 8, .access = access});
}
