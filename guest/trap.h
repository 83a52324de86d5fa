/* SPDX-License-Identifier: Apache-2.0 */
/* What a mediated device asks of the guest's side: register pages, ports and PCI functions to be trapped,
 * completions to be claimed from NMIs, vectors to be raised. Handlers run on the CPU whose guest made the
 * access, with no lock held; any number of CPUs may be in them at once. Every function here may be called
 * with locks of the caller's held, and from inside a handler: none waits for another CPU to leave the
 * hypervisor. */
#ifndef SHOJI_GUEST_TRAP_H
#define SHOJI_GUEST_TRAP_H

#include "core/pci.h"
#include "lib/base.h"

/* ---- Register pages ---- */

struct mmio_access {
    uint64_t address; /* guest-physical */
    uint8_t
        bytes; /* 1, 2, 4, 8; never crosses an 8-byte boundary of the region unless the guest's access did */
    bool write;
    uint64_t value; /* written value; for a read the handler sets it */
};

struct mmio_region {
    uint64_t base, length; /* page aligned */
    void (*access)(void *owner, struct mmio_access *access);
    void *owner;
};

/* Traps a region from now on, on all CPUs. The structure stays the caller's and must live until it is
 * removed. */
bool mmio_trap(struct mmio_region *region) must_check;
void mmio_release(struct mmio_region *region);

/* ---- Ports ---- */

/* `access` answers reads in *value; bytes is 1, 2 or 4, and all of them lie in the region. */
struct port_region {
    uint16_t first, count;
    void (*access)(void *owner, uint16_t port, unsigned bytes, bool write, uint32_t *value);
    void *owner;
};

/* Traps the ports for good. Before the first CPU runs; the structure stays the caller's. False when there are
 * too many. */
bool port_trap(const struct port_region *region) must_check;

/* ---- Completion pages (polled or pin-interrupt queues) ---- */

/* A page of guest RAM whose every access first calls `before`; then the guest's instruction runs natively on
 * the page. */
struct watched_page {
    uint64_t address; /* page aligned guest RAM */
    void (*before)(void *owner);
    void *owner;
};
bool page_watch(struct watched_page *page) must_check;
void page_unwatch(struct watched_page *page);

/* ---- PCI configuration space ---- */

/* The function's owner sees each configuration access of the guest, split to at most 4 bytes, naturally
 * aligned. It answers reads in *value and does writes itself with pci_read/pci_write of core/pci.h. Accesses
 * to other functions do not come here. */
struct pci_trap {
    struct pci_address address;
    void (*read)(void *owner, unsigned offset, unsigned bytes, uint32_t *value);
    void (*write)(void *owner, unsigned offset, unsigned bytes, uint32_t value);
    void *owner;
};
bool pci_trap(struct pci_trap *trap) must_check;

/* ---- Completions ---- */

/* Asked at each NMI exit, on the CPU that took it, and again and again while a CPU waits to be started: "is
 * one of yours here?" Sweeps all queues whose messages are aimed at this CPU, shows their completions to the
 * guest and raises its vectors. Returns the number of completions taken, and of
 * queues whose completions were taken before their message came. */
struct nmi_claim {
    unsigned (*sweep)(void *owner, unsigned cpu);
    void *owner;
};
bool nmi_claim(struct nmi_claim *claim) must_check;

/* The index (0 .. cpus - 1) of the CPU that runs this code, and of the one that a message's destination names
 * (physical or logical, the lowest that matches; CPU 0 when none does). */
unsigned this_cpu_index(void);
unsigned cpu_of_message(uint64_t msi_address);

/* The MSI address and data that reach a CPU as an NMI. */
uint64_t nmi_message_address(unsigned cpu);
uint32_t nmi_message_data(void);

/* Raises a guest's vector (16-255) on the local APIC of this CPU; of the CPU that is named. On an xAPIC the
 * low half of the interrupt command register is overwritten, once what the guest sent has left; the
 * destination in its high half stays the guest's, which may stand between its two writes. */
void vector_raise(uint8_t vector);
void vector_raise_on(unsigned cpu, uint8_t vector);

#endif
