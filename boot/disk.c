/* SPDX-License-Identifier: Apache-2.0 */
/* The search for a volume's disk. */
#include "boot/disk.h"

#include "boot/controllers.h"
#include "boot/device_path.h"
#include "boot/partition.h"
#include "lib/reader.h"
#include "lib/strings.h"

#define BLOCK_BYTES_MIN 512u
#define BLOCK_BYTES_MAX 4096u

/* The hard drive node of a device path (UEFI 2.10, 10.3.5.1): number, first block, blocks, signature, and two
 * bytes of kinds. */
#define PARTITION_NODE_BYTES 42
#define PARTITION_NODE_START 8

/* The search so far. */
struct search {
    const struct policy_volume *policy;
    struct handoff_volume *found;
    EFI_DEVICE_PATH *disk; /* of the found one */
    unsigned disks_found, tables_seen;
    struct report *refusal; /* why a disk with a table was passed over: the first one's */
};

static bool is_whole_disk(const EFI_BLOCK_IO_PROTOCOL *disk)
{
    const EFI_BLOCK_IO_MEDIA *media = disk->Media;
    return media->MediaPresent && !media->LogicalPartition && media->BlockSize >= BLOCK_BYTES_MIN &&
           media->BlockSize <= BLOCK_BYTES_MAX;
}

static void look_at(struct search *search, EFI_HANDLE handle)
{
    EFI_BLOCK_IO_PROTOCOL *disk = protocol_of(handle, &block_io_guid);
    EFI_DEVICE_PATH *path = protocol_of(handle, &device_path_guid);
    struct handoff_volume volume = {0};
    if (!disk || !path || !is_whole_disk(disk))
        return;
    switch (partition_find(disk, &search->policy->partition, &volume, search->refusal)) {
    case PARTITION_NO_TABLE:
        return;
    case PARTITION_BAD:
        search->tables_seen++;
        return;
    case PARTITION_FOUND:
        search->tables_seen++;
        search->disks_found++;
        search->disk = path;
        *search->found = volume;
        return;
    }
}

static bool look_everywhere(struct search *search)
{
    UINTN count;
    EFI_HANDLE *handles;
    if (EFI_ERROR(firmware.services->LocateHandleBuffer(ByProtocol, &block_io_guid, NULL, &count, &handles)))
        return false;
    for (UINTN i = 0; i < count; i++)
        look_at(search, handles[i]);
    firmware.services->FreePool(handles);
    return true;
}

static bool not_one(const struct search *search, struct report *problem)
{
    const char *name = search->policy->name;
    char partition[GUID_TEXT_SIZE];
    guid_text(&search->policy->partition, partition);
    if (search->disks_found > 1)
        return report(problem, "Volume %s: partition %s is on %u disks; take the copies out.", name,
                      partition, search->disks_found);
    if (search->tables_seen == 1)
        return report(problem, "Volume %s: the partition was not found. %s", name, search->refusal->text);
    return report(problem,
                  "Volume %s: partition %s was not found on any disk; connect its disk, or correct \"match\" "
                  "in policy.conf.",
                  name, partition);
}

/* The policy's pinned range, as DESIGN.md section 5 wants it: what the GPT says must be what it said. */
static bool check_pin(const struct policy_volume *policy, const struct handoff_volume *found,
                      struct report *problem)
{
    if (!policy->pinned)
        return true;
    if (strcmp(policy->disk_serial, found->disk_serial) != 0)
        return report(problem,
                      "Volume %s: its disk has the serial number \"%s\", and the policy says \"%s\"; put the "
                      "right disk back, "
                      "or correct disk-serial.",
                      policy->name, found->disk_serial, policy->disk_serial);
    if (policy->first_lba != found->first_lba)
        return report(problem,
                      "Volume %s: its partition has moved; it begins at block %llu, and the policy says "
                      "%llu. Restore the "
                      "partition table, or correct first-lba.",
                      policy->name, (unsigned long long)found->first_lba,
                      (unsigned long long)policy->first_lba);
    if (policy->lba_count != found->lba_count)
        return report(problem,
                      "Volume %s: its partition has changed; it is %llu blocks long, and the policy says "
                      "%llu. Restore the "
                      "partition table, or correct lba-count.",
                      policy->name, (unsigned long long)found->lba_count,
                      (unsigned long long)policy->lba_count);
    return true;
}

/* The ESP's range, when it is on the same disk: its partition node says where it lies. */
static void note_esp(const struct esp *esp, const EFI_DEVICE_PATH *disk, struct handoff_volume *volume)
{
    const EFI_DEVICE_PATH *node =
        device_path_node(esp->path, MEDIA_DEVICE_PATH, MEDIA_HARDDRIVE_DP, PARTITION_NODE_BYTES);
    if (!node || !device_path_is_below(esp->path, disk))
        return;
    struct reader r = reader_of(node, PARTITION_NODE_BYTES);
    reader_seek(&r, PARTITION_NODE_START);
    volume->esp_first_lba = reader_le64(&r);
    volume->esp_lba_count = reader_le64(&r);
}

bool disk_find(const struct policy_volume *policy, const struct esp *esp, EFI_HANDLE *controller,
               struct handoff_volume *out, struct report *problem)
{
    struct report refusal = {""};
    struct search search = {.policy = policy, .found = out, .refusal = &refusal};
    *out = (struct handoff_volume){0};
    if (!look_everywhere(&search) || search.disks_found != 1)
        return not_one(&search, problem);
    if (!controller_identify(search.disk, controller, out))
        return report(problem,
                      "Volume %s: its disk is neither an NVMe nor an IDE disk, and this version can protect "
                      "no other; move it to one.",
                      policy->name);
    if (!check_pin(policy, out, problem))
        return false;
    note_esp(esp, search.disk, out);
    return true;
}
