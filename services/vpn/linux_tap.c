/* SPDX-License-Identifier: Apache-2.0 */
/* The two sides as TAP devices. The program is the host at the other end of each: its MAC is that of the
 * device with the last bit turned over. */
#include <linux/if_tun.h> /* first: `packed` is a word of ours afterwards */

#include "services/vpn/linux.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define TUN_DEVICE "/dev/net/tun"

static struct {
    int descriptor;
    struct mac mac;
} taps[2] = {{-1, {{0}}}, {-1, {{0}}}};

static void bring_up(const char *name)
{
    struct ifreq request = {.ifr_flags = 0};
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    (void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
    if (s < 0 || ioctl(s, SIOCGIFFLAGS, &request) != 0)
        fail("The device %s cannot be asked for its state: %s.", name, strerror(errno));
    request.ifr_flags |= IFF_UP;
    if (ioctl(s, SIOCSIFFLAGS, &request) != 0)
        fail("The device %s cannot be brought up: %s.", name, strerror(errno));
    close(s);
}

void tap_open(enum vpn_side side, const char *name)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    int fd = open(TUN_DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (strlen(name) >= sizeof(request.ifr_name))
        fail("\"%s\" is too long for the name of a network device.", name);
    (void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
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
    bring_up(name);
}

int tap_descriptor(enum vpn_side side)
{
    return taps[side].descriptor;
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
