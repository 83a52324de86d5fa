/* SPDX-License-Identifier: Apache-2.0 */
/* Shadowed MSI-X and MSI: the guest's messages are kept here, the real ones are aimed at one CPU each with
 * NMI delivery. */
#include "drivers/interrupts.h"

#include "core/device.h"
#include "core/memory.h"
#include "guest/trap.h"
#include "lib/strings.h"

#define PCI_STATUS              0x06
#define PCI_STATUS_CAPABILITIES 0x10
#define PCI_CAPABILITIES        0x34
#define PCI_CAPABILITY_LIMIT    48 /* more than fit into 256 bytes: the list is a loop */
#define CAPABILITY_MSI          0x05
#define CAPABILITY_MSIX         0x11

#define MSIX_ENABLE      BIT(31) /* in the capability's first dword */
#define MSIX_MASK_ALL    BIT(30)
#define MSIX_SIZE(d)     (((d) >> 16 & 0x7ff) + 1)
#define MSIX_BAR(d)      ((d)&7)
#define MSIX_OFFSET(d)   ((d) & ~7u)
#define MSIX_ENTRY_BYTES 16
#define MSIX_MASKED      1u

#define MSI_ENABLE    BIT(16)
#define MSI_LIMIT(d)  ((d) >> 17 & 7)
#define MSI_ORDER(d)  ((d) >> 20 & 7)
#define MSI_ORDER_MAX 5
#define MSI_WIDE      BIT(23)
#define MSI_MASKABLE  BIT(24)
#define MSI_BYTES     24

#define MESSAGE_DELIVERY(data) ((data) >> 8 & 7)
#define DELIVERY_LOWEST        1
#define VECTOR_FIRST           16

static uint32_t config_read(const struct interrupts *irq, unsigned offset)
{
    return pci_read(irq->at, offset, 4);
}

static void config_write(const struct interrupts *irq, unsigned offset, uint32_t value)
{
    pci_write(irq->at, offset, 4, value);
}

static uint64_t message_address(const struct interrupts_message *message)
{
    return (uint64_t)message->address_high << 32 | message->address_low;
}

/* Writes one entry of the real table: masked while it changes, as the specification asks. */
static void real_entry_write(struct interrupts *irq, unsigned vector)
{
    if (!irq->table)
        return;
    volatile uint8_t *entry = irq->table + vector * MSIX_ENTRY_BYTES;
    uint64_t address = nmi_message_address(cpu_of_message(message_address(&irq->messages[vector])));
    device_write32(entry + 12, MSIX_MASKED);
    device_write32(entry, (uint32_t)address);
    device_write32(entry + 4, (uint32_t)(address >> 32));
    device_write32(entry + 8, nmi_message_data());
    device_write32(entry + 12, 0);
    (void)device_read32(entry + 12); /* what was sent to the old CPU has arrived */
}

static void real_msix_write(struct interrupts *irq)
{
    uint32_t control = config_read(irq, irq->msix) & ~(uint32_t)(MSIX_ENABLE | MSIX_MASK_ALL);
    if (!irq->msix_enabled && !irq->polled) {
        config_write(irq, irq->msix, control);
        return;
    }
    config_write(irq, irq->msix, control | (uint32_t)(MSIX_ENABLE | MSIX_MASK_ALL));
    for (unsigned i = 0; i < irq->vectors; i++)
        real_entry_write(irq, i);
    config_write(irq, irq->msix, control | (uint32_t)MSIX_ENABLE);
}

static void real_msi_write(struct interrupts *irq)
{
    uint32_t control = config_read(irq, irq->msi) & ~(uint32_t)(MSI_ENABLE | 7u << 20);
    config_write(irq, irq->msi, control);
    if (!irq->msi_enabled || irq->msix_enabled)
        return;
    uint64_t address = nmi_message_address(cpu_of_message(message_address(&irq->msi_message)));
    config_write(irq, irq->msi + 4, (uint32_t)address);
    unsigned data = irq->msi + 8;
    if (irq->msi_wide) {
        config_write(irq, irq->msi + 8, (uint32_t)(address >> 32));
        data += 4;
    }
    pci_write(irq->at, data, 2, nmi_message_data());
    if (irq->msi_maskable)
        config_write(irq, data + 4, 0);
    config_write(irq, irq->msi, control | (uint32_t)MSI_ENABLE | irq->msi_order << 20);
}

static void read_capabilities(struct interrupts *irq)
{
    if (!(pci_read(irq->at, PCI_STATUS, 2) & PCI_STATUS_CAPABILITIES))
        return;
    unsigned at = pci_read(irq->at, PCI_CAPABILITIES, 1) & 0xfc;
    for (unsigned i = 0; at >= 0x40 && i < PCI_CAPABILITY_LIMIT; i++) {
        uint32_t head = config_read(irq, at);
        if ((head & 0xff) == CAPABILITY_MSI)
            irq->msi = at;
        if ((head & 0xff) == CAPABILITY_MSIX)
            irq->msix = at;
        at = head >> 8 & 0xfc;
    }
}

bool interrupts_start(struct interrupts *irq, struct pci_address at)
{
    memset(irq, 0, sizeof(*irq));
    irq->at = at;
    read_capabilities(irq);
    if (irq->msi) {
        uint32_t control = config_read(irq, irq->msi);
        irq->msi_wide = control & MSI_WIDE;
        irq->msi_maskable = control & MSI_MASKABLE;
        irq->msi_limit = MIN(MSI_LIMIT(control), (unsigned)MSI_ORDER_MAX);
        real_msi_write(irq);
    }
    if (irq->msix) {
        irq->vectors = MSIX_SIZE(config_read(irq, irq->msix));
        uint32_t table = config_read(irq, irq->msix + 4), pending = config_read(irq, irq->msix + 8);
        irq->table_bar = MSIX_BAR(table);
        irq->table_offset = MSIX_OFFSET(table);
        irq->pending_bar = MSIX_BAR(pending);
        irq->pending_offset = MSIX_OFFSET(pending);
        size_t bytes = irq->vectors * sizeof(struct interrupts_message);
        irq->messages = pages_allocate(ROUND_UP(bytes, PAGE_SIZE) / PAGE_SIZE);
        if (!irq->messages)
            return false;
        for (unsigned i = 0; i < irq->vectors; i++)
            irq->messages[i].masked = true;
        real_msix_write(irq);
    }
    return true;
}

void interrupts_attach(struct interrupts *irq, volatile uint8_t *table)
{
    spin_lock(&irq->lock);
    irq->table = table;
    if (irq->msix)
        real_msix_write(irq);
    spin_unlock(&irq->lock);
}

void interrupts_restore(struct interrupts *irq)
{
    spin_lock(&irq->lock);
    if (irq->msi)
        real_msi_write(irq);
    if (irq->msix)
        real_msix_write(irq);
    spin_unlock(&irq->lock);
}

bool interrupts_enabled(struct interrupts *irq)
{
    spin_lock(&irq->lock);
    bool enabled = irq->msix_enabled || irq->msi_enabled || irq->polled;
    spin_unlock(&irq->lock);
    return enabled;
}

bool interrupts_msix_enabled(struct interrupts *irq)
{
    spin_lock(&irq->lock);
    bool enabled = irq->msix_enabled || irq->polled;
    spin_unlock(&irq->lock);
    return enabled;
}

bool interrupts_set_polled(struct interrupts *irq, bool polled)
{
    spin_lock(&irq->lock);
    bool possible = irq->msix && irq->table && !irq->msix_enabled && !irq->msi_enabled;
    if (irq->polled != (polled && possible)) {
        irq->polled = polled && possible;
        real_msix_write(irq);
    }
    bool now = irq->polled;
    spin_unlock(&irq->lock);
    return now;
}

bool interrupts_polled(struct interrupts *irq)
{
    spin_lock(&irq->lock);
    bool polled = irq->polled;
    spin_unlock(&irq->lock);
    return polled;
}

unsigned interrupts_cpu(struct interrupts *irq, unsigned vector)
{
    uint64_t address = 0;
    spin_lock(&irq->lock);
    if (irq->msix_enabled && vector < irq->vectors)
        address = message_address(&irq->messages[vector]);
    else if (irq->msi_enabled)
        address = message_address(&irq->msi_message);
    spin_unlock(&irq->lock);
    return cpu_of_message(address);
}

/* Delivers a message as its data says; only the kinds that drivers use exist here. */
static void message_raise(const struct interrupts_message *message, uint32_t data)
{
    if (MESSAGE_DELIVERY(data) > DELIVERY_LOWEST || (data & 0xff) < VECTOR_FIRST)
        return;
    unsigned cpu = cpu_of_message(message_address(message));
    if (cpu == this_cpu_index())
        vector_raise((uint8_t)data);
    else
        vector_raise_on(cpu, (uint8_t)data);
}

static void msi_signal(struct interrupts *irq, unsigned vector)
{
    uint32_t low = (1u << irq->msi_order) - 1;
    vector &= low;
    if (irq->msi_mask >> vector & 1)
        irq->msi_pending |= 1u << vector;
    else
        message_raise(&irq->msi_message, (irq->msi_message.data & ~low) | vector);
}

void interrupts_signal(struct interrupts *irq, unsigned vector)
{
    spin_lock(&irq->lock);
    if (irq->msix_enabled && vector < irq->vectors) {
        struct interrupts_message *message = &irq->messages[vector];
        if (message->masked || irq->msix_masked)
            message->pending = true;
        else
            message_raise(message, message->data);
    } else if (irq->msi_enabled) {
        msi_signal(irq, vector);
    }
    spin_unlock(&irq->lock);
}

/* Raises what became due when a mask was lifted. */
static void msix_raise_pending(struct interrupts *irq, unsigned vector)
{
    struct interrupts_message *message = &irq->messages[vector];
    if (!irq->msix_enabled || irq->msix_masked || message->masked || !message->pending)
        return;
    message->pending = false;
    message_raise(message, message->data);
}

static uint32_t msi_view(const struct interrupts *irq, unsigned offset)
{
    uint32_t head = config_read(irq, irq->msi) & ~(uint32_t)(MSI_ENABLE | 7u << 20);
    unsigned data = irq->msi_wide ? 12 : 8;
    if (offset == 0)
        return head | (irq->msi_enabled ? (uint32_t)MSI_ENABLE : 0) | irq->msi_order << 20;
    if (offset == 4)
        return irq->msi_message.address_low;
    if (offset == 8 && irq->msi_wide)
        return irq->msi_message.address_high;
    if (offset == data)
        return irq->msi_message.data;
    if (offset == data + 4)
        return irq->msi_mask;
    return irq->msi_pending;
}

static unsigned msi_bytes(const struct interrupts *irq)
{
    return 12 + (irq->msi_wide ? 4 : 0) + (irq->msi_maskable ? 8 : 0);
}

static bool in_msi(const struct interrupts *irq, unsigned offset)
{
    return irq->msi && offset >= irq->msi && offset < irq->msi + msi_bytes(irq);
}

bool interrupts_config_read(struct interrupts *irq, unsigned offset, uint32_t *value)
{
    bool mine = true;
    spin_lock(&irq->lock);
    if (irq->msix && offset == irq->msix)
        *value = (config_read(irq, offset) & ~(uint32_t)(MSIX_ENABLE | MSIX_MASK_ALL)) |
                 (irq->msix_enabled ? (uint32_t)MSIX_ENABLE : 0) |
                 (irq->msix_masked ? (uint32_t)MSIX_MASK_ALL : 0);
    else if (in_msi(irq, offset))
        *value = msi_view(irq, offset - irq->msi);
    else
        mine = false;
    spin_unlock(&irq->lock);
    return mine;
}

static enum interrupts_change msix_control_write(struct interrupts *irq, uint32_t value)
{
    bool was = irq->msix_enabled;
    irq->msix_enabled = value & MSIX_ENABLE;
    irq->msix_masked = value & MSIX_MASK_ALL;
    irq->polled = irq->polled && !irq->msix_enabled;
    if (was != irq->msix_enabled) {
        real_msix_write(irq);
        if (irq->msi)
            real_msi_write(irq);
    }
    for (unsigned i = 0; i < irq->vectors; i++)
        msix_raise_pending(irq, i);
    return was != irq->msix_enabled ? INTERRUPTS_CHANGED : INTERRUPTS_SAME;
}

static void msi_mask_write(struct interrupts *irq, uint32_t value)
{
    irq->msi_mask = value;
    uint32_t due = irq->msi_pending & ~value;
    irq->msi_pending &= value;
    for (unsigned i = 0; due >> i; i++)
        if (due >> i & 1 && irq->msi_enabled)
            msi_signal(irq, i);
}

static enum interrupts_change msi_write(struct interrupts *irq, unsigned offset, uint32_t value)
{
    unsigned data = irq->msi_wide ? 12 : 8;
    if (offset == 0) {
        irq->msi_enabled = value & MSI_ENABLE;
        if (irq->polled && irq->msi_enabled) {
            irq->polled = false;
            real_msix_write(irq);
        }
        irq->msi_order = MIN(MSI_ORDER(value), irq->msi_limit);
    } else if (offset == 4) {
        irq->msi_message.address_low = value & ~3u;
    } else if (offset == 8 && irq->msi_wide) {
        irq->msi_message.address_high = value;
    } else if (offset == data) {
        irq->msi_message.data = value & 0xffff;
        return INTERRUPTS_SAME;
    } else {
        if (offset == data + 4)
            msi_mask_write(irq, value);
        return INTERRUPTS_SAME;
    }
    real_msi_write(irq);
    return INTERRUPTS_CHANGED;
}

enum interrupts_change interrupts_config_write(struct interrupts *irq, unsigned offset, uint32_t value)
{
    enum interrupts_change change = INTERRUPTS_NOT_MINE;
    spin_lock(&irq->lock);
    if (irq->msix && offset == irq->msix)
        change = msix_control_write(irq, value);
    else if (irq->msix && (offset == irq->msix + 4 || offset == irq->msix + 8))
        change = INTERRUPTS_SAME; /* read only */
    else if (in_msi(irq, offset))
        change = msi_write(irq, offset - irq->msi, value);
    spin_unlock(&irq->lock);
    return change;
}

static bool in_table(const struct interrupts *irq, unsigned bar, uint64_t offset)
{
    return irq->msix && bar == irq->table_bar && offset >= irq->table_offset &&
           offset - irq->table_offset < irq->vectors * MSIX_ENTRY_BYTES;
}

static bool in_pending(const struct interrupts *irq, unsigned bar, uint64_t offset)
{
    return irq->msix && bar == irq->pending_bar && offset >= irq->pending_offset &&
           offset - irq->pending_offset < ROUND_UP(irq->vectors, 64) / 8;
}

bool interrupts_table_read(struct interrupts *irq, unsigned bar, uint64_t offset, uint32_t *value)
{
    bool mine = true;
    spin_lock(&irq->lock);
    if (in_table(irq, bar, offset)) {
        uint64_t at = offset - irq->table_offset;
        const struct interrupts_message *message = &irq->messages[at / MSIX_ENTRY_BYTES];
        const uint32_t fields[] = {message->address_low, message->address_high, message->data,
                                   message->masked};
        *value = fields[at % MSIX_ENTRY_BYTES / 4];
    } else if (in_pending(irq, bar, offset)) {
        unsigned first = (unsigned)(offset - irq->pending_offset) / 4 * 32;
        *value = 0;
        for (unsigned i = 0; i < 32 && first + i < irq->vectors; i++)
            *value |= (uint32_t)irq->messages[first + i].pending << i;
    } else {
        mine = false;
    }
    spin_unlock(&irq->lock);
    return mine;
}

/* One field of the guest's entry. True when its message now goes elsewhere. */
static bool entry_write(struct interrupts *irq, unsigned vector, unsigned field, uint32_t value)
{
    struct interrupts_message *message = &irq->messages[vector];
    unsigned cpu = cpu_of_message(message_address(message));
    if (field == 0)
        message->address_low = value & ~3u;
    else if (field == 1)
        message->address_high = value;
    else if (field == 2)
        message->data = value;
    else
        message->masked = value & MSIX_MASKED;
    msix_raise_pending(irq, vector);
    if (!irq->msix_enabled || cpu == cpu_of_message(message_address(message)))
        return false;
    real_entry_write(irq, vector);
    return true;
}

enum interrupts_change interrupts_table_write(struct interrupts *irq, unsigned bar, uint64_t offset,
                                              uint32_t value)
{
    enum interrupts_change change = INTERRUPTS_NOT_MINE;
    spin_lock(&irq->lock);
    if (in_table(irq, bar, offset)) {
        unsigned at = (unsigned)(offset - irq->table_offset);
        bool moved = entry_write(irq, at / MSIX_ENTRY_BYTES, at % MSIX_ENTRY_BYTES / 4, value);
        change = moved ? INTERRUPTS_CHANGED : INTERRUPTS_SAME;
    } else if (in_pending(irq, bar, offset)) {
        change = INTERRUPTS_SAME;
    }
    spin_unlock(&irq->lock);
    return change;
}
