/* SPDX-License-Identifier: Apache-2.0 */
/* Our sector path as Linux code against libcrypto's assembly called directly in a loop, interleaved in one
 * run. Prints the ratio of the speeds (ours to the assembly's) for 512- and 4096-byte sectors, one line for
 * each of the runs: "512 0.98". */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/aes.h>

#include "crypto/volume/sector.h"

int aesni_set_encrypt_key(const unsigned char *user_key, int bits, AES_KEY *key);
void aesni_xts_encrypt(const unsigned char *in, unsigned char *out, size_t length, const AES_KEY *data,
                       const AES_KEY *tweak, const unsigned char iv[16]);

#define BUFFER_BYTES (64 * 1024)
#define PASSES       2000
#define RUNS         9

static uint8_t buffer[BUFFER_BYTES] __attribute__((aligned(4096)));

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double assembly_seconds(const AES_KEY *data, const AES_KEY *tweak, size_t sector)
{
    double start = now();
    for (int pass = 0; pass < PASSES; pass++) {
        uint64_t unit = 0;
        for (size_t at = 0; at < BUFFER_BYTES; at += sector, unit += sector / 512) {
            uint8_t iv[16] = {0};
            memcpy(iv, &unit, sizeof(unit));
            aesni_xts_encrypt(buffer + at, buffer + at, sector, data, tweak, iv);
        }
    }
    return now() - start;
}

static double our_seconds(const struct sector_key *key)
{
    double start = now();
    for (int pass = 0; pass < PASSES; pass++)
        sector_encrypt(key, 0, buffer, buffer, BUFFER_BYTES);
    return now() - start;
}

int main(void)
{
    static const uint32_t sectors[] = {512, 4096};
    uint8_t bytes[64];
    AES_KEY data, tweak;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7 + 1);
    if (aesni_set_encrypt_key(bytes, 256, &data) || aesni_set_encrypt_key(bytes + 32, 256, &tweak))
        return 1;
    for (size_t s = 0; s < sizeof(sectors) / sizeof(sectors[0]); s++) {
        struct sector_key key;
        if (!sector_key_set(&key, bytes, sizeof(bytes), sectors[s]))
            return 1;
        for (int run = 0; run < RUNS; run++) {
            double direct = assembly_seconds(&data, &tweak, sectors[s]);
            printf("%u %.4f\n", sectors[s], direct / our_seconds(&key));
        }
    }
    return 0;
}
