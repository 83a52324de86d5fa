/* SPDX-License-Identifier: Apache-2.0 */
/* Lines on COM1, past the firmware. */
#include "lib/format.h"
#include "tests/system/efi/runtime.h"

#define COM1        0x3f8u
#define LINE_STATUS 5u
#define EMPTY       BIT(5)
#define LINE_MAX    256

static void put(char c)
{
    while (!(port_read(COM1 + LINE_STATUS, 1) & EMPTY))
        relax();
    port_write(COM1, 1, (uint8_t)c);
}

static void put_line(const char *kind, const char *name, const char *fmt, va_list args)
{
    char text[LINE_MAX], line[LINE_MAX];
    format_list(text, sizeof(text), fmt, args);
    if (kind)
        format(line, sizeof(line), "%s %s %s", kind, name, text);
    for (const char *p = kind ? line : text; *p; p++)
        put(*p);
    put('\r');
    put('\n');
}

void say(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    put_line(NULL, NULL, fmt, args);
    va_end(args);
}

void verdict(const char *name, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    put_line("verdict", name, fmt, args);
    va_end(args);
}

void model(const char *name, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    put_line("model", name, fmt, args);
    va_end(args);
}
