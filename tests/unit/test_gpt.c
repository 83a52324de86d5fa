/* SPDX-License-Identifier: Apache-2.0 */
/* The GPT reader against tables that sfdisk wrote, and against tables of our own with one thing wrong in
 * each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/crc32.h"
#include "lib/gpt.h"

#define GUID_ESP  "11111111-2222-3333-4444-555555555501"
#define GUID_ROOT "11111111-2222-3333-4444-555555555502"
#define GUID_DATA "11111111-2222-3333-4444-555555555503"
#define TYPE_ESP  "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"

static struct guid guid_of(const char *text)
{
    struct guid guid;
    assert_true(guid_parse(text, strlen(text), &guid));
    return guid;
}

/* ---- A table of our own ---- */

#define BLOCK       512u
#define DISK_BLOCKS 2048u
#define ENTRIES     8u
#define ENTRY       128u

/* Offsets of the header's fields (UEFI 2.10 table 5-5), and of an entry's (table 5-6). */
enum { H_REVISION = 8, H_SIZE = 12, H_CRC = 16, H_MINE = 24, H_BACKUP = 32, H_FIRST = 40, H_LAST = 48 };
enum { H_ENTRIES = 72, H_COUNT = 80, H_ENTRY = 84, H_ARRAY_CRC = 88 };
enum { E_TYPE = 0, E_UNIQUE = 16, E_FIRST = 32, E_LAST = 40, E_ATTRIBUTES = 48 };

struct image {
    uint8_t header[BLOCK];
    uint8_t entries[ENTRIES * ENTRY];
};

static void put(uint8_t *at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static void seal(struct image *image)
{
    uint32_t size = image->header[H_SIZE] | (uint32_t)image->header[H_SIZE + 1] << 8;
    put(image->header + H_ARRAY_CRC, crc32_update(0, image->entries, sizeof(image->entries)), 4);
    put(image->header + H_CRC, 0, 4);
    put(image->header + H_CRC, crc32_update(0, image->header, MIN(size, BLOCK)), 4);
}

static void put_entry(struct image *image, unsigned index, const char *unique, uint64_t first, uint64_t last)
{
    uint8_t *entry = image->entries + index * ENTRY;
    struct guid type = guid_of(TYPE_ESP), own = guid_of(unique);
    memcpy(entry + E_TYPE, &type, sizeof(type));
    memcpy(entry + E_UNIQUE, &own, sizeof(own));
    put(entry + E_FIRST, first, 8);
    put(entry + E_LAST, last, 8);
    put(entry + E_ATTRIBUTES, 5, 8);
}

/* A primary table with two partitions, in entries 1 and 4. */
static struct image make_image(void)
{
    struct image image = {0};
    memcpy(image.header, "EFI PART", 8);
    put(image.header + H_REVISION, 0x10000, 4);
    put(image.header + H_SIZE, 92, 4);
    put(image.header + H_MINE, 1, 8);
    put(image.header + H_BACKUP, DISK_BLOCKS - 1, 8);
    put(image.header + H_FIRST, 34, 8);
    put(image.header + H_LAST, DISK_BLOCKS - 34, 8);
    put(image.header + H_ENTRIES, 2, 8);
    put(image.header + H_COUNT, ENTRIES, 4);
    put(image.header + H_ENTRY, ENTRY, 4);
    put_entry(&image, 1, GUID_ESP, 64, 127);
    put_entry(&image, 4, GUID_ROOT, 128, 1000);
    seal(&image);
    return image;
}

static bool find_in(const struct image *image, const char *unique, struct gpt_partition *out,
                    struct report *problem)
{
    struct gpt_header header;
    struct guid guid = guid_of(unique);
    problem->text[0] = '\0';
    return gpt_read_header(image->header, BLOCK, 1, DISK_BLOCKS, &header, problem) &&
           gpt_find(&header, image->entries, sizeof(image->entries), &guid, out, problem);
}

static void must_find(const struct image *image, const char *unique)
{
    struct gpt_partition partition;
    struct report problem;
    if (!find_in(image, unique, &partition, &problem))
        fail_msg("%s", problem.text);
}

static void must_refuse(const struct image *image, const char *unique, const char *words)
{
    struct gpt_partition partition;
    struct report problem;
    assert_false(find_in(image, unique, &partition, &problem));
    if (!strstr(problem.text, words))
        fail_msg("\"%s\" does not say %s", problem.text, words);
}

static void reads_its_own_table(void **state)
{
    (void)state;
    struct image image = make_image();
    struct gpt_partition partition;
    struct gpt_header header;
    struct report problem = {""};
    assert_true(find_in(&image, GUID_ROOT, &partition, &problem));
    struct guid type = guid_of(TYPE_ESP), unique = guid_of(GUID_ROOT);
    assert_true(guid_equal(&partition.type, &type));
    assert_true(guid_equal(&partition.unique, &unique));
    assert_int_equal(partition.first_lba, 128);
    assert_int_equal(partition.lba_count, 873);
    assert_int_equal(partition.attributes, 5);
    assert_int_equal(partition.index, 4);
    assert_true(gpt_read_header(image.header, BLOCK, 1, DISK_BLOCKS, &header, &problem));
    assert_int_equal(header.entries_lba, 2);
    assert_int_equal(header.backup_lba, DISK_BLOCKS - 1);
    must_refuse(&image, GUID_DATA, "No partition");
    must_refuse(&image, "00000000-0000-0000-0000-000000000000", "No partition");
}

/* Each of these headers has a right CRC, and one field that cannot be. */
static void refuses_impossible_headers(void **state)
{
    (void)state;
    static const struct {
        unsigned offset, bytes;
        uint64_t value;
        const char *words;
    } cases[] = {
        {0, 1, 'e', "no valid GPT header"},
        {H_REVISION, 4, 0x20000, "no valid GPT header"},
        {H_SIZE, 4, 91, "no valid GPT header"},
        {H_SIZE, 4, 513, "no valid GPT header"},
        {H_MINE, 8, 2, "belongs in block 2"},
        {H_MINE, 8, 0, "belongs in block 0"},
        {H_BACKUP, 8, DISK_BLOCKS, "impossible layout"},
        {H_BACKUP, 8, UINT64_MAX, "impossible layout"},
        {H_BACKUP, 8, 1, "impossible layout"},
        {H_BACKUP, 8, 0, "impossible layout"},
        {H_FIRST, 8, 0, "impossible layout"},
        {H_FIRST, 8, 1, "impossible layout"},
        {H_FIRST, 8, 3, "impossible layout"},
        {H_FIRST, 8, DISK_BLOCKS - 33, "impossible layout"},
        {H_LAST, 8, DISK_BLOCKS, "impossible layout"},
        {H_LAST, 8, UINT64_MAX, "impossible layout"},
        {H_LAST, 8, 33, "impossible layout"},
        {H_ENTRIES, 8, 0, "impossible layout"},
        {H_ENTRIES, 8, 1, "impossible layout"},
        {H_ENTRIES, 8, 33, "impossible layout"},
        {H_ENTRIES, 8, 500, "impossible layout"},
        {H_ENTRIES, 8, DISK_BLOCKS - 1, "impossible layout"},
        {H_ENTRIES, 8, UINT64_MAX, "impossible layout"},
        {H_COUNT, 4, 0, "impossible layout"},
        {H_COUNT, 4, GPT_ENTRIES_MAX + 1, "impossible layout"},
        {H_COUNT, 4, UINT32_MAX, "impossible layout"},
        {H_COUNT, 4, 129, "impossible layout"},
        {H_ENTRY, 4, 64, "impossible layout"},
        {H_ENTRY, 4, 192, "impossible layout"},
        {H_ENTRY, 4, 8192, "impossible layout"},
        {H_ENTRY, 4, 0, "impossible layout"},
    };
    for (unsigned i = 0; i < ARRAY_COUNT(cases); i++) {
        struct image image = make_image();
        put(image.header + cases[i].offset, cases[i].value, cases[i].bytes);
        seal(&image);
        must_refuse(&image, GUID_ROOT, cases[i].words);
    }
}

static void notices_every_flipped_bit(void **state)
{
    (void)state;
    struct image good = make_image();
    for (unsigned bit = 0; bit < 92 * 8; bit++) {
        struct image image = good;
        image.header[bit / 8] ^= (uint8_t)(1u << bit % 8);
        must_refuse(&image, GUID_ROOT, "no valid GPT header");
    }
    for (unsigned bit = 0; bit < sizeof(good.entries) * 8; bit++) {
        struct image image = good;
        image.entries[bit / 8] ^= (uint8_t)(1u << bit % 8);
        must_refuse(&image, GUID_ROOT, "entries are damaged");
    }
}

static void judges_where_it_was_read(void **state)
{
    (void)state;
    struct image image = make_image();
    struct gpt_header header;
    struct report problem = {""};
    assert_false(gpt_read_header(image.header, BLOCK, 2, DISK_BLOCKS, &header, &problem));
    problem.text[0] = '\0';
    assert_false(gpt_read_header(image.header, BLOCK, 1, DISK_BLOCKS - 1, &header, &problem));
    problem.text[0] = '\0';
    assert_false(gpt_read_header(image.header, BLOCK, 1, 0, &header, &problem));
    for (size_t size = 0; size < BLOCK; size++) {
        problem.text[0] = '\0';
        assert_false(gpt_read_header(image.header, size, 1, DISK_BLOCKS, &header, &problem));
    }
    problem.text[0] = '\0';
    struct guid guid = guid_of(GUID_ROOT);
    struct gpt_partition partition;
    assert_true(gpt_read_header(image.header, BLOCK, 1, DISK_BLOCKS, &header, &problem));
    assert_false(gpt_find(&header, image.entries, sizeof(image.entries) - 1, &guid, &partition, &problem));
}

static void refuses_bad_partitions(void **state)
{
    (void)state;
    static const struct {
        uint64_t first, last;
        const char *words;
    } cases[] = {
        {1000, 128, "empty or reaches beyond"},
        {129, 128, "empty or reaches beyond"},
        {33, 40, "empty or reaches beyond"},
        {0, 40, "empty or reaches beyond"},
        {0, UINT64_MAX, "empty or reaches beyond"},
        {1, UINT64_MAX, "empty or reaches beyond"},
        {200, UINT64_MAX, "empty or reaches beyond"},
        {UINT64_MAX, UINT64_MAX, "empty or reaches beyond"},
        {200, DISK_BLOCKS - 33, "empty or reaches beyond"},
        {127, 200, "overlaps"},
        {40, 64, "overlaps"},
        {40, 200, "overlaps"},
        {70, 80, "overlaps"},
    };
    for (unsigned i = 0; i < ARRAY_COUNT(cases); i++) {
        struct image image = make_image();
        put_entry(&image, 4, GUID_ROOT, cases[i].first, cases[i].last);
        seal(&image);
        must_refuse(&image, GUID_ROOT, cases[i].words);
    }

    struct image image = make_image();
    put_entry(&image, 4, GUID_ROOT, 128, DISK_BLOCKS - 34);
    put_entry(&image, 7, GUID_DATA, 34, 63);
    seal(&image);
    must_find(&image, GUID_ROOT);
    must_find(&image, GUID_DATA);
    must_find(&image, GUID_ESP);

    put_entry(&image, 7, GUID_ROOT, 34, 63);
    seal(&image);
    must_refuse(&image, GUID_ROOT, "More than one");
    must_find(&image, GUID_ESP);

    /* An entry without a type is not in use, whatever else it says. */
    memset(image.entries + 7 * ENTRY, 0, 16);
    seal(&image);
    must_find(&image, GUID_ROOT);
}

/* ---- Tables made by sfdisk ---- */

#define FILE_BLOCKS 65536u

struct disk {
    char path[32];
    FILE *file;
};

static void sfdisk(struct disk *disk, const char *label)
{
    char command[128];
    strcpy(disk->path, "/tmp/shoji-gpt-XXXXXX");
    int fd = mkstemp(disk->path);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)FILE_BLOCKS * BLOCK), 0);
    snprintf(command, sizeof(command), "PATH=$PATH:/usr/sbin:/sbin sfdisk --quiet %s", disk->path);
    FILE *script = popen(command, "w");
    assert_non_null(script);
    fputs(label, script);
    if (pclose(script) != 0)
        fail_msg("sfdisk (package fdisk) failed");
    disk->file = fdopen(fd, "rb");
    assert_non_null(disk->file);
}

static void *read_blocks(const struct disk *disk, uint64_t lba, size_t bytes)
{
    void *data = malloc(bytes);
    assert_non_null(data);
    assert_int_equal(fseek(disk->file, (long)(lba * BLOCK), SEEK_SET), 0);
    assert_int_equal(fread(data, 1, bytes, disk->file), bytes);
    return data;
}

static void check_table(const struct disk *disk, uint64_t lba, uint32_t entries)
{
    struct gpt_header header;
    struct gpt_partition partition;
    struct report problem = {""};
    void *block = read_blocks(disk, lba, BLOCK);
    if (!gpt_read_header(block, BLOCK, lba, FILE_BLOCKS, &header, &problem))
        fail_msg("%s", problem.text);
    assert_int_equal(header.entry_count, entries);
    assert_int_equal(header.backup_lba, lba == 1 ? FILE_BLOCKS - 1 : 1);
    struct guid disk_id = guid_of("99999999-2222-3333-4444-555555555500");
    assert_true(guid_equal(&header.disk, &disk_id));

    size_t size = (size_t)header.entry_count * header.entry_bytes;
    void *array = read_blocks(disk, header.entries_lba, size);
    static const struct {
        const char *unique;
        uint64_t first, count;
    } expected[] = {{GUID_ESP, 2048, 4096}, {GUID_ROOT, 8192, 40000}, {GUID_DATA, 49152, 8192}};
    for (unsigned i = 0; i < ARRAY_COUNT(expected); i++) {
        struct guid unique = guid_of(expected[i].unique);
        if (!gpt_find(&header, array, size, &unique, &partition, &problem))
            fail_msg("%s", problem.text);
        assert_int_equal(partition.first_lba, expected[i].first);
        assert_int_equal(partition.lba_count, expected[i].count);
        assert_int_equal(partition.index, i);
    }
    free(array);
    free(block);
}

static void reads_tables_of_sfdisk(void **state)
{
    (void)state;
    static const uint32_t lengths[] = {128, 4, 256};
    for (unsigned i = 0; i < ARRAY_COUNT(lengths); i++) {
        struct disk disk;
        char label[1024];
        snprintf(label, sizeof(label),
                 "label: gpt\nlabel-id: 99999999-2222-3333-4444-555555555500\ntable-length: %u\n"
                 "start=2048, size=4096, type=U, uuid=" GUID_ESP "\n"
                 "start=8192, size=40000, type=L, uuid=" GUID_ROOT "\n"
                 "start=49152, size=8192, type=L, uuid=" GUID_DATA "\n",
                 lengths[i]);
        sfdisk(&disk, label);
        check_table(&disk, 1, lengths[i]);
        check_table(&disk, FILE_BLOCKS - 1, lengths[i]);
        fclose(disk.file);
        unlink(disk.path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_its_own_table),       cmocka_unit_test(refuses_impossible_headers),
        cmocka_unit_test(notices_every_flipped_bit), cmocka_unit_test(judges_where_it_was_read),
        cmocka_unit_test(refuses_bad_partitions),    cmocka_unit_test(reads_tables_of_sfdisk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
