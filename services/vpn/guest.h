/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's side: what its frames are, which of them the virtual gateway answers itself, and that all
 * others go to the tunnel. Nothing here can reach the wire. */
#ifndef SHOJI_SERVICES_VPN_GUEST_H
#define SHOJI_SERVICES_VPN_GUEST_H

#include "crypto/ipsec/tunnel.h"
#include "services/vpn/guest_network.h"

/* Owned by the service's one thread. */
struct guest {
    struct guest_network network;
    struct tunnel *tunnel;
    /* Takes a packet past the tunnel, if the policy says so. NULL where it has no exceptions. */
    bool (*plain)(void *owner, uint8_t *packet, size_t size);
    void *plain_owner;
    struct mac peer; /* the guest's own address, as its last frame gave it; broadcast before that */
    uint64_t carrier_due, advertisement_due; /* 0: nothing is due */
    uint64_t frames_in, frames_out, leases, dropped;
};

/* Puts the virtual gateway up, without an address for the guest. The tunnel must outlive it. */
void guest_start(struct guest *guest, struct tunnel *tunnel, uint32_t lease, uint64_t now);

/* The tunnel has come up with these inner addresses: from now on there are leases. When they are not those of
 * before, the guest's carrier drops for a second, so that it asks again. */
void guest_set_inner(struct guest *guest, const struct ike_inner *inner, uint64_t now);

/* A frame of the guest; it is changed in place. */
void guest_frame(struct guest *guest, uint8_t *frame, size_t size, uint64_t now);

/* Sends the guest an IP packet with TUNNEL_HEADROOM writable bytes in front of it. */
void guest_send(struct guest *guest, uint8_t *packet, size_t size);

/* Does what is due; returns the time of the next call. */
uint64_t guest_tick(struct guest *guest, uint64_t now);

#endif
