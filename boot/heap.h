/* SPDX-License-Identifier: Apache-2.0 */
/* The loader's memory, from the firmware's boot services. */
#ifndef SHOJI_BOOT_HEAP_H
#define SHOJI_BOOT_HEAP_H

#include "lib/base.h"

/* Small memory, aligned to 16 bytes; NULL when there is none. heap_release wipes it first and accepts NULL.
 * The context is unused: the form is that of crypto/port/port.h. */
void *heap_allocate(void *context, size_t size) must_check;
void heap_release(void *context, void *memory);

/* Large memory in whole pages, not zeroed; the form is that of struct luks2_allocator. heap_pages_release
 * does not wipe. */
void *heap_pages(void *context, size_t size) must_check;
void heap_pages_release(void *context, void *memory, size_t size);

/* The largest piece that heap_pages could give now and leave the firmware enough to go on. */
uint64_t heap_largest(void *context);

#endif
