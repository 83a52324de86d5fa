/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the tunnel: what tunnel.c, tunnel_out.c and tunnel_in.c share. */
#ifndef SHOJI_CRYPTO_IPSEC_TUNNEL_PARTS_H
#define SHOJI_CRYPTO_IPSEC_TUNNEL_PARTS_H

#include "crypto/ipsec/icmp.h"
#include "crypto/ipsec/ip_adjust.h"
#include "crypto/ipsec/ip_fragment.h"
#include "crypto/ipsec/ip_reassembly.h"
#include "crypto/ipsec/outer.h"
#include "crypto/ipsec/path_mtu.h"
#include "crypto/ipsec/tunnel.h"

#define TUNNEL_PACKET_MAX 1600 /* of the guest: a frame is smaller */
#define TUNNEL_SEALED_MAX 1792 /* such a packet sealed, with its outer headers */

/* Where a packet is made, with room for the link's header in front. */
struct tunnel_buffer {
    uint8_t headroom[16];
    uint8_t bytes[TUNNEL_SEALED_MAX];
};
static_assert(TUNNEL_HEADROOM <= 16, "fits the buffers");

struct tunnel_entry {
    struct esp_sa *sa; /* NULL: free */
    unsigned rank;     /* 0: does not send; of those that match a packet, the highest sends */
};

struct tunnel {
    struct tunnel_settings settings;
    const struct tunnel_callbacks *callbacks;
    void *owner;
    struct ip_address gateway4, gateway6;
    struct tunnel_entry entries[TUNNEL_SAS_MAX];
    unsigned last_rank;
    struct path_mtu path;
    struct icmp_limit icmp_limit;
    struct tunnel_counters counters;
    uint32_t next_id; /* of datagrams that may be cut */
    struct tunnel_buffer sealed, piece;
    struct reassembly reassembly;
};

/* By the SPI that the peer sends to; NULL: there is none. */
struct tunnel_entry *tunnel_find(struct tunnel *t, uint32_t spi_in);

/* The largest inner packet that `sa` carries in one outer packet; and that it must carry anyhow: IPv6 has a
 * minimum. */
size_t tunnel_fits(const struct tunnel *t, const struct esp_sa *sa, uint64_t now);
size_t tunnel_room(const struct tunnel *t, const struct esp_sa *sa, uint8_t version, uint64_t now);

#endif
