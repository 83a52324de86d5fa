/* SPDX-License-Identifier: Apache-2.0 */
/* ICMP errors that the virtual gateway makes for the guest (RFC 792, RFC 1812, RFC 4443). */
#ifndef SHOJI_CRYPTO_IPSEC_ICMP_H
#define SHOJI_CRYPTO_IPSEC_ICMP_H

#include "crypto/ipsec/ip_packet.h"

#define ICMP4_UNREACHABLE  3
#define ICMP4_CODE_TOO_BIG 4
#define ICMP6_UNREACHABLE  1
#define ICMP6_TOO_BIG      2

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

/* The rate limit: a bucket of tokens that fills with time. */
struct icmp_limit {
    uint64_t last; /* milliseconds */
    unsigned tokens;
    bool started;
};
#define ICMP_BURST       50
#define ICMP_INTERVAL_MS 10 /* for one token */
bool icmp_limit_take(struct icmp_limit *limit, uint64_t now);

#endif
