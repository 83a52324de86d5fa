/* SPDX-License-Identifier: Apache-2.0 */
/* Key slots and digests of the JSON area. What is out of bounds makes the header invalid; a slot that is
 * valid and merely of a kind not known here is kept as unsupported, so that the user learns why it did not
 * open. */
#include "crypto/volume/hash.h"
#include "crypto/volume/metadata.h"
#include "lib/base64.h"
#include "lib/strings.h"

#define CIPHER          "aes-xts-plain64"
#define AREA_ALIGN      4096
#define STRIPES_MIN     2
#define STRIPES_MAX     8192       /* cryptsetup always writes 4000 */
#define SALT_MIN        8          /* argon2's least */
#define DIGEST_MIN      20         /* of a converted LUKS1 header */
#define ARGON2_KIB_MAX  (4u << 20) /* cryptsetup's most: 4 GiB */
#define LANES_MAX       256
#define PRIORITY_NORMAL 1
#define PRIORITY_HIGH   2

static bool read_base64(const struct json *json, const struct json_token *token, uint8_t *out,
                        size_t capacity, uint32_t *bytes)
{
    size_t decoded;
    if (!token || token->type != JSON_STRING ||
        !base64_decode(json->text + token->start, token->length, out, capacity, &decoded))
        return false;
    *bytes = (uint32_t)decoded;
    return true;
}

/* False when the hash is missing or not known; which of the two does not matter to the user. */
static bool read_hash(const struct json *json, const struct json_token *token, enum luks2_hash *out)
{
    return token && token->type == JSON_STRING && hash_by_name(json->text + token->start, token->length, out);
}

static bool read_kdf(struct metadata *m, const struct json_token *kdf, struct luks2_slot *slot)
{
    const struct json *json = &m->json;
    const struct json_token *type = json_member(json, kdf, "type");
    if (!type || type->type != JSON_STRING)
        return false;
    if (json_is(json, type, "pbkdf2")) {
        slot->kdf = LUKS2_PBKDF2;
        uint32_t iterations;
        if (!metadata_u32(json, json_member(json, kdf, "iterations"), 1, &iterations))
            return false;
        slot->iterations = iterations;
        slot->unsupported |= !read_hash(json, json_member(json, kdf, "hash"), &slot->kdf_hash);
    } else if (json_is(json, type, "argon2i") || json_is(json, type, "argon2id")) {
        slot->kdf = json_is(json, type, "argon2i") ? LUKS2_ARGON2I : LUKS2_ARGON2ID;
        if (!metadata_u32(json, json_member(json, kdf, "time"), 1, &slot->time) ||
            !metadata_u32(json, json_member(json, kdf, "memory"), 1, &slot->memory_kib) ||
            !metadata_u32(json, json_member(json, kdf, "cpus"), 1, &slot->lanes) ||
            slot->memory_kib > ARGON2_KIB_MAX || slot->lanes > LANES_MAX)
            return false;
    } else {
        slot->unsupported = true;
    }
    return read_base64(json, json_member(json, kdf, "salt"), slot->salt, sizeof(slot->salt),
                       &slot->salt_bytes) &&
           slot->salt_bytes >= SALT_MIN;
}

static bool read_af(struct metadata *m, const struct json_token *af, struct luks2_slot *slot)
{
    const struct json *json = &m->json;
    if (!json_is(json, json_member(json, af, "type"), "luks1") ||
        !metadata_u32(json, json_member(json, af, "stripes"), STRIPES_MIN, &slot->stripes) ||
        slot->stripes > STRIPES_MAX)
        return false;
    slot->unsupported |= !read_hash(json, json_member(json, af, "hash"), &slot->af_hash);
    return true;
}

static bool read_area(struct metadata *m, const struct json_token *area, struct luks2_slot *slot)
{
    const struct json *json = &m->json;
    const struct json_token *encryption = json_member(json, area, "encryption");
    if (!json_is(json, json_member(json, area, "type"), "raw") || !encryption ||
        encryption->type != JSON_STRING ||
        !json_u64(json, json_member(json, area, "offset"), &slot->area_offset) ||
        !json_u64(json, json_member(json, area, "size"), &slot->area_bytes) ||
        !metadata_u32(json, json_member(json, area, "key_size"), 1, &slot->area_key_bytes))
        return false;
    if (!json_is(json, encryption, CIPHER) || (slot->area_key_bytes != 32 && slot->area_key_bytes != 64))
        slot->unsupported = true;
    return slot->area_offset % AREA_ALIGN == 0 && slot->area_bytes &&
           slot->area_offset >= 2 * m->header_bytes &&
           range_fits(slot->area_offset, slot->area_bytes, m->slots_end) &&
           (uint64_t)slot->stripes * slot->key_bytes <= slot->area_bytes;
}

static bool read_priority(const struct json *json, const struct json_token *token, struct luks2_slot *slot)
{
    slot->priority = PRIORITY_NORMAL;
    if (!token)
        return true;
    uint64_t priority;
    if (!json_u64(json, token, &priority) || priority > PRIORITY_HIGH)
        return false;
    slot->priority = (int32_t)priority;
    return true;
}

static bool read_slot(struct metadata *m, const struct json_token *token, struct luks2_slot *slot)
{
    const struct json *json = &m->json;
    if (!metadata_u32(json, json_member(json, token, "key_size"), 1, &slot->key_bytes) ||
        slot->key_bytes > AREA_ALIGN || !read_af(m, json_member(json, token, "af"), slot) ||
        !read_area(m, json_member(json, token, "area"), slot) ||
        !read_kdf(m, json_member(json, token, "kdf"), slot) ||
        !read_priority(json, json_member(json, token, "priority"), slot))
        return false;
    if (slot->key_bytes != 32 && slot->key_bytes != 64)
        slot->unsupported = true;
    slot->present = true;
    return true;
}

static bool areas_apart(const struct luks2 *luks)
{
    for (unsigned i = 0; i < LUKS2_SLOTS_MAX; i++)
        for (unsigned j = 0; j < i; j++)
            if (luks->slots[i].present && luks->slots[j].present &&
                ranges_overlap(luks->slots[i].area_offset, luks->slots[i].area_bytes,
                               luks->slots[j].area_offset, luks->slots[j].area_bytes))
                return false;
    return true;
}

bool metadata_read_slots(struct metadata *m, const struct json_token *keyslots)
{
    if (!keyslots || keyslots->type != JSON_OBJECT)
        return metadata_bad(m, "keyslots");
    const struct json_token *token, *key;
    for (uint32_t i = 0; (token = json_at(&m->json, keyslots, i, &key)) != NULL; i++) {
        uint32_t number;
        const struct json_token *type = json_member(&m->json, token, "type");
        if (!metadata_key_number(&m->json, key, &number) || number >= LUKS2_SLOTS_MAX || !type ||
            type->type != JSON_STRING)
            return metadata_bad(m, "a key slot's number or type");
        if (!json_is(&m->json, type, "luks2"))
            continue; /* of another tool, or of a re-encryption: it holds no passphrase */
        struct luks2_slot *slot = &m->out->slots[number];
        slot->number = number;
        if (!read_slot(m, token, slot))
            return metadata_bad(m, "a key slot");
        m->out->slot_count++;
    }
    return areas_apart(m->out) || metadata_bad(m, "key slots overlap");
}

/* True when the array of strings holds this text. */
static bool names(const struct json *json, const struct json_token *array, const char *text)
{
    const struct json_token *element;
    for (uint32_t i = 0; (element = json_at(json, array, i, NULL)) != NULL; i++)
        if (json_is(json, element, text))
            return true;
    return false;
}

static bool read_digest_slots(struct metadata *m, const struct json_token *array)
{
    const struct json_token *element;
    if (!array || array->type != JSON_ARRAY)
        return false;
    for (uint32_t i = 0; (element = json_at(&m->json, array, i, NULL)) != NULL; i++) {
        uint32_t number;
        if (!metadata_key_number(&m->json, element, &number) || number >= LUKS2_SLOTS_MAX)
            return false;
        m->out->digest.slots |= 1u << number;
    }
    return true;
}

static bool read_digest(struct metadata *m, const struct json_token *token)
{
    const struct json *json = &m->json;
    struct luks2_digest *digest = &m->out->digest;
    const struct json_token *type = json_member(json, token, "type");
    uint32_t iterations;
    if (!json_is(json, type, "pbkdf2") || !read_hash(json, json_member(json, token, "hash"), &digest->hash))
        return report(m->problem,
                      "The volume's digest is of a kind that this version does not know (\"%s\"); "
                      "use a header made by cryptsetup with sha256.",
                      metadata_name(json, type).text);
    if (!metadata_u32(json, json_member(json, token, "iterations"), 1, &iterations) ||
        !read_base64(json, json_member(json, token, "salt"), digest->salt, sizeof(digest->salt),
                     &digest->salt_bytes) ||
        !read_base64(json, json_member(json, token, "digest"), digest->value, sizeof(digest->value),
                     &digest->value_bytes) ||
        digest->salt_bytes < SALT_MIN || digest->value_bytes < DIGEST_MIN ||
        !read_digest_slots(m, json_member(json, token, "keyslots")))
        return metadata_bad(m, "the volume's digest");
    digest->iterations = iterations;
    return true;
}

/* All slots of one digest hold the same key, so they agree on its length. */
static bool read_key_bytes(struct metadata *m)
{
    struct luks2 *out = m->out;
    for (unsigned i = 0; i < LUKS2_SLOTS_MAX; i++) {
        const struct luks2_slot *slot = &out->slots[i];
        if (!slot->present || !(out->digest.slots & 1u << i))
            continue;
        if (out->key_bytes && out->key_bytes != slot->key_bytes)
            return metadata_bad(m, "key slots of different lengths");
        out->key_bytes = slot->key_bytes;
    }
    if (!out->key_bytes)
        return report(
            m->problem,
            "No key slot of the LUKS2 header takes a passphrase; add one with cryptsetup luksAddKey.");
    if (out->key_bytes != 32 && out->key_bytes != 64)
        return report(m->problem,
                      "The volume's key has %u bits, and this version knows AES-XTS with 256 and 512; "
                      "change it with cryptsetup reencrypt --key-size 512.",
                      out->key_bytes * 8);
    return true;
}

bool metadata_read_digest(struct metadata *m, const struct json_token *digests)
{
    const struct json_token *token, *judge = NULL;
    for (uint32_t i = 0; (token = json_at(&m->json, digests, i, NULL)) != NULL; i++) {
        if (!names(&m->json, json_member(&m->json, token, "segments"), "0"))
            continue;
        if (judge)
            return metadata_bad(m, "two digests for one segment");
        judge = token;
    }
    if (!judge)
        return metadata_bad(m, "no digest for the segment");
    return read_digest(m, judge) && read_key_bytes(m);
}
