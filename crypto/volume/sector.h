/* SPDX-License-Identifier: Apache-2.0 */
/* AES-XTS on disk sectors as dm-crypt's aes-xts-plain64 does it (IEEE 1619), through libcrypto's AES-NI
 * assembly. */
#ifndef SHOJI_CRYPTO_SECTOR_H
#define SHOJI_CRYPTO_SECTOR_H

#include "lib/base.h"

/* An expanded key pair. Holds secrets: wiped by sector_key_wipe. Read by any number of CPUs at once. Aligned
 * for the assembly. */
struct sector_key {
    uint8_t data_encrypt[256], data_decrypt[256], tweak[256];
    uint32_t sector_bytes;
} aligned_to(16);

/* key_bytes: 32 or 64. sector_bytes: 512, 1024, 2048 or 4096. False for any other. */
bool sector_key_set(struct sector_key *key, const uint8_t *bytes, uint32_t key_bytes,
                    uint32_t sector_bytes) must_check;
void sector_key_wipe(struct sector_key *key);

/* Transforms `bytes` (a multiple of the sector) from `in` to `out` (the same buffer, or not overlapping).
 * `unit` is the 512-byte unit of the first sector counted from the volume's start. Touches vector registers:
 * in the hypervisor only inside simd_begin()/simd_end(). */
void sector_encrypt(const struct sector_key *key, uint64_t unit, const void *in, void *out, size_t bytes);
void sector_decrypt(const struct sector_key *key, uint64_t unit, const void *in, void *out, size_t bytes);

#endif
