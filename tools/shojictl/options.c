/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the command line. */
#include "tools/shojictl/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define INTERVAL_MIN 0.01
#define INTERVAL_MAX 86400.0
#define COUNT_MAX    1000000000ul

static bool parse_interval(const char *text, struct options *out, struct report *problem)
{
    char *end = NULL;
    double value = text && *text ? strtod(text, &end) : 0;
    /* Written so that a NaN is refused too. */
    if (!end || *end || !(value >= INTERVAL_MIN && value <= INTERVAL_MAX))
        return report(problem, "-i takes a number of seconds from 0.01 to 86400.");
    out->interval = value;
    return true;
}

static bool parse_count(const char *text, struct options *out, struct report *problem)
{
    char *end = NULL;
    errno = 0;
    bool digits = text && *text >= '0' && *text <= '9';
    unsigned long value = digits ? strtoul(text, &end, 10) : 0;
    if (!digits || *end || errno || value == 0 || value > COUNT_MAX)
        return report(problem, "-n takes a number of readings from 1 to 1000000000.");
    out->count = value;
    return true;
}

static bool parse_command(const char *word, struct options *out)
{
    static const struct {
        const char *word;
        enum command command;
    } rows[] = {
        {"status", COMMAND_STATUS}, {"stat", COMMAND_STAT},         {"log", COMMAND_LOG},
        {"--help", COMMAND_HELP},   {"--version", COMMAND_VERSION},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        if (strcmp(word, rows[i].word) == 0) {
            out->command = rows[i].command;
            return true;
        }
    return false;
}

bool options_parse(int argc, char *const argv[], struct options *out, struct report *problem)
{
    bool have_command = false;
    *out = (struct options){.command = COMMAND_HELP};
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(word, "--json") == 0) {
            out->json = true;
        } else if (strcmp(word, "-i") == 0) {
            if (!parse_interval(value, out, problem))
                return false;
            i++;
        } else if (strcmp(word, "-n") == 0) {
            if (!parse_count(value, out, problem))
                return false;
            i++;
        } else if (have_command || !parse_command(word, out)) {
            return report(problem, "'%s' is not understood here; shojictl --help tells what is.", word);
        } else {
            have_command = true;
        }
    }
    if (!have_command)
        return report(problem, "A command is missing: status, stat or log; shojictl --help tells more.");
    if (out->count && out->interval == 0)
        out->interval = 1;
    if (out->interval == 0)
        out->count = 1;
    return true;
}
