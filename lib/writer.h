/* SPDX-License-Identifier: Apache-2.0 */
/* A bounded writer, the reader's twin: what does not fit is not written and marks the writer as failed, which
 * the caller checks once, before the bytes are used. */
#ifndef SHOJI_LIB_WRITER_H
#define SHOJI_LIB_WRITER_H

#include "lib/base.h"
#include "lib/strings.h"

struct writer {
    uint8_t *data;
    size_t size;
    size_t at;
    bool failed;
};

static inline struct writer writer_of(void *data, size_t size)
{
    return (struct writer){.data = data, .size = size};
}

/* Returns room for size bytes and steps over it; NULL (and failed) when less is left. */
static inline uint8_t *writer_room(struct writer *w, size_t size)
{
    if (w->failed || size > w->size - w->at) {
        w->failed = true;
        return NULL;
    }
    uint8_t *p = w->data + w->at;
    w->at += size;
    return p;
}

static inline void writer_bytes(struct writer *w, const void *bytes, size_t size)
{
    uint8_t *p = writer_room(w, size);
    if (p && size > 0)
        memcpy(p, bytes, size);
}

static inline void writer_zero(struct writer *w, size_t size)
{
    uint8_t *p = writer_room(w, size);
    if (p && size > 0)
        memset(p, 0, size);
}

static inline void writer_be(struct writer *w, uint64_t value, unsigned bytes)
{
    uint8_t *p = writer_room(w, bytes);
    for (unsigned i = 0; p && i < bytes; i++)
        p[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
}

#endif
