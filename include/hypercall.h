/* SPDX-License-Identifier: Apache-2.0 */
/* The one hypercall: reads a part of a status object into registers. From any privilege level; changes
 * nothing.
 *
 *   in:  RAX = HYPERCALL_MAGIC, RBX = object | instance << 16, RCX = offset in bytes
 *   out: RAX = enum hypercall_result, RBX = the object's size in bytes, RCX RDX RSI RDI = 32 bytes of it from
 * the offset (zeroes past its end); the other registers are untouched
 *
 * VMMCALL on AMD, VMCALL on Intel. With any other RAX the instruction is #UD, as on a CPU without
 * virtualization. */
#ifndef SHOJI_INCLUDE_HYPERCALL_H
#define SHOJI_INCLUDE_HYPERCALL_H

#include "lib/base.h"

#define HYPERCALL_MAGIC 0x6a7368303031ull

/* CPUID leaf where Shoji's signature stands: EAX = this leaf, EBX ECX EDX = "ShojiShojiSh". The first free of
 * 0x400000xx that ends in 00, from 0x40000000 to 0x4000ff00. */
#define HYPERVISOR_LEAF_FIRST 0x40000000u
#define HYPERVISOR_LEAF_STEP  0x100u
#define HYPERVISOR_LEAF_LAST  0x4000ff00u
#define HYPERVISOR_SIGNATURE  "ShojiShojiSh"

#define HYPERCALL_CHUNK 32

enum hypercall_object {
    OBJECT_STATUS = 0, /* struct status                                             */
    OBJECT_VOLUME = 1, /* struct status_volume, instance = 0 .. volume_count - 1    */
    OBJECT_CPU = 2,    /* struct status_cpu, instance = 0 .. cpu_count - 1          */
    OBJECT_LOG = 3,    /* the log's text; size = what is held now, oldest byte first; instance must be 0 */
    OBJECT_REASON =
        4, /* struct status_reason: the name of an exit counter, instance = 0 .. exit_reasons - 1 */
};

enum hypercall_result { HYPERCALL_OK = 0, HYPERCALL_NO_OBJECT = 1, HYPERCALL_BAD_OFFSET = 2 };

#define STATUS_VERSION 1

enum status_protection {
    PROTECTS_CPU = 1 << 0, /* nested paging, MSRs and ports            */
    PROTECTS_DMA = 1 << 1, /* an IOMMU keeps devices out of the block  */
    PROTECTS_POLICY_SEAL = 1 << 2,
    PROTECTS_MEASURED_BOOT = 1 << 3,
    PROTECTS_NETWORK = 1 << 4,
    PROTECTS_USB = 1 << 5,
    PROTECTS_SLEEP_REFUSED = 1 << 6, /* S3 is refused while Shoji runs */
    PROTECTS_DISK_COMMANDS = 1 << 7, /* every disk command is decided by table, every address checked */
};

struct status {
    uint32_t version;     /* STATUS_VERSION */
    uint32_t protections; /* enum status_protection */
    char release[32];     /* "0.1.0" */
    uint32_t cpu_count, volume_count, exit_reasons, cpus_running;
    uint64_t block_bytes;      /* memory that the guest does not have */
    uint64_t free_bytes;       /* of it, unused */
    uint64_t tsc;              /* at the reading */
    uint64_t blocked_accesses; /* guest reads and writes of the block */
    uint64_t log_lost;         /* bytes that fell out of the log ring */
    uint64_t launch_tsc;       /* the boot CPU's TSC when it became a guest */
    char backend[16];          /* "SVM" or "VT-x" */
};
static_assert(sizeof(struct status) == 120, "hypercall ABI");

struct status_volume {
    char name[32];
    uint8_t luks_uuid[16];
    uint64_t first_lba, lba_count;
    uint32_t block_bytes, sector_bytes;
    uint32_t active; /* its disk is mediated and its controller enabled */
    uint32_t namespace_id;
    uint16_t pci_segment;
    uint8_t pci_bus, pci_devfn;
    uint32_t key_bits;
    uint64_t bytes_read, bytes_written; /* through the cipher */
    uint64_t commands_refused;
    char disk_serial[64];
};
static_assert(sizeof(struct status_volume) == 176, "hypercall ABI");

#define STATUS_REASONS_MAX 64

struct status_cpu {
    uint32_t apic_id, state; /* state: 0 not taken, 1 running, 2 waits for SIPI */
    uint64_t exits;
    uint64_t nmis_claimed, nmis_injected, nmis_swallowed;
    uint64_t vectors_raised;
    uint64_t by_reason[STATUS_REASONS_MAX];
};
static_assert(sizeof(struct status_cpu) == 48 + 8 * STATUS_REASONS_MAX, "hypercall ABI");

struct status_reason {
    char name[24];
};

#endif
