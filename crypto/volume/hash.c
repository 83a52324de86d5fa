/* SPDX-License-Identifier: Apache-2.0 */
/* The hashes by name, over libcrypto's low level, and the progress of what is computed with them. */
#include "crypto/volume/hash.h"
#include "crypto/volume/hash_kind.h"
#include "lib/strings.h"

/* Each of libcrypto's functions below returns 1 always: it fails only for a digest length that these contexts
 * cannot have. */

static void sha1_start(union hash_state *s)
{
    (void)SHA1_Init(&s->sha1);
}
static void sha1_add(union hash_state *s, const void *data, size_t bytes)
{
    (void)SHA1_Update(&s->sha1, data, bytes);
}
static void sha1_finish(union hash_state *s, uint8_t *out)
{
    (void)SHA1_Final(out, &s->sha1);
}
static void sha1_compress(union hash_state *s, const uint8_t *block)
{
    SHA1_Transform(&s->sha1, block);
}

static void sha224_start(union hash_state *s)
{
    (void)SHA224_Init(&s->sha256);
}
static void sha256_start(union hash_state *s)
{
    (void)SHA256_Init(&s->sha256);
}
static void sha256_add(union hash_state *s, const void *data, size_t bytes)
{
    (void)SHA256_Update(&s->sha256, data, bytes);
}
static void sha256_finish(union hash_state *s, uint8_t *out)
{
    (void)SHA256_Final(out, &s->sha256);
}
static void sha256_compress(union hash_state *s, const uint8_t *block)
{
    SHA256_Transform(&s->sha256, block);
}

static void sha384_start(union hash_state *s)
{
    (void)SHA384_Init(&s->sha512);
}
static void sha512_start(union hash_state *s)
{
    (void)SHA512_Init(&s->sha512);
}
static void sha512_add(union hash_state *s, const void *data, size_t bytes)
{
    (void)SHA512_Update(&s->sha512, data, bytes);
}
static void sha512_finish(union hash_state *s, uint8_t *out)
{
    (void)SHA512_Final(out, &s->sha512);
}
static void sha512_compress(union hash_state *s, const uint8_t *block)
{
    SHA512_Transform(&s->sha512, block);
}

static const struct hash_kind kinds[] = {
    [LUKS2_SHA1] = {"sha1", 20, 64, 4, sha1_start, sha1_add, sha1_finish, sha1_compress},
    [LUKS2_SHA224] = {"sha224", 28, 64, 4, sha224_start, sha256_add, sha256_finish, sha256_compress},
    [LUKS2_SHA256] = {"sha256", 32, 64, 4, sha256_start, sha256_add, sha256_finish, sha256_compress},
    [LUKS2_SHA384] = {"sha384", 48, 128, 8, sha384_start, sha512_add, sha512_finish, sha512_compress},
    [LUKS2_SHA512] = {"sha512", 64, 128, 8, sha512_start, sha512_add, sha512_finish, sha512_compress},
};

bool hash_by_name(const char *name, size_t length, enum luks2_hash *out)
{
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++)
        if (strlen(kinds[i].name) == length && memcmp(kinds[i].name, name, length) == 0) {
            *out = (enum luks2_hash)i;
            return true;
        }
    return false;
}

uint32_t hash_digest_bytes(enum luks2_hash hash)
{
    return kinds[hash].digest_bytes;
}

void hash_start(struct hash *h, enum luks2_hash hash)
{
    h->kind = &kinds[hash];
    h->kind->start(&h->state);
}

void hash_add(struct hash *h, const void *data, size_t bytes)
{
    h->kind->add(&h->state, data, bytes);
}

void hash_finish(struct hash *h, uint8_t out[HASH_DIGEST_MAX])
{
    h->kind->finish(&h->state, out);
    wipe(h, sizeof(*h));
}

void progress_advance(struct progress_meter *meter, uint64_t steps)
{
    meter->done = MIN(meter->done + steps, meter->total);
    if (!meter->to || !meter->to->step)
        return;
    /* Totals are below 2^57: iterations and passes are 32-bit numbers, blocks and lanes a few hundred. */
    unsigned percent = (unsigned)(meter->done * PROGRESS_TOTAL / meter->total);
    if (percent == meter->shown)
        return;
    meter->shown = percent;
    meter->to->step(meter->to->context, percent, PROGRESS_TOTAL);
}
