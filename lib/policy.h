/* SPDX-License-Identifier: Apache-2.0 */
/* The policy file, parsed: what Shoji is asked to protect, and how. Every key is documented in
 * docs/policy.md. */
#ifndef SHOJI_LIB_POLICY_H
#define SHOJI_LIB_POLICY_H

#include "lib/base.h"
#include "lib/guid.h"
#include "lib/policy_grammar.h"

#define POLICY_VOLUMES_MAX 4
#define POLICY_PATH_MAX    256
#define POLICY_SERIAL_MAX  64

enum policy_unlock { UNLOCK_NONE, UNLOCK_PASSPHRASE };
#define POLICY_UNLOCK_MAX 4

enum policy_elsewhere { ELSEWHERE_PASS, ELSEWHERE_DENY };

/* One [volume NAME] section. */
struct policy_volume {
    char name[POLICY_NAME_MAX];
    struct guid partition;        /* match = partuuid:GUID                                       */
    char header[POLICY_PATH_MAX]; /* header = \EFI\shoji\root.luks; the backup is that + ".bak"  */
    enum policy_unlock
        unlock[POLICY_UNLOCK_MAX];       /* unlock = passphrase; in order, UNLOCK_NONE ends the list    */
    bool discard;                        /* discard = yes | no (default no): may TRIM reach the disk?   */
    uint8_t elsewhere;                   /* enum policy_elsewhere: elsewhere = pass | deny (default pass) */
    bool pinned;                         /* set when the three keys below are given; all or none        */
    char disk_serial[POLICY_SERIAL_MAX]; /* disk-serial = ...                                           */
    uint64_t first_lba;                  /* first-lba = N, in the disk's logical blocks                 */
    uint64_t lba_count;                  /* lba-count = N                                               */
    unsigned line, match_line, header_line; /* of the section's heading and of these two keys */
};

enum policy_apic { APIC_AUTO, APIC_STARTS, APIC_TRAP };

struct policy {
    char
        os_path[POLICY_PATH_MAX]; /* [os] path: started once a volume is unlocked; empty: BootOrder goes on */
    char os_options[POLICY_PATH_MAX]; /* [os] options: the loader's command line, usually empty */
    uint16_t log_port; /* [log] port = 0x3e8; 0: no serial log                                   */
    uint8_t apic; /* enum policy_apic: [cpu] apic = auto | trap: trap keeps ICR writes visible at all times */
    unsigned volume_count;
    struct policy_volume volumes[POLICY_VOLUMES_MAX];
};

/* Parses the whole file. False with one sentence that names the line ("policy.conf line 7: ...") for an
 * unknown section, key or value, a duplicate, a missing required key, an over-long or non-text line. A BOM
 * and CRLF line ends are accepted. */
bool policy_parse(const char *text, size_t size, struct policy *out, struct report *problem) must_check;

#endif
