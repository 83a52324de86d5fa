/* SPDX-License-Identifier: Apache-2.0 */
/* The anti-forensic merge. */
#include "crypto/volume/af.h"
#include "crypto/volume/hash.h"
#include "lib/strings.h"

/* Replaces each digest-sized piece (the last may be shorter) by the hash of its number and itself. */
static void diffuse(struct af_merge *af)
{
    const uint32_t digest_bytes = hash_digest_bytes(af->hash);
    uint8_t digest[HASH_DIGEST_MAX];
    uint32_t number = 0;
    for (uint32_t at = 0; at < af->key_bytes; at += digest_bytes, number++) {
        const uint32_t piece = MIN(digest_bytes, af->key_bytes - at);
        const uint8_t prefix[4] = {0, 0, 0, (uint8_t)number};
        struct hash h;
        hash_start(&h, af->hash);
        hash_add(&h, prefix, sizeof(prefix));
        hash_add(&h, af->mixed + at, piece);
        hash_finish(&h, digest);
        memcpy(af->mixed + at, digest, piece);
    }
    wipe(digest, sizeof(digest));
}

static void mix(struct af_merge *af, const uint8_t *stripe)
{
    for (uint32_t i = 0; i < af->key_bytes; i++)
        af->mixed[i] ^= stripe[i];
}

void af_merge_start(struct af_merge *af, enum luks2_hash hash, uint32_t key_bytes)
{
    *af = (struct af_merge){.hash = hash, .key_bytes = key_bytes};
}

void af_merge_stripe(struct af_merge *af, const uint8_t *stripe)
{
    mix(af, stripe);
    diffuse(af);
}

void af_merge_finish(struct af_merge *af, const uint8_t *stripe, uint8_t *key)
{
    mix(af, stripe);
    memcpy(key, af->mixed, af->key_bytes);
    wipe(af, sizeof(*af));
}
