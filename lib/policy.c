/* SPDX-License-Identifier: Apache-2.0 */
/* The policy's grammar: which sections and keys there are, what each value may be, and what must go together.
 */
#include "lib/policy.h"
#include "lib/format.h"
#include "lib/ini.h"
#include "lib/strings.h"

#define POLICY_FILE "policy.conf"
#define AT_LINE     POLICY_FILE " line %u: "

/* How much of the file's own text a sentence quotes, for "%.*s". */
#define QUOTE_MAX 60
#define QUOTED(t) (int)MIN((t).length, (size_t)QUOTE_MAX), (t).at

#define KEYS_MAX     8
#define SECTIONS_MAX 4

/* The header's second copy is named with this behind the first one's name. */
#define BACKUP_SUFFIX ".bak"

#define LOG_PORT_FIRST 0x100
#define LOG_PORT_LAST  0xfff8
#define UART_PORTS     8
#define PCI_PORTS      0xcf8 /* the eight ports of PCI configuration */

struct parser {
    struct policy *out;
    struct report *problem;
    const struct section *section;
    unsigned line;                        /* of what is being read */
    struct ini_text name;                 /* of the section, as its heading gives it */
    unsigned section_lines[SECTIONS_MAX]; /* where each kind of section stood last; 0: nowhere */
    unsigned key_lines[KEYS_MAX];         /* the same for the keys of this section */
    struct policy_volume *volume;         /* the one whose section is being read */
    unsigned match_lines[POLICY_VOLUMES_MAX], header_lines[POLICY_VOLUMES_MAX];
};

struct key {
    const char *name;
    bool required;
    bool (*set)(struct parser *p, struct ini_text value);
};

struct section {
    const char *kind;
    bool (*start)(struct parser *p); /* NULL: the section has no name and stands once */
    bool (*end)(struct parser *p);   /* NULL: nothing is left to check */
    struct key keys[KEYS_MAX];       /* a NULL name ends them */
};

/* ---- Values ---- */

static bool unsupported(const struct parser *p, struct ini_text what)
{
    return report(p->problem, AT_LINE "\"%.*s\" is not supported by this version of Shoji.", p->line,
                  QUOTED(what));
}

/* Which of two or three words the value is (the third may be NULL); -1 with a sentence for any other. */
static int choose(const struct parser *p, struct ini_text value, const char *const words[3])
{
    for (int i = 0; i < 3 && words[i]; i++)
        if (ini_is(value, words[i]))
            return i;
    (void)report(p->problem, AT_LINE "the value \"%.*s\" is unknown; write %s%s%s or %s.", p->line,
                 QUOTED(value), words[0], words[2] ? ", " : "", words[2] ? words[1] : "",
                 words[2] ? words[2] : words[1]);
    return -1;
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

static bool set_path(const struct parser *p, struct ini_text value, char out[POLICY_PATH_MAX])
{
    bool slash = false;
    for (size_t i = 0; i < value.length; i++)
        slash |= value.at[i] == '/' || value.at[i] == '\t';
    if (value.length < 2 || value.at[0] != '\\' || slash || !path_is_plain(value))
        return report(p->problem,
                      AT_LINE "\"%.*s\" is not a path on the ESP; write it like \\EFI\\debian\\shimx64.efi, "
                              "from the root, with backslashes.",
                      p->line, QUOTED(value));
    if (value.length + sizeof(BACKUP_SUFFIX) > POLICY_PATH_MAX || !ini_copy(value, out, POLICY_PATH_MAX))
        return report(p->problem, AT_LINE "the path is longer than %u characters; shorten it.", p->line,
                      (unsigned)(POLICY_PATH_MAX - sizeof(BACKUP_SUFFIX)));
    return true;
}

static bool set_number(const struct parser *p, struct ini_text value, uint64_t least, uint64_t *out)
{
    if (!ini_u64(value, out) || *out < least)
        return report(p->problem, AT_LINE "\"%.*s\" is not a whole number of at least %llu.", p->line,
                      QUOTED(value), (unsigned long long)least);
    return true;
}

/* ---- [os] ---- */

static bool os_path(struct parser *p, struct ini_text value)
{
    return set_path(p, value, p->out->os_path);
}

static bool os_options(struct parser *p, struct ini_text value)
{
    if (!ini_copy(value, p->out->os_options, POLICY_PATH_MAX))
        return report(p->problem, AT_LINE "the options are longer than %u characters; shorten them.", p->line,
                      POLICY_PATH_MAX - 1);
    return true;
}

/* ---- [log] ---- */

static bool log_port(struct parser *p, struct ini_text value)
{
    uint64_t port;
    if (!ini_u64(value, &port) || port < LOG_PORT_FIRST || port > LOG_PORT_LAST || port % UART_PORTS != 0 ||
        port == PCI_PORTS)
        return report(p->problem,
                      AT_LINE
                      "\"%.*s\" is not a serial port's address; write one like 0x3e8, a multiple of 8 "
                      "from 0x%x to 0x%x.",
                      p->line, QUOTED(value), LOG_PORT_FIRST, LOG_PORT_LAST);
    p->out->log_port = (uint16_t)port;
    return true;
}

/* ---- [cpu] ---- */

static bool cpu_apic(struct parser *p, struct ini_text value)
{
    static const char *const words[3] = {
        [APIC_AUTO] = "auto", [APIC_STARTS] = "starts", [APIC_TRAP] = "trap"};
    int choice = choose(p, value, words);
    p->out->apic = choice >= 0 ? (enum policy_apic)choice : APIC_AUTO;
    return choice >= 0;
}

/* ---- [volume NAME] ---- */

static unsigned volume_index(const struct parser *p)
{
    return (unsigned)(p->volume - p->out->volumes);
}

static bool volume_match(struct parser *p, struct ini_text value)
{
    static const struct guid nil;
    struct ini_text text, prefix = ini_split(value, ':', &text);
    if (ini_is(value, "usb"))
        return unsupported(p, value);
    struct guid *partition = &p->volume->partition;
    if (!text.at || !ini_is_any_case(prefix, "partuuid") || !guid_parse(text.at, text.length, partition) ||
        guid_equal(partition, &nil))
        return report(p->problem,
                      AT_LINE "\"%.*s\" names no partition; write partuuid: and the GUID that "
                              "\"lsblk -o NAME,PARTUUID\" shows.",
                      p->line, QUOTED(value));
    unsigned index = volume_index(p);
    for (unsigned i = 0; i < index; i++)
        if (guid_equal(&p->out->volumes[i].partition, partition))
            return report(p->problem, AT_LINE "this partition was given already in line %u, to volume %s.",
                          p->line, p->match_lines[i], p->out->volumes[i].name);
    p->match_lines[index] = p->line;
    return true;
}

static bool volume_header(struct parser *p, struct ini_text value)
{
    struct ini_text rest, prefix = ini_split(value, ':', &rest);
    if (ini_is(value, "inline") || (rest.at && ini_is_any_case(prefix, "partuuid")))
        return unsupported(p, value);
    if (!set_path(p, value, p->volume->header))
        return false;
    unsigned index = volume_index(p);
    for (unsigned i = 0; i < index; i++)
        if (ini_is_any_case(value, p->out->volumes[i].header))
            return report(p->problem, AT_LINE "this header was given already in line %u, to volume %s.",
                          p->line, p->header_lines[i], p->out->volumes[i].name);
    p->header_lines[index] = p->line;
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

static bool volume_unlock(struct parser *p, struct ini_text value)
{
    unsigned count = 0;
    while (value.at) {
        struct ini_text word = ini_split(value, ',', &value);
        if (is_later_unlock(word))
            return unsupported(p, word);
        if (!ini_is(word, "passphrase"))
            return report(p->problem, AT_LINE "\"%.*s\" is no way to unlock a volume; write passphrase.",
                          p->line, QUOTED(word));
        if (count > 0)
            return report(p->problem, AT_LINE "\"%.*s\" stands twice; write each way to unlock once.",
                          p->line, QUOTED(word));
        p->volume->unlock[count++] = UNLOCK_PASSPHRASE;
    }
    return true;
}

static bool volume_discard(struct parser *p, struct ini_text value)
{
    static const char *const words[3] = {"no", "yes"};
    int choice = choose(p, value, words);
    p->volume->discard = choice == 1;
    return choice >= 0;
}

static bool volume_elsewhere(struct parser *p, struct ini_text value)
{
    static const char *const words[3] = {[ELSEWHERE_PASS] = "pass", [ELSEWHERE_DENY] = "deny"};
    int choice = choose(p, value, words);
    p->volume->elsewhere = choice == ELSEWHERE_DENY ? ELSEWHERE_DENY : ELSEWHERE_PASS;
    return choice >= 0;
}

static bool volume_serial(struct parser *p, struct ini_text value)
{
    if (value.length == 0 || !ini_copy(value, p->volume->disk_serial, POLICY_SERIAL_MAX))
        return report(p->problem, AT_LINE "a disk's serial number has 1 to %u characters.", p->line,
                      POLICY_SERIAL_MAX - 1);
    return true;
}

static bool volume_first_lba(struct parser *p, struct ini_text value)
{
    return set_number(p, value, 1, &p->volume->first_lba);
}

static bool volume_lba_count(struct parser *p, struct ini_text value)
{
    return set_number(p, value, 1, &p->volume->lba_count);
}

static bool volume_name_is_good(struct ini_text name)
{
    if (name.length == 0 || name.length >= POLICY_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.length; i++) {
        char c = name.at[i], lower = (char)(c | 0x20);
        bool letter = (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9');
        if (!letter && c != '-' && c != '_' && c != '.')
            return false;
    }
    return true;
}

static bool volume_start(struct parser *p)
{
    if (!volume_name_is_good(p->name))
        return report(p->problem,
                      AT_LINE "\"%.*s\" is no name for a volume; it has 1 to %u letters, digits, \"-\", "
                              "\"_\" or \".\".",
                      p->line, QUOTED(p->name), POLICY_NAME_MAX - 1);
    for (unsigned i = 0; i < p->out->volume_count; i++)
        if (ini_is(p->name, p->out->volumes[i].name))
            return report(p->problem, AT_LINE "[volume %s] stands already in line %u.", p->line,
                          p->out->volumes[i].name, p->out->volumes[i].line);
    if (p->out->volume_count == POLICY_VOLUMES_MAX)
        return report(p->problem, AT_LINE "more than %u volumes; remove some.", p->line, POLICY_VOLUMES_MAX);
    p->volume = &p->out->volumes[p->out->volume_count++];
    p->volume->line = p->line;
    return ini_copy(p->name, p->volume->name, POLICY_NAME_MAX);
}

static bool volume_end(struct parser *p)
{
    struct policy_volume *v = p->volume;
    unsigned pins = (v->disk_serial[0] != '\0') + (v->first_lba != 0) + (v->lba_count != 0);
    if (pins != 0 && pins != 3)
        return report(p->problem,
                      AT_LINE "[volume %s] must give disk-serial, first-lba and lba-count together, or none "
                              "of them.",
                      v->line, v->name);
    if (v->lba_count > UINT64_MAX - v->first_lba)
        return report(p->problem,
                      AT_LINE "[volume %s] ends beyond the largest disk; mend first-lba and lba-count.",
                      v->line, v->name);
    v->pinned = pins != 0;
    return true;
}

/* ---- Sections ---- */

static const struct section sections[] = {
    {.kind = "os", .keys = {{"path", false, os_path}, {"options", false, os_options}}},
    {.kind = "log", .keys = {{"port", false, log_port}}},
    {.kind = "cpu", .keys = {{"apic", false, cpu_apic}}},
    {.kind = "volume",
     .start = volume_start,
     .end = volume_end,
     .keys = {{"match", true, volume_match},
              {"header", true, volume_header},
              {"unlock", true, volume_unlock},
              {"discard", false, volume_discard},
              {"elsewhere", false, volume_elsewhere},
              {"disk-serial", false, volume_serial},
              {"first-lba", false, volume_first_lba},
              {"lba-count", false, volume_lba_count}}},
};
static_assert(ARRAY_COUNT(sections) <= SECTIONS_MAX, "section_lines has room for each");

static bool begin_section(struct parser *p, const struct ini_line *line)
{
    static const char *const later[] = {"usb", "vpn"};
    p->section = NULL;
    p->name = line->value;
    memset(p->key_lines, 0, sizeof(p->key_lines));
    for (unsigned i = 0; i < ARRAY_COUNT(later); i++)
        if (ini_is(line->key, later[i]))
            return report(p->problem, AT_LINE "the section [%s] is not supported by this version of Shoji.",
                          p->line, later[i]);
    for (unsigned i = 0; i < ARRAY_COUNT(sections); i++)
        if (ini_is(line->key, sections[i].kind))
            p->section = &sections[i];
    if (!p->section)
        return report(p->problem,
                      AT_LINE
                      "the section [%.*s] is unknown; there are [os], [log], [cpu] and [volume NAME].",
                      p->line, QUOTED(line->key));

    unsigned *stood = &p->section_lines[p->section - sections];
    unsigned before = *stood;
    *stood = p->line;
    if (p->section->start)
        return p->section->start(p);
    if (line->value.length > 0)
        return report(p->problem, AT_LINE "the section [%s] takes no name.", p->line, p->section->kind);
    if (before != 0)
        return report(p->problem, AT_LINE "the section [%s] stands already in line %u.", p->line,
                      p->section->kind, before);
    return true;
}

static bool end_section(struct parser *p)
{
    const struct section *section = p->section;
    if (!section)
        return true;
    unsigned heading = p->section_lines[section - sections];
    for (unsigned i = 0; i < KEYS_MAX && section->keys[i].name; i++)
        if (section->keys[i].required && p->key_lines[i] == 0)
            return report(p->problem, AT_LINE "[%s %.*s] lacks the key \"%s\"; add it.", heading,
                          section->kind, QUOTED(p->name), section->keys[i].name);
    return !section->end || section->end(p);
}

static bool unknown_key(const struct parser *p, struct ini_text key)
{
    char known[128];
    size_t length = 0;
    for (unsigned i = 0; i < KEYS_MAX && p->section->keys[i].name; i++)
        length += format(known + length, sizeof(known) - length, "%s%s", i > 0 ? ", " : "",
                         p->section->keys[i].name);
    return report(p->problem, AT_LINE "the key \"%.*s\" is unknown in [%s]; there are: %s.", p->line,
                  QUOTED(key), p->section->kind, known);
}

static bool read_key(struct parser *p, const struct ini_line *line)
{
    if (!p->section)
        return report(p->problem, AT_LINE "the key \"%.*s\" stands before the first section.", p->line,
                      QUOTED(line->key));
    unsigned i = 0;
    while (i < KEYS_MAX && p->section->keys[i].name && !ini_is(line->key, p->section->keys[i].name))
        i++;
    if (i == KEYS_MAX || !p->section->keys[i].name)
        return unknown_key(p, line->key);
    const struct key *key = &p->section->keys[i];
    if (p->key_lines[i] != 0)
        return report(p->problem, AT_LINE "\"%s\" was given already in line %u.", p->line, key->name,
                      p->key_lines[i]);
    p->key_lines[i] = p->line;
    return key->set(p, line->value);
}

/* What no section can judge alone. */
static bool check_whole(const struct parser *p)
{
    const struct policy *policy = p->out;
    bool any = false;
    for (unsigned i = 0; i < ARRAY_COUNT(sections); i++)
        any |= p->section_lines[i] != 0;
    if (!any)
        return report(p->problem, POLICY_FILE " is empty; write at least a section, such as [os].");
    if (policy->os_options[0] && !policy->os_path[0])
        return report(p->problem, AT_LINE "[os] gives options but no path; add \"path\".",
                      p->section_lines[0]);
    if (policy->volume_count > 0 && !policy->os_path[0])
        return report(p->problem,
                      AT_LINE
                      "[volume %s] needs to know what is started once it is unlocked; add \"path\" in "
                      "a section [os].",
                      policy->volumes[0].line, policy->volumes[0].name);
    return true;
}

static bool parse_lines(struct parser *p, struct ini ini)
{
    for (;;) {
        struct ini_line line;
        if (!ini_next(&ini, &line, p->problem))
            return false;
        p->line = line.number;
        if (line.kind == INI_KEY) {
            if (!read_key(p, &line))
                return false;
            continue;
        }
        if (!end_section(p))
            return false;
        if (line.kind == INI_END)
            return check_whole(p);
        if (!begin_section(p, &line))
            return false;
    }
}

bool policy_parse(const char *text, size_t size, struct policy *out, struct report *problem)
{
    memset(out, 0, sizeof(*out));
    if (size > POLICY_FILE_MAX)
        return report(problem, POLICY_FILE " is larger than %u KiB; shorten it.",
                      (unsigned)(POLICY_FILE_MAX >> 10));
    struct parser p = {.out = out, .problem = problem};
    bool good = parse_lines(&p, ini_of(POLICY_FILE, text, size));
    if (!good)
        memset(out, 0, sizeof(*out)); /* half a policy protects nothing: nobody shall use it */
    return good;
}
