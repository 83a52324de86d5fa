/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 text into bytes (RFC 4648 section 4): one spelling for each byte string, and no other is accepted.
 */
#include "lib/base64.h"

#define QUANTUM_CHARACTERS 4
#define QUANTUM_BYTES      3
#define BITS_PER_CHARACTER 6

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+')
        return 62;
    return c == '/' ? 63 : -1;
}

/* Decodes one quantum of four characters, of which the last `padding` are '='. */
static bool decode_quantum(const char *text, unsigned padding, uint8_t out[QUANTUM_BYTES])
{
    uint32_t bits = 0;
    for (unsigned i = 0; i < QUANTUM_CHARACTERS; i++) {
        int value = i < QUANTUM_CHARACTERS - padding ? value_of(text[i]) : 0;
        if (value < 0)
            return false;
        bits = bits << BITS_PER_CHARACTER | (uint32_t)value;
    }
    if (bits & ((1u << (8 * padding)) - 1))
        return false;
    for (unsigned i = 0; i < QUANTUM_BYTES; i++)
        out[i] = (uint8_t)(bits >> (8 * (QUANTUM_BYTES - 1 - i)));
    return true;
}

bool base64_decode(const char *text, size_t length, uint8_t *out, size_t capacity, size_t *bytes)
{
    *bytes = 0;
    if (length % QUANTUM_CHARACTERS != 0)
        return false;
    if (length == 0)
        return true;

    unsigned padding = text[length - 1] != '=' ? 0 : text[length - 2] != '=' ? 1 : 2;
    size_t total = length / QUANTUM_CHARACTERS * QUANTUM_BYTES - padding;
    if (total > capacity)
        return false;

    size_t done = 0;
    for (size_t at = 0; at < length; at += QUANTUM_CHARACTERS) {
        bool last = at + QUANTUM_CHARACTERS == length;
        uint8_t quantum[QUANTUM_BYTES];
        if (!decode_quantum(text + at, last ? padding : 0, quantum))
            return false;
        for (unsigned i = 0; i < QUANTUM_BYTES && done < total; i++)
            out[done++] = quantum[i];
    }
    *bytes = total;
    return true;
}
