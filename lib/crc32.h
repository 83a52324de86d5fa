/* SPDX-License-Identifier: Apache-2.0 */
/* The CRC-32 of Ethernet, as the GUID partition table uses it (UEFI 2.10 section 5.3.2). */
#ifndef SHOJI_LIB_CRC32_H
#define SHOJI_LIB_CRC32_H

#include "lib/base.h"

/* The CRC of data that follows data whose CRC is `crc`; start with 0. */
uint32_t crc32_update(uint32_t crc, const void *data, size_t size);

#endif
