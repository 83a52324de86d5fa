/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the tunnel: what tunnel.c, tunnel_out.c and tunnel_in.c share. */
#ifndef SHOJI_CRYPTO_IPSEC_TUNNEL_PARTS_H
#define SHOJI_CRYPTO_IPSEC_TUNNEL_PARTS_H

#include "crypto/ipsec/icmp.h"
#include "crypto/ipsec/ip_adjust.h"
#include "crypto/ipsec/ip_fragment.h"
#include "crypto/ipsec/tunnel.h"

#define TUNNEL_PACKET_MAX 1600 /* of the guest: a frame is smaller */
#define TUNNEL_SEALED_MAX 1792 /* such a packet sealed, with its outer headers */

/* The MTU of the path to the gateway, as routers' unauthenticated ICMP errors tell it (RFC 1191, RFC 8201,
 * RFC 4301 section 8.2): only lowered, never below what every path carries, and forgotten again. */
#define PATH_MTU_LIFETIME_MS (10 * 60 * 1000)
struct path_mtu {
    size_t mtu; /* 0: nothing is known but the link's */
    uint64_t until;
};

/* Where a packet is made, with room for the link's header in front. */
struct tunnel_buffer {
    uint8_t headroom[16];
    uint8_t bytes[TUNNEL_SEALED_MAX];
};
static_assert(TUNNEL_HEADROOM <= 16, "fits the buffers");

struct tunnel {
    struct tunnel_settings settings;
    const struct tunnel_callbacks *callbacks;
    void *owner;
    struct ip_address gateway4, gateway6;
    struct esp_sa *sas[TUNNEL_SAS_MAX]; /* NULL: free */
    unsigned sa_count, last_rank;
    struct path_mtu path;
    uint64_t icmp_limit; /* icmp_limit_take's */
    struct tunnel_counters counters;
    uint32_t next_id; /* of datagrams that may be cut */
    struct tunnel_buffer sealed, piece;
    struct reassembly reassembly;
};

/* By the SPI that the peer sends to; NULL: there is none. */
struct esp_sa *tunnel_find(const struct tunnel *t, uint32_t spi_in);

/* Of the SAs that can send, and whose selectors the flow matches (NULL: any), the one last told to; NULL:
 * there is none. */
struct esp_sa *tunnel_choose(const struct tunnel *t, const struct packet_flow *flow);

/* What the path to the gateway carries. */
size_t tunnel_path(const struct tunnel *t, uint64_t now);
/* A router says that `quoted` bytes did not fit and that `told` would (0: an old one that does not say). It
 * is believed down to `least`. */
void tunnel_path_lower(struct tunnel *t, size_t least, size_t quoted, size_t told, uint64_t now);

/* The largest inner packet that `sa` carries in one outer packet; and that it must carry anyhow: IPv6 has a
 * minimum. */
size_t tunnel_fits(const struct tunnel *t, const struct esp_sa *sa, uint64_t now);
size_t tunnel_room(const struct tunnel *t, const struct esp_sa *sa, uint8_t version, uint64_t now);

/* Bytes in front of the ESP header: IPv4 or IPv6, and UDP where NAT asks for it. */
size_t tunnel_outer_size(const struct esp_sa *sa);

#endif
