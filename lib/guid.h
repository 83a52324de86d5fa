/* SPDX-License-Identifier: Apache-2.0 */
/* GUIDs as they lie on disk and in EFI structures (mixed endian) and as text. */
#ifndef SHOJI_LIB_GUID_H
#define SHOJI_LIB_GUID_H

#include "lib/base.h"

#define GUID_TEXT_SIZE 37 /* 8-4-4-4-12 hexadecimal digits and a NUL */

struct guid {
    uint8_t bytes[16];
};
static_assert(sizeof(struct guid) == 16, "GUIDs are 16 bytes on disk");

/* Reads exactly `length` characters of canonical text, upper or lower case. False when it is not a GUID. */
bool guid_parse(const char *text, size_t length, struct guid *out) must_check;
void guid_text(const struct guid *guid, char out[GUID_TEXT_SIZE]);
bool guid_equal(const struct guid *a, const struct guid *b);

#endif
