/* SPDX-License-Identifier: Apache-2.0 */
/* UEFI device paths: size, copy, nodes, and paths to files. */
#ifndef SHOJI_BOOT_DEVICE_PATH_H
#define SHOJI_BOOT_DEVICE_PATH_H

#include "boot/firmware.h"

/* Bytes of the path with its end node. */
size_t device_path_bytes(const EFI_DEVICE_PATH *path);

/* True at the end node. */
bool device_path_is_end(const EFI_DEVICE_PATH *node);

/* A copy from heap_allocate; NULL when there is no memory. */
EFI_DEVICE_PATH *device_path_copy(const EFI_DEVICE_PATH *path);

/* A new path (heap_allocate): `device` and below it the file, a path in ASCII with backslashes. NULL when
 * there is no memory. */
EFI_DEVICE_PATH *device_path_of_file(const EFI_DEVICE_PATH *device, const char *file);

/* The first node of this type and subtype that is at least `bytes` long, or NULL. */
const EFI_DEVICE_PATH *device_path_node(const EFI_DEVICE_PATH *path, uint8_t type, uint8_t subtype,
                                        size_t bytes);

/* True when `path` goes through the device at `parent`, or is the same. */
bool device_path_is_below(const EFI_DEVICE_PATH *path, const EFI_DEVICE_PATH *parent);

#endif
