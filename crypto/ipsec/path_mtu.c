/* SPDX-License-Identifier: Apache-2.0 */
/* The MTU of the path to the gateway, and the ICMP errors that tell it. */
#include "crypto/ipsec/path_mtu.h"
#include "crypto/ipsec/icmp.h"
#include "lib/reader.h"
#include "lib/strings.h"

size_t path_mtu_now(const struct path_mtu *path, size_t link, uint64_t now)
{
    return path->mtu > 0 && now < path->until ? MIN(path->mtu, link) : link;
}

void path_mtu_lower(struct path_mtu *path, size_t least, size_t quoted, size_t told, uint64_t now)
{
    static const size_t plateaus[] = {1492, 1400, 1280, 1006, IPV4_MTU_MIN}; /* after RFC 1191 section 7 */
    if (told >= quoted)
        return; /* it would have fitted */
    for (size_t i = 0; told == 0 && i < ARRAY_COUNT(plateaus); i++)
        if (plateaus[i] < quoted)
            told = plateaus[i];
    told = MAX(told, least);
    if (path->mtu > 0 && now < path->until && told >= path->mtu)
        return; /* an older one that says less */
    path->mtu = told;
    path->until = now + PATH_MTU_LIFETIME_MS;
}

/* The header of the quoted packet, of which little more than that need be there. */
static bool parse_quoted(struct reader *r, uint8_t version, struct icmp_report *out)
{
    const uint8_t *h = reader_bytes(r, ip_header_bytes(version));
    if (!h || h[0] >> 4 != version)
        return false;
    if (version == 4 && (h[0] & 0xfu) * 4 < IPV4_HEADER_BYTES)
        return false;
    if (version == 4)
        reader_bytes(r, (h[0] & 0xfu) * 4 - IPV4_HEADER_BYTES);
    out->quoted_size = version == 4 ? ip_get16(h + IPV4_TOTAL_LENGTH)
                                    : IPV6_HEADER_BYTES + (size_t)ip_get16(h + IPV6_LENGTH);
    out->protocol = h[version == 4 ? IPV4_PROTOCOL : IPV6_NEXT_HEADER];
    ip_read_addresses(h, &out->source, &out->destination);
    const uint8_t *upper = reader_bytes(r, sizeof(out->upper));
    if (!upper)
        return false;
    memcpy(out->upper, upper, sizeof(out->upper));
    if (reader_left(r) >= sizeof(out->in_udp))
        memcpy(out->in_udp, reader_bytes(r, sizeof(out->in_udp)), sizeof(out->in_udp));
    return true;
}

bool icmp_report_parse(const struct ip_packet *packet, struct icmp_report *out)
{
    struct reader r = reader_of(packet->data + packet->payload, packet->size - packet->payload);
    uint8_t type = reader_u8(&r), code = reader_u8(&r);
    reader_be(&r, 2); /* checksum: the report is believed no more with a right one */
    uint32_t told = (uint32_t)reader_be(&r, 4);
    *out = (struct icmp_report){0};
    if (r.failed || packet->fragment)
        return false;
    if (packet->version == 4 && packet->flow.protocol == PROTOCOL_ICMP && type == ICMP4_UNREACHABLE) {
        out->too_big = code == ICMP4_CODE_TOO_BIG;
        out->told = told & 0xffff;
    } else if (packet->version == 6 && packet->flow.protocol == PROTOCOL_ICMPV6 &&
               (type == ICMP6_TOO_BIG || type == ICMP6_UNREACHABLE)) {
        out->too_big = type == ICMP6_TOO_BIG;
        out->told = MIN(told, (uint32_t)IP_PACKET_MAX);
    } else {
        return false;
    }
    return parse_quoted(&r, packet->version, out);
}
