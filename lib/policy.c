/* SPDX-License-Identifier: Apache-2.0 */
/* The policy's grammar: which sections and keys there are, what each value may be, and what must go together.
 */
#include "lib/policy.h"
#include "lib/policy_grammar.h"
#include "lib/strings.h"

/* The header's second copy is named with this behind the first one's name. */
#define BACKUP_SUFFIX ".bak"

#define LOG_PORT_FIRST 0x100
#define LOG_PORT_LAST  0xfff8
#define UART_PORTS     8
#define PCI_PORTS      0xcf8 /* the eight ports of PCI configuration */

static struct policy *policy_of(const struct policy_parser *p)
{
    return p->out;
}

/* The one whose section is being read. */
static struct policy_volume *volume_of(const struct policy_parser *p)
{
    return &policy_of(p)->volumes[policy_of(p)->volume_count - 1];
}

/* ---- Values ---- */

static bool unsupported(const struct policy_parser *p, struct ini_text what)
{
    return report(p->problem, "\"%.*s\" is not supported by this version of Shoji.", QUOTED(what));
}

/* True when no part of the path between backslashes is empty, "." or "..". */
static bool path_is_plain(struct ini_text path)
{
    struct ini_text rest = {path.at + 1, path.length - 1};
    while (rest.at) {
        struct ini_text part = ini_split(rest, '\\', &rest);
        if (part.length == 0 || ini_is(part, ".") || ini_is(part, ".."))
            return false;
    }
    return true;
}

static bool set_path(const struct policy_parser *p, struct ini_text value, char out[POLICY_PATH_MAX])
{
    bool slash = false;
    for (size_t i = 0; i < value.length; i++)
        slash |= value.at[i] == '/' || value.at[i] == '\t';
    if (value.length < 2 || value.at[0] != '\\' || slash || !path_is_plain(value))
        return report(p->problem,
                      "\"%.*s\" is not a path on the ESP; write it like \\EFI\\debian\\shimx64.efi, "
                      "from the root, with backslashes.",
                      QUOTED(value));
    if (value.length + sizeof(BACKUP_SUFFIX) > POLICY_PATH_MAX || !ini_copy(value, out, POLICY_PATH_MAX))
        return report(p->problem, "the path is longer than %u characters; shorten it.",
                      (unsigned)(POLICY_PATH_MAX - sizeof(BACKUP_SUFFIX)));
    return true;
}

/* ---- [os] ---- */

static bool os_path(struct policy_parser *p, struct ini_text value)
{
    return set_path(p, value, policy_of(p)->os_path);
}

static bool os_options(struct policy_parser *p, struct ini_text value)
{
    if (!ini_copy(value, policy_of(p)->os_options, POLICY_PATH_MAX))
        return report(p->problem, "the options are longer than %u characters; shorten them.",
                      POLICY_PATH_MAX - 1);
    return true;
}

/* ---- [log] ---- */

static bool log_port(struct policy_parser *p, struct ini_text value)
{
    uint64_t port;
    if (!ini_u64(value, &port) || port < LOG_PORT_FIRST || port > LOG_PORT_LAST || port % UART_PORTS != 0 ||
        port == PCI_PORTS)
        return report(p->problem,
                      "\"%.*s\" is not a serial port's address; write one like 0x3e8, a multiple of 8 "
                      "from 0x%x to 0x%x.",
                      QUOTED(value), LOG_PORT_FIRST, LOG_PORT_LAST);
    policy_of(p)->log_port = (uint16_t)port;
    return true;
}

/* ---- [volume NAME] ---- */

static bool volume_match(struct policy_parser *p, struct ini_text value)
{
    static const struct guid nil;
    struct ini_text text, prefix = ini_split(value, ':', &text);
    if (ini_is(value, "usb"))
        return unsupported(p, value);
    struct guid *partition = &volume_of(p)->partition;
    if (!text.at || !ini_is_any_case(prefix, "partuuid") || !guid_parse(text.at, text.length, partition) ||
        guid_equal(partition, &nil))
        return report(p->problem,
                      "\"%.*s\" names no partition; write partuuid: and the GUID that "
                      "\"lsblk -o NAME,PARTUUID\" shows.",
                      QUOTED(value));
    for (const struct policy_volume *v = policy_of(p)->volumes; v < volume_of(p); v++)
        if (guid_equal(&v->partition, partition))
            return report(p->problem, "this partition was given already in line %u, to volume %s.",
                          v->match_line, v->name);
    volume_of(p)->match_line = p->line;
    return true;
}

static bool volume_header(struct policy_parser *p, struct ini_text value)
{
    struct ini_text rest, prefix = ini_split(value, ':', &rest);
    if (ini_is(value, "inline") || (rest.at && ini_is_any_case(prefix, "partuuid")))
        return unsupported(p, value);
    if (!set_path(p, value, volume_of(p)->header))
        return false;
    for (const struct policy_volume *v = policy_of(p)->volumes; v < volume_of(p); v++)
        if (ini_is_any_case(value, v->header))
            return report(p->problem, "this header was given already in line %u, to volume %s.",
                          v->header_line, v->name);
    volume_of(p)->header_line = p->line;
    return true;
}

static bool is_later_unlock(struct ini_text word)
{
    static const char *const later[] = {"piv", "tpm2", "recovery"};
    for (unsigned i = 0; i < ARRAY_COUNT(later); i++)
        if (ini_is(word, later[i]))
            return true;
    struct ini_text rest, prefix = ini_split(word, ':', &rest);
    return rest.at && ini_is(prefix, "volume");
}

static bool volume_unlock(struct policy_parser *p, struct ini_text word)
{
    if (is_later_unlock(word))
        return unsupported(p, word);
    if (!ini_is(word, "passphrase"))
        return report(p->problem, "\"%.*s\" is no way to unlock a volume; write passphrase.", QUOTED(word));
    if (volume_of(p)->unlock[0] != UNLOCK_NONE)
        return report(p->problem, "\"%.*s\" stands twice; write each way to unlock once.", QUOTED(word));
    volume_of(p)->unlock[0] = UNLOCK_PASSPHRASE;
    return true;
}

static bool volume_serial(struct policy_parser *p, struct ini_text value)
{
    if (value.length == 0 || !ini_copy(value, volume_of(p)->disk_serial, POLICY_SERIAL_MAX))
        return report(p->problem, "a disk's serial number has 1 to %u characters.", POLICY_SERIAL_MAX - 1);
    return true;
}

static bool volume_start(struct policy_parser *p)
{
    if (!policy_name_is_good(p->name))
        return report(p->problem,
                      "\"%.*s\" is no name for a volume; it has 1 to %u letters, digits, \"-\", "
                      "\"_\" or \".\".",
                      QUOTED(p->name), POLICY_NAME_MAX - 1);
    for (unsigned i = 0; i < policy_of(p)->volume_count; i++)
        if (ini_is(p->name, policy_of(p)->volumes[i].name))
            return report(p->problem, "[volume %s] stands already in line %u.", policy_of(p)->volumes[i].name,
                          policy_of(p)->volumes[i].line);
    if (policy_of(p)->volume_count == POLICY_VOLUMES_MAX)
        return report(p->problem, "more than %u volumes; remove some.", POLICY_VOLUMES_MAX);
    policy_of(p)->volume_count++;
    p->item = volume_of(p);
    volume_of(p)->line = p->line;
    return ini_copy(p->name, volume_of(p)->name, POLICY_NAME_MAX);
}

static bool volume_end(struct policy_parser *p)
{
    struct policy_volume *v = volume_of(p);
    unsigned pins = (v->disk_serial[0] != '\0') + (v->first_lba != 0) + (v->lba_count != 0);
    if (pins != 0 && pins != 3)
        return report(p->problem,
                      "[volume %s] must give disk-serial, first-lba and lba-count together, or none "
                      "of them.",
                      v->name);
    if (v->lba_count > UINT64_MAX - v->first_lba)
        return report(p->problem, "[volume %s] ends beyond the largest disk; mend first-lba and lba-count.",
                      v->name);
    v->pinned = pins != 0;
    return true;
}

/* ---- Sections ---- */

static bool later_section(struct policy_parser *p)
{
    return report(p->problem, "the section [%s] is not supported by this version of Shoji.",
                  p->section->kind);
}

static const char *const apic_words[] = {
    [APIC_AUTO] = "auto", [APIC_STARTS] = "starts", [APIC_TRAP] = "trap", NULL};
static const char *const no_yes[] = {"no", "yes", NULL};
static const char *const elsewhere_words[] = {[ELSEWHERE_PASS] = "pass", [ELSEWHERE_DENY] = "deny", NULL};

static const struct policy_key os_keys[] = {{.name = "path", .set = os_path},
                                            {.name = "options", .set = os_options}};
static const struct policy_key log_keys[] = {{.name = "port", .set = log_port}};
static const struct policy_key cpu_keys[] = {
    {.name = "apic", .set = policy_set_choice, .words = apic_words, .at = offsetof(struct policy, apic)}};
#define VOLUME_AT(member) offsetof(struct policy_volume, member)
static const struct policy_key volume_keys[] = {
    {.name = "match", .set = volume_match, .required = true},
    {.name = "header", .set = volume_header, .required = true},
    {.name = "unlock", .set = volume_unlock, .required = true, .list = true},
    {.name = "discard", .set = policy_set_choice, .words = no_yes, .at = VOLUME_AT(discard)},
    {.name = "elsewhere", .set = policy_set_choice, .words = elsewhere_words, .at = VOLUME_AT(elsewhere)},
    {.name = "disk-serial", .set = volume_serial},
    {.name = "first-lba",
     .set = policy_set_number,
     .at = VOLUME_AT(first_lba),
     .least = 1,
     .most = UINT64_MAX},
    {.name = "lba-count",
     .set = policy_set_number,
     .at = VOLUME_AT(lba_count),
     .least = 1,
     .most = UINT64_MAX},
};

enum { OS_SECTION }; /* the places in the table that are asked for by name */
static const struct policy_section sections[] = {
    [OS_SECTION] = {"os", NULL, NULL, os_keys, ARRAY_COUNT(os_keys)},
    {"log", NULL, NULL, log_keys, ARRAY_COUNT(log_keys)},
    {"cpu", NULL, NULL, cpu_keys, ARRAY_COUNT(cpu_keys)},
    {"volume", volume_start, volume_end, volume_keys, ARRAY_COUNT(volume_keys)},
    {.kind = "usb", .start = later_section},
    {.kind = "vpn", .start = later_section},
};

static_assert(ARRAY_COUNT(sections) <= POLICY_SECTIONS_MAX && ARRAY_COUNT(volume_keys) <= POLICY_KEYS_MAX,
              "the parser has a place for each");

/* What no section can judge alone. */
static bool check_whole(struct policy_parser *p)
{
    const struct policy *policy = policy_of(p);
    if (!p->section)
        return report(p->problem, POLICY_FILE " is empty; write at least a section, such as [os].");
    if (policy->os_options[0] && !policy->os_path[0])
        return report(p->problem, AT_LINE "[os] gives options but no path; add \"path\".",
                      p->section_lines[OS_SECTION]);
    if (policy->volume_count > 0 && !policy->os_path[0])
        return report(p->problem,
                      AT_LINE
                      "[volume %s] needs to know what is started once it is unlocked; add \"path\" in "
                      "a section [os].",
                      policy->volumes[0].line, policy->volumes[0].name);
    return true;
}

bool policy_parse(const char *text, size_t size, struct policy *out, struct report *problem)
{
    static const struct policy_grammar grammar = {.sections = sections,
                                                  .section_count = ARRAY_COUNT(sections),
                                                  .known = "[os], [log], [cpu] and [volume NAME]",
                                                  .check = check_whole,
                                                  .out_size = sizeof(struct policy)};
    return policy_grammar_parse(&grammar, text, size, out, problem);
}
