/* SPDX-License-Identifier: Apache-2.0 */
/* The firmware's console: short sentences out, keys and secret lines in. */
#ifndef SHOJI_BOOT_CONSOLE_H
#define SHOJI_BOOT_CONSOLE_H

#include "lib/base.h"

/* Writes ASCII text; a newline becomes CR LF. Cut to 600 characters. */
void console_print(const char *fmt, ...) printf_like(1, 2);

enum console_line { LINE_ENTERED, LINE_GIVEN_UP, LINE_NO_KEYBOARD };

/* Reads a line that is not shown, as UTF-8, until Enter; Backspace takes back the last character, Esc gives
 * up. What is beyond `capacity` bytes is refused with a sentence and the line starts anew. The caller wipes
 * the line. */
enum console_line console_read_secret(char *line, size_t capacity, size_t *length) must_check;

/* Forgets the keys of the last secret line, here and in the firmware's key buffers as far as they can be
 * found. */
void console_forget(void);

/* Says what to do, and waits until a key is pressed (at once when there is no keyboard). */
void console_wait_for_key(const char *sentence);

#endif
