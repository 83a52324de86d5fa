/* SPDX-License-Identifier: Apache-2.0 */
/* The INI reader: one line at a time, nothing copied. */
#include "lib/ini.h"
#include "lib/strings.h"

#define ASCII_FIRST 0x20
#define ASCII_LAST  0x7e

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static struct ini_text trim(struct ini_text text)
{
    while (text.length > 0 && is_space(text.at[0])) {
        text.at++;
        text.length--;
    }
    while (text.length > 0 && is_space(text.at[text.length - 1]))
        text.length--;
    return text;
}

struct ini ini_of(const char *file, const char *text, size_t size)
{
    static const char mark[] = "\xef\xbb\xbf";
    bool marked = size >= sizeof(mark) - 1 && memcmp(text, mark, sizeof(mark) - 1) == 0;
    return (struct ini){.file = file, .text = text, .size = size, .at = marked ? sizeof(mark) - 1 : 0};
}

/* Takes one line off the text, without its LF or CR LF. */
static struct ini_text take_line(struct ini *ini)
{
    struct ini_text line = {ini->text + ini->at, 0};
    size_t left = ini->size - ini->at;
    while (line.length < left && line.at[line.length] != '\n')
        line.length++;
    ini->at += MIN(line.length + 1, left);
    ini->number++;
    if (line.length < left && line.length > 0 && line.at[line.length - 1] == '\r')
        line.length--;
    return line;
}

static bool is_plain_text(const struct ini *ini, struct ini_text line, struct report *problem)
{
    if (line.length > INI_LINE_MAX)
        return report(problem, "%s line %u: the line is longer than %u bytes; shorten it.", ini->file,
                      ini->number, INI_LINE_MAX);
    for (size_t i = 0; i < line.length; i++) {
        uint8_t c = (uint8_t)line.at[i];
        if (c != '\t' && (c < ASCII_FIRST || c > ASCII_LAST))
            return report(
                problem,
                "%s line %u: byte %02xh in column %u is not plain ASCII text; save the file as ASCII.",
                ini->file, ini->number, c, (unsigned)i + 1);
    }
    return true;
}

static struct ini_text without_comment(struct ini_text line)
{
    for (size_t i = 0; i < line.length; i++) {
        bool mark = line.at[i] == ';' || line.at[i] == '#';
        if (mark && (i == 0 || is_space(line.at[i - 1])))
            line.length = i;
    }
    return trim(line);
}

static bool read_section(const struct ini *ini, struct ini_text line, struct ini_line *out,
                         struct report *problem)
{
    if (line.at[line.length - 1] != ']')
        return report(problem, "%s line %u: the section's closing \"]\" is missing.", ini->file, ini->number);
    struct ini_text inner = trim((struct ini_text){line.at + 1, line.length - 2});
    size_t kind = 0;
    while (kind < inner.length && !is_space(inner.at[kind]))
        kind++;
    out->kind = INI_SECTION;
    out->key = (struct ini_text){inner.at, kind};
    out->value = trim((struct ini_text){inner.at + kind, inner.length - kind});
    return true;
}

static bool read_key(const struct ini *ini, struct ini_text line, struct ini_line *out,
                     struct report *problem)
{
    struct ini_text value;
    out->kind = INI_KEY;
    out->key = ini_split(line, '=', &value);
    if (!value.at || out->key.length == 0)
        return report(problem, "%s line %u: expected \"[section]\" or \"key = value\".", ini->file,
                      ini->number);
    out->value = trim(value);
    return true;
}

bool ini_next(struct ini *ini, struct ini_line *out, struct report *problem)
{
    while (ini->at < ini->size) {
        struct ini_text line = take_line(ini);
        if (!is_plain_text(ini, line, problem))
            return false;
        line = without_comment(line);
        out->number = ini->number;
        if (line.length > 0)
            return line.at[0] == '[' ? read_section(ini, line, out, problem)
                                     : read_key(ini, line, out, problem);
    }
    *out = (struct ini_line){.kind = INI_END, .number = ini->number};
    return true;
}

bool ini_is(struct ini_text text, const char *word)
{
    return text.length == strlen(word) && memcmp(text.at, word, text.length) == 0;
}

bool ini_is_any_case(struct ini_text text, const char *word)
{
    size_t i = 0;
    while (i < text.length && word[i] && lower(text.at[i]) == lower(word[i]))
        i++;
    return i == text.length && !word[i];
}

struct ini_text ini_split(struct ini_text text, char separator, struct ini_text *rest)
{
    *rest = (struct ini_text){NULL, 0};
    for (size_t i = 0; i < text.length; i++) {
        if (text.at[i] != separator)
            continue;
        *rest = (struct ini_text){text.at + i + 1, text.length - i - 1};
        text.length = i;
    }
    return trim(text);
}

bool ini_u64(struct ini_text text, uint64_t *out)
{
    bool hexadecimal = text.length > 2 && text.at[0] == '0' && lower(text.at[1]) == 'x';
    unsigned base = hexadecimal ? 16 : 10;
    uint64_t value = 0;
    if (text.length == 0)
        return false;
    for (size_t i = hexadecimal ? 2 : 0; i < text.length; i++) {
        char c = lower(text.at[i]);
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                                                : base;
        if (digit >= base || __builtin_mul_overflow(value, base, &value) ||
            __builtin_add_overflow(value, digit, &value))
            return false;
    }
    *out = value;
    return true;
}

bool ini_copy(struct ini_text text, char *out, size_t size)
{
    if (text.length >= size)
        return false;
    memcpy(out, text.at, text.length);
    out[text.length] = '\0';
    return true;
}
