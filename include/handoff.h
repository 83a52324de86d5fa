/* SPDX-License-Identifier: Apache-2.0 */
/* What the loader gives the core: one structure in the reserved block, filled before the first CPU enters the
 * core and read once by it. */
#ifndef SHOJI_INCLUDE_HANDOFF_H
#define SHOJI_INCLUDE_HANDOFF_H

#include "lib/base.h"
#include "lib/guid.h"

#define HANDOFF_MAGIC       0x31666f646e616853ull
#define HANDOFF_VOLUMES_MAX 4
#define HANDOFF_RAM_MAX     128
#define HANDOFF_CPUS_MAX    64
#define HANDOFF_MCFG_MAX    4
#define HANDOFF_NAME_MAX    32
#define HANDOFF_KEY_MAX     64
#define HANDOFF_SERIAL_MAX  64

/* The core is linked at this virtual address; its block is mapped there from the block's first byte to its
 * last. */
#define CORE_VIRTUAL_BASE 0xffffffff80000000ull
/* The block is 2 MiB aligned and a multiple of 2 MiB. */
#define CORE_BLOCK_ALIGN MIB(2)

struct handoff_range {
    uint64_t base, length;
};

/* One unlocked volume: a range of one disk, with its key. */
struct handoff_volume {
    char name[HANDOFF_NAME_MAX];
    struct guid luks_uuid;
    uint8_t key[HANDOFF_KEY_MAX]; /* XTS: data key, then tweak key */
    uint32_t key_bytes;           /* 32 (AES-128-XTS) or 64 (AES-256-XTS) */
    uint32_t
        sector_bytes; /* the encryption sector; the tweak counts 512-byte units from the volume's start */
    uint16_t pci_segment;
    uint8_t pci_bus, pci_device, pci_function;
    uint8_t discard;        /* TRIM may reach the disk */
    uint8_t elsewhere_deny; /* writes outside volumes and the ESP fail */
    uint8_t reserved;
    uint32_t namespace_id; /* NVMe; IDE: two times the channel, and one for its second drive */
    uint32_t block_bytes;  /* the disk's logical block when it was pinned */
    uint64_t first_lba, lba_count;
    /* The pinned GPT entries: writes may not change these. Primary first, then backup. */
    struct {
        uint64_t header_lba, entries_lba;
        uint32_t entry_index, entry_bytes, entry_count, reserved;
    } gpt[2];
    uint64_t esp_first_lba, esp_lba_count; /* zero count: the ESP is on another disk */
    char disk_serial[HANDOFF_SERIAL_MAX];
};

struct handoff_mcfg {
    uint64_t base;
    uint16_t segment;
    uint8_t first_bus, last_bus;
    uint32_t reserved;
};

struct handoff_acpi {
    uint32_t mcfg_count;
    uint32_t sleep_type_known; /* bit 0: s3, bit 1: s5 */
    struct handoff_mcfg mcfg[HANDOFF_MCFG_MAX];
    uint32_t pm1a_control, pm1b_control; /* I/O ports, 0: absent */
    uint8_t s3_type, s5_type;            /* SLP_TYPa values, where known */
    uint8_t reset_value, reset_is_port;
    uint32_t reserved;
    uint64_t reset_register;       /* port or memory address, 0: absent */
    uint64_t dsdt, dsdt_s3_offset; /* where "_S3_" stands in the DSDT, 0: it does not */
};

/* A linear 32-bit-per-pixel screen, and the font that panics are drawn with; zero base: none. */
struct handoff_screen {
    uint64_t base;
    uint32_t width, height, pixels_per_line;
    uint8_t glyphs[95][19]; /* printable ASCII, 8 pixels wide, one byte a row, most significant bit left */
    uint8_t font_present;
    uint8_t reserved[2];
};

/* When writes of the local APIC exit. */
enum handoff_apic {
    HANDOFF_APIC_AUTO = 0,   /* where start-up IPIs do not exit, while CPUs may be started */
    HANDOFF_APIC_STARTS = 1, /* while CPUs may be started, on any CPU */
    HANDOFF_APIC_TRAP = 2,   /* always */
};

struct handoff {
    uint64_t magic;
    uint32_t size; /* sizeof(struct handoff) */
    uint32_t cpu_count;
    uint64_t block_base, block_length;
    uint64_t image_bytes;  /* the core image with its zeroed data, from the block's base; the core allocates
                              above it */
    uint64_t startup_page; /* below 1 MiB, reserved; for CPU start-up */
    uint64_t rsdp;
    uint16_t log_port; /* 0: none */
    uint8_t apic;      /* enum handoff_apic */
    uint8_t volume_count;
    uint32_t ram_count;
    struct handoff_range
        ram[HANDOFF_RAM_MAX]; /* what the firmware calls memory of any kind, the block excluded */
    struct handoff_acpi acpi;
    struct handoff_screen screen;
    struct handoff_volume volumes[HANDOFF_VOLUMES_MAX];
};

/* How a CPU enters. The loader's stub fills `guest` with the state to which the CPU will return, as a guest,
 * with RAX = 0; where it cannot be taken, core_enter returns to the stub in the ordinary way with one of the
 * codes below. */
struct handoff_table {
    uint64_t base;
    uint64_t limit;
};
struct handoff_cpu {
    uint64_t rip, rsp, rflags, cr3; /* cr3: the firmware's, which the stub replaced for the call */
    struct handoff_table gdt, idt;
    uint16_t cs, ds, es, ss, fs, gs, ldtr, tr;
    uint64_t handoff; /* physical address of struct handoff */
    uint64_t index;   /* 0 for the boot CPU, then each CPU its own */
};

enum core_status {
    CORE_OK = 0,
    CORE_BAD_HANDOFF = 1,
    CORE_NO_VIRTUALIZATION = 2,
    CORE_NO_NESTED_PAGING = 3,
    CORE_VIRTUALIZATION_LOCKED = 4, /* VM_CR.SVMDIS, or FEATURE_CONTROL */
    CORE_NO_MEMORY = 5,
    CORE_TOO_MANY_CPUS = 6,
    CORE_NO_AES = 7,
    CORE_DEVICE = 8, /* a device that carries a volume cannot be mediated */
    CORE_ALREADY_GUEST = 9,
    CORE_NO_UNRESTRICTED_GUEST = 10,
};

/* The first bytes of the core image: how the loader finds its way in. The image is an ELF64 executable linked
 * at CORE_VIRTUAL_BASE whose e_entry is core_enter: uint64_t core_enter(struct handoff_cpu *cpu) in the
 * System V calling convention. The loader calls it with interrupts off and a CR3 that maps all that the
 * firmware maps, and the block at CORE_VIRTUAL_BASE, writable and executable. `cpu` is a physical
 * (identity-mapped) address. */

#endif
