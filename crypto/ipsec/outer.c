/* SPDX-License-Identifier: Apache-2.0 */
/* The outer headers of a tunnel packet. */
#include "crypto/ipsec/outer.h"

#define UDP_LENGTH   4
#define UDP_CHECKSUM 6

size_t outer_size(const struct child_parameters *child)
{
    return ip_header_bytes(child->outer_remote.ip.version) + (child->udp_encapsulated ? UDP_HEADER_BYTES : 0);
}

/* The checksum is zero over IPv4 (RFC 3948 section 2.1), where ESP's own ICV says more. IPv6 demands one. */
static void write_udp(const struct child_parameters *child, uint8_t *udp, size_t length)
{
    const struct ip_address *local = &child->outer_local.ip, *remote = &child->outer_remote.ip;
    ip_put16(udp, child->outer_local.port);
    ip_put16(udp + 2, child->outer_remote.port);
    ip_put16(udp + UDP_LENGTH, (uint16_t)length);
    ip_put16(udp + UDP_CHECKSUM, 0);
    if (remote->version == 4)
        return;
    uint16_t checksum = ip_checksum(ip_pseudo_sum(local, remote, PROTOCOL_UDP, length) + ip_sum(udp, length));
    ip_put16(udp + UDP_CHECKSUM, checksum ? checksum : UINT16_MAX); /* zero would mean "none" */
}

void outer_write(const struct outer_fields *fields, uint8_t *packet, size_t esp_size)
{
    const struct child_parameters *child = fields->child;
    const struct ip_header header = {.source = &child->outer_local.ip,
                                     .destination = &child->outer_remote.ip,
                                     .protocol = child->udp_encapsulated ? PROTOCOL_UDP : PROTOCOL_ESP,
                                     .traffic_class = fields->traffic_class,
                                     .hop_limit = IP_DEFAULT_TTL,
                                     .dont_fragment = fields->dont_fragment,
                                     .id = fields->id};
    size_t length = esp_size + (child->udp_encapsulated ? UDP_HEADER_BYTES : 0);
    size_t ip = ip_write_header(packet, &header, length);
    if (child->udp_encapsulated)
        write_udp(child, packet + ip, length);
}
