/* SPDX-License-Identifier: Apache-2.0 */
/* What the loader asks of an IDE controller: which disk this is, and to be quiet. */
#ifndef SHOJI_BOOT_IDE_H
#define SHOJI_BOOT_IDE_H

#include "boot/firmware.h"
#include "include/handoff.h"
#include "lib/report.h"

/* Finds the controller of the disk with this device path, and fills the PCI location, drive (two times the
 * channel, and one for its second drive) and serial number of the volume. False when it is no drive of an IDE
 * controller. The serial number is empty where the firmware does not tell it. */
bool ide_identify(EFI_DEVICE_PATH *disk, EFI_HANDLE *controller, struct handoff_volume *out) must_check;

/* Stops the controller's bus masters and its interrupts, after the firmware's driver has let go of it. False
 * with a sentence when it does not obey. */
bool ide_quiet(EFI_HANDLE controller, struct report *problem) must_check;

#endif
