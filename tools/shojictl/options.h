/* SPDX-License-Identifier: Apache-2.0 */
/* shojictl's command line, and what it does. */
#ifndef SHOJI_TOOLS_SHOJICTL_OPTIONS_H
#define SHOJI_TOOLS_SHOJICTL_OPTIONS_H

#include "lib/report.h"
#include "tools/shojictl/snapshot.h"

#include <stdio.h>

enum command { COMMAND_STATUS, COMMAND_STAT, COMMAND_LOG, COMMAND_HELP, COMMAND_VERSION };

struct options {
    enum command command;
    bool json;
    double interval;     /* seconds between two readings; 0: one reading */
    unsigned long count; /* readings to show; 0: until it is interrupted */
};

/* False with a sentence when the command line is not understood. */
bool options_parse(int argc, char *const argv[], struct options *out, struct report *problem) must_check;

/* Time, as the program sees it: a monotonic clock in seconds, and a pause. */
struct timekeeper {
    double (*now)(void);
    void (*pause)(double seconds);
};

/* Does what was asked. False with a sentence when the hypervisor or the output fails. */
bool options_run(const struct options *options, const struct hypervisor *hypervisor,
                 const struct timekeeper *time, FILE *to, struct report *problem) must_check;

#endif
