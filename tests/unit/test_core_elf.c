/* SPDX-License-Identifier: Apache-2.0 */
/* The loader's ELF reader: a good image is placed right, and nothing outside the file or the block is touched
 * by a bad one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "include/handoff.h"

/* The reader belongs to the loader, which is not in the archive that the unit tests link. */
#include "boot/core_elf.c"

#define FILE_BYTES  1024
#define BLOCK_BYTES (4 * PAGE_SIZE)
#define CODE_OFFSET 512
#define CODE_BYTES  64
#define DATA_OFFSET 600
#define DATA_BYTES  32
#define DATA_MEMORY 5000

/* Offsets of fields in the ELF header and in a segment header. */
#define AT_ENTRY         24
#define AT_SEGMENTS      32
#define AT_SEGMENT_BYTES 54
#define AT_SEGMENT_COUNT 56
#define SEGMENT_OFFSET   8
#define SEGMENT_ADDRESS  16
#define SEGMENT_FILE     32
#define SEGMENT_MEMORY   40

struct image {
    uint8_t *bytes; /* from malloc, exactly FILE_BYTES, so that the sanitizer sees an access beyond */
    uint8_t *block;
};

static void put(uint8_t *at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

static uint8_t *segment_of(struct image *image, unsigned index)
{
    return image->bytes + ELF_HEADER_BYTES + index * ELF_SEGMENT_BYTES;
}

static void put_segment(uint8_t *at, const struct segment *s)
{
    put(at, s->type, 4);
    put(at + 4, s->flags, 4);
    put(at + SEGMENT_OFFSET, s->offset, 8);
    put(at + SEGMENT_ADDRESS, s->address, 8);
    put(at + SEGMENT_FILE, s->file_bytes, 8);
    put(at + SEGMENT_MEMORY, s->memory_bytes, 8);
}

static int make_image(void **state)
{
    struct image *image = malloc(sizeof(*image));
    image->bytes = calloc(1, FILE_BYTES);
    image->block = calloc(1, BLOCK_BYTES);
    memcpy(image->bytes, ident, sizeof(ident));
    put(image->bytes + 16, ELF_TYPE_EXECUTABLE, 2);
    put(image->bytes + 18, ELF_MACHINE_X86_64, 2);
    put(image->bytes + AT_ENTRY, CORE_VIRTUAL_BASE + 8, 8);
    put(image->bytes + AT_SEGMENTS, ELF_HEADER_BYTES, 8);
    put(image->bytes + AT_SEGMENT_BYTES, ELF_SEGMENT_BYTES, 2);
    put(image->bytes + AT_SEGMENT_COUNT, 2, 2);
    put_segment(segment_of(image, 0), &(struct segment){SEGMENT_LOAD, SEGMENT_EXECUTE, CODE_OFFSET,
                                                        CORE_VIRTUAL_BASE, CODE_BYTES, CODE_BYTES});
    put_segment(segment_of(image, 1),
                &(struct segment){SEGMENT_LOAD, 0, DATA_OFFSET, CORE_VIRTUAL_BASE + PAGE_SIZE, DATA_BYTES,
                                  DATA_MEMORY});
    memset(image->bytes + CODE_OFFSET, 0xc0, CODE_BYTES);
    memset(image->bytes + DATA_OFFSET, 0xda, DATA_BYTES);
    *state = image;
    return 0;
}

static int drop_image(void **state)
{
    struct image *image = *state;
    free(image->bytes);
    free(image->block);
    free(image);
    return 0;
}

static bool load(struct image *image, size_t size, struct core_layout *layout)
{
    struct report problem = {""};
    bool good = core_elf_load(image->bytes, size, image->block, BLOCK_BYTES, layout, &problem);
    assert_int_equal(good, problem.text[0] == 0);
    return good;
}

static void refused(struct image *image)
{
    struct core_layout layout;
    assert_false(load(image, FILE_BYTES, &layout));
}

static void test_good_image(void **state)
{
    struct image *image = *state;
    struct core_layout layout;
    assert_true(load(image, FILE_BYTES, &layout));
    assert_int_equal(layout.entry, CORE_VIRTUAL_BASE + 8);
    assert_int_equal(layout.image_bytes, 3 * PAGE_SIZE); /* the zeroed data ends in the third page */
    assert_int_equal(image->block[0], 0xc0);
    assert_int_equal(image->block[CODE_BYTES - 1], 0xc0);
    assert_int_equal(image->block[CODE_BYTES], 0);
    assert_int_equal(image->block[PAGE_SIZE], 0xda);
    assert_int_equal(image->block[PAGE_SIZE + DATA_BYTES], 0);
}

static void test_every_cut_is_refused(void **state)
{
    struct image *image = *state;
    struct core_layout layout;
    for (size_t size = 0; size < DATA_OFFSET + DATA_BYTES; size++)
        assert_false(load(image, size, &layout));
    assert_true(load(image, DATA_OFFSET + DATA_BYTES, &layout));
}

static void test_wrong_kind(void **state)
{
    static const uint8_t fields[] = {0, 4, 5, 16, 18, AT_SEGMENT_BYTES};
    struct image *image = *state;
    for (unsigned i = 0; i < sizeof(fields); i++) {
        image->bytes[fields[i]] ^= 1;
        refused(image);
        image->bytes[fields[i]] ^= 1;
    }
}

static void test_entry_must_be_code(void **state)
{
    static const uint64_t entries[] = {0, CORE_VIRTUAL_BASE - 1, CORE_VIRTUAL_BASE + CODE_BYTES,
                                       CORE_VIRTUAL_BASE + PAGE_SIZE, UINT64_MAX};
    struct image *image = *state;
    for (unsigned i = 0; i < ARRAY_COUNT(entries); i++) {
        put(image->bytes + AT_ENTRY, entries[i], 8);
        refused(image);
    }
}

static void test_segments_out_of_bounds(void **state)
{
    static const struct {
        unsigned field;
        uint64_t value;
    } bad[] = {
        {SEGMENT_OFFSET, FILE_BYTES - DATA_BYTES + 1},
        {SEGMENT_OFFSET, UINT64_MAX - 8},
        {SEGMENT_ADDRESS, CORE_VIRTUAL_BASE - 1},
        {SEGMENT_ADDRESS, CORE_VIRTUAL_BASE + BLOCK_BYTES - DATA_MEMORY + 1},
        {SEGMENT_ADDRESS, UINT64_MAX - 16},
        {SEGMENT_FILE, DATA_MEMORY + 1},
        {SEGMENT_FILE, UINT64_MAX},
        {SEGMENT_MEMORY, DATA_BYTES - 1},
        {SEGMENT_MEMORY, BLOCK_BYTES},
        {SEGMENT_MEMORY, UINT64_MAX},
    };
    struct image *image = *state;
    for (unsigned i = 0; i < ARRAY_COUNT(bad); i++) {
        uint8_t kept[ELF_SEGMENT_BYTES], *segment = segment_of(image, 1);
        memcpy(kept, segment, sizeof(kept));
        put(segment + bad[i].field, bad[i].value, 8);
        refused(image);
        memcpy(segment, kept, sizeof(kept));
    }
}

static void test_segment_headers_out_of_bounds(void **state)
{
    static const uint64_t places[] = {FILE_BYTES, FILE_BYTES - ELF_SEGMENT_BYTES, UINT64_MAX,
                                      UINT64_MAX - ELF_SEGMENT_BYTES};
    struct image *image = *state;
    for (unsigned i = 0; i < ARRAY_COUNT(places); i++) {
        put(image->bytes + AT_SEGMENTS, places[i], 8);
        refused(image);
    }
    put(image->bytes + AT_SEGMENTS, ELF_HEADER_BYTES, 8);
    put(image->bytes + AT_SEGMENT_COUNT, ELF_SEGMENTS_MAX + 1, 2);
    refused(image);
    put(image->bytes + AT_SEGMENT_COUNT, 0, 2);
    refused(image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_good_image, make_image, drop_image),
        cmocka_unit_test_setup_teardown(test_every_cut_is_refused, make_image, drop_image),
        cmocka_unit_test_setup_teardown(test_wrong_kind, make_image, drop_image),
        cmocka_unit_test_setup_teardown(test_entry_must_be_code, make_image, drop_image),
        cmocka_unit_test_setup_teardown(test_segments_out_of_bounds, make_image, drop_image),
        cmocka_unit_test_setup_teardown(test_segment_headers_out_of_bounds, make_image, drop_image),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
