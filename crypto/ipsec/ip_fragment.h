/* SPDX-License-Identifier: Apache-2.0 */
/* IP fragments (RFC 791 section 3.2, RFC 8200 section 4.5): a packet cut into them, and outer ones put
 * together within bounds: few datagrams at a time, none larger than a message of IKE and a little, none
 * waited for long, and none whose pieces contradict each other (RFC 5722). */
#ifndef SHOJI_CRYPTO_IPSEC_IP_FRAGMENT_H
#define SHOJI_CRYPTO_IPSEC_IP_FRAGMENT_H

#include "crypto/ipsec/ip_packet.h"

struct ip_cut {
    const struct ip_packet *packet; /* IPv6: without extension headers */
    size_t mtu;
    uint32_t id;      /* IPv6: of the fragment header. IPv4 keeps the packet's own */
    uint8_t *scratch; /* mtu bytes, for one fragment at a time */
};

/* Gives the packet to `each`, whole where it fits, or its fragments in order. False when it does not fit and
 * may not be cut, or when the MTU has no room for headers and data. */
bool ip_fragment(const struct ip_cut *cut, void (*each)(void *context, uint8_t *fragment, size_t size),
                 void *context);

/* ---- Putting together ---- */

#define REASSEMBLY_SLOTS      4
#define REASSEMBLY_DATA_MAX   KIB(17)
#define REASSEMBLY_TIMEOUT_MS 15000
#define REASSEMBLY_ROOM       128 /* for the link's and the IP header */

/* One datagram. The data stands behind the room for headers. */
struct reassembly_slot {
    bool used, hopeless;  /* hopeless: pieces contradicted each other, the rest of it is dropped too */
    uint64_t since;       /* milliseconds */
    struct ip_packet one; /* the first that came: what the others must have in common with it */
    bool congested;       /* a fragment bore CE (RFC 3168 section 5.3) */
    size_t received, highest, limit; /* bytes; limit: the datagram's size when its last fragment has come */
    size_t header_size;              /* of the first fragment */
    uint8_t units[REASSEMBLY_DATA_MAX / IP_FRAGMENT_UNIT / 8]; /* a bit for each 8 bytes that are there */
    uint8_t packet[REASSEMBLY_ROOM + REASSEMBLY_DATA_MAX];
};

struct reassembly {
    struct reassembly_slot slot[REASSEMBLY_SLOTS];
};

enum reassembly_result { REASSEMBLY_WAITS, REASSEMBLY_WHOLE, REASSEMBLY_DROPPED };

/* Takes one fragment. Whole: *packet and *size are the datagram, which lies in the slot until the next call,
 * with room for a link header in front of it. */
enum reassembly_result reassembly_take(struct reassembly *r, const struct ip_packet *fragment, uint64_t now,
                                       uint8_t **packet, size_t *size) must_check;

#endif
