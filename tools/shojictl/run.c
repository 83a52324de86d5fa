/* SPDX-License-Identifier: Apache-2.0 */
/* Does what the command line asked: reads, once or at each interval, and shows. */
#include "tools/shojictl/options.h"
#include "tools/shojictl/print.h"

/* What one run needs: snapshots are large, so there is one set of them. */
struct run {
    const struct options *options;
    const struct hypervisor *hypervisor;
    const struct timekeeper *time;
    FILE *to;
    struct report *problem;
};

/* All output so far is out, or nobody listens any more. */
static bool flushed(const struct run *run)
{
    return (fflush(run->to) == 0 && !ferror(run->to)) ||
           report(run->problem, "The output cannot be written.");
}

/* True when the reading numbered `done` (from 1) was not the last one; then it pauses. */
static bool next_reading(const struct run *run, unsigned long done)
{
    if (run->options->count && done >= run->options->count)
        return false;
    run->time->pause(run->options->interval);
    return true;
}

static bool run_status(const struct run *run)
{
    static struct snapshot s;
    unsigned long done = 0;
    do {
        if (!snapshot_read(run->hypervisor, &s, run->problem))
            return false;
        (run->options->json ? print_status_json : print_status_text)(run->to, &s);
        if (!flushed(run))
            return false;
    } while (next_reading(run, ++done));
    return true;
}

static void show_stat(const struct run *run, const struct snapshot *s, double seconds)
{
    (run->options->json ? print_stat_json : print_stat_text)(run->to, s, seconds);
}

/* Totals, or with an interval what was counted in each. */
static bool run_stat(const struct run *run)
{
    static struct snapshot earlier, later, shown;
    if (!snapshot_read(run->hypervisor, &earlier, run->problem))
        return false;
    if (run->options->interval == 0) {
        show_stat(run, &earlier, 0);
        return flushed(run);
    }
    double before = run->time->now();
    for (unsigned long done = 0; run->options->count == 0 || done < run->options->count; done++) {
        run->time->pause(run->options->interval);
        double now = run->time->now();
        if (!snapshot_read(run->hypervisor, &later, run->problem))
            return false;
        shown = later;
        snapshot_subtract(&shown, &earlier);
        show_stat(run, &shown, now - before);
        if (!flushed(run))
            return false;
        earlier = later;
        before = now;
    }
    return true;
}

/* The whole log; then, at each interval, what came after it. */
static bool run_log(const struct run *run)
{
    uint64_t seen = 0; /* position behind the last byte shown */
    unsigned long done = 0;
    do {
        struct log_text log;
        if (!log_read(run->hypervisor, &log, run->problem))
            return false;
        size_t from = seen > log.start ? (size_t)MIN(seen - log.start, (uint64_t)log.size) : 0;
        if (done == 0 || from < log.size)
            (run->options->json ? print_log_json : print_log_text)(run->to, &log, from);
        seen = log.start + log.size;
        log_free(&log);
        if (!flushed(run))
            return false;
    } while (next_reading(run, ++done));
    return true;
}

bool options_run(const struct options *options, const struct hypervisor *hypervisor,
                 const struct timekeeper *time, FILE *to, struct report *problem)
{
    const struct run run = {options, hypervisor, time, to, problem};
    switch (options->command) {
    case COMMAND_STATUS:
        return run_status(&run);
    case COMMAND_STAT:
        return run_stat(&run);
    case COMMAND_LOG:
        return run_log(&run);
    case COMMAND_HELP:
    case COMMAND_VERSION:
        break;
    }
    return report(problem, "This command reads nothing from Shoji.");
}
