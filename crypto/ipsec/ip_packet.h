/* SPDX-License-Identifier: Apache-2.0 */
/* One IPv4 or IPv6 packet, parsed as far as tunnels need: addresses, ports, fragment fields (RFC 791, RFC
 * 8200). */
#ifndef SHOJI_CRYPTO_IPSEC_IP_PACKET_H
#define SHOJI_CRYPTO_IPSEC_IP_PACKET_H

#include "crypto/ipsec/address.h"

#define IPV4_HEADER_BYTES   20
#define IPV4_HEADER_MAX     60
#define IPV6_HEADER_BYTES   40
#define IPV6_FRAGMENT_BYTES 8
#define IPV6_MTU_MIN        1280
#define IPV4_MTU_MIN        576 /* what every host takes: paths below it are not believed */
#define UDP_HEADER_BYTES    8
#define IP_FRAGMENT_UNIT    8 /* fragments are cut at multiples of it */
#define IP_PACKET_MAX       65535
#define IP_DEFAULT_TTL      64

enum ip_protocol {
    PROTOCOL_HOP_BY_HOP = 0,
    PROTOCOL_ICMP = 1,
    PROTOCOL_TCP = 6,
    PROTOCOL_UDP = 17,
    PROTOCOL_DCCP = 33,
    PROTOCOL_ROUTING = 43,
    PROTOCOL_FRAGMENT = 44,
    PROTOCOL_ESP = 50,
    PROTOCOL_ICMPV6 = 58,
    PROTOCOL_DESTINATION_OPTIONS = 60,
    PROTOCOL_SCTP = 132,
    PROTOCOL_UDP_LITE = 136,
};

/* Places in the headers. */
#define IPV4_TOTAL_LENGTH 2
#define IPV4_ID           4
#define IPV4_FRAGMENT     6
#define IPV4_TTL          8
#define IPV4_PROTOCOL     9
#define IPV4_CHECKSUM     10
#define IPV4_SOURCE       12
#define IPV4_DESTINATION  16
#define IPV6_LENGTH       4
#define IPV6_NEXT_HEADER  6
#define IPV6_HOP_LIMIT    7
#define IPV6_SOURCE       8

/* Flags and offset of an IPv4 header; the offset counts units of 8 bytes. */
#define IPV4_DONT_FRAGMENT   0x4000
#define IPV4_MORE_FRAGMENTS  0x2000
#define IPV4_FRAGMENT_OFFSET 0x1fff
/* Of an IPv6 fragment header: the offset is in bytes, its low bits are others. */
#define IPV6_FRAGMENT_OFFSET 0xfff8
#define IPV6_MORE_FRAGMENTS  0x0001

struct ip_packet {
    uint8_t *data;
    size_t size; /* the packet's own length: what the link padded is cut off */
    uint8_t version;
    uint8_t traffic_class;  /* DSCP and ECN */
    bool dont_fragment;     /* by routers: the IPv4 flag; always for IPv6 */
    bool fragment, more;    /* is a fragment; others follow it */
    size_t fragment_offset; /* bytes */
    uint32_t fragment_id;
    size_t fragment_header; /* IPv6: where it stands */
    size_t payload;         /* where the upper protocol's header (of a fragment: its data) begins */
    struct packet_flow flow;
};

/* Reads the headers of a packet of which `there` bytes are there; false when they end before the payload
 * begins. out->size is what the header says, ports are not looked for. */
bool ip_header_parse(uint8_t *data, size_t there, struct ip_packet *out) must_check;
/* False when it is no proper IP packet: cut short, wrong header checksum, an extension header that does not
 * end. */
bool ip_packet_parse(uint8_t *data, size_t size, struct ip_packet *out) must_check;

uint16_t ip_get16(const uint8_t *from);
uint32_t ip_get32(const uint8_t *from);
void ip_put16(uint8_t *to, uint16_t value);
void ip_put32(uint8_t *to, uint32_t value);

/* Ones' complement sum (RFC 1071) of bytes that start at an even place; sums are added and then folded. */
uint64_t ip_sum(const uint8_t *data, size_t size);
uint64_t ip_pseudo_sum(const struct ip_address *source, const struct ip_address *destination,
                       uint8_t protocol, size_t length);
uint16_t ip_checksum(uint64_t sum); /* folded and inverted */
void ip_set_header_checksum(uint8_t *ipv4);
/* Changes the 16-bit word at `word` and mends the checksum (RFC 1624); odd: the word stands at an odd place
 * of what is summed. */
void ip_replace16(uint8_t *word, uint16_t value, bool odd, uint8_t *checksum);

/* IPv4's options and TCP's have one form (RFC 791, RFC 9293). */
#define IP_OPTION_END 0
#define IP_OPTION_NOP 1
/* The size of the option at `at` of a header of `size` bytes; 0: there is none, or it is malformed. */
size_t ip_option_bytes(const uint8_t *header, size_t at, size_t size);

/* A header without options or extension headers. Both addresses are of one version, which decides. */
struct ip_header {
    const struct ip_address *source, *destination;
    uint8_t protocol, traffic_class, hop_limit;
    bool dont_fragment; /* IPv4 */
    uint16_t id;        /* IPv4 */
};
size_t ip_header_bytes(uint8_t version);
uint8_t ip_traffic_class(const uint8_t *packet); /* of a header that is there */
/* Writes it in front of `payload` bytes; returns its size. */
size_t ip_write_header(uint8_t *packet, const struct ip_header *header, size_t payload);

/* ---- What a tunnel changes: ECN (RFC 6040) and the MSS of TCP ---- */

#define ECN_MASK 0x03
#define ECN_ECT1 0x01
#define ECN_ECT0 0x02
#define ECN_CE   0x03

/* Carries the outer header's congestion mark into the inner packet (RFC 6040 section 4.2). False: the packet
 * must be dropped, because congestion was met and its sender cannot be told otherwise. */
bool ip_ecn_decapsulate(struct ip_packet *inner, uint8_t outer_traffic_class) must_check;

/* Lowers the MSS that a TCP SYN announces to what fits into packets of `mtu` bytes. */
void ip_clamp_mss(struct ip_packet *packet, size_t mtu);

#endif
