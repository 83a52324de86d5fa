/* SPDX-License-Identifier: Apache-2.0 */
/* The C library that libcrypto and libargon2 find in the loader, beyond lib/strings.h: memory from the
 * surroundings, no environment, no files, and a few string and number functions. What nothing calls is
 * dropped by the linker. */
#include "crypto/port/port.h"
#include "lib/strings.h"

typedef int compare_function(const void *a, const void *b);

void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void *realloc(void *old, size_t size);
void free(void *memory);
char *getenv(const char *name);
char *secure_getenv(const char *name);
no_return void abort(void);
int *__errno_location(void);
long strtol(const char *text, char **end, int base);
unsigned long strtoul(const char *text, char **end, int base);
void qsort(void *base, size_t count, size_t size, compare_function *compare);
char *strcpy(char *to, const char *from);
char *strncpy(char *to, const char *from, size_t size);
char *strrchr(const char *s, int c);
char *strstr(const char *s, const char *wanted);
size_t strspn(const char *s, const char *accepted);
size_t strcspn(const char *s, const char *refused);
char *strdup(const char *s);
long time(long *out);

/* Stands before each block, so that realloc knows how much to copy. */
struct block_header {
    size_t size;
    size_t alignment_filler;
};
static_assert(sizeof(struct block_header) == 16, "blocks stay aligned to 16 bytes");

void *malloc(size_t size)
{
    const struct crypto_surroundings *s = crypto_surroundings();
    if (!s || !s->allocate || size > SIZE_MAX - sizeof(struct block_header))
        return NULL;
    struct block_header *block = s->allocate(s->context, sizeof(*block) + size);
    if (!block)
        return NULL;
    block->size = size;
    return block + 1;
}

void free(void *memory)
{
    const struct crypto_surroundings *s = crypto_surroundings();
    if (memory && s)
        s->release(s->context, (struct block_header *)memory - 1);
}

void *calloc(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    void *memory = malloc(bytes);
    if (memory)
        memset(memory, 0, bytes);
    return memory;
}

void *realloc(void *old, size_t size)
{
    void *memory = malloc(size);
    if (memory && old) {
        size_t old_size = ((struct block_header *)old - 1)->size;
        memcpy(memory, old, MIN(size, old_size));
        wipe(old,
             old_size); /* it may have been a key; libcrypto does not wipe what it resizes in the plain way */
        free(old);
    }
    return memory;
}

char *getenv(const char *name)
{
    (void)name;
    return NULL;
}

char *secure_getenv(const char *name)
{
    return getenv(name);
}

/* libcrypto comes here when its own state is broken. */
void abort(void)
{
    __builtin_trap();
}

int *__errno_location(void)
{
    static int error;
    return &error;
}

static unsigned digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    c |= 0x20;
    return c >= 'a' && c <= 'z' ? (unsigned)(c - 'a') + 10 : UINT32_MAX;
}

/* The number at *text, which moves behind it; saturates at `most`. */
static unsigned long read_number(const char **text, int base, unsigned long most)
{
    const char *p = *text;
    unsigned long value = 0;
    if ((base == 0 || base == 16) && p[0] == '0' && (p[1] | 0x20) == 'x' && digit_value(p[2]) < 16) {
        base = 16;
        p += 2;
    }
    if (base == 0)
        base = *p == '0' ? 8 : 10;
    for (unsigned digit; (digit = digit_value(*p)) < (unsigned)base; p++)
        if (__builtin_mul_overflow(value, (unsigned long)base, &value) ||
            __builtin_add_overflow(value, (unsigned long)digit, &value) || value > most)
            value = most;
    *text = p;
    return value;
}

static const char *skip_blanks_and_sign(const char *text, bool *negative)
{
    while (*text == ' ' || (*text >= '\t' && *text <= '\r'))
        text++;
    *negative = *text == '-';
    return text + (*text == '-' || *text == '+');
}

long strtol(const char *text, char **end, int base)
{
    bool negative;
    const char *digits = skip_blanks_and_sign(text, &negative), *after = digits;
    unsigned long most = negative ? (unsigned long)INT64_MAX + 1 : INT64_MAX;
    unsigned long value = read_number(&after, base, most);
    if (end)
        *end = (char *)(uintptr_t)(after == digits ? text : after);
    return (long)(negative ? 0 - value : value);
}

unsigned long strtoul(const char *text, char **end, int base)
{
    bool negative;
    const char *digits = skip_blanks_and_sign(text, &negative), *after = digits;
    unsigned long value = read_number(&after, base, UINT64_MAX);
    if (end)
        *end = (char *)(uintptr_t)(after == digits ? text : after);
    return negative && value != UINT64_MAX ? 0 - value : value; /* too large stays so */
}

static void swap(uint8_t *a, uint8_t *b, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = a[i];
        a[i] = b[i];
        b[i] = byte;
    }
}

/* Lets the element at `root` sink to its place in the heap of `count` elements. */
static void sink(uint8_t *base, size_t root, size_t count, size_t size, compare_function *compare)
{
    for (size_t child; (child = 2 * root + 1) < count; root = child) {
        if (child + 1 < count && compare(base + child * size, base + (child + 1) * size) < 0)
            child++;
        if (compare(base + root * size, base + child * size) >= 0)
            return;
        swap(base + root * size, base + child * size, size);
    }
}

/* Heap sort: no memory, no recursion, no bad case. */
void qsort(void *base, size_t count, size_t size, compare_function *compare)
{
    for (size_t i = count / 2; i-- > 0;)
        sink(base, i, count, size, compare);
    for (size_t end = count; end-- > 1;) {
        swap(base, (uint8_t *)base + end * size, size);
        sink(base, 0, end, size, compare);
    }
}

char *strcpy(char *to, const char *from)
{
    return memcpy(to, from, strlen(from) + 1);
}

char *strncpy(char *to, const char *from, size_t size)
{
    size_t length = 0;
    while (length < size && from[length])
        length++;
    memcpy(to, from, length);
    memset(to + length, 0, size - length);
    return to;
}

char *strrchr(const char *s, int c)
{
    const char *last = NULL;
    do {
        if (*s == (char)c)
            last = s;
    } while (*s++);
    return (char *)(uintptr_t)last;
}

char *strstr(const char *s, const char *wanted)
{
    const size_t length = strlen(wanted);
    for (; strncmp(s, wanted, length) != 0; s++)
        if (!*s)
            return NULL;
    return (char *)(uintptr_t)s;
}

static size_t span(const char *s, const char *set, bool inside)
{
    size_t length = 0;
    while (s[length] && (strchr(set, s[length]) != NULL) == inside)
        length++;
    return length;
}

size_t strspn(const char *s, const char *accepted)
{
    return span(s, accepted, true);
}

size_t strcspn(const char *s, const char *refused)
{
    return span(s, refused, false);
}

char *strdup(const char *s)
{
    const size_t bytes = strlen(s) + 1;
    char *copy = malloc(bytes);
    return copy ? memcpy(copy, s, bytes) : NULL;
}

#define TIME_UNKNOWN (-1)

long time(long *out)
{
    const struct crypto_surroundings *s = crypto_surroundings();
    long now = s && s->seconds ? (long)s->seconds(s->context) : TIME_UNKNOWN;
    if (out)
        *out = now;
    return now;
}
