/* SPDX-License-Identifier: Apache-2.0 */
/* policy.conf as tables: the sections that a reader of the file knows, their keys, and who sets each value.
 * The loader's own sections are lib/policy.c's, [vpn NAME] is services/vpn/config.c's. */
#ifndef SHOJI_LIB_POLICY_GRAMMAR_H
#define SHOJI_LIB_POLICY_GRAMMAR_H

#include "lib/ini.h"

#define POLICY_FILE     "policy.conf"
#define POLICY_FILE_MAX KIB(64)
#define AT_LINE         POLICY_FILE " line %u: "

/* How much of the file's own text a sentence quotes, for "%.*s". */
#define QUOTE_MAX 60
#define QUOTED(t) (int)MIN((t).length, (size_t)QUOTE_MAX), (t).at

#define POLICY_KEYS_MAX     32
#define POLICY_SECTIONS_MAX 6

struct policy_parser;

struct policy_key {
    const char *name;
    bool (*set)(struct policy_parser *p, struct ini_text value);
    const char *initial; /* the value where the file gives none; NULL: zero */
    size_t at;           /* where in `item` it goes */
    /* For the setters that keys share: the limits, or the two or three words that it may be (NULL ends them).
     */
    uint64_t least, most;
    const char *const *words;
    bool required, list; /* list: `set` is called for each of several values, with commas between */
};

struct policy_section {
    const char *kind;
    bool (*start)(struct policy_parser *p); /* NULL: the section has no name and stands once */
    bool (*end)(struct policy_parser *p);   /* NULL: nothing is left to check */
    const struct policy_key *keys;          /* NULL: another reader's section, stepped over */
    unsigned key_count;
};

struct policy_grammar {
    const struct policy_section *sections;
    unsigned section_count;
    const char *known;                      /* the sections, as a sentence lists them */
    bool (*check)(struct policy_parser *p); /* what no section can judge alone */
    size_t out_size;
};

/* What the callbacks work on. Those of sections and keys return false with a sentence, in front of which the
 * file and `line` are put; `check` makes the whole sentence. */
struct policy_parser {
    const struct policy_grammar *grammar;
    void *out,
        *item; /* what is filled; where the members of this section's keys are: `out`, or as `start` says */
    struct report *problem;
    const struct policy_section *section;
    const struct policy_key *key;
    unsigned line;               /* of what is being read */
    struct ini_text name, value; /* of the section, as its heading gives it; of the key, whole */
    unsigned section_lines[POLICY_SECTIONS_MAX]; /* where each kind of section stood last; 0: nowhere */
    unsigned key_lines[POLICY_KEYS_MAX];         /* the same for the keys of this section */
};

/* Parses the whole file into `out`. False with one sentence that names the line; then `out` is all zero: half
 * a policy protects nothing, so nobody shall use it. */
bool policy_grammar_parse(const struct policy_grammar *grammar, const char *text, size_t size, void *out,
                          struct report *problem) must_check;

/* Setters: a uint8_t or bool that counts the key's words, a uint64_t between the key's limits. */
bool policy_set_choice(struct policy_parser *p, struct ini_text value);
bool policy_set_number(struct policy_parser *p, struct ini_text value);
void *policy_member(const struct policy_parser *p); /* what the key sets */

/* 1 to 31 letters, digits, "-", "_" or ".": what volumes, VPNs and secrets may be called. */
#define POLICY_NAME_MAX 32
bool policy_name_is_good(struct ini_text name);

#endif
