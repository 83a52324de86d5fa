/* SPDX-License-Identifier: Apache-2.0 */
/* Two tunnels back to back: ours with a guest, and one that plays the gateway. What each gives out is kept.
 */
#ifndef SHOJI_TESTS_TUNNEL_RIG_H
#define SHOJI_TESTS_TUNNEL_RIG_H

#include "crypto/ipsec/tunnel_parts.h"
#include "tests/unit/support/ip_maker.h"

#define RIG_PACKETS 80
#define RIG_BYTES   2100

struct rig_queue {
    unsigned count;
    size_t size[RIG_PACKETS];
    uint8_t packet[RIG_PACKETS][RIG_BYTES];
};

struct rig_end {
    struct tunnel *tunnel;
    struct rig_queue wire, guest; /* what it sent to either side */
    unsigned suspected;
};

struct rig {
    struct rig_end ours, gateway;
    uint64_t now;
};

/* How the SA of a test looks. NULL: the usual. */
struct rig_form {
    const char *cipher, *integrity; /* aes256gcm16 */
    bool outer6, udp, esn;
    const char *local, *remote; /* selectors: everything */
};

#define OUR_OUTER4     "192.0.2.2"
#define GATEWAY_OUTER4 "198.51.100.1"
#define OUR_OUTER6     "2001:db8:1::2"
#define GATEWAY_OUTER6 "2001:db8:2::1"
#define GUEST4         "10.9.0.5"
#define GUEST6         "2001:db8:9::5"
#define SERVER4        "203.0.113.80"
#define SERVER6        "2001:db8:8::80"
#define VIRTUAL4       "10.9.0.1"
#define VIRTUAL6       "fe80::1"

struct rig *rig_new(void);
void rig_free(struct rig *rig);

/* Adds an SA to both ends; `number` makes its SPIs and keys (0x1000 + number is ours). */
struct child_parameters rig_child(const struct rig_form *form, unsigned number);
void rig_add(struct rig *rig, const struct rig_form *form, unsigned number);

/* The guest sends; returns how many packets went on the wire. The queues are emptied first. */
unsigned rig_send(struct rig *rig, const struct ip_recipe *recipe, size_t size);
/* Everything on our wire goes to the gateway, in order; returns what came out of it. */
struct rig_queue *rig_pass(struct rig *rig);
/* The gateway's side sends to our guest: the same the other way, to the end. */
struct rig_queue *rig_reply(struct rig *rig, const struct ip_recipe *recipe, size_t size);
/* One packet from the wire to an end, in a copy of its own. Was it the tunnel's? */
bool rig_arrive(struct rig *rig, struct rig_end *end, const uint8_t *packet, size_t size);
void rig_clear(struct rig *rig);

#endif
