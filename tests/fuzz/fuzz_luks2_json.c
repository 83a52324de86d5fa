/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON of LUKS2 under right checksums; a header that is accepted is then also opened, with cheap numbers.
 */
#include "crypto/volume/luks2.h"
#include "tests/unit/support/luks_seal.h"
#include <stdlib.h>
#include <string.h>

#define HEADER_BYTES    KIB(16)
#define JSON_AT         4096
#define FILE_BYTES      KIB(320)
#define ITERATIONS_MOST 3
#define ARGON2_MOST     KIB(64) /* bytes; whatever asks for more is refused */
#define COST_MOST       4       /* passes of argon2 */

static void *give(void *context, size_t size)
{
    (void)context;
    return malloc(size);
}

static void take(void *context, void *memory, size_t size)
{
    (void)context;
    (void)size;
    free(memory);
}

static uint64_t largest(void *context)
{
    (void)context;
    return ARGON2_MOST;
}

static void write_header(uint8_t *header, const uint8_t *json, size_t json_bytes)
{
    static const uint8_t fields[] = {
        'L', 'U', 'K', 'S', 0xba, 0xbe, 0, 2, 0, 0, 0, 0, 0, 0, HEADER_BYTES >> 8, 0};
    memset(header, 0, HEADER_BYTES);
    memcpy(header, fields, sizeof(fields));
    memcpy(header + 72, "sha256", 6);
    memcpy(header + 168, "6f0c1d0a-3a4e-4f5f-9c0e-0123456789ab", 36);
    memcpy(header + JSON_AT, json, json_bytes);
    luks_seal(header, HEADER_BYTES);
}

static void open_cheaply(struct luks2 *luks, const struct luks2_bytes *file)
{
    luks->digest.iterations = MIN(luks->digest.iterations, (uint64_t)ITERATIONS_MOST);
    for (unsigned i = 0; i < LUKS2_SLOTS_MAX; i++) {
        luks->slots[i].iterations = MIN(luks->slots[i].iterations, (uint64_t)ITERATIONS_MOST);
        luks->slots[i].time = MIN(luks->slots[i].time, (uint32_t)COST_MOST);
    }
    struct report problem = {""};
    const struct luks2_help help = {.memory = {give, take, largest, NULL}, .problem = &problem};
    uint8_t key[LUKS2_KEY_MAX];
    const enum luks2_verdict verdict = luks2_unlock(luks, file, "passphrase", 10, &help, key);
    if ((verdict == LUKS2_SLOT_FAILED) != (problem.text[0] != 0))
        __builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t image[FILE_BYTES];
    static struct luks2_scratch scratch;
    write_header(image, data, MIN(size, HEADER_BYTES - JSON_AT));

    const struct luks2_bytes file = {image, sizeof(image)};
    struct luks2 luks;
    struct report problem = {""};
    const bool good = luks2_read(file.data, file.size, &luks, &scratch, &problem);
    if (good == (problem.text[0] != 0))
        __builtin_trap();
    if (good)
        open_cheaply(&luks, &file);
    return 0;
}
