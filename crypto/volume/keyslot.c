/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a key slot: passphrase to area key, area to stripes, stripes to volume key, and the digest that
 * judges it. */
#include "crypto/volume/af.h"
#include "crypto/volume/hash.h"
#include "crypto/volume/kdf.h"
#include "crypto/volume/luks2.h"
#include "crypto/volume/sector.h"
#include "lib/strings.h"

#define AREA_SECTOR_BYTES    512
#define PRIORITY_HIGH        2
#define PRIORITY_NORMAL      1
#define PASSPHRASE_BYTES_MAX MIB(8) /* cryptsetup's own limit for a key file */

static_assert(AREA_SECTOR_BYTES % LUKS2_KEY_MAX == 0, "stripes do not straddle sectors");

/* Decrypts the area sector by sector and merges the stripes as they come; the stripes are secret, too. */
static bool merge_area(const struct luks2_slot *slot, const struct luks2_bytes *file, const uint8_t *area_key,
                       uint8_t key[LUKS2_KEY_MAX])
{
    const uint64_t needed = ROUND_UP((uint64_t)slot->stripes * slot->key_bytes, AREA_SECTOR_BYTES);
    const bool key_fits = slot->key_bytes == 32 || slot->key_bytes == 64;
    if (!key_fits || needed > slot->area_bytes || !range_fits(slot->area_offset, needed, file->size))
        return false;
    struct sector_key cipher;
    if (!sector_key_set(&cipher, area_key, slot->area_key_bytes, AREA_SECTOR_BYTES))
        return false;
    const uint8_t *area = (const uint8_t *)file->data + slot->area_offset;
    const uint32_t stripes_a_sector = AREA_SECTOR_BYTES / slot->key_bytes;
    uint8_t sector[AREA_SECTOR_BYTES];
    struct af_merge af;
    af_merge_start(&af, slot->af_hash, slot->key_bytes);
    for (uint32_t i = 0; i < slot->stripes; i++) {
        const uint32_t number = i / stripes_a_sector, within = i % stripes_a_sector;
        if (within == 0)
            sector_decrypt(&cipher, number, area + (size_t)number * AREA_SECTOR_BYTES, sector,
                           AREA_SECTOR_BYTES);
        const uint8_t *stripe = sector + (size_t)within * slot->key_bytes;
        if (i + 1 < slot->stripes)
            af_merge_stripe(&af, stripe);
        else
            af_merge_finish(&af, stripe, key);
    }
    wipe(sector, sizeof(sector));
    sector_key_wipe(&cipher);
    return true;
}

static bool digest_agrees(const struct luks2 *luks, const uint8_t *key)
{
    const struct luks2_digest *digest = &luks->digest;
    const struct pbkdf2 parameters = {
        .hash = digest->hash,
        .secret = key,
        .secret_bytes = luks->key_bytes,
        .salt = digest->salt,
        .salt_bytes = digest->salt_bytes,
        .iterations = digest->iterations,
    };
    uint8_t value[sizeof(digest->value)];
    pbkdf2(&parameters, value, digest->value_bytes);
    return equal_constant_time(value, digest->value, digest->value_bytes);
}

static enum luks2_verdict open_slot(const struct luks2 *luks, const struct luks2_slot *slot,
                                    const struct luks2_bytes *file, const struct luks2_bytes *passphrase,
                                    const struct luks2_help *help, uint8_t key[LUKS2_KEY_MAX])
{
    if (slot->unsupported) {
        report(help->problem,
               "Key slot %u uses a cipher, hash or key derivation that this version does not know; make it "
               "anew with "
               "cryptsetup luksConvertKey.",
               slot->number);
        return LUKS2_SLOT_FAILED;
    }
    uint8_t area_key[LUKS2_KEY_MAX];
    enum luks2_verdict verdict = LUKS2_SLOT_FAILED;
    if (kdf_derive(slot, passphrase->data, passphrase->size, help, area_key)) {
        if (!merge_area(slot, file, area_key, key))
            report(help->problem, "The area of key slot %u is not whole; restore the header from a backup.",
                   slot->number);
        else
            verdict = digest_agrees(luks, key) ? LUKS2_UNLOCKED : LUKS2_WRONG_PASSPHRASE;
    }
    wipe(area_key, sizeof(area_key));
    return verdict;
}

/* XTS with one key twice is weak (IEEE 1619-2018 and FIPS 140 forbid it), and no honest tool makes it. */
static bool key_halves_differ(const struct luks2 *luks, const uint8_t *key)
{
    const uint32_t half = luks->key_bytes / 2;
    return !equal_constant_time(key, key + half, half);
}

/* What the slots of one priority say: the key, or the worst that happened. */
static enum luks2_verdict try_priority(const struct luks2 *luks, int32_t priority,
                                       const struct luks2_bytes *file, const struct luks2_bytes *passphrase,
                                       const struct luks2_help *help, uint8_t key[LUKS2_KEY_MAX])
{
    enum luks2_verdict worst = LUKS2_WRONG_PASSPHRASE;
    for (unsigned i = 0; i < LUKS2_SLOTS_MAX; i++) {
        const struct luks2_slot *slot = &luks->slots[i];
        if (!slot->present || slot->priority != priority || !(luks->digest.slots & 1u << i))
            continue;
        enum luks2_verdict verdict = open_slot(luks, slot, file, passphrase, help, key);
        if (verdict == LUKS2_UNLOCKED)
            return verdict;
        if (verdict == LUKS2_SLOT_FAILED)
            worst = verdict;
    }
    return worst;
}

enum luks2_verdict luks2_unlock(const struct luks2 *luks, const struct luks2_bytes *file,
                                const void *passphrase, size_t passphrase_bytes,
                                const struct luks2_help *help, uint8_t key[LUKS2_KEY_MAX])
{
    /* A slot that cannot be tried is worth a sentence only if no other slot opens. */
    struct report problem = {""};
    struct luks2_help inner = *help;
    inner.problem = &problem;
    const struct luks2_bytes secret = {passphrase, passphrase_bytes};
    if (passphrase_bytes > PASSPHRASE_BYTES_MAX)
        return LUKS2_WRONG_PASSPHRASE;

    enum luks2_verdict verdict = try_priority(luks, PRIORITY_HIGH, file, &secret, &inner, key);
    if (verdict != LUKS2_UNLOCKED) {
        enum luks2_verdict normal = try_priority(luks, PRIORITY_NORMAL, file, &secret, &inner, key);
        if (normal != LUKS2_WRONG_PASSPHRASE)
            verdict = normal;
    }
    if (verdict == LUKS2_UNLOCKED && !key_halves_differ(luks, key)) {
        problem = (struct report){""};
        report(&problem,
               "The two halves of the volume's key are equal, which makes AES-XTS weak; make a new key with "
               "cryptsetup reencrypt.");
        verdict = LUKS2_SLOT_FAILED;
    }
    if (verdict == LUKS2_SLOT_FAILED)
        report(help->problem, "%s", problem.text);
    if (verdict != LUKS2_UNLOCKED)
        wipe(key, LUKS2_KEY_MAX);
    return verdict;
}
