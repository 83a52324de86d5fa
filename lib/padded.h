/* SPDX-License-Identifier: Apache-2.0 */
/* The text fields of disks: padded with blanks, not terminated. */
#ifndef SHOJI_LIB_PADDED_H
#define SHOJI_LIB_PADDED_H

#include "lib/base.h"

/* Copies a field without the blanks around it, cut to size - 1 characters; what cannot be printed, and
 * a blank inside, becomes '?'. */
void padded_text(char *to, size_t size, const uint8_t *from, size_t bytes);

#endif
