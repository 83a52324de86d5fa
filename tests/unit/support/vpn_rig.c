/* SPDX-License-Identifier: Apache-2.0 */
/* Starts the VPN service in its world, moves time and frames, and plays its neighbours. */
#include "tests/unit/support/vpn_rig.h"
#include "crypto/port/port.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const uint8_t guest_mac[6] = {2, 0, 0, 0, 0, 0x77}, router_mac[6] = {2, 0, 0, 0, 0, 0x11};
const char marker[MARKER_BYTES] = "GUEST-SECRET-PAYLOAD";

struct service service;
static struct vpn_configuration configuration;

void start_service(const char *policy)
{
    struct report problem = {""};
    world_reset();
    world.psk_size = sizeof(world.psk);
    memset(world.psk, 'k', sizeof(world.psk));
    if (!vpn_configuration_parse(policy, strlen(policy), &configuration, &problem) ||
        !vpn_secrets_load(&configuration, &problem) || !service_start(&service, &configuration, &problem)) {
        (void)fprintf(stderr, "%s\n", problem.text);
        abort();
    }
}

/* Time and frames, as service_run would move them, for so many milliseconds. */
void run_for(uint64_t ms)
{
    uint64_t next = 0, end = world.now + ms;
    for (;;) {
        uint8_t frame[FRAME_MAX];
        size_t size;
        service.now = world.now;
        while ((size = vpn_frame_receive(SIDE_WIRE, frame, sizeof(frame))) > 0)
            service_wire_frame(&service, frame, size);
        while ((size = vpn_frame_receive(SIDE_GUEST, frame, sizeof(frame))) > 0)
            guest_frame(&service.guest, frame, size, world.now);
        next = service_tick(&service);
        if (world.now >= end)
            return;
        world.now = next > world.now ? MIN(next, end) : world.now + 1;
    }
}

size_t make_frame(uint8_t *frame, const uint8_t *to, const uint8_t *from, const struct ip_recipe *recipe,
                  size_t size)
{
    make_ip(recipe, frame + SIZEOF_ETH_HDR, size);
    frame_header(frame, (const struct eth_addr *)to, (const struct eth_addr *)from,
                 frame[SIZEOF_ETH_HDR] >> 4 == 6 ? ETHTYPE_IPV6 : ETHTYPE_IP);
    return SIZEOF_ETH_HDR + size;
}

void guest_sends(const struct ip_recipe *recipe, size_t size)
{
    uint8_t frame[FRAME_MAX], gateway[6];
    vpn_mac(SIDE_GUEST, gateway);
    size = make_frame(frame, gateway, guest_mac, recipe, size);
    memcpy(frame + size - sizeof(marker), marker, sizeof(marker));
    guest_frame(&service.guest, frame, size, world.now);
}

/* Somebody on the wire answers the service's ARP request. */
void answer_arp_of(const char *address, const uint8_t *mac)
{
    uint8_t frame[42] = {0}, own[6];
    struct ip_address peer = ip_of(address), us = ip_of(OUR_OUTER4);
    vpn_mac(SIDE_WIRE, own);
    frame_header(frame, (const struct eth_addr *)own, (const struct eth_addr *)mac, ETHTYPE_ARP);
    memcpy(frame + 14, "\0\1\x08\0\6\4\0\2", 8);
    memcpy(frame + 22, mac, 6);
    memcpy(frame + 28, peer.bytes, 4);
    memcpy(frame + 32, own, 6);
    memcpy(frame + 38, us.bytes, 4);
    world_put(SIDE_WIRE, frame, sizeof(frame));
}

void answer_arp(void)
{
    answer_arp_of(ROUTER, router_mac);
}

void inner_address(const char *text)
{
    struct ike_inner inner = {.address = {1, {ip_of(text)}}};
    guest_set_inner(&service.guest, &inner, world.now);
}

int start_crypto(void **state)
{
    static const struct crypto_surroundings surroundings = {.entropy = vpn_entropy};
    (void)state;
    return crypto_start(&surroundings) ? 0 : -1;
}
