/* SPDX-License-Identifier: Apache-2.0 */
/* Text on the firmware's console, which is the screen, the serial port, or both. */
#include "boot/console.h"

#include "boot/firmware.h"
#include "boot/residue.h"
#include "lib/format.h"
#include "lib/strings.h"

#define PRINT_MAX       600
#define SCAN_DELETE_KEY 0x08 /* UEFI 2.10 table 12.1 */
#define SCAN_ESCAPE_KEY 0x17
#define KEYS_KEPT       128 /* of a line, for console_forget: as many as the firmware's buffers hold */
#define UTF8_MAX        3   /* bytes of one UCS-2 character */

/* The keys of the secret line, as they came. Wiped by console_forget. */
static uint16_t typed[KEYS_KEPT];
static size_t typed_count;

void console_print(const char *fmt, ...)
{
    char text[PRINT_MAX];
    CHAR16 wide[2 * PRINT_MAX]; /* each character may be a newline, which takes two */
    va_list args;
    va_start(args, fmt);
    size_t length = format_list(text, sizeof(text), fmt, args);
    va_end(args);

    size_t used = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\n')
            wide[used++] = '\r';
        wide[used++] = (unsigned char)text[i];
    }
    wide[used] = 0;
    if (firmware.table->ConOut)
        firmware.table->ConOut->OutputString(firmware.table->ConOut, wide);
}

/* Waits for the next key. False when there is no keyboard. */
static bool next_key(EFI_INPUT_KEY *key)
{
    SIMPLE_INPUT_INTERFACE *in = firmware.table->ConIn;
    if (!in)
        return false;
    for (;;) {
        UINTN index;
        EFI_STATUS status = in->ReadKeyStroke(in, key);
        if (!EFI_ERROR(status))
            return true;
        if (status != EFI_NOT_READY)
            return false;
        if (EFI_ERROR(firmware.services->WaitForEvent(1, &in->WaitForKey, &index)))
            return false;
    }
}

static size_t utf8_of(CHAR16 c, char out[UTF8_MAX])
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    out[0] = (char)(0xe0 | c >> 12);
    out[1] = (char)(0x80 | (c >> 6 & 0x3f));
    out[2] = (char)(0x80 | (c & 0x3f));
    return 3;
}

/* The length of the line without its last character. */
static size_t without_last(const char *line, size_t length)
{
    while (length > 0 && ((unsigned char)line[length - 1] & 0xc0) == 0x80)
        length--;
    return length > 0 ? length - 1 : 0;
}

/* Adds the key's character. False when there is no room for it. */
static bool add_character(char *line, size_t capacity, size_t *length, CHAR16 c)
{
    char bytes[UTF8_MAX];
    size_t size = utf8_of(c, bytes);
    bool fits = size <= capacity - *length;
    if (fits) {
        memcpy(line + *length, bytes, size);
        *length += size;
    }
    wipe(bytes, sizeof(bytes));
    return fits;
}

enum console_line console_read_secret(char *line, size_t capacity, size_t *length)
{
    EFI_INPUT_KEY key = {0};
    *length = 0;
    typed_count = 0;
    while (next_key(&key)) {
        CHAR16 c = key.UnicodeChar;
        if (typed_count < KEYS_KEPT)
            typed[typed_count++] = c;
        if (c == '\r' || c == '\n') {
            console_print("\n");
            wipe(&key, sizeof(key));
            return LINE_ENTERED;
        }
        if (key.ScanCode == SCAN_ESCAPE_KEY || c == 0x1b) {
            console_print("\n");
            return LINE_GIVEN_UP;
        }
        if (c == '\b' || c == 0x7f || key.ScanCode == SCAN_DELETE_KEY) {
            *length = without_last(line, *length);
        } else if (c >= ' ' && !add_character(line, capacity, length, c)) {
            console_print("\nThat is longer than %zu bytes. Type it again: ", capacity);
            *length = 0;
        }
    }
    wipe(&key, sizeof(key));
    return LINE_NO_KEYBOARD;
}

void console_forget(void)
{
    residue_wipe(typed, typed_count);
    wipe(typed, sizeof(typed));
    typed_count = 0;
}

void console_wait_for_key(const char *sentence)
{
    EFI_INPUT_KEY key;
    console_print("%s\n", sentence);
    if (!next_key(&key))
        firmware.services->Stall(10 * 1000 * 1000); /* time to read what cannot be answered */
}
