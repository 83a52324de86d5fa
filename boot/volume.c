/* SPDX-License-Identifier: Apache-2.0 */
/* Checks that header and disk fit each other, and fills the hand-off of one volume. */
#include "boot/volume.h"

#include "boot/disk.h"
#include "boot/login.h"
#include "lib/strings.h"

/* The last part of a path on the ESP. */
static const char *file_name(const char *path)
{
    const char *name = path;
    for (const char *p = path; *p; p++)
        if (*p == '\\')
            name = p + 1;
    return name;
}

static bool check_sector(const struct volume *volume, struct report *problem)
{
    const struct luks2 *luks = &volume->header.luks;
    char partition[GUID_TEXT_SIZE];
    if (luks->sector_bytes == volume->place.block_bytes)
        return true;
    guid_text(&volume->policy->partition, partition);
    return report(problem,
                  "Volume %s is encrypted in sectors of %u bytes, but its disk has blocks of %u. Start "
                  "another system and run: "
                  "cryptsetup reencrypt --sector-size %u --header %s /dev/disk/by-partuuid/%s",
                  volume->policy->name, luks->sector_bytes, volume->place.block_bytes,
                  volume->place.block_bytes, file_name(volume->header.used), partition);
}

/* The volume is the partition from its first block, or a part of it that the header names. */
static bool check_range(struct volume *volume, struct report *problem)
{
    const struct luks2 *luks = &volume->header.luks;
    struct handoff_volume *place = &volume->place;
    if (luks->segment_offset)
        return report(problem,
                      "Volume %s: the header says that the data begins at byte %llu of the partition; Shoji "
                      "needs a detached "
                      "header with data offset 0.",
                      volume->policy->name, (unsigned long long)luks->segment_offset);
    if (luks->iv_tweak)
        return report(
            problem,
            "Volume %s: the header counts sectors from %llu, not from 0, which Shoji does not support.",
            volume->policy->name, (unsigned long long)luks->iv_tweak);
    uint64_t blocks = luks->segment_bytes / place->block_bytes;
    if (luks->segment_bytes % place->block_bytes || blocks > place->lba_count)
        return report(problem,
                      "Volume %s: the header speaks of %llu bytes, and the partition is smaller; it is the "
                      "header of another "
                      "partition, or the partition has changed.",
                      volume->policy->name, (unsigned long long)luks->segment_bytes);
    if (blocks)
        place->lba_count = blocks;
    return true;
}

bool volume_find(struct volume *volume, const struct policy_volume *policy, const struct esp *esp,
                 struct report *problem)
{
    volume->policy = policy;
    if (!header_load(esp, policy, &volume->header, problem) ||
        !disk_find(policy, esp, &volume->controller, &volume->place, problem) ||
        !check_sector(volume, problem) || !check_range(volume, problem))
        return false;

    struct handoff_volume *place = &volume->place;
    const struct luks2 *luks = &volume->header.luks;
    copy_string(place->name, sizeof(place->name), policy->name);
    place->luks_uuid = luks->uuid;
    place->key_bytes = luks->key_bytes;
    place->sector_bytes = luks->sector_bytes;
    place->discard = policy->discard;
    place->elsewhere_deny = policy->elsewhere == ELSEWHERE_DENY;
    return true;
}

bool volume_unlock(struct volume *volume, const struct esp *esp, struct report *problem)
{
    if (volume->header.mend == MEND_MISSING)
        header_mend(esp, &volume->header);
    if (!login(volume->policy->name, &volume->header, volume->place.key, problem))
        return false;
    header_mend(esp, &volume->header);
    return true;
}

void volume_release(struct volume *volume)
{
    header_release(&volume->header);
    wipe(volume, sizeof(*volume));
}
