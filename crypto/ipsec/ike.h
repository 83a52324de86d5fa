/* SPDX-License-Identifier: Apache-2.0 */
/* IKEv2 as initiator (RFC 7296): one connection to one gateway as a state machine. Bytes and a clock in,
 * bytes out: it does no I/O, keeps no thread and no timer of its own. One thread owns it. Time is
 * milliseconds of a clock that never goes back. */
#ifndef SHOJI_CRYPTO_IPSEC_IKE_H
#define SHOJI_CRYPTO_IPSEC_IKE_H

#include "crypto/ipsec/credential.h"
#include "crypto/ipsec/esp.h"

#define IKE_PORT           500
#define IKE_NAT_PORT       4500
#define IKE_MESSAGE_MAX    KIB(16) /* after reassembly */
#define IKE_PROPOSALS_MAX  8
#define IKE_ALGORITHMS_MAX 32
#define IKE_INNER_MAX      4

/* One proposal of the policy: the alternatives of each type, in order of preference. AEADs and CBC are never
 * in one proposal (RFC 7296 section 3.3). Groups of ESP are for rekeying with forward secrecy. */
struct ike_proposal {
    unsigned count;
    const struct algorithm *item[IKE_ALGORITHMS_MAX];
};

struct ike_proposals {
    unsigned count;
    struct ike_proposal item[IKE_PROPOSALS_MAX];
};

/* All of it belongs to the caller and lives as long as the connection. Durations in seconds. */
struct ike_configuration {
    struct ike_proposals ike, esp;
    struct credential *credential;
    struct identity local_id, remote_id;
    /* What is asked for; local is narrowed to the inner address. */
    struct selector_list local_selectors, remote_selectors;
    bool want_inner4, want_inner6, force_udp;
    uint64_t ike_lifetime, child_lifetime, reauth_lifetime; /* our own; 0: never */
    uint64_t child_bytes_max;
    /* Liveness check after so long without traffic; NAT keepalive. */
    uint64_t dead_peer_interval, keepalive_interval;
    uint64_t fragment_size; /* of an IKE datagram's IP payload, RFC 7383 */
};

/* What CFG_REPLY gave (RFC 7296 section 3.15). */
struct ike_inner {
    struct inner_list {
        unsigned count;
        struct ip_address item[IKE_INNER_MAX];
    } address, dns;
    struct selector_list subnets;
};

struct ike_datagram {
    struct ip_endpoint local, remote;
    const uint8_t *data; /* from the IKE header on: the non-ESP marker of port 4500 is the caller's to strip
                            and to add */
    size_t size;
};

struct tunnel; /* tunnel.h */

/* What the connection calls. None may call back into it. The child functions are tunnel.h's. */
struct ike_callbacks {
    void (*send)(void *owner, const struct ike_datagram *datagram);
    bool (*entropy)(void *owner, void *out, size_t size);
    uint64_t (*seconds)(void *owner); /* since 1970, for certificates */
    /* A CHILD SA is there: inbound traffic may come at once. `replaces` is the inbound SPI of the one that it
     * rekeys, 0 for a first one; outbound traffic moves to it with child_use. NULL: it cannot be; what is
     * returned stays until child_remove. */
    const struct esp_sa *(*child_add)(struct tunnel *tunnel, const struct child_parameters *child,
                                      uint32_t replaces);
    void (*child_use)(struct tunnel *tunnel, uint32_t spi_in);    /* send with this one from now on */
    void (*child_remove)(struct tunnel *tunnel, uint32_t spi_in); /* wiped, both directions */
    void (*child_move)(struct tunnel *tunnel, uint32_t spi_in, const struct ip_endpoint *local,
                       const struct ip_endpoint *remote, bool udp_encapsulated);
    /* The tunnel came up (again): inner addresses. And it is down: why, in a sentence; it will be tried again
     * in so many milliseconds (0: never). */
    void (*up)(void *owner, const struct ike_inner *inner);
    void (*down)(void *owner, const char *why, uint64_t again_in_ms);
    void (*log)(void *owner, const char *sentence); /* nothing secret */
};

struct ike; /* the connection; holds its IKE SAs (two while one is rekeyed or re-authenticated) */

struct ike *ike_create(const struct ike_configuration *configuration, const struct ike_callbacks *callbacks,
                       void *owner, struct tunnel *tunnel) must_check;
void ike_destroy(struct ike *ike); /* says nothing on the wire, wipes */

/* Where we and the gateway are. The first call starts the exchange; a later one with another local address is
 * MOBIKE's move (RFC 4555), or a new start where the gateway does not speak it or the IP version is another.
 * Another remote address serves the next start: a live connection stays where its gateway is. */
void ike_connect(struct ike *ike, const struct ip_address *local, const struct ip_address *remote,
                 uint64_t now);
/* DELETE, and no new start. */
void ike_disconnect(struct ike *ike, uint64_t now);

void ike_receive(struct ike *ike, const struct ike_datagram *datagram, uint64_t now);
/* ESP with an unknown SPI came, or an ICMP error: only asks whether the peer lives. */
void ike_suspect(struct ike *ike, uint64_t now);

/* Does what is due; returns when to be called next (a time, not a duration). To be asked again after each of
 * the calls above. */
uint64_t ike_tick(struct ike *ike, uint64_t now);

/* The state in words at the time `now`, one line each, for the control socket. */
struct describer {
    void (*line)(void *context, const char *text);
    void *context;
    uint64_t now;
};
void say(const struct describer *d, const char *fmt, ...) printf_like(2, 3); /* one line */
void ike_describe(const struct ike *ike, const struct describer *d);

#endif
