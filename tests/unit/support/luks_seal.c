/* SPDX-License-Identifier: Apache-2.0 */
/* Sealing of changed test headers, by libcrypto alone. */
#include "tests/unit/support/luks_seal.h"
#include <string.h>
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#define CHECKSUM_AT    448
#define CHECKSUM_BYTES 64

void luks_seal(uint8_t *header, uint64_t header_bytes)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    SHA256_CTX sha;
    memset(header + CHECKSUM_AT, 0, CHECKSUM_BYTES);
    SHA256_Init(&sha);
    SHA256_Update(&sha, header, header_bytes);
    SHA256_Final(digest, &sha);
    memcpy(header + CHECKSUM_AT, digest, sizeof(digest));
}
