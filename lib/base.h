/* SPDX-License-Identifier: Apache-2.0 */
/* The words that every room uses: fixed-width types, checked results, sizes and bit helpers. */
#ifndef SHOJI_LIB_BASE_H
#define SHOJI_LIB_BASE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define must_check        __attribute__((warn_unused_result))
#define packed            __attribute__((packed))
#define aligned_to(n)     __attribute__((aligned(n)))
#define no_return         __attribute__((noreturn))
#define printf_like(f, a) __attribute__((format(printf, f, a)))

#define KIB(n) ((uint64_t)(n) << 10)
#define MIB(n) ((uint64_t)(n) << 20)
#define GIB(n) ((uint64_t)(n) << 30)

#define PAGE_SHIFT 12
#define PAGE_SIZE  4096ul
#define PAGE_MASK  (PAGE_SIZE - 1)

#define BIT(n)                        (1ull << (n))
#define ARRAY_COUNT(a)                (sizeof(a) / sizeof((a)[0]))
#define ROUND_UP(x, to)               ((((x) + (to)-1) / (to)) * (to))
#define ROUND_DOWN(x, to)             (((x) / (to)) * (to))
#define MIN(a, b)                     ((a) < (b) ? (a) : (b)) /* evaluates an argument twice: */
#define MAX(a, b)                     ((a) > (b) ? (a) : (b)) /* none may have an effect */
#define container_of(p, type, member) ((type *)((char *)(p)-offsetof(type, member)))

/* True when base + length does not wrap and lies wholly below limit. */
static inline bool range_fits(uint64_t base, uint64_t length, uint64_t limit)
{
    return base <= limit && length <= limit - base;
}

/* True when the two ranges share at least one unit; lengths must not wrap. */
static inline bool ranges_overlap(uint64_t a, uint64_t a_length, uint64_t b, uint64_t b_length)
{
    return a < b + b_length && b < a + a_length;
}

#endif
