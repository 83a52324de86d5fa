/* SPDX-License-Identifier: Apache-2.0 */
/* What the loader asks of an NVMe controller: which disk this is, and to be quiet. */
#ifndef SHOJI_BOOT_NVME_H
#define SHOJI_BOOT_NVME_H

#include "boot/firmware.h"
#include "include/handoff.h"
#include "lib/report.h"

/* Finds the controller of the disk with this device path, and fills the PCI location, namespace and serial
 * number of the volume. False when the disk is no NVMe namespace. The serial number is empty where the
 * firmware cannot be asked for it. */
bool nvme_identify(EFI_DEVICE_PATH *disk, EFI_HANDLE *controller, struct handoff_volume *out) must_check;

/* Disables the controller and its bus mastering, after the firmware's driver has let go of it. False with a
 * sentence when it does not obey. */
bool nvme_quiet(EFI_HANDLE controller, struct report *problem) must_check;

#endif
