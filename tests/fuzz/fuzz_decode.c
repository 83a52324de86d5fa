/* SPDX-License-Identifier: Apache-2.0 */
/* The decoder on arbitrary bytes: never past the end, never longer than 15, and the same answer from exactly
 * the instruction's bytes. */
#include "lib/decode.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_decode(const uint8_t *bytes, size_t size, enum decode_mode mode)
{
    struct decoded first, again;
    if (!decode(bytes, size, mode, &first))
        return;
    require(first.length >= 1 && first.length <= INSTRUCTION_MAX && first.length <= size);
    require(first.access_bytes == 1 || first.access_bytes == 2 || first.access_bytes == 4 ||
            first.access_bytes == 8);
    require(first.reg < 16 && (!first.reg_is_high_byte || first.reg < 4) && first.scale < 4);
    require(first.base < 16 || first.base == DECODE_NONE || first.base == DECODE_RIP);
    require(first.index < 16 || first.index == DECODE_NONE);

    /* On a copy that ends where the instruction does, so that the sanitizer sees a byte too far. */
    uint8_t *copy = malloc(first.length);
    require(copy);
    memcpy(copy, bytes, first.length);
    require(decode(copy, first.length, mode, &again) && again.length == first.length);
    free(copy);
    require(!decode(bytes, first.length - 1u, mode, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t cpuid[] = {0x0f, 0xa2}, out_port[] = {0xe6};
    for (unsigned mode = DECODE_16; mode <= DECODE_64; mode++) {
        check_decode(data, size, (enum decode_mode)mode);
        require(decode_length_of(data, size, (enum decode_mode)mode, cpuid, sizeof(cpuid)) <= size);
        require(decode_length_of(data, size, (enum decode_mode)mode, out_port, sizeof(out_port)) <= size);
    }
    return 0;
}
