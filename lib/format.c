/* SPDX-License-Identifier: Apache-2.0 */
/* The bounded formatter: what does not fit is cut, and the text always ends in NUL. */
#include "lib/format.h"
#include "lib/strings.h"

struct sink {
    char *out;
    size_t size, used; /* used < size, but for size 0 */
};

/* One conversion: %[flags][width][.precision][length]letter. */
struct conversion {
    bool zeroes, left, has_precision;
    unsigned width, precision;
    unsigned bytes; /* of an integer argument */
    char letter;
};

#define FIELD_MAX  4096 /* a width or precision beyond it is cut to it */
#define DIGITS_MAX 20   /* of 2^64 - 1 in decimal */

static void put(struct sink *sink, char c)
{
    if (sink->used + 1 < sink->size)
        sink->out[sink->used++] = c;
}

static void put_times(struct sink *sink, char c, unsigned times)
{
    while (times-- > 0)
        put(sink, c);
}

/* Puts text into its field: blanks on the left or the right. */
static void put_field(struct sink *sink, const struct conversion *c, const char *text, size_t length)
{
    unsigned blanks = length < c->width ? c->width - (unsigned)length : 0;
    if (!c->left)
        put_times(sink, ' ', blanks);
    for (size_t i = 0; i < length; i++)
        put(sink, text[i]);
    if (c->left)
        put_times(sink, ' ', blanks);
}

static void put_integer(struct sink *sink, const struct conversion *c, uint64_t value, const char *prefix)
{
    const char *digits = c->letter == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    unsigned base = c->letter == 'd' || c->letter == 'i' || c->letter == 'u' ? 10 : 16;
    char reversed[DIGITS_MAX];
    unsigned count = 0;
    do
        reversed[count++] = digits[value % base];
    while ((value /= base) != 0);

    unsigned width = count + (unsigned)strlen(prefix);
    unsigned fill = width < c->width ? c->width - width : 0;
    bool zeroes = c->zeroes && !c->left;
    if (!c->left && !zeroes)
        put_times(sink, ' ', fill);
    while (*prefix)
        put(sink, *prefix++);
    if (zeroes)
        put_times(sink, '0', fill);
    while (count > 0)
        put(sink, reversed[--count]);
    if (c->left)
        put_times(sink, ' ', fill);
}

static void put_string(struct sink *sink, const struct conversion *c, const char *text)
{
    if (!text)
        text = "(null)";
    size_t length = 0;
    while ((!c->has_precision || length < c->precision) && text[length])
        length++;
    put_field(sink, c, text, length);
}

/* The value without the bits above its type, as the argument's promotion left them. */
static uint64_t cut_unsigned(uint64_t value, unsigned bytes)
{
    return bytes >= sizeof(uint64_t) ? value : value & (BIT(8 * bytes) - 1);
}

static void put_signed(struct sink *sink, const struct conversion *c, int64_t value)
{
    unsigned shift = 64 - 8 * c->bytes;
    value = (int64_t)((uint64_t)value << shift) >> shift;
    put_integer(sink, c, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, value < 0 ? "-" : "");
}

static unsigned read_number(const char **fmt)
{
    unsigned value = 0;
    for (; **fmt >= '0' && **fmt <= '9'; ++*fmt)
        value = MIN(value * 10 + (unsigned)(**fmt - '0'), FIELD_MAX);
    return value;
}

static unsigned read_length(const char **fmt)
{
    static const struct {
        const char *text;
        unsigned bytes;
    } lengths[] = {{"ll", sizeof(long long)},
                   {"l", sizeof(long)},
                   {"z", sizeof(size_t)},
                   {"hh", sizeof(char)},
                   {"h", sizeof(short)}};
    for (unsigned i = 0; i < ARRAY_COUNT(lengths); i++) {
        size_t length = strlen(lengths[i].text);
        if (strncmp(*fmt, lengths[i].text, length) == 0) {
            *fmt += length;
            return lengths[i].bytes;
        }
    }
    return sizeof(int);
}

/* va_list may be an array type, which a function cannot take by reference; inside a structure it can. */
struct arguments {
    va_list list;
};

static void read_field(struct conversion *c, const char **fmt, struct arguments *args)
{
    for (; **fmt == '0' || **fmt == '-'; ++*fmt) {
        c->zeroes |= **fmt == '0';
        c->left |= **fmt == '-';
    }
    if (**fmt == '*') {
        int width = va_arg(args->list, int);
        c->left |= width < 0;
        c->width = MIN(width < 0 ? 0u - (unsigned)width : (unsigned)width, FIELD_MAX);
        ++*fmt;
    } else {
        c->width = read_number(fmt);
    }
    if (**fmt != '.')
        return;
    ++*fmt;
    c->has_precision = true;
    if (**fmt == '*') {
        int precision = va_arg(args->list, int);
        c->has_precision = precision >= 0;
        c->precision = c->has_precision ? (unsigned)precision : 0;
        ++*fmt;
    } else {
        c->precision = read_number(fmt);
    }
}

static uint64_t next_integer(const struct conversion *c, struct arguments *args)
{
    return c->bytes > sizeof(int) ? va_arg(args->list, uint64_t) : va_arg(args->list, unsigned);
}

static void convert(struct sink *sink, const struct conversion *c, struct arguments *args)
{
    char character;
    switch (c->letter) {
    case 's':
        put_string(sink, c, va_arg(args->list, const char *));
        break;
    case 'c':
        character = (char)va_arg(args->list, int);
        put_field(sink, c, &character, 1);
        break;
    case 'd':
    case 'i':
        put_signed(sink, c, (int64_t)next_integer(c, args));
        break;
    case 'u':
    case 'x':
    case 'X':
        put_integer(sink, c, cut_unsigned(next_integer(c, args), c->bytes), "");
        break;
    case 'p':
        put_integer(sink, c, (uintptr_t)va_arg(args->list, void *), "0x");
        break;
    default: /* '%', or a letter that this formatter does not know: shown as it stands */
        put(sink, c->letter);
    }
}

size_t format_list(char *out, size_t size, const char *fmt, va_list args)
{
    struct sink sink = {.out = out, .size = size};
    struct arguments copy;
    va_copy(copy.list, args);
    while (*fmt) {
        if (*fmt != '%') {
            put(&sink, *fmt++);
            continue;
        }
        fmt++;
        struct conversion c = {0};
        read_field(&c, &fmt, &copy);
        c.bytes = read_length(&fmt);
        c.letter = *fmt;
        if (!*fmt)
            break;
        fmt++;
        convert(&sink, &c, &copy);
    }
    va_end(copy.list);
    if (size > 0)
        out[sink.used] = '\0';
    return sink.used;
}

size_t format(char *out, size_t size, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    size_t length = format_list(out, size, fmt, args);
    va_end(args);
    return length;
}
