/* SPDX-License-Identifier: Apache-2.0 */
/* AES-XTS on sectors: one call of libcrypto's AES-NI assembly for each encryption sector. */
#include "crypto/volume/sector.h"
#include "lib/strings.h"

/* libcrypto's AES_KEY as its assembly knows it: at most 15 round keys, then the number of rounds less one at
 * byte 240. A field of struct sector_key holds one of these. The assembly needs no alignment of keys or data.
 */
struct aes_key {
    uint8_t round_keys[240];
    uint32_t rounds;
};
static_assert(offsetof(struct aes_key, rounds) == 240, "the assembly reads the rounds there");
static_assert(sizeof(struct aes_key) <= sizeof(((struct sector_key *)0)->tweak), "a key fits its field");

/* crypto/aes/asm/aesni-x86_64.pl. The XTS routines encrypt the IV with `tweak` and then walk through length
 * bytes. */
typedef void xts_function(const uint8_t *in, uint8_t *out, size_t length, const void *data_key,
                          const void *tweak_key, const uint8_t iv[16]);
xts_function aesni_xts_encrypt, aesni_xts_decrypt;
int aesni_set_encrypt_key(const uint8_t *bytes, int bits, void *key); /* 0: done */
int aesni_set_decrypt_key(const uint8_t *bytes, int bits, void *key);

#define UNIT_BYTES 512 /* plain64 counts in these, whatever the encryption sector is */

/* The plain64 tweak. One vector, so that it is stored whole: the assembly loads it whole, and a load that
 * spans two stores would wait for both to reach the cache. */
typedef uint64_t tweak_iv __attribute__((vector_size(16)));

/* The core is compiled for general registers only; what stores the IV is the exception. */
#define WITH_VECTORS __attribute__((target("sse2")))

bool sector_key_set(struct sector_key *key, const uint8_t *bytes, uint32_t key_bytes, uint32_t sector_bytes)
{
    bool power_of_two = (sector_bytes & (sector_bytes - 1)) == 0;
    if ((key_bytes != 32 && key_bytes != 64) || sector_bytes < 512 || sector_bytes > 4096 || !power_of_two)
        return false;
    uint32_t half = key_bytes / 2;
    key->sector_bytes = sector_bytes;
    if (aesni_set_encrypt_key(bytes, (int)half * 8, key->data_encrypt) == 0 &&
        aesni_set_decrypt_key(bytes, (int)half * 8, key->data_decrypt) == 0 &&
        aesni_set_encrypt_key(bytes + half, (int)half * 8, key->tweak) == 0)
        return true;
    sector_key_wipe(key);
    return false;
}

void sector_key_wipe(struct sector_key *key)
{
    wipe(key, sizeof(*key));
}

/* Inlined into both of its callers, so that each calls its routine directly. */
WITH_VECTORS __attribute__((always_inline)) static inline void transform(const struct sector_key *key,
                                                                         bool encrypt, uint64_t unit,
                                                                         const uint8_t *in, uint8_t *out,
                                                                         size_t bytes)
{
    const size_t sector = key->sector_bytes;
    for (size_t at = 0; at < bytes; at += sector, unit += sector / UNIT_BYTES) {
        tweak_iv iv = {unit, 0};
        if (encrypt)
            aesni_xts_encrypt(in + at, out + at, sector, key->data_encrypt, key->tweak, (const uint8_t *)&iv);
        else
            aesni_xts_decrypt(in + at, out + at, sector, key->data_decrypt, key->tweak, (const uint8_t *)&iv);
    }
}

WITH_VECTORS void sector_encrypt(const struct sector_key *key, uint64_t unit, const void *in, void *out,
                                 size_t bytes)
{
    transform(key, true, unit, in, out, bytes);
}

WITH_VECTORS void sector_decrypt(const struct sector_key *key, uint64_t unit, const void *in, void *out,
                                 size_t bytes)
{
    transform(key, false, unit, in, out, bytes);
}
