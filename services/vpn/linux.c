/* SPDX-License-Identifier: Apache-2.0 */
/* shoji-vpn: the VPN service as an ordinary Linux program on two TAP devices. The program is the host at the
 * other end of each: its MAC is that of the device with the last bit turned over. SIGUSR1 and a control
 * socket give the state in words; nothing can be set. */
#define _GNU_SOURCE       /* setresuid, accept4 */
#include <linux/if_tun.h> /* first: `packed` is a word of ours afterwards */

#include "services/vpn/service.h"
#include "services/vpn/surroundings.h"

#include "crypto/port/port.h"
#include "lib/policy_grammar.h"
#include "lib/writer.h"

#include <err.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
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
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define NOBODY     65534
#define BACKLOG    4
#define STATE_MAX  65536
#define TUN_DEVICE "/dev/net/tun"

static const char usage[] =
    "usage: shoji-vpn --config policy.conf --secrets DIR [--wire TAP] [--guest TAP] [--control SOCKET]\n"
    "Keeps the traffic of the guest TAP inside the VPN that the policy's section [vpn NAME] describes.\n"
    "SIGUSR1, or a connection to the control socket, shows the state.\n";

enum { CONFIG, SECRETS, WIRE, GUEST, CONTROL, OPTIONS };

static struct service service;
static struct vpn_configuration configuration;
/* Descriptors: the signals, the folder of secrets, the control socket (-1: none). */
static int signals, secrets, control = -1;
static struct {
    int descriptor;
    struct eth_addr mac;
} taps[2];

/* ---- Allocations, by the service and by libcrypto (the linker's --wrap), to show that a packet's way asks
 * for none; the program has one thread ---- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);

static unsigned long long allocations;

void *__wrap_malloc(size_t size)
{
    allocations++;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    allocations++;
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    allocations++;
    return __real_realloc(old, size);
}

/* ---- The state, for SIGUSR1 and the control socket ---- */

static void add_line(void *context, const char *line)
{
    writer_bytes(context, line, strlen(line));
    writer_be(context, '\n', 1);
}

/* All of it is gathered before any is written, so that a slow reader sees one moment. */
static void show_state(int to)
{
    static char text[STATE_MAX];
    struct writer w = writer_of(text, sizeof(text));
    const struct describer d = {add_line, &w, vpn_now()};
    service_describe(&service, &d);
    say(&d, "memory: %llu allocations since the start", allocations);
    (void)!write(to, text, w.at);
}

/* Whoever connects gets the state and is hung up on. */
static void answer_control(void)
{
    int peer = accept4(control, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (peer < 0)
        return;
    show_state(peer);
    close(peer);
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

void vpn_log(void *context, const char *sentence)
{
    (void)context;
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
    (void)!write(taps[side].descriptor, frame, size);
}

void vpn_mac(enum vpn_side side, uint8_t out[ETH_HWADDR_LEN])
{
    memcpy(out, taps[side].mac.addr, ETH_HWADDR_LEN);
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

/* Takes what a signal asks for; false: stop. */
static bool take_signal(void)
{
    struct signalfd_siginfo info;
    if (read(signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return true;
    if (info.ssi_signo == SIGUSR1)
        show_state(STDERR_FILENO);
    return info.ssi_signo == SIGUSR1;
}

bool vpn_wait(uint64_t until)
{
    struct pollfd waits[] = {{taps[SIDE_WIRE].descriptor, POLLIN, 0},
                             {taps[SIDE_GUEST].descriptor, POLLIN, 0},
                             {signals, POLLIN, 0},
                             {control, POLLIN, 0}};
    uint64_t now = vpn_now(), left = until > now ? until - now : 0;
    if (poll(waits, ARRAY_COUNT(waits), (int)MIN(left, (uint64_t)60000)) <= 0)
        return true;
    if ((waits[0].revents | waits[1].revents) & POLLERR) {
        vpn_log(NULL, "A TAP device is gone, so the VPN ends.");
        return false;
    }
    if (waits[3].revents)
        answer_control();
    return !waits[2].revents || take_signal();
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
        errx(EXIT_FAILURE, "\"%s\" is too long for the name of a network device.", name);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &request) != 0)
        errx(EXIT_FAILURE,
             "The TAP device %s cannot be opened: %m. Start the program as root, or make the device yours "
             "with \"ip tuntap add\".",
             name);
    if (ioctl(fd, SIOCGIFHWADDR, &request) != 0)
        errx(EXIT_FAILURE, "The TAP device %s tells no MAC address: %m.", name);
    memcpy(taps[side].mac.addr, request.ifr_hwaddr.sa_data, ETH_HWADDR_LEN);
    taps[side].mac.addr[ETH_HWADDR_LEN - 1] ^= 1;
    taps[side].descriptor = fd;
    bool asked = ioctl(any, SIOCGIFFLAGS, &request) == 0;
    request.ifr_flags |= IFF_UP;
    if (!asked || ioctl(any, SIOCSIFFLAGS, &request) != 0)
        errx(EXIT_FAILURE, "The device %s cannot be brought up: %m.", name);
    close(any);
}

/* The socket stays when the program ends, which by then may not remove it; the next start does. */
static void open_control(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat info;
    if (!copy_string(address.sun_path, sizeof(address.sun_path), path))
        errx(EXIT_FAILURE, "The control socket's path is too long.");
    if (lstat(path, &info) == 0 && S_ISSOCK(info.st_mode))
        (void)unlink(path);
    control = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    mode_t before = umask(S_IRWXG | S_IRWXO);
    if (control < 0 || bind(control, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(control, BACKLOG) != 0)
        errx(EXIT_FAILURE, "The control socket %s cannot be made: %m.", path);
    (void)umask(before);
}

static void read_configuration(const char *path)
{
    static char text[POLICY_FILE_MAX + 1];
    struct report problem = {""};
    FILE *file = fopen(path, "re");
    if (!file)
        errx(EXIT_FAILURE, "%s cannot be opened: %m.", path);
    size_t size = fread(text, 1, sizeof(text), file);
    (void)fclose(file);
    if (!vpn_configuration_parse(text, size, &configuration, &problem))
        errx(EXIT_FAILURE, "%s", problem.text);
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
        vpn_log(NULL, "Memory cannot be locked, so keys may reach the swap; start the program as root.");
}

static void drop_privileges(void)
{
    if (geteuid() == 0 && (setgroups(0, NULL) != 0 || setresgid(NOBODY, NOBODY, NOBODY) != 0 ||
                           setresuid(NOBODY, NOBODY, NOBODY) != 0))
        errx(EXIT_FAILURE, "The privileges of root cannot be dropped: %m.");
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* a change of user sets it again */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        errx(EXIT_FAILURE, "The program cannot give up gaining privileges: %m.");
}

static void catch_signals(void)
{
    sigset_t set;
    (void)signal(SIGPIPE, SIG_IGN); /* who asks for the state may hang up first */
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGUSR1);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (signals < 0)
        errx(EXIT_FAILURE, "Signals cannot be waited for: %m.");
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
        errx(EXIT_FAILURE, "libcrypto does not start.");
    secrets = open(values[SECRETS], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (secrets < 0)
        errx(EXIT_FAILURE, "The folder %s of secrets cannot be opened: %m.", values[SECRETS]);
    if (!vpn_secrets_load(&configuration, &problem))
        errx(EXIT_FAILURE, "%s", problem.text);
    open_tap(SIDE_WIRE, values[WIRE]);
    open_tap(SIDE_GUEST, values[GUEST]);
    if (values[CONTROL])
        open_control(values[CONTROL]);
    catch_signals();
    drop_privileges();
    if (!service_start(&service, &configuration, &problem))
        errx(EXIT_FAILURE, "%s", problem.text);
    service_run(&service);
    return EXIT_SUCCESS;
}
