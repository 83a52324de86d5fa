/* SPDX-License-Identifier: Apache-2.0 */
/* The C library functions of lib/strings.h for targets that have no C library. Copies and fills use the CPU's
 * string instructions, which touch no vector register; eight bytes a step, since emulators and older CPUs
 * take each step at the same price. */
#include "lib/strings.h"

/* The loops below look like strlen and its kin to the optimiser, which would call the very function that it
 * compiles. It cannot know the value of a counter that has been through here, so it leaves the loop alone. */
#define hide_from_compiler(counter) __asm__("" : "+r"(counter))

#define WORD sizeof(uint64_t)

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
    void *at = to;
    size_t words = size / WORD, rest = size % WORD;
    __asm__ volatile("rep movsq" : "+D"(at), "+S"(from), "+c"(words) : : "memory");
    __asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(rest) : : "memory");
    return to;
}

void *memmove(void *to, const void *from, size_t size)
{
    if ((uintptr_t)to - (uintptr_t)from >= size)
        return memcpy(to, from, size);
    /* The target starts inside the source: from the last byte backwards. No string instruction: the direction
     * flag would have to be set, and an NMI may come at any time. */
    uint8_t *target = to;
    const uint8_t *source = from;
    while (size > 0) {
        hide_from_compiler(size);
        size--;
        target[size] = source[size];
    }
    return to;
}

void *memset(void *to, int byte, size_t size)
{
    void *at = to;
    uint64_t pattern = (uint8_t)byte * 0x0101010101010101ull;
    size_t words = size / WORD, rest = size % WORD;
    __asm__ volatile("rep stosq" : "+D"(at), "+c"(words) : "a"(pattern) : "memory");
    __asm__ volatile("rep stosb" : "+D"(at), "+c"(rest) : "a"(pattern) : "memory");
    return to;
}

int memcmp(const void *a, const void *b, size_t size)
{
    const uint8_t *x = a, *y = b;
    for (size_t i = 0; i < size; i++) {
        hide_from_compiler(i);
        if (x[i] != y[i])
            return x[i] < y[i] ? -1 : 1;
    }
    return 0;
}

void *memchr(const void *s, int byte, size_t size)
{
    const uint8_t *p = s;
    for (size_t i = 0; i < size; i++) {
        hide_from_compiler(i);
        if (p[i] == (uint8_t)byte)
            return (void *)(uintptr_t)(p + i);
    }
    return NULL;
}

size_t strlen(const char *s)
{
    size_t length = 0;
    while (s[length]) {
        length++;
        hide_from_compiler(length);
    }
    return length;
}

int strcmp(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
        hide_from_compiler(a);
    }
    return (uint8_t)*a - (uint8_t)*b;
}

int strncmp(const char *a, const char *b, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        hide_from_compiler(i);
        if (a[i] != b[i] || !a[i])
            return (uint8_t)a[i] - (uint8_t)b[i];
    }
    return 0;
}

char *strchr(const char *s, int c)
{
    for (; *s != (char)c; s++) {
        hide_from_compiler(s);
        if (!*s)
            return NULL;
    }
    return (char *)(uintptr_t)s;
}
