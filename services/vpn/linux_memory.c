/* SPDX-License-Identifier: Apache-2.0 */
/* Counts what the service and libcrypto ask of malloc (the linker's --wrap), to show that the way of a packet
 * asks for none. */
#include "services/vpn/linux.h"

#include <stdlib.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

static uint64_t allocations; /* the program has one thread */

void *__wrap_malloc(size_t size)
{
    allocations++;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    allocations++;
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    allocations++;
    return __real_realloc(old, size);
}

uint64_t memory_allocations(void)
{
    return allocations;
}
