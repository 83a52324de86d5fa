/* SPDX-License-Identifier: Apache-2.0 */
/* Two machines on virtual time: the connection under test and the scripted gateway, with a wire between them
 * that delivers, holds, drops and doubles datagrams as a test says. */
#ifndef SHOJI_TESTS_IKE_WORLD_H
#define SHOJI_TESTS_IKE_WORLD_H

#include "crypto/ipsec/ike.h"
#include "tests/unit/support/ike_peer.h"

#define WIRE_MAX       256
#define WORLD_CHILDREN 24
#define NEVER_TIME     UINT64_MAX

struct wire_datagram {
    size_t size;
    struct ip_endpoint local, remote; /* the connection's view */
    uint8_t data[KIB(16)];
};
struct wire {
    unsigned count;
    struct wire_datagram *item[WIRE_MAX];
};

/* What ESP would hold. */
struct world_child {
    bool used;
    struct child_parameters p;
    uint32_t replaces;
    struct esp_sa *esp; /* what IKE sees of it, until it removes it */
};

struct world {
    struct ike_configuration config;
    struct ike *ike;
    struct ike_peer peer;
    struct ip_address here, there;
    uint64_t now, next, seed;
    struct wire to_peer, to_us;
    struct world_child children[WORLD_CHILDREN];
    uint32_t sending;
    unsigned ups, downs, added, removed, moved, keepalives, sent;
    struct ike_inner inner;
    uint64_t again;
    char why[REPORT_MAX], log[REPORT_MAX];
    unsigned loss, doubling, disorder; /* of 256 datagrams */
    size_t largest;
};

/* The first of the proposals that the policy's words name. */
struct ike_proposals proposal_of(const char *words, enum ipsec_protocol protocol);
struct world *world_create(const char *ike_proposals, const char *esp_proposals);
void world_destroy(struct world *w);
void world_connect(struct world *w);
/* Delivers the first datagram in one direction; false when there is none. */
bool world_to_peer(struct world *w);
bool world_to_us(struct world *w);
/* Delivers all until nothing is on the wire. */
void world_settle(struct world *w);
/* Lets so much time pass, delivering all. */
void world_run(struct world *w, uint64_t milliseconds);
void world_tick(struct world *w);
void world_drop(struct wire *wire);
struct world_child *world_child(struct world *w, uint32_t spi_in);
unsigned world_child_count(const struct world *w);

#endif
