/* SPDX-License-Identifier: Apache-2.0 */
/* The string functions that no C library has; built for every target. */
#include "lib/strings.h"

void wipe(void *secret, size_t size)
{
    if (size > 0)
        memset(secret, 0, size);
    /* The compiler must take it that the zeroes are read here, so it may not drop the store as a dead one. */
    __asm__ volatile("" : : "r"(secret) : "memory");
}

bool equal_constant_time(const void *a, const void *b, size_t size)
{
    const uint8_t *x = a, *y = b;
    uint8_t difference = 0;
    for (size_t i = 0; i < size; i++) {
        difference |= x[i] ^ y[i];
        /* Hides the value from the compiler, which might else leave the loop at the first difference. */
        __asm__("" : "+r"(difference));
    }
    return difference == 0;
}

bool copy_string(char *to, size_t size, const char *from)
{
    if (size == 0)
        return false;
    size_t i = 0;
    for (; i < size - 1 && from[i]; i++)
        to[i] = from[i];
    to[i] = '\0';
    return from[i] == '\0';
}
