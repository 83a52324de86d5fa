/* SPDX-License-Identifier: Apache-2.0 */
/* A 16550 UART as output of the log. */
#ifndef SHOJI_CORE_SERIAL_H
#define SHOJI_CORE_SERIAL_H

#include "lib/base.h"

#define SERIAL_PORTS 8u /* I/O ports of one UART */

/* Sets up 115200 8N1. Port 0: no output. */
void serial_start(uint16_t port);
void serial_put(const char *text, size_t length);

#endif
