/* SPDX-License-Identifier: Apache-2.0 */
/* The binary headers of LUKS2: the input is a byte that says which copies get right checksums, the first
 * bytes of both, and JSON for both. */
#include "crypto/volume/luks2.h"
#include "tests/unit/support/luks_seal.h"
#include <string.h>

#define FIELD_BYTES  512
#define HEADER_BYTES KIB(16)
#define JSON_AT      4096
#define FILE_BYTES   KIB(256)

enum { SEAL_PRIMARY = 1, SEAL_SECONDARY = 2, CUT = 4 };

static void lay_out(uint8_t *header, const uint8_t *fields, const uint8_t *json, size_t json_bytes, bool seal)
{
    memset(header, 0, HEADER_BYTES);
    memcpy(header, fields, FIELD_BYTES);
    memcpy(header + JSON_AT, json, json_bytes);
    if (seal)
        luks_seal(header, HEADER_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t file[FILE_BYTES];
    static struct luks2_scratch scratch;
    if (size < 1 + 2 * FIELD_BYTES)
        return 0;
    const uint8_t flags = data[0], *fields = data + 1, *json = fields + 2 * FIELD_BYTES;
    const size_t json_bytes = MIN(size - 1 - 2 * FIELD_BYTES, HEADER_BYTES - JSON_AT);
    lay_out(file, fields, json, json_bytes, flags & SEAL_PRIMARY);
    lay_out(file + HEADER_BYTES, fields + FIELD_BYTES, json, json_bytes, flags & SEAL_SECONDARY);

    struct luks2 luks;
    struct report problem = {""};
    const bool good = luks2_read(file, flags & CUT ? size : FILE_BYTES, &luks, &scratch, &problem);
    if (good == (problem.text[0] != 0)) /* a sentence when refused, and only then */
        __builtin_trap();
    return 0;
}
