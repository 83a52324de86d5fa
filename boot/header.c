/* SPDX-License-Identifier: Apache-2.0 */
/* Chooses between root.luks and root.luks.bak, and mends the other one. */
#include "boot/header.h"

#include "boot/console.h"
#include "boot/heap.h"
#include "lib/strings.h"

/* One of the two files as it was found. */
struct candidate {
    const char *path;
    enum file_result result;
    struct file file;
    struct luks2 luks;
    bool good;
    struct report problem; /* why it is not good */
};

struct pair {
    struct candidate main, backup;
    struct luks2_scratch scratch;
};

static void read_candidate(const struct esp *esp, const char *path, struct candidate *out,
                           struct luks2_scratch *scratch)
{
    out->path = path;
    out->result = file_read(esp, path, LUKS2_FILE_MAX, &out->file);
    switch (out->result) {
    case FILE_READ:
        out->good = luks2_read(out->file.data, out->file.size, &out->luks, scratch, &out->problem);
        break;
    case FILE_MISSING:
        report(&out->problem, "The file is missing.");
        break;
    case FILE_UNREADABLE:
        report(&out->problem, "The file cannot be read.");
        break;
    case FILE_TOO_LARGE:
        report(&out->problem, "The file is larger than %u MiB, so it is not a LUKS2 header.",
               (unsigned)(LUKS2_FILE_MAX / MIB(1)));
        break;
    }
}

static bool none_good(const struct pair *pair, const char *name, struct report *problem)
{
    if (pair->main.result == FILE_MISSING && pair->backup.result == FILE_MISSING)
        return report(problem,
                      "Volume %s: both header files are missing, %s and %s; put one back from a backup.",
                      name, pair->main.path, pair->backup.path);
    const struct candidate *worth_telling = pair->main.result == FILE_MISSING ? &pair->backup : &pair->main;
    return report(problem, "Volume %s: %s: %s The other header file cannot be used either.", name,
                  worth_telling->path, worth_telling->problem.text);
}

/* An intact header that says it must not be used (a re-encryption under way, say) tells more about the disk
 * than an older good one. */
static bool newer_refuses(const struct candidate *refused, const struct candidate *good)
{
    static const struct guid no_uuid;
    bool intact = refused->result == FILE_READ && !guid_equal(&refused->luks.uuid, &no_uuid);
    return intact && refused->luks.seqid > good->luks.seqid;
}

static bool same_content(const struct file *a, const struct file *b)
{
    return a->size == b->size && memcmp(a->data, b->data, a->size) == 0;
}

/* Which of two good headers is used: the newer one, else the one whose first copy is whole, else the first.
 */
static struct candidate *better_of(struct candidate *main, struct candidate *backup)
{
    if (main->luks.seqid != backup->luks.seqid)
        return main->luks.seqid > backup->luks.seqid ? main : backup;
    return main->luks.secondary_used && !backup->luks.secondary_used ? backup : main;
}

/* Decides which to use and what the other one needs. */
static struct candidate *choose(struct pair *pair, const char *name, enum header_mend *mend,
                                struct report *problem)
{
    struct candidate *main = &pair->main, *backup = &pair->backup;
    if (!main->good && !backup->good) {
        none_good(pair, name, problem);
        return NULL;
    }
    if (main->good && backup->good) {
        if (!guid_equal(&main->luks.uuid, &backup->luks.uuid)) {
            report(problem, "Volume %s: %s and %s are headers of different volumes; take the wrong one away.",
                   name, main->path, backup->path);
            return NULL;
        }
        *mend = same_content(&main->file, &backup->file) ? MEND_NOTHING : MEND_OLDER;
        return better_of(main, backup);
    }
    struct candidate *good = main->good ? main : backup, *bad = main->good ? backup : main;
    if (newer_refuses(bad, good)) {
        report(problem, "Volume %s: %s: %s", name, bad->path, bad->problem.text);
        return NULL;
    }
    *mend = bad->result == FILE_MISSING ? MEND_MISSING : MEND_DAMAGED;
    return good;
}

bool header_load(const struct esp *esp, const struct policy_volume *policy, struct header *out,
                 struct report *problem)
{
    char backup_path[HEADER_PATH_MAX];
    *out = (struct header){0};
    struct pair *pair = heap_allocate(NULL, sizeof(*pair));
    if (!pair)
        return report(problem, "There is not enough memory to read the header of volume %s.", policy->name);
    memset(pair, 0, sizeof(*pair));
    copy_string(backup_path, sizeof(backup_path), policy->header);
    size_t length = strlen(backup_path);
    copy_string(backup_path + length, sizeof(backup_path) - length, ".bak");
    read_candidate(esp, policy->header, &pair->main, &pair->scratch);
    read_candidate(esp, backup_path, &pair->backup, &pair->scratch);

    struct candidate *chosen = choose(pair, policy->name, &out->mend, problem);
    if (chosen) {
        struct candidate *other = chosen == &pair->main ? &pair->backup : &pair->main;
        out->luks = chosen->luks;
        out->file = chosen->file;
        chosen->file = (struct file){0};
        copy_string(out->used, sizeof(out->used), chosen->path);
        copy_string(out->other, sizeof(out->other), other->path);
    }
    file_release(&pair->main.file);
    file_release(&pair->backup.file);
    heap_release(NULL, pair);
    return chosen != NULL;
}

void header_mend(const struct esp *esp, struct header *header)
{
    static const char *const what[] = {
        [MEND_MISSING] = "was missing", [MEND_DAMAGED] = "was damaged", [MEND_OLDER] = "was older"};
    if (header->mend == MEND_NOTHING)
        return;
    if (file_write(esp, header->other, &header->file))
        console_print("%s %s and has been restored from %s.\n", header->other, what[header->mend],
                      header->used);
    else
        console_print("%s %s and could not be restored; check the EFI system partition and copy %s there.\n",
                      header->other, what[header->mend], header->used);
    header->mend = MEND_NOTHING;
}

void header_release(struct header *header)
{
    file_release(&header->file);
}
