/* SPDX-License-Identifier: Apache-2.0 */
/* A memory BAR that is trapped: the guest sizes and moves a shadow, the real one follows when memory decoding
 * is on. */
#include "core/memory.h"
#include "core/probe.h"
#include "drivers/pci_spec.h"
#include "drivers/storage/nvme/nvme.h"

#define BAR_TYPE       0xfu
#define BAR_WIDE       4u
#define ADDRESS_LIMIT  BIT(52)       /* of the architecture */
#define MESSAGES_BASE  0xfee00000ull /* local APICs and message interrupts */
#define MESSAGES_BYTES MIB(1)
#define BAR_WIDTH      6u

static uint64_t read_real(const struct nvme_bar *bar)
{
    struct pci_address at = bar->controller->at;
    uint64_t value = pci_read(at, PCI_BAR(bar->number), 4) & ~BAR_TYPE;
    return bar->wide ? value | (uint64_t)pci_read(at, PCI_BAR(bar->number + 1), 4) << 32 : value;
}

static void write_real(const struct nvme_bar *bar, uint64_t value)
{
    struct pci_address at = bar->controller->at;
    pci_write(at, PCI_BAR(bar->number), 4, (uint32_t)value);
    if (bar->wide)
        pci_write(at, PCI_BAR(bar->number + 1), 4, (uint32_t)(value >> 32));
}

/* Runs with memory decoding off, so that no access goes astray. */
static uint64_t measure(const struct nvme_bar *bar)
{
    write_real(bar, UINT64_MAX);
    uint64_t mask = read_real(bar);
    write_real(bar, bar->real);
    return bar->wide ? -mask : (uint32_t)-mask;
}

bool bar_start(struct nvme_bar *bar, struct nvme_controller *controller, unsigned number)
{
    if (number >= PCI_BARS)
        return false;
    *bar = (struct nvme_bar){.controller = controller, .number = number};
    bar->type = pci_read(controller->at, PCI_BAR(number), 4) & BAR_TYPE;
    bar->wide = (bar->type & BAR_WIDTH) == BAR_WIDE;
    if (bar->type & PCI_BAR_IO || (bar->wide && number + 1 >= PCI_BARS))
        return false;
    uint16_t command = (uint16_t)pci_read(controller->at, PCI_COMMAND, 2);
    pci_write(controller->at, PCI_COMMAND, 2, command & ~COMMAND_MEMORY);
    bar->real = bar->guest = read_real(bar);
    bar->size = measure(bar);
    pci_write(controller->at, PCI_COMMAND, 2, command);
    if (!bar->real || bar->size < PAGE_SIZE || bar->real & (bar->size - 1))
        return false;
    bar->region = (struct mmio_region){
        .base = bar->real, .length = bar->size, .access = registers_access, .owner = bar};
    bar->map = device_map(bar->real, bar->size);
    return bar->map != NULL;
}

bool bar_owns(const struct nvme_bar *bar, unsigned offset)
{
    return offset == PCI_BAR(bar->number) || (bar->wide && offset == PCI_BAR(bar->number + 1));
}

uint32_t bar_view(const struct nvme_bar *bar, unsigned offset)
{
    return offset == PCI_BAR(bar->number) ? (uint32_t)bar->guest | bar->type : (uint32_t)(bar->guest >> 32);
}

void bar_write(struct nvme_bar *bar, unsigned offset, uint32_t value)
{
    uint64_t high = bar->guest >> 32 << 32, low = bar->guest & UINT32_MAX;
    if (offset == PCI_BAR(bar->number))
        low = value & ~BAR_TYPE;
    else
        high = (uint64_t)value << 32;
    bar->guest = (high | low) & ~(bar->size - 1);
}

/* May the guest put registers here? Not over memory, its own or the hypervisor's, nor where messages go: our
 * own accesses would then land there. */
static bool is_free(uint64_t address, uint64_t length)
{
    const struct handoff *handoff = the_handoff();
    if (!address || !range_fits(address, length, ADDRESS_LIMIT) ||
        ranges_overlap(address, length, handoff->block_base, handoff->block_length) ||
        ranges_overlap(address, length, MESSAGES_BASE, MESSAGES_BYTES))
        return false;
    for (unsigned i = 0; i < handoff->ram_count; i++)
        if (ranges_overlap(address, length, handoff->ram[i].base, handoff->ram[i].length))
            return false;
    return true;
}

void bar_remove(struct nvme_bar *bar)
{
    if (bar->trapped)
        mmio_release(&bar->region);
    bar->trapped = false;
}

bool bar_place(struct nvme_bar *bar)
{
    if (bar->trapped && bar->guest == bar->real)
        return true;
    bar_remove(bar);
    if (bar->guest != bar->real) {
        volatile uint8_t *map = !is_free(bar->guest, bar->size) ? NULL : device_map(bar->guest, bar->size);
        if (!map)
            return false;
        uint16_t command = (uint16_t)pci_read(bar->controller->at, PCI_COMMAND, 2);
        pci_write(bar->controller->at, PCI_COMMAND, 2, command & ~COMMAND_MEMORY);
        write_real(bar, bar->guest);
        bar->real = bar->guest;
        bar->map = map;
    }
    bar->region.base = bar->real;
    bar->trapped = mmio_trap(&bar->region);
    return bar->trapped;
}

void bar_restore(const struct nvme_bar *bar)
{
    write_real(bar, bar->real);
}
