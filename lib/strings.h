/* SPDX-License-Identifier: Apache-2.0 */
/* The few C library functions that freestanding code may use. On Linux they are the C library's own. */
#ifndef SHOJI_LIB_STRINGS_H
#define SHOJI_LIB_STRINGS_H

#include "lib/base.h"

void *memcpy(void *to, const void *from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);
void *memchr(const void *s, int byte, size_t size);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t size);
char *strchr(const char *s, int c);

/* Overwrites a secret in a way that the compiler may not remove. */
void wipe(void *secret, size_t size);

/* Compares in a time that depends on size alone. */
bool equal_constant_time(const void *a, const void *b, size_t size);

/* Copies a NUL-terminated string, cutting it to size - 1 bytes; true when it fitted whole. */
bool copy_string(char *to, size_t size, const char *from);

#endif
