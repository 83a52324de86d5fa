/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes and the disks that carry them. Everything but the counters, `active` and `closed` is written at
 * start only, and read by all CPUs without a lock. */
#include "drivers/storage/storage.h"

#include "core/log.h"
#include "core/simd.h"
#include "crypto/volume/sector.h"
#include "drivers/storage/guard.h"
#include "lib/strings.h"

#define UNIT_BYTES 512 /* plain64 counts in these */

struct volume {
    struct sector_key key;
    struct handoff_volume pinned; /* without the key */
    struct guard guard;
    struct storage_disk *disk;                   /* NULL: not attached */
    uint64_t bytes_read, bytes_written, refused; /* atomic */
};

struct storage_disk {
    struct pci_address at;
    uint32_t unit, block_bytes;
    uint64_t blocks;
    bool elsewhere_deny;
    bool active; /* atomic */
    unsigned count;
    struct volume *volumes[HANDOFF_VOLUMES_MAX];
};

static struct volume volumes[HANDOFF_VOLUMES_MAX];
static struct storage_disk disks[HANDOFF_VOLUMES_MAX];
static unsigned volume_count, disk_count;
static bool started;
static bool closed; /* atomic: the keys are gone or going */

bool storage_start(const struct handoff *handoff)
{
    if (started)
        return true;
    if (handoff->volume_count > HANDOFF_VOLUMES_MAX)
        return false;
    for (unsigned i = 0; i < handoff->volume_count; i++) {
        const struct handoff_volume *from = &handoff->volumes[i];
        struct volume *volume = &volumes[i];
        uint64_t end;
        if (from->block_bytes < UNIT_BYTES || from->sector_bytes > from->block_bytes || !from->lba_count ||
            __builtin_add_overflow(from->first_lba, from->lba_count, &end))
            return false;
        simd_begin();
        bool usable = sector_key_set(&volume->key, from->key, from->key_bytes, from->sector_bytes);
        simd_end();
        if (!usable || !guard_set(&volume->guard, from))
            return false;
        volume->pinned = *from;
        wipe(volume->pinned.key, sizeof(volume->pinned.key));
    }
    volume_count = handoff->volume_count;
    started = true;
    return true;
}

static bool lies_behind(const struct volume *volume, struct pci_address at)
{
    const struct handoff_volume *p = &volume->pinned;
    return p->pci_segment == at.segment && p->pci_bus == at.bus && p->pci_device == at.device &&
           p->pci_function == at.function;
}

bool storage_has_volume(struct pci_address at)
{
    return storage_volumes_expected(at) != 0;
}

bool storage_unit_has_volume(struct pci_address at, uint32_t unit)
{
    for (unsigned i = 0; i < volume_count; i++)
        if (lies_behind(&volumes[i], at) && volumes[i].pinned.namespace_id == unit)
            return true;
    return false;
}

unsigned storage_volumes_expected(struct pci_address at)
{
    unsigned count = 0;
    for (unsigned i = 0; i < volume_count; i++)
        count += lies_behind(&volumes[i], at);
    return count;
}

unsigned storage_volumes_attached(struct pci_address at)
{
    unsigned count = 0;
    for (unsigned i = 0; i < volume_count; i++)
        count += lies_behind(&volumes[i], at) && volumes[i].disk;
    return count;
}

static bool volume_fits(const struct volume *volume, const struct storage_identity *identity,
                        struct report *problem)
{
    const struct handoff_volume *p = &volume->pinned;
    if (p->disk_serial[0] && strncmp(p->disk_serial, identity->serial, sizeof(p->disk_serial)))
        return report(problem,
                      "Volume %s belongs to the disk with serial number %s, but the disk here is %s; put the "
                      "right disk in, or correct the policy.",
                      p->name, p->disk_serial, identity->serial);
    if (p->block_bytes != identity->block_bytes)
        return report(
            problem,
            "Volume %s was set up for blocks of %u bytes, but the disk is formatted with blocks of %u bytes.",
            p->name, (unsigned)p->block_bytes, (unsigned)identity->block_bytes);
    if (!range_fits(p->first_lba, p->lba_count, identity->blocks))
        return report(
            problem,
            "Volume %s ends behind the end of its disk; check first-lba and lba-count in the policy.",
            p->name);
    return true;
}

struct storage_disk *storage_attach(const struct storage_identity *identity, struct report *problem)
{
    if (disk_count == ARRAY_COUNT(disks)) {
        (void)report(problem, "There are more disks with volumes than Shoji can carry (%u).",
                     (unsigned)ARRAY_COUNT(disks));
        return NULL;
    }
    struct storage_disk *disk = &disks[disk_count];
    *disk = (struct storage_disk){.at = identity->at,
                                  .unit = identity->unit,
                                  .block_bytes = identity->block_bytes,
                                  .blocks = identity->blocks};
    for (unsigned i = 0; i < volume_count; i++) {
        if (!lies_behind(&volumes[i], identity->at) || volumes[i].pinned.namespace_id != identity->unit)
            continue;
        if (!volume_fits(&volumes[i], identity, problem))
            return NULL;
        disk->volumes[disk->count++] = &volumes[i];
        disk->elsewhere_deny |= volumes[i].pinned.elsewhere_deny != 0;
    }
    for (unsigned i = 0; i < disk->count; i++)
        disk->volumes[i]->disk = disk;
    disk_count++;
    return disk;
}

/* The first run of blocks from lba on that lies wholly in one volume (*in) or in none (NULL). */
static uint64_t next_run(const struct storage_disk *disk, uint64_t lba, uint64_t count, struct volume **in)
{
    *in = NULL;
    for (unsigned i = 0; i < disk->count; i++) {
        uint64_t first = disk->volumes[i]->pinned.first_lba, end = first + disk->volumes[i]->pinned.lba_count;
        if (lba >= first && lba < end) {
            *in = disk->volumes[i];
            return MIN(count, end - lba);
        }
        if (first > lba)
            count = MIN(count, first - lba);
    }
    return count;
}

bool storage_touches(const struct storage_disk *disk, uint64_t lba, uint64_t count)
{
    for (unsigned i = 0; disk && i < disk->count; i++)
        if (ranges_overlap(lba, count, disk->volumes[i]->pinned.first_lba,
                           disk->volumes[i]->pinned.lba_count))
            return true;
    return false;
}

bool storage_within(const struct storage_disk *disk, uint64_t lba, uint64_t count)
{
    while (count) {
        struct volume *volume;
        uint64_t run = next_run(disk, lba, count, &volume);
        if (!volume)
            return false;
        lba += run;
        count -= run;
    }
    return true;
}

static bool keys_gone(void)
{
    return __atomic_load_n(&closed, __ATOMIC_SEQ_CST);
}

static void transform_run(struct volume *volume, enum storage_direction direction, uint64_t unit,
                          const struct storage_buffers *run)
{
    if (direction == STORAGE_ENCRYPT)
        sector_encrypt(&volume->key, unit, run->in, run->out, run->bytes);
    else
        sector_decrypt(&volume->key, unit, run->in, run->out, run->bytes);
    __atomic_add_fetch(direction == STORAGE_ENCRYPT ? &volume->bytes_written : &volume->bytes_read,
                       run->bytes, __ATOMIC_RELAXED);
}

bool storage_transform(struct storage_disk *disk, enum storage_direction direction, uint64_t lba,
                       const struct storage_buffers *buffers)
{
    size_t done = 0;
    for (uint64_t left = buffers->bytes / disk->block_bytes; left && !keys_gone();) {
        struct volume *volume;
        uint64_t count = next_run(disk, lba, left, &volume);
        struct storage_buffers run = {.in = (const uint8_t *)buffers->in + done,
                                      .out = (uint8_t *)buffers->out + done,
                                      .bytes = count * disk->block_bytes};
        if (volume)
            transform_run(volume, direction,
                          (lba - volume->pinned.first_lba) * (disk->block_bytes / UNIT_BYTES), &run);
        else if (run.in != run.out)
            memcpy(run.out, run.in, run.bytes);
        done += run.bytes;
        lba += count;
        left -= count;
    }
    /* What was transformed while the keys were being wiped is nonsense, and says so here. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return !keys_gone();
}

/* Are all blocks outside volumes in the EFI system partition? */
static bool rest_is_esp(const struct storage_disk *disk, uint64_t lba, uint64_t count)
{
    uint64_t esp = disk->volumes[0]->pinned.esp_first_lba, esp_count = disk->volumes[0]->pinned.esp_lba_count;
    while (count) {
        struct volume *volume;
        uint64_t run = next_run(disk, lba, count, &volume);
        if (!volume && (lba < esp || !range_fits(lba - esp, run, esp_count)))
            return false;
        lba += run;
        count -= run;
    }
    return true;
}

enum storage_verdict storage_write_verdict(const struct storage_disk *disk, uint64_t lba, uint64_t count)
{
    if (!disk || !disk->count)
        return STORAGE_PASS;
    if (keys_gone() && storage_touches(disk, lba, count))
        return STORAGE_DENY;
    if (disk->elsewhere_deny && !rest_is_esp(disk, lba, count))
        return STORAGE_DENY;
    for (unsigned i = 0; i < disk->count; i++)
        if (guard_touches(&disk->volumes[i]->guard, lba * disk->block_bytes, count * disk->block_bytes))
            return STORAGE_CHECK;
    return STORAGE_PASS;
}

bool storage_content_allowed(const struct storage_disk *disk, uint64_t lba, const void *buffer, size_t bytes)
{
    for (unsigned i = 0; i < disk->count; i++)
        if (!guard_allows(&disk->volumes[i]->guard, lba * disk->block_bytes, buffer, bytes))
            return false;
    return true;
}

bool storage_discard_allowed(const struct storage_disk *disk, uint64_t lba, uint64_t count)
{
    if (storage_write_verdict(disk, lba, count) != STORAGE_PASS)
        return false;
    if (!storage_touches(disk, lba, count))
        return true;
    if (!storage_within(disk, lba, count))
        return false;
    while (count) {
        struct volume *volume;
        uint64_t run = next_run(disk, lba, count, &volume);
        if (!volume || !volume->pinned.discard)
            return false;
        lba += run;
        count -= run;
    }
    return true;
}

void storage_count_refused(struct storage_disk *disk)
{
    for (unsigned i = 0; disk && i < disk->count; i++)
        __atomic_add_fetch(&disk->volumes[i]->refused, 1, __ATOMIC_RELAXED);
}

void storage_set_active(struct storage_disk *disk, bool active)
{
    __atomic_store_n(&disk->active, active, __ATOMIC_RELAXED);
}

void storage_volume_status(unsigned index, struct status_volume *out)
{
    memset(out, 0, sizeof(*out));
    if (index >= volume_count)
        return;
    const struct volume *volume = &volumes[index];
    const struct handoff_volume *p = &volume->pinned;
    static_assert(sizeof(out->name) == sizeof(p->name) && sizeof(out->disk_serial) == sizeof(p->disk_serial),
                  "copied whole");
    memcpy(out->name, p->name, sizeof(out->name));
    memcpy(out->luks_uuid, p->luks_uuid.bytes, sizeof(out->luks_uuid));
    memcpy(out->disk_serial, p->disk_serial, sizeof(out->disk_serial));
    out->first_lba = p->first_lba;
    out->lba_count = p->lba_count;
    out->block_bytes = p->block_bytes;
    out->sector_bytes = p->sector_bytes;
    out->active = volume->disk && __atomic_load_n(&volume->disk->active, __ATOMIC_RELAXED);
    out->namespace_id = p->namespace_id;
    out->pci_segment = p->pci_segment;
    out->pci_bus = p->pci_bus;
    out->pci_devfn = (uint8_t)(p->pci_device << 3 | p->pci_function);
    out->key_bits = p->key_bytes * 8;
    out->bytes_read = __atomic_load_n(&volume->bytes_read, __ATOMIC_RELAXED);
    out->bytes_written = __atomic_load_n(&volume->bytes_written, __ATOMIC_RELAXED);
    out->commands_refused = __atomic_load_n(&volume->refused, __ATOMIC_RELAXED);
}

void storage_wipe(void)
{
    __atomic_store_n(&closed, true, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < volume_count; i++)
        sector_key_wipe(&volumes[i].key);
}
