/* SPDX-License-Identifier: Apache-2.0 */
/* IP addresses, endpoints and traffic selectors (RFC 7296 section 3.13.1): what IKE negotiates and ESP
 * checks. */
#ifndef SHOJI_CRYPTO_IPSEC_ADDRESS_H
#define SHOJI_CRYPTO_IPSEC_ADDRESS_H

#include "lib/base.h"

#define IP_BYTES_MAX 16

/* version: 4, 6, or 0 for "none". Network byte order; an IPv4 address fills the first 4 bytes, the rest is
 * zero. */
struct ip_address {
    uint8_t version;
    uint8_t bytes[IP_BYTES_MAX];
};

struct ip_endpoint {
    struct ip_address ip;
    uint16_t port; /* host order */
};

/* One range of addresses and ports of one protocol. protocol 0: any. For ICMP the ports hold type and code
 * (RFC 7296 section 3.13.1). OPAQUE is first_port 65535, last_port 0. */
struct traffic_selector {
    uint8_t protocol;
    uint16_t first_port, last_port;
    struct ip_address first, last; /* of the same version, first <= last */
};

#define SELECTORS_MAX 16
struct selector_list {
    unsigned count;
    struct traffic_selector item[SELECTORS_MAX];
};

/* What of an inner packet the selectors look at. Ports are unknown (false) in fragments other than the first.
 */
struct packet_flow {
    struct ip_address source, destination;
    uint8_t protocol;
    bool ports_known;
    uint16_t source_port, destination_port; /* ICMP: type and code in the RFC's form, both ends */
};

bool ip_equal(const struct ip_address *a, const struct ip_address *b);
unsigned ip_bytes(uint8_t version);                 /* 4, 16, or 0 */
bool ip_is_multicast(const struct ip_address *ip);  /* and IPv4's limited broadcast */
bool ip_is_link_local(const struct ip_address *ip); /* and loopback, the unspecified address */

/* Text to address and back; the text form fits IP_TEXT_MAX with its NUL. */
#define IP_TEXT_MAX 46
bool ip_parse(const char *text, size_t length, struct ip_address *out) must_check;
void ip_format(const struct ip_address *ip, char out[IP_TEXT_MAX]);

/* "10.0.0.0/8", "2001:db8::/32", one address, or "a-b"; the protocol is any. */
bool selector_parse(const char *text, size_t length, struct traffic_selector *out) must_check;
#define SELECTOR_TEXT_MAX 120
void selector_format(const struct traffic_selector *selector, char out[SELECTOR_TEXT_MAX]);

/* The prefix length when the range is a whole network, -1 when it is not. */
int selector_prefix(const struct traffic_selector *selector);

extern const struct selector_list everywhere4; /* 0.0.0.0/0 */

/* Does a packet from `from` to `to` lie inside? Outbound: from = local, to = remote. */
bool selectors_match(const struct selector_list *from, const struct selector_list *to,
                     const struct packet_flow *flow);

/* Is each selector of `inner` inside one of `outer`? What a responder may narrow to (RFC 7296 section 2.9).
 */
bool selectors_within(const struct selector_list *inner, const struct selector_list *outer);

#endif
