/* SPDX-License-Identifier: Apache-2.0 */
/* Headers that make_headers.sh made, in memory, and changes to them that keep the checksums right. */
#ifndef SHOJI_TESTS_LUKS_FILE_H
#define SHOJI_TESTS_LUKS_FILE_H

#include "crypto/volume/luks2.h"

#define LUKS_FILE_DIRECTORY "build/unit/headers/"
#define LUKS_FILE_BINARY    4096u

struct luks_file {
    uint8_t *data;
    size_t size;
};

/* Reads DIRECTORY/name; the test fails when it is not there. Freed by luks_file_free. */
struct luks_file luks_file_load(const char *name);
void luks_file_free(struct luks_file *file);

/* hdr_size as the first copy has it. */
uint64_t luks_file_header_bytes(const struct luks_file *file);

/* Computes the checksum of the copy at this offset anew. */
void luks_file_seal(struct luks_file *file, uint64_t at);

/* Replaces the first occurrence of a text in the JSON of both copies and seals them. The test fails when it
 * is not there. */
void luks_file_replace(struct luks_file *file, const char *from, const char *to);

/* Sets the sequence number of one copy and seals it. */
void luks_file_set_sequence(struct luks_file *file, uint64_t at, uint64_t sequence);

#endif
