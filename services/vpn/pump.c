/* SPDX-License-Identifier: Apache-2.0 */
/* The frame pump: every frame of either side passes here, and has one way to go. A guest's frame goes to
 * guest_frame, which knows the tunnel and the guest's own link; the wire's to the tunnel, then to lwIP. */
#include "services/vpn/service.h"
#include "services/vpn/surroundings.h"

#define BURST 64 /* frames of a side before the other side and the clock get their turn */

/* A frame and what sealing it may add; the service's one thread owns it. */
static aligned_to(16) uint8_t buffer[FRAME_MAX];

void service_wire_frame(struct service *s, uint8_t *frame, size_t size)
{
    if (size <= ETHERNET_HEADER)
        return;
    s->wire_frames_in++;
    uint16_t type = frame_type(frame);
    if (type == ETHERTYPE_ARP) {
        s->touched = true;
        wire_arp(frame, size);
        return;
    }
    bool for_us = (frame[0] & MAC_GROUP_BIT) || memcmp(frame, s->wire_mac.bytes, MAC_BYTES) == 0;
    if (!for_us || (type != ETHERTYPE_IPV4 && type != ETHERTYPE_IPV6))
        return;
    struct tunnel_rest rest;
    if (tunnel_from_wire(s->tunnel, frame + ETHERNET_HEADER, size - ETHERNET_HEADER, s->now, &rest))
        return;
    if (s->exceptions.networks && rest.packet == frame + ETHERNET_HEADER &&
        exceptions_in(&s->exceptions, rest.packet, rest.size, &s->local4, s->now)) {
        guest_send(&s->guest, rest.packet, rest.size);
        return;
    }
    s->touched = true;
    wire_packet(rest.packet, rest.size);
}

static void drain(struct service *s, enum vpn_side side)
{
    for (unsigned i = 0; i < BURST; i++) {
        size_t size = vpn_frame_receive(side, buffer, sizeof(buffer));
        if (size == 0)
            return;
        if (side == SIDE_GUEST)
            guest_frame(&s->guest, buffer, size, s->now);
        else
            service_wire_frame(s, buffer, size);
    }
}

void service_run(struct service *s)
{
    uint64_t next = 0;
    while (vpn_wait(next)) {
        s->now = vpn_now();
        drain(s, SIDE_WIRE);
        drain(s, SIDE_GUEST);
        if (s->touched || s->now >= next)
            next = service_tick(s);
    }
    service_stop(s);
}
