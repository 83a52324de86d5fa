/* SPDX-License-Identifier: Apache-2.0 */
#include "core/log.h"

#include "core/serial.h"
#include "core/spinlock.h"
#include "lib/format.h"
#include "lib/strings.h"
#include "shoji-config.h"

#define RING_BYTES KIB(CONFIG_LOG_RING_KIB)
#define LINE_MAX   256

static struct spinlock lock; /* of the ring and the serial port */
static char ring[RING_BYTES];
static uint64_t written; /* bytes ever */

static void put(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        ring[written++ % RING_BYTES] = text[i];
    serial_put(text, length);
}

void log_line_unlocked(const char *text)
{
    put(text, strlen(text));
    put("\n", 1);
}

void log_line(const char *fmt, ...)
{
    char line[LINE_MAX];
    va_list args;
    va_start(args, fmt);
    format_list(line, sizeof line, fmt, args);
    va_end(args);
    spin_lock(&lock);
    log_line_unlocked(line);
    spin_unlock(&lock);
}

size_t log_size(void)
{
    return MIN(written, RING_BYTES);
}

uint64_t log_lost(void)
{
    return written - log_size();
}

size_t log_copy(size_t offset, void *to, size_t length)
{
    char *out = to;
    size_t copied = 0;
    spin_lock(&lock);
    size_t held = log_size();
    uint64_t first = written - held;
    while (copied < length && offset + copied < held) {
        out[copied] = ring[(first + offset + copied) % RING_BYTES];
        copied++;
    }
    spin_unlock(&lock);
    return copied;
}
