/* SPDX-License-Identifier: Apache-2.0 */
/* shoji-vpn: the VPN service as an ordinary Linux program on two TAP devices. The program is the host at the
 * other end of each: its MAC is that of the device with the last bit turned over. */
#define _GNU_SOURCE       /* setresuid */
#include <linux/if_tun.h> /* first: `packed` is a word of ours afterwards */

#include "services/vpn/linux.h"

#include "crypto/port/port.h"
#include "lib/policy_grammar.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NOBODY     65534
#define TUN_DEVICE "/dev/net/tun"

static const char usage[] =
    "usage: shoji-vpn --config policy.conf --secrets DIR [--wire TAP] [--guest TAP] [--control SOCKET]\n"
    "Keeps the traffic of the guest TAP inside the VPN that the policy's section [vpn NAME] describes.\n"
    "SIGUSR1, or a connection to the control socket, shows the state.\n";

enum { CONFIG, SECRETS, WIRE, GUEST, CONTROL, OPTIONS };

static struct service service;
static struct vpn_configuration configuration;
static int signals, secrets; /* descriptors: the signals, and the folder of secrets */
static struct {
    int descriptor;
    struct mac mac;
} taps[2];

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

/* No signal has a handler, so that none cuts it short. */
bool vpn_entropy(void *context, void *out, size_t size)
{
    (void)context;
    return getrandom(out, size, 0) == (ssize_t)size;
}

void vpn_log(const char *sentence)
{
    (void)fprintf(stderr, "shoji-vpn: %s\n", sentence);
}

/* Secrets are files of one folder. One that fills the room is too large. */
bool vpn_secret(const char *name, uint8_t *out, size_t capacity, size_t *size)
{
    bool plain = !strchr(name, '/') && name[0] != '.';
    int file = plain ? openat(secrets, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : -1;
    ssize_t got;
    if (file < 0)
        return false;
    *size = 0;
    while ((got = read(file, out + *size, capacity - *size)) > 0)
        *size += (size_t)got;
    close(file);
    return got == 0 && *size < capacity;
}

size_t vpn_frame_receive(enum vpn_side side, uint8_t *frame, size_t capacity)
{
    ssize_t size = read(taps[side].descriptor, frame, capacity);
    return size > 0 ? (size_t)size : 0;
}

/* A frame that the device does not take is lost, as on a cable. */
void vpn_frame_send(enum vpn_side side, const uint8_t *frame, size_t size)
{
    ssize_t written = write(taps[side].descriptor, frame, size);
    (void)written;
}

void vpn_mac(enum vpn_side side, uint8_t out[MAC_BYTES])
{
    memcpy(out, taps[side].mac.bytes, MAC_BYTES);
}

/* Kernels before 5.0 have no such request: then the guest learns of a new address when its lease ends. */
void vpn_carrier(enum vpn_side side, bool on)
{
    int carrier = on;
    (void)ioctl(taps[side].descriptor, TUNSETCARRIER, &carrier);
}

/* A TAP device takes frames as long as it is up, in whichever network namespace it is by now. */
bool vpn_link(enum vpn_side side)
{
    struct pollfd p = {.fd = taps[side].descriptor, .events = POLLOUT};
    return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT);
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
    struct pollfd waits[] = {{taps[SIDE_WIRE].descriptor, POLLIN, 0},
                             {taps[SIDE_GUEST].descriptor, POLLIN, 0},
                             {signals, POLLIN, 0},
                             {control_descriptor, POLLIN, 0}};
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

static void read_options(int count, char **words, const char *values[OPTIONS])
{
    static const struct option known[] = {{"config", required_argument, NULL, CONFIG},
                                          {"secrets", required_argument, NULL, SECRETS},
                                          {"wire", required_argument, NULL, WIRE},
                                          {"guest", required_argument, NULL, GUEST},
                                          {"control", required_argument, NULL, CONTROL},
                                          {"help", no_argument, NULL, OPTIONS},
                                          {NULL, 0, NULL, 0}};
    int found;
    while ((found = getopt_long(count, words, "", known, NULL)) >= 0 && found < OPTIONS)
        values[found] = optarg;
    bool help = found == OPTIONS;
    if (found != -1 || !values[CONFIG] || !values[SECRETS] || optind != count) {
        (void)fputs(usage, help ? stdout : stderr);
        exit(help ? EXIT_SUCCESS : EXIT_FAILURE);
    }
}

/* Opens (makes, if need be) a TAP device and brings it up. */
static void open_tap(enum vpn_side side, const char *name)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    int fd = open(TUN_DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (!copy_string(request.ifr_name, sizeof(request.ifr_name), name))
        fail("\"%s\" is too long for the name of a network device.", name);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &request) != 0)
        fail("The TAP device %s cannot be opened: %s. Start the program as root, or make the device yours "
             "with "
             "\"ip tuntap add\".",
             name, strerror(errno));
    if (ioctl(fd, SIOCGIFHWADDR, &request) != 0)
        fail("The TAP device %s tells no MAC address: %s.", name, strerror(errno));
    memcpy(taps[side].mac.bytes, request.ifr_hwaddr.sa_data, MAC_BYTES);
    taps[side].mac.bytes[MAC_BYTES - 1] ^= 1;
    taps[side].descriptor = fd;
    bool asked = ioctl(any, SIOCGIFFLAGS, &request) == 0;
    request.ifr_flags |= IFF_UP;
    if (!asked || ioctl(any, SIOCSIFFLAGS, &request) != 0)
        fail("The device %s cannot be brought up: %s.", name, strerror(errno));
    close(any);
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
    const char *values[OPTIONS] = {[WIRE] = "shoji-wire", [GUEST] = "shoji-guest"};
    struct report problem = {""};
    read_options(count, words, values);
    read_configuration(values[CONFIG]);
    protect_memory();
    if (!crypto_start(&crypto))
        fail("libcrypto does not start.");
    secrets = open(values[SECRETS], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (secrets < 0)
        fail("The folder %s of secrets cannot be opened: %s.", values[SECRETS], strerror(errno));
    if (!vpn_secrets_load(&configuration, &problem))
        fail("%s", problem.text);
    open_tap(SIDE_WIRE, values[WIRE]);
    open_tap(SIDE_GUEST, values[GUEST]);
    if (values[CONTROL])
        control_open(values[CONTROL]);
    catch_signals();
    drop_privileges();
    if (!service_start(&service, &configuration, &problem))
        fail("%s", problem.text);
    service_run(&service);
    return EXIT_SUCCESS;
}
