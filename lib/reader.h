/* SPDX-License-Identifier: Apache-2.0 */
/* A bounded reader over bytes from outside. An access past the end returns zero and marks the reader as
 * failed: parsers check `failed` once, after a group of reads, and before any value is used. */
#ifndef SHOJI_LIB_READER_H
#define SHOJI_LIB_READER_H

#include "lib/base.h"

struct reader {
    const uint8_t *data;
    size_t size;
    size_t at;
    bool failed;
};

static inline struct reader reader_of(const void *data, size_t size)
{
    return (struct reader){.data = data, .size = size};
}

static inline size_t reader_left(const struct reader *r)
{
    return r->failed ? 0 : r->size - r->at;
}

/* Returns size bytes inside the buffer and steps over them; NULL (and failed) when fewer are left. */
static inline const uint8_t *reader_bytes(struct reader *r, size_t size)
{
    if (r->failed || size > r->size - r->at) {
        r->failed = true;
        return NULL;
    }
    const uint8_t *p = r->data + r->at;
    r->at += size;
    return p;
}

static inline void reader_seek(struct reader *r, size_t at)
{
    if (at > r->size)
        r->failed = true;
    else
        r->at = at;
}

static inline uint64_t reader_le(struct reader *r, unsigned bytes)
{
    const uint8_t *p = reader_bytes(r, bytes);
    uint64_t v = 0;
    for (unsigned i = 0; p && i < bytes; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static inline uint64_t reader_be(struct reader *r, unsigned bytes)
{
    const uint8_t *p = reader_bytes(r, bytes);
    uint64_t v = 0;
    for (unsigned i = 0; p && i < bytes; i++)
        v = v << 8 | p[i];
    return v;
}

static inline uint8_t reader_u8(struct reader *r)
{
    return (uint8_t)reader_le(r, 1);
}
static inline uint16_t reader_le16(struct reader *r)
{
    return (uint16_t)reader_le(r, 2);
}
static inline uint32_t reader_le32(struct reader *r)
{
    return (uint32_t)reader_le(r, 4);
}
static inline uint64_t reader_le64(struct reader *r)
{
    return reader_le(r, 8);
}

#endif
