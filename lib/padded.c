/* SPDX-License-Identifier: Apache-2.0 */
/* Text fields of disks. */
#include "lib/padded.h"

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == 0;
}

void padded_text(char *to, size_t size, const uint8_t *from, size_t bytes)
{
    size_t first = 0, end = bytes, length = 0;
    while (end > 0 && is_blank(from[end - 1]))
        end--;
    while (first < end && is_blank(from[first]))
        first++;
    for (size_t i = first; i < end && length + 1 < size; i++)
        to[length++] = from[i] > ' ' && from[i] <= '~' ? (char)from[i] : '?';
    if (size)
        to[length] = 0;
}
