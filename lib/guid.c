/* SPDX-License-Identifier: Apache-2.0 */
/* GUID text: the first three fields lie little-endian in memory, the last two in the order they are written
 * (RFC 4122, UEFI appendix A). */
#include "lib/guid.h"
#include "lib/strings.h"

/* The byte of struct guid that each pair of hexadecimal digits stands for, in the order of the text. */
static const uint8_t order[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};

static bool dash_before(unsigned pair)
{
    return pair == 4 || pair == 6 || pair == 8 || pair == 10;
}

static int digit_of(char c)
{
    char lower = (char)(c | 0x20);
    if (c >= '0' && c <= '9')
        return c - '0';
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

bool guid_parse(const char *text, size_t length, struct guid *out)
{
    if (length != GUID_TEXT_SIZE - 1)
        return false;
    struct guid guid;
    for (unsigned pair = 0; pair < sizeof(guid.bytes); pair++) {
        if (dash_before(pair) && *text++ != '-')
            return false;
        int high = digit_of(text[0]), low = digit_of(text[1]);
        if (high < 0 || low < 0)
            return false;
        guid.bytes[order[pair]] = (uint8_t)(high << 4 | low);
        text += 2;
    }
    *out = guid;
    return true;
}

void guid_text(const struct guid *guid, char out[GUID_TEXT_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    for (unsigned pair = 0; pair < sizeof(guid->bytes); pair++) {
        uint8_t byte = guid->bytes[order[pair]];
        if (dash_before(pair))
            *out++ = '-';
        *out++ = digits[byte >> 4];
        *out++ = digits[byte & 0xf];
    }
    *out = '\0';
}

bool guid_equal(const struct guid *a, const struct guid *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}
