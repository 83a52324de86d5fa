/* SPDX-License-Identifier: Apache-2.0 */
/* Test headers in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/support/luks_file.h"
#include "tests/unit/support/luks_seal.h"

#define HEADER_SIZE_AT 8
#define SEQUENCE_AT    16

struct luks_file luks_file_load(const char *name)
{
    char path[256];
    snprintf(path, sizeof(path), LUKS_FILE_DIRECTORY "%s", name);
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("%s is missing: tests/unit/make_headers.sh makes it", path);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    struct luks_file file = {.size = (size_t)ftell(f)};
    rewind(f);
    file.data = malloc(file.size);
    assert_non_null(file.data);
    assert_int_equal(fread(file.data, 1, file.size, f), file.size);
    fclose(f);
    return file;
}

void luks_file_free(struct luks_file *file)
{
    free(file->data);
    *file = (struct luks_file){0};
}

static uint64_t read_be64(const uint8_t *p)
{
    uint64_t value;
    memcpy(&value, p, sizeof(value));
    return __builtin_bswap64(value);
}

uint64_t luks_file_header_bytes(const struct luks_file *file)
{
    return read_be64(file->data + HEADER_SIZE_AT);
}

void luks_file_seal(struct luks_file *file, uint64_t at)
{
    luks_seal(file->data + at, luks_file_header_bytes(file));
}

static void replace_in_copy(struct luks_file *file, uint64_t at, const char *from, const char *to)
{
    char *json = (char *)file->data + at + LUKS_FILE_BINARY;
    char *found = strstr(json, from);
    if (!found)
        fail_msg("the JSON has no %s", from);
    const size_t room = luks_file_header_bytes(file) - LUKS_FILE_BINARY;
    const size_t from_bytes = strlen(from), to_bytes = strlen(to), length = strlen(json);
    assert_true(length + to_bytes - from_bytes < room);
    memmove(found + to_bytes, found + from_bytes, length - (size_t)(found - json) - from_bytes);
    memcpy(found, to, to_bytes);
    if (to_bytes < from_bytes)
        memset(json + length + to_bytes - from_bytes, 0, from_bytes - to_bytes);
    luks_file_seal(file, at);
}

void luks_file_replace(struct luks_file *file, const char *from, const char *to)
{
    replace_in_copy(file, 0, from, to);
    replace_in_copy(file, luks_file_header_bytes(file), from, to);
}

void luks_file_set_sequence(struct luks_file *file, uint64_t at, uint64_t sequence)
{
    const uint64_t big_endian = __builtin_bswap64(sequence);
    memcpy(file->data + at + SEQUENCE_AT, &big_endian, sizeof(big_endian));
    luks_file_seal(file, at);
}
