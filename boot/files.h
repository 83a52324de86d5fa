/* SPDX-License-Identifier: Apache-2.0 */
/* Files on the EFI system partition (ESP) that the loader was started from. Paths are ASCII with backslashes.
 */
#ifndef SHOJI_BOOT_FILES_H
#define SHOJI_BOOT_FILES_H

#include "boot/firmware.h"
#include "lib/report.h"

struct esp {
    EFI_DEVICE_PATH *path;   /* a copy that outlives the firmware's handles */
    EFI_FILE_PROTOCOL *root; /* NULL while closed */
};

/* Finds the ESP of the loader's own image. False with a sentence when there is none. */
bool esp_open(struct esp *esp, struct report *problem) must_check;
/* Lets go of the file system, so that its driver can be disconnected. The device path stays. */
void esp_close(struct esp *esp);

enum file_result { FILE_READ, FILE_MISSING, FILE_UNREADABLE, FILE_TOO_LARGE };

/* A whole file in memory; released with file_release. */
struct file {
    uint8_t *data;
    size_t size;
};

enum file_result file_read(const struct esp *esp, const char *path, size_t limit,
                           struct file *out) must_check;
void file_release(struct file *file);

/* True when the path is a file that can be opened. */
bool file_exists(const struct esp *esp, const char *path);

/* Writes the whole file, in place of an existing one. False when that fails: the file may then be missing or
 * incomplete. */
bool file_write(const struct esp *esp, const char *path, const struct file *content) must_check;

#endif
