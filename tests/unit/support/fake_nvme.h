/* SPDX-License-Identifier: Apache-2.0 */
/* An NVMe controller behind the fake machine's PCI function, with a disk in memory. It executes what it is
 * given, checks that it is only given its own due, and reaches memory only through fake_dma. */
#ifndef SHOJI_TESTS_FAKE_NVME_H
#define SHOJI_TESTS_FAKE_NVME_H

#include "drivers/storage/nvme/nvme_spec.h"
#include "include/handoff.h"
#include "lib/base.h"

#define FAKE_QUEUES             66
#define FAKE_DISK_BYTES         MIB(8)
#define FAKE_SERIAL             "FAKE-0001"
#define FAKE_METADATA_NAMESPACE 2u
#define FAKE_METADATA_BLOCKS    1024u
#define FAKE_METADATA_BYTES     8u
#define FAKE_VECTORS            8
#define FAKE_MSIX_TABLE         0x2000u
#define FAKE_MSIX_PENDING       0x3000u
#define FAKE_MSIX               0x40u /* offsets in configuration space */
#define FAKE_MSI                0x50u
#define FAKE_EXPRESS            0x70u
#define FAKE_POWER              0xc0u

struct fake_queue {
    bool exists;
    uint64_t base;
    uint32_t entries, head, tail;
    uint16_t cq, vector, phase;
    bool interrupts;
};

struct fake_nvme {
    uint32_t cc, csts, aqa, masks;
    uint64_t asq, acq;
    uint32_t table[FAKE_VECTORS * 4];
    struct fake_queue sq[FAKE_QUEUES], cq[FAKE_QUEUES];
    uint8_t *disk;
    uint32_t block_shift;
    uint32_t metadata;          /* bytes per block in the format */
    bool scattered_queues;      /* CAP.CQR is clear */
    bool hold;                  /* commands wait for fake_nvme_run */
    bool slow_reset;            /* RDY stays set after EN was cleared, until the test clears it */
    uint32_t fail_opcode;       /* I/O commands with this opcode fail; 0x100: none */
    unsigned executed, bad_dma; /* I/O commands; transfers to memory that is nobody's */
    unsigned by_opcode[256];    /* I/O commands */
    struct nvme_command last_admin, last_io;
    bool event_waiting; /* an Asynchronous Event Request is held */
    uint16_t event_cid;
};
extern struct fake_nvme nvme;

/* A fresh machine with this controller in it, quiet, as the loader leaves it. */
void fake_nvme_reset(uint32_t block_shift);
void fake_nvme_free(void);
/* Executes what is waiting in all queues. */
void fake_nvme_run(void);
/* Completes the held Asynchronous Event Request. */
void fake_nvme_event(void);

#endif
