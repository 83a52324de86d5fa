/* SPDX-License-Identifier: Apache-2.0 */
/* INI lines: "[kind]", "[kind name]" and "key = value"; a comment starts with ';' or '#' at the start of a
 * line or after white space. */
#ifndef SHOJI_LIB_INI_H
#define SHOJI_LIB_INI_H

#include "lib/base.h"
#include "lib/report.h"

#define INI_LINE_MAX 1023 /* bytes, without the line's end */

/* Part of the file's text: not terminated by NUL, printable ASCII (a value may hold tabs), no white space at
 * either end. */
struct ini_text {
    const char *at;
    size_t length;
};

enum ini_kind { INI_SECTION, INI_KEY, INI_END };

struct ini_line {
    enum ini_kind kind;
    unsigned number;       /* of the line, from 1; for INI_END the last one */
    struct ini_text key;   /* INI_SECTION: its kind */
    struct ini_text value; /* INI_SECTION: its name, or empty; INI_KEY: may be empty */
};

/* Where the reading stands. The text is the caller's and must outlive every ini_text. */
struct ini {
    const char *file; /* the name that sentences give */
    const char *text;
    size_t size, at;
    unsigned number;
};

/* A UTF-8 byte order mark at the start is stepped over. */
struct ini ini_of(const char *file, const char *text, size_t size);

/* Steps to the next line that says something. False with a sentence when it is too long, is not text, or has
 * neither form. */
bool ini_next(struct ini *ini, struct ini_line *out, struct report *problem) must_check;

/* True when the text is exactly this word. */
bool ini_is(struct ini_text text, const char *word);

/* The same, in upper or lower case. */
bool ini_is_any_case(struct ini_text text, const char *word);

/* Cuts off what stands before the separator and returns it, without the white space around; *rest is what
 * stands behind it (NULL at: there was no separator, and all of it is returned). */
struct ini_text ini_split(struct ini_text text, char separator, struct ini_text *rest);

/* A decimal number, or a hexadecimal one after "0x". False for anything else and for more than 64 bits. */
bool ini_u64(struct ini_text text, uint64_t *out) must_check;

/* Copies the text with a NUL. False when it does not fit. */
bool ini_copy(struct ini_text text, char *out, size_t size) must_check;

#endif
