/* SPDX-License-Identifier: Apache-2.0 */
/* The UEFI firmware that runs the loader: its tables, the identifiers of its protocols, and the protocols
 * that GNU-EFI does not declare. */
#ifndef SHOJI_BOOT_FIRMWARE_H
#define SHOJI_BOOT_FIRMWARE_H

#include <efi.h>
#include <efipciio.h>

#include "lib/base.h"

/* Set once by firmware_start. */
struct firmware {
    EFI_HANDLE image; /* the loader's own */
    EFI_SYSTEM_TABLE *table;
    EFI_BOOT_SERVICES *services;
};
extern struct firmware firmware;

void firmware_start(EFI_HANDLE image, EFI_SYSTEM_TABLE *table);

/* The protocol on this handle, or NULL. */
void *protocol_of(EFI_HANDLE handle, EFI_GUID *protocol);

/* The first protocol of its kind in the system, or NULL. */
void *protocol_anywhere(EFI_GUID *protocol);

/* The configuration table with this identifier, or NULL. */
void *configuration_table(const EFI_GUID *identifier);

extern EFI_GUID block_io_guid, device_path_guid, disk_file_system_guid, file_info_guid, graphics_guid,
    disk_info_guid, hii_font_guid, loaded_image_guid, mp_services_guid, nvme_guid, pci_io_guid, acpi_20_guid,
    acpi_10_guid;

/* EFI_MP_SERVICES_PROTOCOL (PI 1.7 volume 2, 13.4). */
enum processor_status { PROCESSOR_IS_BSP = 1 << 0, PROCESSOR_ENABLED = 1 << 1, PROCESSOR_HEALTHY = 1 << 2 };

struct processor_information {
    uint64_t processor_id;
    uint32_t status; /* enum processor_status */
    uint32_t package, core, thread;
    uint32_t extended[6];
};

struct mp_services {
    EFI_STATUS(EFIAPI *get_number)(struct mp_services *this, UINTN *all, UINTN *enabled);
    EFI_STATUS(EFIAPI *get_information)
    (struct mp_services *this, UINTN number, struct processor_information *out);
    EFI_STATUS(EFIAPI *startup_all)
    (struct mp_services *this, void(EFIAPI *procedure)(void *), BOOLEAN one_by_one, EFI_EVENT event,
     UINTN timeout_microseconds, void *argument, UINTN **failed);
    EFI_STATUS(EFIAPI *startup_this)
    (struct mp_services *this, void(EFIAPI *procedure)(void *), UINTN number, EFI_EVENT event,
     UINTN timeout_microseconds, void *argument, BOOLEAN *finished);
    void *switch_bsp;
    EFI_STATUS(EFIAPI *enable_disable)
    (struct mp_services *this, UINTN number, BOOLEAN enable, uint32_t *health);
    EFI_STATUS(EFIAPI *who_am_i)(struct mp_services *this, UINTN *number);
};

/* EFI_NVM_EXPRESS_PASS_THRU_PROTOCOL (UEFI 2.10, 13.17). */
struct nvme_command {
    uint32_t cdw0, flags, namespace_id;
    uint32_t cdw2, cdw3, cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
};

struct nvme_packet {
    uint64_t timeout; /* in units of 100 ns */
    void *transfer;
    uint32_t transfer_bytes;
    void *metadata;
    uint32_t metadata_bytes;
    uint8_t queue;
    struct nvme_command *command;
    uint32_t *completion; /* four double words */
};

struct nvme_pass_thru {
    void *mode;
    EFI_STATUS(EFIAPI *pass_thru)
    (struct nvme_pass_thru *this, uint32_t namespace_id, struct nvme_packet *packet, EFI_EVENT event);
};

/* EFI_DISK_INFO_PROTOCOL (PI 1.7 volume 5, 3.4); what the loader does not call is left untyped. */
struct disk_info {
    EFI_GUID interface;
    void *inquiry;
    EFI_STATUS(EFIAPI *identify)(struct disk_info *this, void *data, uint32_t *bytes);
    void *sense_data, *which_ide;
};

/* EFI_HII_FONT_PROTOCOL (UEFI 2.10, 34.1); what the loader does not call is left untyped. */
struct hii_image {
    uint16_t width, height;
    EFI_GRAPHICS_OUTPUT_BLT_PIXEL *bitmap;
};

struct hii_font {
    void *string_to_image, *string_id_to_image;
    EFI_STATUS(EFIAPI *get_glyph)
    (const struct hii_font *this, CHAR16 character, const void *font, struct hii_image **image,
     UINTN *baseline);
    void *get_font_info;
};

#endif
