/* SPDX-License-Identifier: Apache-2.0 */
/* The VPN service as a whole: the wire, the tunnel, IKE and the guest, and the pump that moves frames between
 * them. One instance, one thread; what it needs of its surroundings is in surroundings.h. */
#ifndef SHOJI_SERVICES_VPN_SERVICE_H
#define SHOJI_SERVICES_VPN_SERVICE_H

#include "crypto/ipsec/ike.h"
#include "crypto/ipsec/tunnel.h"
#include "services/vpn/config.h"
#include "services/vpn/exceptions.h"
#include "services/vpn/guest.h"

struct service {
    struct vpn_configuration *configuration;
    struct tunnel *tunnel;
    struct ike *ike;
    struct guest guest;
    struct exceptions exceptions;    /* networks is NULL without any in the policy */
    struct ip_address local, remote; /* as IKE was last told; version 0: not yet */
    struct ip_address local4;        /* on the wire, for exceptions */
    struct ip_address gateway;       /* as the policy or the last DNS answer says */
    unsigned misses;      /* names without an address in a row; after an odd number, IPv6's is asked for */
    uint64_t now;         /* of the round that runs */
    uint64_t resolve_due; /* when to ask for the name */
    uint64_t changed;     /* when the tunnel came up or went down */
    bool resolving, suspected, touched; /* touched: lwIP or IKE may have something to do at once */
    bool up;
    struct report unresolved; /* why the gateway's name has no address; IKE keeps its own last error */
    struct eth_addr wire_mac;
    uint64_t wire_frames_in;
};

/* Puts the parts together; the configuration has its secrets and must outlive the service. False with a
 * sentence. */
bool service_start(struct service *service, struct vpn_configuration *configuration,
                   struct report *problem) must_check;

/* Moves frames and time until vpn_wait says stop; then stops. */
void service_run(struct service *service);

/* Takes the tunnel down, wipes its keys and the configuration's secrets. */
void service_stop(struct service *service);

/* One frame of a side, as the pump found it. */
void service_wire_frame(struct service *service, uint8_t *frame, size_t size);
/* Everything that time makes due; returns when to be called again. */
uint64_t service_tick(struct service *service);

/* The state in words. */
void service_describe(const struct service *service, const struct describer *d);

#endif
