/* SPDX-License-Identifier: Apache-2.0 */
/* ICMP errors (RFC 792, RFC 1812, RFC 4443): those that the virtual gateway makes for the guest, and those
 * that come from routers about our own packets. */
#ifndef SHOJI_CRYPTO_IPSEC_ICMP_H
#define SHOJI_CRYPTO_IPSEC_ICMP_H

#include "crypto/ipsec/ip_packet.h"

/* The largest error: RFC 1812 section 4.3.2.3 and RFC 4443 section 2.4(c). */
#define ICMP4_ERROR_MAX 576
#define ICMP6_ERROR_MAX IPV6_MTU_MIN

enum icmp_error { ICMP_TOO_BIG, ICMP_PROHIBITED, ICMP_UNREACHABLE };

/* Writes the error `kind` about a packet of the guest; `mtu` for too-big. `from` has the packet's IP version.
 * Returns the size (at most ICMP6_ERROR_MAX), 0 when no error may be made: about ICMP errors, fragments other
 * than the first, what was sent to many or came from no one (RFC 1122 section 3.2.2, RFC 4443
 * section 2.4(e)).
 */
size_t icmp_error_make(const struct ip_packet *about, enum icmp_error kind, size_t mtu,
                       const struct ip_address *from, uint8_t out[ICMP6_ERROR_MAX]);

/* The rate limit: *limit is the time (milliseconds) at which nothing counts against it any more; 0 at first.
 */
#define ICMP_BURST       50
#define ICMP_INTERVAL_MS 10 /* from one to the next */
bool icmp_limit_take(uint64_t *limit, uint64_t now);

/* An ICMP error and the start of the packet that it is about. */
struct icmp_report {
    bool too_big;
    size_t told;                           /* the MTU that it names, 0 for none */
    size_t quoted_size;                    /* as the quoted header says */
    struct ip_address source, destination; /* of the quoted packet */
    uint8_t protocol;
    uint8_t upper[12]; /* of the quoted packet: ports or SPI; behind a UDP header the SPI, zero when the quote
                          ends before it */
};

/* Reads an ICMP too-big or unreachable; false when the packet is anything else or too short to say. */
bool icmp_report_parse(const struct ip_packet *packet, struct icmp_report *out) must_check;

#endif
