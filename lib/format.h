/* SPDX-License-Identifier: Apache-2.0 */
/* A small bounded formatter: %s %c %d %i %u %x %X %p %%, with 0, -, width, precision for %s ("%.*s" too), and
 * the lengths l, ll, z, h, hh. */
#ifndef SHOJI_LIB_FORMAT_H
#define SHOJI_LIB_FORMAT_H

#include "lib/base.h"
#include <stdarg.h>

/* Writes at most size bytes including the final NUL. Returns the length written, without the NUL. */
size_t format_list(char *out, size_t size, const char *fmt, va_list args);
size_t format(char *out, size_t size, const char *fmt, ...) printf_like(3, 4);

#endif
