/* SPDX-License-Identifier: Apache-2.0 */
/* The key derivation of a key slot: PBKDF2 through libcrypto, argon2 through libargon2. */
#ifndef SHOJI_CRYPTO_KDF_H
#define SHOJI_CRYPTO_KDF_H

#include "crypto/volume/hash.h"
#include "crypto/volume/luks2.h"

/* Derives slot->area_key_bytes of key from the passphrase. False with a sentence that names the slot when it
 * needs more memory than there is, or libargon2 refuses its numbers. */
bool kdf_derive(const struct luks2_slot *slot, const void *passphrase, size_t passphrase_bytes,
                const struct luks2_help *help, uint8_t key[LUKS2_KEY_MAX]) must_check;

/* Between these two calls, each segment that libargon2 fills is a step of the meter (argon2_progress.c). One
 * computation at a time. */
void argon2_progress_begin(struct progress_meter *meter);
void argon2_progress_end(void);

#endif
