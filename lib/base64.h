/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 text into bytes (RFC 4648 section 4), strictly. */
#ifndef SHOJI_LIB_BASE64_H
#define SHOJI_LIB_BASE64_H

#include "lib/base.h"

/* Decodes `length` characters into out[0..capacity) and gives the number of bytes. False, with *bytes = 0,
 * for anything that an encoder would not have written (white space, a missing or misplaced '=', bits set that
 * belong to no byte) and for more than capacity bytes. */
bool base64_decode(const char *text, size_t length, uint8_t *out, size_t capacity, size_t *bytes) must_check;

#endif
