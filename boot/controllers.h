/* SPDX-License-Identifier: Apache-2.0 */
/* The controllers that will be mediated: taken from the firmware's drivers before the launch and given back
 * after it. */
#ifndef SHOJI_BOOT_CONTROLLERS_H
#define SHOJI_BOOT_CONTROLLERS_H

#include "boot/volume.h"

/* Finds the controller of the disk with this device path, and fills the PCI location, unit and serial number
 * of the volume. False when it is of a kind that Shoji does not mediate. */
bool controller_identify(EFI_DEVICE_PATH *disk, EFI_HANDLE *controller,
                         struct handoff_volume *out) must_check;

/* Takes the firmware's drivers off every volume's controller and brings it to rest. Everything that was to be
 * read from them must have been read, and every file be closed. False with a sentence when one does not obey;
 * the others are then connected again. */
bool controllers_disconnect(const struct volume *volumes, unsigned count, struct report *problem) must_check;

/* Lets the firmware's drivers have them again. */
void controllers_connect(const struct volume *volumes, unsigned count);

#endif
