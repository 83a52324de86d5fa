/* SPDX-License-Identifier: Apache-2.0 */
/* The message interrupts of a mediated PCI function (PCI 3.0 section 6.8): the guest's MSI-X table or MSI
 * registers are shadowed, the real messages are NMIs. */
#ifndef SHOJI_DRIVERS_INTERRUPTS_H
#define SHOJI_DRIVERS_INTERRUPTS_H

#include "core/pci.h"
#include "core/spinlock.h"
#include "lib/base.h"

#define INTERRUPTS_VECTORS_MAX 2048

/* One message as the guest programmed it. */
struct interrupts_message {
    uint32_t address_low, address_high, data;
    bool masked, pending;
};

struct interrupts {
    /* Covers all below but the first group. Under it: the destination and vector functions of guest/trap.h,
     * which take none, and configuration space, which takes the PCI address port's. */
    struct spinlock lock;

    /* Written at start only. */
    struct pci_address at;
    unsigned msix, msi; /* offsets of the capabilities, 0: absent */
    unsigned vectors;   /* size of the MSI-X table */
    unsigned table_bar, table_offset, pending_bar, pending_offset;
    bool msi_wide, msi_maskable;
    unsigned msi_limit; /* log2 of the vectors that the function can ask for */

    volatile uint8_t *table; /* the real one; NULL while its BAR is not mapped */
    struct interrupts_message *messages;
    bool msix_enabled, msix_masked;
    bool polled; /* MSI-X is on for us alone: the guest has no messages enabled and polls */
    bool msi_enabled;
    unsigned msi_order; /* log2 of the vectors that the guest enabled */
    struct interrupts_message msi_message;
    uint32_t msi_mask, msi_pending;
};

/* Finds the capabilities and allocates the shadow. The real interrupts are disabled. False: no memory. */
bool interrupts_start(struct interrupts *irq, struct pci_address at) must_check;

/* Tells where the real MSI-X table is mapped now. */
void interrupts_attach(struct interrupts *irq, volatile uint8_t *table);

/* Writes the real capability and table again as they should be: after the function lost its state. */
void interrupts_restore(struct interrupts *irq);

/* Does the guest have MSI-X or MSI enabled, so that real messages are NMIs? */
bool interrupts_enabled(struct interrupts *irq);
bool interrupts_msix_enabled(struct interrupts *irq);

/* While the guest has no messages enabled and polls its queues: real messages come as NMIs all the same, all
 * to one CPU, and end with us. Returns whether it is so now: not without MSI-X, nor where the guest has
 * messages of its own. */
bool interrupts_set_polled(struct interrupts *irq, bool polled);
bool interrupts_polled(struct interrupts *irq);

/* The CPU at which a vector's NMI is aimed. */
unsigned interrupts_cpu(struct interrupts *irq, unsigned vector);

/* Raises the guest's vector, or sets its pending bit while it is masked. */
void interrupts_signal(struct interrupts *irq, unsigned vector);

/* The guest's view of one aligned dword of configuration space; false when it does not belong to these
 * capabilities. */
bool interrupts_config_read(struct interrupts *irq, unsigned offset, uint32_t *value);

/* What the caller has to do after a guest write. */
enum interrupts_change {
    INTERRUPTS_NOT_MINE,
    INTERRUPTS_SAME,
    INTERRUPTS_CHANGED, /* enabled, disabled or aimed elsewhere: look at all completion queues now */
};

/* The guest wrote the dword, with the bytes that it did not write as it reads them. */
enum interrupts_change interrupts_config_write(struct interrupts *irq, unsigned offset, uint32_t value);

/* One dword of the MSI-X table and pending array as the guest sees them; `offset` is in bar `bar`. False (or
 * NOT_MINE): it is of neither. */
bool interrupts_table_read(struct interrupts *irq, unsigned bar, uint64_t offset, uint32_t *value);
enum interrupts_change interrupts_table_write(struct interrupts *irq, unsigned bar, uint64_t offset,
                                              uint32_t value);

#endif
