/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the tunnel: what its files share. */
#ifndef SHOJI_CRYPTO_IPSEC_TUNNEL_PARTS_H
#define SHOJI_CRYPTO_IPSEC_TUNNEL_PARTS_H

#include "crypto/ipsec/ip_fragment.h"
#include "crypto/ipsec/tunnel.h"

#define TUNNEL_PACKET_MAX 1600 /* of the guest: a frame is smaller */
#define TUNNEL_SEALED_MAX 1792 /* such a packet sealed, with its outer headers */

/* The MTU of the path to the gateway, as routers' unauthenticated ICMP errors tell it (RFC 1191, RFC 8201,
 * RFC 4301 section 8.2): only lowered, never below what every path carries, and forgotten again. */
#define PATH_MTU_LIFETIME_MS (10 * 60 * 1000)

/* Where a packet is made, with room for the link's header in front. */
struct tunnel_buffer {
    uint8_t headroom[16];
    uint8_t bytes[TUNNEL_SEALED_MAX];
};
static_assert(TUNNEL_HEADROOM <= 16, "fits the buffers");

/* How many ICMP errors the guest gets. */
#define ICMP_BURST       50
#define ICMP_INTERVAL_MS 10 /* from one to the next */

struct tunnel {
    size_t wire_mtu; /* the link's */
    bool copy_dscp;
    const struct tunnel_callbacks *callbacks;
    void *owner;
    struct ip_address gateway4, gateway6;
    struct esp_sa *sas[TUNNEL_SAS_MAX]; /* NULL: free */
    unsigned sa_count, last_rank;
    size_t path_mtu; /* known until that time */
    uint64_t path_until;
    uint64_t icmp_clear; /* when no ICMP error counts against the limit any more */
    struct tunnel_counters counters;
    uint32_t next_id; /* of datagrams that may be cut */
    struct tunnel_buffer sealed, piece;
    struct reassembly reassembly;
};

/* By the SPI that the peer sends to; NULL: there is none. */
struct esp_sa *tunnel_find(const struct tunnel *t, uint32_t spi_in);

/* What the path to the gateway carries. */
size_t tunnel_path(const struct tunnel *t, uint64_t now);
/* A router says that `quoted` bytes did not fit and that `told` would (0: an old one that does not say). It
 * is believed down to `least`. */
void tunnel_path_lower(struct tunnel *t, size_t least, size_t quoted, size_t told, uint64_t now);

/* The largest inner packet that `sa` carries in one outer packet. */
size_t tunnel_fits(const struct tunnel *t, const struct esp_sa *sa, uint64_t now);

/* Bytes in front of the ESP header: IPv4 or IPv6, and UDP where NAT asks for it. */
size_t tunnel_outer_size(const struct esp_sa *sa);

/* ---- icmp.c: errors (RFC 792, RFC 1812, RFC 4443), those that the virtual gateway makes for the guest, and
 * those that come from routers about our own packets ---- */

/* The largest error: RFC 1812 section 4.3.2.3 and RFC 4443 section 2.4(c). */
#define ICMP4_ERROR_MAX 576
#define ICMP6_ERROR_MAX IPV6_MTU_MIN

enum icmp_error { ICMP_TOO_BIG, ICMP_PROHIBITED, ICMP_UNREACHABLE };

/* Writes the error `kind` about a packet of the guest; `mtu` for too-big, else 0. `from` has the packet's IP
 * version. Returns the size (at most ICMP6_ERROR_MAX), 0 when no error may be made: about ICMP errors,
 * fragments other than the first, what was sent to many or came from no one (RFC 1122 section 3.2.2, RFC 4443
 * section 2.4(e)).
 */
size_t icmp_error_make(const struct ip_packet *about, enum icmp_error kind, size_t mtu,
                       const struct ip_address *from, uint8_t out[ICMP6_ERROR_MAX]);

/* An ICMP error and the start of the packet that it is about. */
struct icmp_report {
    bool too_big;
    size_t told;             /* the MTU that it names, 0 for none */
    struct ip_packet quoted; /* as its header says; little more than that need be there */
    uint8_t upper[12]; /* of the quoted packet: ports or SPI; behind a UDP header the SPI, zero when the quote
                          ends before it */
};

/* Reads an ICMP too-big or unreachable; false when the packet is anything else or too short to say. */
bool icmp_report_parse(const struct ip_packet *packet, struct icmp_report *out) must_check;

#endif
