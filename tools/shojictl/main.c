/* SPDX-License-Identifier: Apache-2.0 */
/* shojictl: asks the hypervisor beneath this system for its status, counters and log. Read-only; needs no
 * privilege. */
#include "shoji-config.h"
#include "tools/shojictl/machine.h"
#include "tools/shojictl/options.h"

#include <time.h>

enum { EXIT_GOOD = 0, EXIT_PROBLEM = 1, EXIT_USAGE = 2 };

static const char help[] =
    "usage: shojictl status|stat|log [--json] [-i SECONDS] [-n COUNT]\n"
    "\n"
    "Asks the Shoji hypervisor beneath this system. Changes nothing and needs no privilege.\n"
    "\n"
    "  status      version, CPUs, memory, volumes, and what is protected and what is not\n"
    "  stat        exits to the hypervisor by reason and CPU: since the launch, or per second with -i\n"
    "  log         the hypervisor's log; with -i, then what is added to it\n"
    "\n"
    "  --json      one JSON object a line\n"
    "  -i SECONDS  read again at this interval, until interrupted\n"
    "  -n COUNT    stop after this many readings (a second apart unless -i is given)\n"
    "  --help      this text\n"
    "  --version   the release of this program\n"
    "\n"
    "It ends with 0, with 1 where Shoji is not running or cannot be asked, and with 2 when it is called "
    "wrongly.\n";

static double monotonic_now(void)
{
    struct timespec t = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void monotonic_pause(double seconds)
{
    struct timespec t = {.tv_sec = (time_t)seconds};
    t.tv_nsec = (long)((seconds - (double)t.tv_sec) * 1e9);
    while (nanosleep(&t, &t) != 0)
        ;
}

static int complain(const struct report *problem, int status)
{
    fprintf(stderr, "shojictl: %s\n", problem->text);
    return status;
}

int main(int argc, char **argv)
{
    static const struct timekeeper time = {monotonic_now, monotonic_pause};
    struct report problem = {{0}};
    struct options options;
    struct hypervisor hypervisor;
    if (!options_parse(argc, argv, &options, &problem))
        return complain(&problem, EXIT_USAGE);
    if (options.command == COMMAND_HELP || options.command == COMMAND_VERSION) {
        fputs(options.command == COMMAND_HELP ? help : "shojictl " CONFIG_RELEASE "\n", stdout);
        return fflush(stdout) == 0 ? EXIT_GOOD : EXIT_PROBLEM;
    }
    if (!machine_find(&hypervisor, &problem) || !options_run(&options, &hypervisor, &time, stdout, &problem))
        return complain(&problem, EXIT_PROBLEM);
    return EXIT_GOOD;
}
