/* SPDX-License-Identifier: Apache-2.0 */
/* shoji-vpn: the VPN service as an ordinary Linux program on two TAP devices. */
#define _GNU_SOURCE /* setresuid */
#include "services/vpn/linux.h"

#include "crypto/port/port.h"
#include "lib/policy.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define NOBODY 65534

static const char usage[] =
    "usage: shoji-vpn --config policy.conf --secrets DIR [--wire TAP] [--guest TAP] [--control SOCKET]\n"
    "Keeps the traffic of the guest TAP inside the VPN that the policy's section [vpn NAME] describes.\n"
    "SIGUSR1, or a connection to the control socket, shows the state.\n";

struct options {
    const char *config, *secrets, *wire, *guest, *control;
};

static struct service service;
static struct vpn_configuration configuration;
static int signals = -1;

void fail(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)fputs("shoji-vpn: ", stderr);
    (void)vfprintf(stderr, fmt, args);
    (void)fputc('\n', stderr);
    va_end(args);
    exit(EXIT_FAILURE);
}

/* ---- The surroundings (surroundings.h) ---- */

static uint64_t clock_ms(clockid_t clock)
{
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* With the time that the machine slept: lifetimes go on. */
uint64_t vpn_now(void)
{
    return clock_ms(CLOCK_BOOTTIME);
}

uint64_t vpn_seconds(void *context)
{
    (void)context;
    return clock_ms(CLOCK_REALTIME) / 1000;
}

bool vpn_entropy(void *context, void *out, size_t size)
{
    (void)context;
    uint8_t *to = out;
    while (size > 0) {
        ssize_t got = getrandom(to, size, 0);
        if (got < 0 && errno != EINTR)
            return false;
        to += got > 0 ? got : 0;
        size -= got > 0 ? (size_t)got : 0;
    }
    return true;
}

void vpn_log(const char *sentence)
{
    (void)fprintf(stderr, "shoji-vpn: %s\n", sentence);
}

/* Takes what the signals ask for; false: stop. */
static bool take_signals(void)
{
    struct signalfd_siginfo info;
    bool go_on = true;
    while (read(signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGUSR1)
            control_print(&service);
        else
            go_on = false;
    }
    return go_on;
}

bool vpn_wait(uint64_t until)
{
    struct pollfd waits[] = {{tap_descriptor(SIDE_WIRE), POLLIN, 0},
                             {tap_descriptor(SIDE_GUEST), POLLIN, 0},
                             {signals, POLLIN, 0},
                             {control_descriptor(), POLLIN, 0}};
    uint64_t now = vpn_now(), left = until > now ? until - now : 0;
    if (poll(waits, ARRAY_COUNT(waits), (int)MIN(left, (uint64_t)60000)) <= 0)
        return true;
    if ((waits[0].revents | waits[1].revents) & POLLERR) {
        vpn_log("A TAP device is gone, so the VPN ends.");
        return false;
    }
    if (waits[3].revents)
        control_answer(&service);
    return !waits[2].revents || take_signals();
}

/* ---- The start ---- */

static struct options read_options(int count, char **words)
{
    static const struct option known[] = {{"config", required_argument, NULL, 'c'},
                                          {"secrets", required_argument, NULL, 's'},
                                          {"wire", required_argument, NULL, 'w'},
                                          {"guest", required_argument, NULL, 'g'},
                                          {"control", required_argument, NULL, 'o'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    struct options o = {.wire = "shoji-wire", .guest = "shoji-guest"};
    for (int c; (c = getopt_long(count, words, "", known, NULL)) != -1;) {
        const char **slot = c == 'c'   ? &o.config
                            : c == 's' ? &o.secrets
                            : c == 'w' ? &o.wire
                            : c == 'g' ? &o.guest
                            : c == 'o' ? &o.control
                                       : NULL;
        if (!slot) {
            (void)fputs(usage, c == 'h' ? stdout : stderr);
            exit(c == 'h' ? EXIT_SUCCESS : EXIT_FAILURE);
        }
        *slot = optarg;
    }
    if (!o.config || !o.secrets || optind != count) {
        (void)fputs(usage, stderr);
        exit(EXIT_FAILURE);
    }
    return o;
}

static void read_configuration(const char *path)
{
    static char text[POLICY_FILE_MAX + 1];
    struct report problem = {""};
    FILE *file = fopen(path, "re");
    if (!file)
        fail("%s cannot be opened: %s.", path, strerror(errno));
    size_t size = fread(text, 1, sizeof(text), file);
    (void)fclose(file);
    if (!vpn_configuration_parse(text, size, &configuration, &problem))
        fail("%s", problem.text);
}

/* Keys shall not reach the swap or a core file. Pages are locked as they are touched, so the program does not
 * grow by it. */
static void protect_memory(void)
{
    const struct rlimit none = {0, 0}, all = {RLIM_INFINITY, RLIM_INFINITY};
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    (void)setrlimit(RLIMIT_MEMLOCK, &all);
    if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0)
        vpn_log("Memory cannot be locked, so keys may reach the swap; start the program as root.");
}

static void drop_privileges(void)
{
    if (geteuid() == 0 && (setgroups(0, NULL) != 0 || setresgid(NOBODY, NOBODY, NOBODY) != 0 ||
                           setresuid(NOBODY, NOBODY, NOBODY) != 0))
        fail("The privileges of root cannot be dropped: %s.", strerror(errno));
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* a change of user sets it again */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        fail("The program cannot give up gaining privileges: %s.", strerror(errno));
}

static void catch_signals(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGUSR1);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (signals < 0)
        fail("Signals cannot be waited for: %s.", strerror(errno));
}

int main(int count, char **words)
{
    static const struct crypto_surroundings crypto = {.entropy = vpn_entropy, .seconds = vpn_seconds};
    const struct options o = read_options(count, words);
    struct report problem = {""};
    read_configuration(o.config);
    protect_memory();
    if (!crypto_start(&crypto))
        fail("libcrypto does not start.");
    if (!secrets_open(o.secrets))
        fail("The folder %s of secrets cannot be opened: %s.", o.secrets, strerror(errno));
    if (!vpn_secrets_load(&configuration, &problem))
        fail("%s", problem.text);
    tap_open(SIDE_WIRE, o.wire);
    tap_open(SIDE_GUEST, o.guest);
    if (o.control)
        control_open(o.control);
    catch_signals();
    drop_privileges();
    if (!service_start(&service, &configuration, &problem))
        fail("%s", problem.text);
    service_run(&service);
    control_close();
    return EXIT_SUCCESS;
}
