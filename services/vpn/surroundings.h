/* SPDX-License-Identifier: Apache-2.0 */
/* The dozen calls that the VPN service makes to where it runs: a ring-3 service of the hypervisor, or a Linux
 * program on two TAP devices (linux.c). */
#ifndef SHOJI_SERVICES_VPN_SURROUNDINGS_H
#define SHOJI_SERVICES_VPN_SURROUNDINGS_H

#include "lib/base.h"

enum vpn_side { SIDE_WIRE, SIDE_GUEST };

/* A frame is an Ethernet frame without its checksum. */
#define FRAME_MAX 1518

/* Takes the next frame that came from a side; 0 when none waits. */
size_t vpn_frame_receive(enum vpn_side side, uint8_t *frame, size_t capacity);
void vpn_frame_send(enum vpn_side side, const uint8_t *frame, size_t size);
void vpn_mac(enum vpn_side side, uint8_t out[6]); /* our own address on that side */
void vpn_carrier(enum vpn_side side, bool on);    /* what the guest sees of its cable */
bool vpn_link(enum vpn_side side);                /* is the wire plugged in? */

/* Sleeps until a frame waits on a side, `until` (milliseconds of vpn_now) is reached, or the service is told
 * to stop (false). */
bool vpn_wait(uint64_t until);
uint64_t vpn_now(void); /* milliseconds, never goes back */
/* Seconds since 1970. The first parameter of these three is not used: they stand in the tables of callbacks
 * of IKE and of libcrypto as they are. */
uint64_t vpn_seconds(void *context);
bool vpn_entropy(void *context, void *out, size_t size) must_check;
void vpn_log(void *context, const char *sentence);

/* A secret that the policy names; the caller wipes it. False when there is none or it is larger than the
 * room. */
bool vpn_secret(const char *name, uint8_t *out, size_t capacity, size_t *size) must_check;

#endif
