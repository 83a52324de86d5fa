/* SPDX-License-Identifier: Apache-2.0 */
/* The whole VPN service in the world of vpn_world.h: starts it, moves time and frames, and plays its
 * neighbours. */
#ifndef SHOJI_TESTS_VPN_RIG_H
#define SHOJI_TESTS_VPN_RIG_H

#include "services/vpn/service.h"
#include "tests/unit/support/tunnel_rig.h"
#include "tests/unit/support/vpn_world.h"

#define ROUTER "192.0.2.1"
#define POLICY                                                                                               \
    "[vpn test]\ngateway = " GATEWAY_OUTER4 "\nlocal-id = me.test\npsk = psk\nwire-address = " OUR_OUTER4    \
    "/24\nwire-router = " ROUTER "\n"

extern struct service service;
extern const uint8_t guest_mac[6], router_mac[6];
/* What make_ip fills payloads with is not known here, so the guest's payloads end with this. */
#define MARKER_BYTES 21
extern const char marker[MARKER_BYTES];

int start_crypto(void **state); /* cmocka's set-up of the group */
void start_service(const char *policy);
/* Time and frames, as service_run would move them, for so many milliseconds. */
void run_for(uint64_t ms);
size_t make_frame(uint8_t *frame, const uint8_t *to, const uint8_t *from, const struct ip_recipe *recipe,
                  size_t size);
void guest_sends(const struct ip_recipe *recipe, size_t size);
/* Somebody on the wire, or the router, answers the service's ARP request. */
void answer_arp_of(const char *address, const uint8_t *mac);
void answer_arp(void);
/* The tunnel has come up with this one inner address. */
void inner_address(const char *text);

#endif
