/* SPDX-License-Identifier: Apache-2.0 */
/* The log: a ring in memory, and the serial port that the policy names. Never a secret in it. */
#ifndef SHOJI_CORE_LOG_H
#define SHOJI_CORE_LOG_H

#include "lib/base.h"

/* Writes one line (a newline is added). Any CPU; own lock. */
void log_line(const char *fmt, ...) printf_like(1, 2);

/* The same, for what the guest can bring about as often as it likes: each place in the code logs this often
 * and then no more, so that it can neither push other lines out of the ring nor keep CPUs at the serial port.
 */
#define LOG_LIMIT 16u
#define log_limited(...)                                                                                     \
    do {                                                                                                     \
        static uint32_t times;                                                                               \
        if (__atomic_load_n(&times, __ATOMIC_RELAXED) < LOG_LIMIT &&                                         \
            __atomic_fetch_add(&times, 1, __ATOMIC_RELAXED) < LOG_LIMIT)                                     \
            log_line(__VA_ARGS__);                                                                           \
    } while (0)

/* The text that the ring holds now: its size, and a copy of up to `length` bytes from `offset`. Returns what
 * was copied. */
size_t log_size(void);
size_t log_copy(size_t offset, void *to, size_t length);
uint64_t log_lost(void); /* bytes that fell out */

/* Stops the machine: this sentence and a register dump on the serial port and the screen, every secret wiped,
 * all CPUs halted. */
no_return void panic(const char *fmt, ...) printf_like(1, 2);

/* For panic alone: writes past a lock that the failing CPU may hold. */
void log_line_unlocked(const char *text);

#endif
