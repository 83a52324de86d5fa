/* SPDX-License-Identifier: Apache-2.0 */
/* The controller's PCI configuration space: BARs and command register are shadowed, timing registers are
 * native, and what else there may be (another way to the registers, message interrupts, power states) is not
 * there. The ports stay where the firmware put them; a guest that moves them finds nothing. */
#include "core/log.h"
#include "drivers/pci_spec.h"
#include "drivers/storage/ide/ide.h"

#define COMMAND_KEPT   0x0545u /* I/O, master, parity and system errors, pin interrupt */
#define BAR_FLAGS      3u
#define COMPATIBLE(n)  ((n) ? 0x170u : 0x1f0u)
#define CONTROL(n)     ((n) ? 0x376u : 0x3f6u)
#define CONTROL_PORTS  1u
#define PCI_BARS_END   0x28u
#define PCI_ROM        0x30u
#define PCI_EVERY_PORT 0x10000u

/* What of the rest the guest may write; everything may be read but the ROM and the list of capabilities. */
static const struct {
    uint8_t first, end;
} writable[] = {
    {0x0c, 0x0e}, /* cache line, latency */
    {0x3c, 0x3d}, /* interrupt line, a note */
    {0x40, 0x58}, /* timings */
};

static bool start_bar(struct ide_controller *controller, unsigned number)
{
    struct ide_bar *bar = &controller->bars[number];
    uint32_t found = pci_read(controller->at, PCI_BAR(number), 4);
    pci_write(controller->at, PCI_BAR(number), 4, UINT32_MAX);
    uint32_t mask = pci_read(controller->at, PCI_BAR(number), 4);
    pci_write(controller->at, PCI_BAR(number), 4, found);
    if (!(mask & PCI_BAR_IO))
        return false;
    bar->mask = mask & ~BAR_FLAGS;
    bar->guest = bar->real = found & ~BAR_FLAGS;
    return true;
}

/* Takes a BAR's ports as used: they must lie somewhere. */
static uint16_t use_bar(struct ide_controller *controller, unsigned number)
{
    struct ide_bar *bar = &controller->bars[number];
    bar->used = true;
    return bar->mask && bar->real < PCI_EVERY_PORT ? (uint16_t)bar->real : 0;
}

static bool find_ports(struct ide_controller *controller, uint8_t modes)
{
    uint16_t master = use_bar(controller, IDE_BAR_MASTER);
    bool found = master;
    for (unsigned i = 0; i < IDE_CHANNELS; i++) {
        struct ide_channel *channel = &controller->channels[i];
        bool native = modes & IDE_MODE_NATIVE << 2 * i;
        channel->controller = controller;
        channel->master = (uint16_t)(master + i * IDE_MASTER_PORTS);
        channel->task = native ? use_bar(controller, 2 * i) : COMPATIBLE(i);
        uint16_t control = native ? use_bar(controller, 2 * i + 1) : 0;
        channel->control = native ? (uint16_t)(control + IDE_CONTROL_SKIP) : CONTROL(i);
        found = found && channel->task && (!native || control);
    }
    return found;
}

bool ide_config_start(struct ide_controller *controller, struct report *problem)
{
    struct pci_address at = controller->at;
    uint8_t modes = (uint8_t)(pci_read(at, PCI_CLASS, 4) >> 8);
    controller->command = (uint16_t)pci_read(at, PCI_COMMAND, 2) & COMMAND_KEPT;
    pci_write(at, PCI_COMMAND, 2, 0);
    for (unsigned i = 0; i <= IDE_BAR_MASTER; i++)
        (void)start_bar(controller, i);
    bool found = (modes & IDE_MODE_MASTER) && find_ports(controller, modes);
    pci_write(at, PCI_COMMAND, 2, COMMAND_IO);
    return found || report(problem,
                           "The IDE controller %02x:%02x.%x has no usable ports or no bus master; check the "
                           "firmware's settings.",
                           at.bus, at.device, at.function);
}

/* The device decodes its ports as long as Shoji needs them, whatever the guest says. */
static void apply(struct ide_controller *controller)
{
    bool in_place = true;
    for (unsigned i = 0; i <= IDE_BAR_MASTER; i++) {
        const struct ide_bar *bar = &controller->bars[i];
        in_place = in_place && (!bar->used || bar->guest == bar->real);
    }
    bool on = controller->command & COMMAND_IO;
    if (on && !in_place)
        log_limited("ide %02x:%02x.%x: its ports cannot be moved; they are gone until they are put back",
                    controller->at.bus, controller->at.device, controller->at.function);
    pci_write(controller->at, PCI_COMMAND, 2, controller->command | COMMAND_IO);
    __atomic_store_n(&controller->decoding, on && in_place, __ATOMIC_RELAXED);
}

static uint32_t view(const struct ide_controller *controller, unsigned offset)
{
    if (offset == PCI_COMMAND) {
        uint32_t status = pci_read(controller->at, PCI_STATUS, 2) & ~PCI_STATUS_CAPABILITIES;
        return status << 16 | controller->command;
    }
    if (offset >= PCI_BAR(0) && offset < PCI_BARS_END) {
        unsigned number = (offset - PCI_BAR(0)) / 4;
        if (number > IDE_BAR_MASTER || !controller->bars[number].mask)
            return 0;
        return controller->bars[number].guest | PCI_BAR_IO;
    }
    if (offset == PCI_ROM || offset == PCI_CAPABILITIES)
        return 0;
    return pci_read(controller->at, offset, 4);
}

static void read_config(void *owner, unsigned offset, unsigned bytes, uint32_t *value)
{
    struct ide_controller *controller = owner;
    spin_lock(&controller->lock);
    *value = pci_part(view(controller, offset & ~3u), offset, bytes);
    spin_unlock(&controller->lock);
}

/* Byte by byte, so that a wide write changes only what may be changed. */
static void write_rest(const struct ide_controller *controller, unsigned offset, unsigned bytes,
                       uint32_t value)
{
    for (unsigned i = 0; i < bytes; i++)
        for (unsigned w = 0; w < ARRAY_COUNT(writable); w++)
            if (offset + i >= writable[w].first && offset + i < writable[w].end)
                pci_write(controller->at, offset + i, 1, value >> 8 * i & 0xff);
}

static void write_config(void *owner, unsigned offset, unsigned bytes, uint32_t value)
{
    struct ide_controller *controller = owner;
    unsigned aligned = offset & ~3u;
    spin_lock(&controller->lock);
    uint32_t whole = pci_merge(view(controller, aligned), offset, bytes, value);
    if (aligned == PCI_COMMAND) {
        controller->command = whole & COMMAND_KEPT;
        apply(controller);
        if (offset + bytes > PCI_STATUS) /* error bits, cleared by writing ones */
            pci_write(controller->at, PCI_STATUS, 2,
                      offset >= PCI_STATUS ? value << (offset % 2) * 8 : value >> 16);
    } else if (aligned >= PCI_BAR(0) && aligned <= PCI_BAR(IDE_BAR_MASTER)) {
        struct ide_bar *bar = &controller->bars[(aligned - PCI_BAR(0)) / 4];
        bar->guest = whole & bar->mask;
        apply(controller);
    } else {
        write_rest(controller, offset, bytes, value);
    }
    spin_unlock(&controller->lock);
}

bool ide_config_trap(struct ide_controller *controller)
{
    controller->trap = (struct pci_trap){
        .address = controller->at, .read = read_config, .write = write_config, .owner = controller};
    controller->master_region =
        (struct port_region){controller->channels[0].master, IDE_MASTER_BYTES, registers_master, controller};
    bool good = pci_trap(&controller->trap) && port_trap(&controller->master_region);
    for (unsigned i = 0; good && i < IDE_CHANNELS; i++) {
        struct ide_channel *channel = &controller->channels[i];
        channel->task_region = (struct port_region){channel->task, IDE_TASK_PORTS, registers_task, channel};
        channel->control_region =
            (struct port_region){channel->control, CONTROL_PORTS, registers_control, channel};
        good = port_trap(&channel->task_region) && port_trap(&channel->control_region);
    }
    apply(controller);
    return good;
}
