/* SPDX-License-Identifier: Apache-2.0 */
/* A volume's LUKS2 header: a file on the ESP and its backup, either of which is enough. */
#ifndef SHOJI_BOOT_HEADER_H
#define SHOJI_BOOT_HEADER_H

#include "boot/files.h"
#include "crypto/volume/luks2.h"
#include "lib/policy.h"

#define HEADER_PATH_MAX (POLICY_PATH_MAX + 4)

/* What the other of the two files needs. */
enum header_mend { MEND_NOTHING, MEND_MISSING, MEND_DAMAGED, MEND_OLDER };

struct header {
    struct file file; /* the one that is used */
    struct luks2 luks;
    char used[HEADER_PATH_MAX], other[HEADER_PATH_MAX];
    enum header_mend mend;
};

/* Reads both files and takes the newer valid one. Writes nothing. False with a sentence when neither can be
 * used, or when it is not clear which one is right. Released with header_release. */
bool header_load(const struct esp *esp, const struct policy_volume *policy, struct header *out,
                 struct report *problem) must_check;

/* Makes the other file the same as the used one, and says so. A failure is said and is no reason to stop.
 * Nothing happens when no mending is due. A missing file may be restored at once; an existing one only after
 * a passphrase has proven the used header. */
void header_mend(const struct esp *esp, struct header *header);

void header_release(struct header *header);

#endif
