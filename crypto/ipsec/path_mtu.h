/* SPDX-License-Identifier: Apache-2.0 */
/* The MTU of the path to the gateway, as routers' unauthenticated ICMP errors tell it (RFC 1191, RFC 8201,
 * RFC 4301 section 8.2): only lowered, never below what every path carries, and forgotten again. */
#ifndef SHOJI_CRYPTO_IPSEC_PATH_MTU_H
#define SHOJI_CRYPTO_IPSEC_PATH_MTU_H

#include "crypto/ipsec/ip_packet.h"

#define PATH_MTU_LIFETIME_MS (10 * 60 * 1000)

struct path_mtu {
    size_t mtu; /* 0: nothing is known but the link's */
    uint64_t until;
};

/* What the path carries, at most `link`. */
size_t path_mtu_now(const struct path_mtu *path, size_t link, uint64_t now);

/* A router says that `quoted` bytes did not fit and that `told` would (0: an old one that does not say). It
 * is believed down to `least`. */
void path_mtu_lower(struct path_mtu *path, size_t least, size_t quoted, size_t told, uint64_t now);

/* An ICMP error and the start of the packet that it is about. */
struct icmp_report {
    bool too_big;
    size_t told;                           /* the MTU that it names, 0 for none */
    size_t quoted_size;                    /* as the quoted header says */
    struct ip_address source, destination; /* of the quoted packet */
    uint8_t protocol;
    uint8_t upper[8];  /* of the quoted packet: ports, or the SPI */
    uint8_t in_udp[4]; /* behind a UDP header: the SPI; zero when the quote ends before it */
};

/* Reads an ICMP too-big or unreachable; false when the packet is anything else or too short to say. */
bool icmp_report_parse(const struct ip_packet *packet, struct icmp_report *out) must_check;

#endif
