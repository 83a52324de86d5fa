/* SPDX-License-Identifier: Apache-2.0 */
/* The controller's PCI configuration space: trapped BARs, memory decoding and message interrupts are
 * shadowed; I/O decoding, function-level reset and virtual functions, which would lead around the mediator,
 * are hidden; the rest is the device's own. */
#include "core/log.h"
#include "drivers/pci_spec.h"
#include "drivers/storage/nvme/nvme.h"

#define CAPABILITY_POWER     0x01
#define CAPABILITY_EXPRESS   0x10
#define CAPABILITY_LIMIT     48
#define EXTENDED_FIRST       0x100u
#define EXTENDED_LIMIT       960 /* as many as fit: a longer list is a loop */
#define EXTENDED_SRIOV       0x10
#define SRIOV_BYTES          0x40u
#define POWER_CONTROL        4u
#define POWER_STATE          3u
#define EXPRESS_CAPABILITIES 4u
#define EXPRESS_CONTROL      8u
#define EXPRESS_HAS_RESET    (1u << 28)
#define EXPRESS_RESET        (1u << 15)
#define ABSENT               0xffffffffu

static void find_capabilities(struct nvme_controller *controller)
{
    struct pci_address at = controller->at;
    if (!(pci_read(at, PCI_STATUS, 2) & PCI_STATUS_CAPABILITIES))
        return;
    unsigned offset = pci_read(at, PCI_CAPABILITIES, 1) & 0xfc;
    for (unsigned i = 0; offset >= 0x40 && i < CAPABILITY_LIMIT; i++) {
        uint32_t head = pci_read(at, offset, 4);
        if ((head & 0xff) == CAPABILITY_POWER)
            controller->power = offset;
        if ((head & 0xff) == CAPABILITY_EXPRESS)
            controller->express = offset;
        offset = head >> 8 & 0xfc;
    }
    offset = controller->express ? EXTENDED_FIRST : 0;
    for (unsigned i = 0; offset >= EXTENDED_FIRST && i < EXTENDED_LIMIT; i++) {
        uint32_t head = pci_read(at, offset, 4);
        if (!head || head == ABSENT)
            break;
        if ((head & 0xffff) == EXTENDED_SRIOV)
            controller->sriov = offset;
        offset = head >> 20 & 0xffc;
    }
}

static struct nvme_bar *bar_numbered(struct nvme_controller *controller, unsigned number)
{
    for (unsigned i = 0; i < controller->bar_count; i++)
        if (controller->bars[i].number == number)
            return &controller->bars[i];
    return NULL;
}

/* Says where registers and MSI-X table are now; nowhere while decoding is off. */
static void attach(struct nvme_controller *controller, bool decoding)
{
    __atomic_store_n(&controller->registers, decoding ? controller->bars[0].map : NULL, __ATOMIC_RELEASE);
    struct nvme_bar *table =
        controller->irq.msix ? bar_numbered(controller, controller->irq.table_bar) : NULL;
    if (table)
        interrupts_attach(&controller->irq, decoding ? table->map + controller->irq.table_offset : NULL);
}

bool config_start(struct nvme_controller *controller, struct report *problem)
{
    struct pci_address at = controller->at;
    find_capabilities(controller);
    controller->command = (uint16_t)pci_read(at, PCI_COMMAND, 2) & (uint16_t)~COMMAND_IO;
    pci_write(at, PCI_COMMAND, 2, (controller->command | COMMAND_MEMORY) & ~COMMAND_MASTER);
    if (!interrupts_start(&controller->irq, at))
        return report(problem, "There is not enough memory for the NVMe controller's interrupts.");
    if (!bar_start(&controller->bars[0], controller, 0))
        return report(
            problem,
            "The NVMe controller %02x:%02x.%x has no usable registers; check the firmware's PCI settings.",
            at.bus, at.device, at.function);
    controller->bar_count = 1;
    if (controller->irq.msix && controller->irq.table_bar != 0) {
        if (!bar_start(&controller->bars[1], controller, controller->irq.table_bar))
            return report(problem, "The MSI-X table of NVMe controller %02x:%02x.%x cannot be mapped.",
                          at.bus, at.device, at.function);
        controller->bar_count = 2;
    }
    struct nvme_bar *table =
        controller->irq.msix ? bar_numbered(controller, controller->irq.table_bar) : NULL;
    if (table && !range_fits(controller->irq.table_offset, controller->irq.vectors * 16ull, table->size))
        return report(problem, "The MSI-X table of NVMe controller %02x:%02x.%x lies outside its registers.",
                      at.bus, at.device, at.function);
    attach(controller, true);
    return true;
}

/* Places the BARs and gives the device the command register that goes with them. */
static void write_command(struct nvme_controller *controller)
{
    bool memory = controller->command & COMMAND_MEMORY;
    for (unsigned i = 0; memory && i < controller->bar_count; i++) {
        if (!bar_place(&controller->bars[i])) {
            log_limited(
                "nvme %02x:%02x.%x: BAR %u cannot be trapped at %llx; the device's memory decoding stays off",
                controller->at.bus, controller->at.device, controller->at.function,
                controller->bars[i].number, (unsigned long long)controller->bars[i].guest);
            memory = false;
        }
    }
    /* While it runs, completions still need its doorbells: the guest's own accesses are answered as if
     * decoding were off. */
    if (!(controller->command & COMMAND_MEMORY) && controller->state != NVME_STOPPED)
        memory = true;
    for (unsigned i = 0; !memory && i < controller->bar_count; i++)
        bar_remove(&controller->bars[i]);
    if (!memory)
        attach(controller, false);
    pci_write(controller->at, PCI_COMMAND, 2,
              (controller->command & ~COMMAND_MEMORY) | (memory ? COMMAND_MEMORY : 0));
    if (memory)
        attach(controller, true);
}

static uint32_t view(struct nvme_controller *controller, unsigned offset)
{
    uint32_t value;
    for (unsigned i = 0; i < controller->bar_count; i++)
        if (bar_owns(&controller->bars[i], offset))
            return bar_view(&controller->bars[i], offset);
    if (interrupts_config_read(&controller->irq, offset, &value))
        return value;
    value = pci_read(controller->at, offset, 4);
    if (offset == PCI_COMMAND)
        return (value & 0xffff0000) | controller->command;
    if (controller->express && offset == controller->express + EXPRESS_CAPABILITIES)
        return value & ~EXPRESS_HAS_RESET;
    if (controller->sriov && offset > controller->sriov && offset < controller->sriov + SRIOV_BYTES)
        return 0;
    return value;
}

void config_read(void *owner, unsigned offset, unsigned bytes, uint32_t *value)
{
    struct nvme_controller *controller = owner;
    spin_lock(&controller->lock);
    uint32_t whole = view(controller, offset & ~3u);
    spin_unlock(&controller->lock);
    *value = pci_part(whole, offset, bytes);
}

/* The function comes back from a state in which it lost everything. */
static void power_on(struct nvme_controller *controller)
{
    registers_stop(controller);
    for (unsigned i = 0; i < controller->bar_count; i++)
        bar_restore(&controller->bars[i]);
    write_command(controller);
    interrupts_restore(&controller->irq);
}

/* Registers whose real write is guarded. `offset` and `bytes` are the guest's own, so that write-one-to-clear
 * bits beside them are left alone. */
static void write_through(struct nvme_controller *controller, unsigned offset, unsigned bytes, uint32_t value)
{
    unsigned aligned = offset & ~3u, shift = (offset % 4) * 8;
    if (controller->sriov && aligned > controller->sriov && aligned < controller->sriov + SRIOV_BYTES)
        return;
    if (controller->express && aligned == controller->express + EXPRESS_CONTROL)
        value &= ~(EXPRESS_RESET >> shift);
    bool power = controller->power && aligned == controller->power + POWER_CONTROL;
    bool slept = power && pci_read(controller->at, aligned, 4) & POWER_STATE;
    pci_write(controller->at, offset, bytes, value);
    if (slept && !(pci_read(controller->at, aligned, 4) & POWER_STATE))
        power_on(controller);
}

static void write_locked(struct nvme_controller *controller, unsigned offset, unsigned bytes, uint32_t value,
                         uint32_t whole)
{
    unsigned aligned = offset & ~3u;
    for (unsigned i = 0; i < controller->bar_count; i++) {
        if (bar_owns(&controller->bars[i], aligned)) {
            bar_write(&controller->bars[i], aligned, whole);
            if (controller->command & COMMAND_MEMORY)
                write_command(controller);
            return;
        }
    }
    if (aligned != PCI_COMMAND) {
        write_through(controller, offset, bytes, value);
        return;
    }
    if (offset < PCI_STATUS) {
        __atomic_store_n(&controller->command, (uint16_t)(whole & ~COMMAND_IO), __ATOMIC_RELAXED);
        write_command(controller);
    }
    if (offset >= PCI_STATUS)
        pci_write(controller->at, offset, bytes, value);
    else if (bytes == 4)
        pci_write(controller->at, PCI_STATUS, 2, value >> 16);
}

void config_write(void *owner, unsigned offset, unsigned bytes, uint32_t value)
{
    struct nvme_controller *controller = owner;
    spin_lock(&controller->lock);
    uint32_t whole = pci_merge(view(controller, offset & ~3u), offset, bytes, value);
    enum interrupts_change change = interrupts_config_write(&controller->irq, offset & ~3u, whole);
    if (change == INTERRUPTS_NOT_MINE)
        write_locked(controller, offset, bytes, value & pci_part_mask(bytes), whole);
    spin_unlock(&controller->lock);
    if (change == INTERRUPTS_CHANGED)
        controller_mode_changed(controller);
}

bool config_trap(struct nvme_controller *controller)
{
    controller->trap = (struct pci_trap){
        .address = controller->at, .read = config_read, .write = config_write, .owner = controller};
    controller->claim = (struct nmi_claim){.sweep = controller_claim, .owner = controller};
    bool trapped = true;
    for (unsigned i = 0; i < controller->bar_count; i++)
        trapped = trapped && bar_place(&controller->bars[i]);
    if (trapped)
        write_command(controller);
    return trapped && pci_trap(&controller->trap) && nmi_claim(&controller->claim);
}
