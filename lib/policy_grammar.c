/* SPDX-License-Identifier: Apache-2.0 */
/* Reads policy.conf by the tables of a grammar. */
#include "lib/policy_grammar.h"
#include "lib/format.h"
#include "lib/strings.h"

void *policy_member(const struct policy_parser *p)
{
    return (char *)p->item + p->key->at;
}

bool policy_set_choice(struct policy_parser *p, struct ini_text value)
{
    const char *const *words = p->key->words;
    for (uint8_t i = 0; words[i]; i++)
        if (ini_is(value, words[i])) {
            *(uint8_t *)policy_member(p) = i;
            return true;
        }
    return report(p->problem, "the value \"%.*s\" is unknown; write %s%s%s or %s.", QUOTED(value), words[0],
                  words[2] ? ", " : "", words[2] ? words[1] : "", words[2] ? words[2] : words[1]);
}

bool policy_set_number(struct policy_parser *p, struct ini_text value)
{
    uint64_t *out = policy_member(p);
    unsigned long long least = p->key->least, most = p->key->most;
    if (ini_u64(value, out) && *out >= least && *out <= most)
        return true;
    if (most == UINT64_MAX)
        return report(p->problem, "\"%.*s\" is not a whole number of at least %llu.", QUOTED(value), least);
    return report(p->problem, "\"%.*s\" is no value for \"%s\"; write a number from %llu to %llu.",
                  QUOTED(value), p->key->name, least, most);
}

bool policy_name_is_good(struct ini_text name)
{
    for (size_t i = 0; i < name.length; i++) {
        char c = name.at[i], lower = (char)(c | 0x20);
        bool letter = (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9');
        if (!letter && c != '-' && c != '_' && c != '.')
            return false;
    }
    return name.length > 0 && name.length < POLICY_NAME_MAX;
}

/* ---- Sections ---- */

static bool set_value(struct policy_parser *p, const struct policy_key *key, struct ini_text value)
{
    p->key = key;
    p->value = value;
    if (!key->list)
        return key->set(p, value);
    bool good = true;
    while (good && value.at) {
        struct ini_text word = ini_split(value, ',', &value);
        good = key->set(p, word);
    }
    return good;
}

static bool begin_section(struct policy_parser *p, const struct ini_line *line)
{
    p->line = line->number;
    p->section = NULL;
    p->item = p->out;
    p->name = line->value;
    memset(p->key_lines, 0, sizeof(p->key_lines));
    for (unsigned i = 0; i < p->grammar->section_count; i++)
        if (ini_is(line->key, p->grammar->sections[i].kind))
            p->section = &p->grammar->sections[i];
    if (!p->section)
        return report(p->problem, "the section [%.*s] is unknown; there are %s.", QUOTED(line->key),
                      p->grammar->known);

    unsigned *stood = &p->section_lines[p->section - p->grammar->sections];
    unsigned before = *stood;
    *stood = p->line;
    if (p->section->start)
        return p->section->start(p);
    if (!p->section->keys)
        return true;
    if (line->value.length > 0)
        return report(p->problem, "the section [%s] takes no name.", p->section->kind);
    if (before != 0)
        return report(p->problem, "the section [%s] stands already in line %u.", p->section->kind, before);
    return true;
}

static bool end_section(struct policy_parser *p)
{
    const struct policy_section *section = p->section;
    if (!section)
        return true;
    p->line = p->section_lines[section - p->grammar->sections]; /* what is missing is missing there */
    for (unsigned i = 0; i < section->key_count; i++) {
        const struct policy_key *key = &section->keys[i];
        if (p->key_lines[i] != 0)
            continue;
        if (key->required)
            return report(p->problem, "[%s %.*s] lacks the key \"%s\"; add it.", section->kind,
                          QUOTED(p->name), key->name);
        if (key->initial && !set_value(p, key, (struct ini_text){key->initial, strlen(key->initial)}))
            return false;
    }
    return !section->end || section->end(p);
}

/* ---- Keys ---- */

static bool unknown_key(const struct policy_parser *p, struct ini_text key)
{
    const struct policy_section *section = p->section;
    char known[128];
    size_t length = 0;
    for (unsigned i = 0; i < section->key_count && length < sizeof(known) - 1; i++)
        length +=
            format(known + length, sizeof(known) - length, "%s%s", i > 0 ? ", " : "", section->keys[i].name);
    if (length >= sizeof(known) - 1)
        return report(p->problem, "the key \"%.*s\" is unknown in [%s]; docs/policy.md lists them.",
                      QUOTED(key), section->kind);
    return report(p->problem, "the key \"%.*s\" is unknown in [%s]; there are: %s.", QUOTED(key),
                  section->kind, known);
}

static bool read_key(struct policy_parser *p, const struct ini_line *line)
{
    if (!p->section)
        return report(p->problem, "the key \"%.*s\" stands before the first section.", QUOTED(line->key));
    if (!p->section->keys)
        return true;
    unsigned i = 0;
    while (i < p->section->key_count && !ini_is(line->key, p->section->keys[i].name))
        i++;
    if (i == p->section->key_count)
        return unknown_key(p, line->key);
    p->key = &p->section->keys[i];
    if (p->key_lines[i] != 0)
        return report(p->problem, "\"%s\" was given already in line %u.", p->key->name, p->key_lines[i]);
    p->key_lines[i] = p->line;
    return set_value(p, p->key, line->value);
}

static bool take_line(struct policy_parser *p, const struct ini_line *line)
{
    p->line = line->number;
    if (line->kind == INI_KEY)
        return read_key(p, line);
    return end_section(p) && (line->kind == INI_END || begin_section(p, line));
}

static bool parse_lines(struct policy_parser *p, struct ini ini, struct report *problem)
{
    struct ini_line line;
    do {
        if (!ini_next(&ini, &line, problem))
            return false;
        if (!take_line(p, &line))
            return report(problem, AT_LINE "%s", p->line, p->problem->text);
    } while (line.kind != INI_END);
    p->problem = problem;
    return p->grammar->check(p);
}

bool policy_grammar_parse(const struct policy_grammar *grammar, const char *text, size_t size, void *out,
                          struct report *problem)
{
    struct report cause = {""};
    struct policy_parser p = {.grammar = grammar, .out = out, .problem = &cause};
    memset(out, 0, grammar->out_size);
    bool good = size <= POLICY_FILE_MAX ? parse_lines(&p, ini_of(POLICY_FILE, text, size), problem)
                                        : report(problem, POLICY_FILE " is larger than %u KiB; shorten it.",
                                                 (unsigned)(POLICY_FILE_MAX >> 10));
    if (!good)
        memset(out, 0, grammar->out_size);
    return good;
}
