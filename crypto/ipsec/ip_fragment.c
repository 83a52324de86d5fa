/* SPDX-License-Identifier: Apache-2.0 */
/* Cutting an IP packet into fragments. */
#include "crypto/ipsec/ip_fragment.h"
#include "lib/strings.h"

#define OPTION_END    0
#define OPTION_NOP    1
#define OPTION_COPIED 0x80 /* stands in every fragment, not in the first alone (RFC 791 section 3.1) */

/* Overwrites the options that belong into the first fragment alone with no-operations. */
static void blank_options(uint8_t *header, size_t size)
{
    for (size_t at = IPV4_HEADER_BYTES; at < size;) {
        size_t length = header[at] <= OPTION_NOP || size - at < 2 ? 1 : header[at + 1];
        if (header[at] == OPTION_END || length == 0 || length > size - at)
            return;
        if (!(header[at] & OPTION_COPIED))
            memset(header + at, OPTION_NOP, length);
        at += length;
    }
}

static void finish_ipv4(const struct ip_cut *cut, size_t at, size_t data, bool last)
{
    uint8_t *h = cut->scratch;
    const struct ip_packet *p = cut->packet;
    if (at > 0)
        blank_options(h, p->payload);
    size_t offset = (p->fragment_offset + at) / IP_FRAGMENT_UNIT;
    ip_put16(h + IPV4_TOTAL_LENGTH, (uint16_t)(p->payload + data));
    ip_put16(h + IPV4_FRAGMENT, (uint16_t)(offset | (last && !p->more ? 0 : IPV4_MORE_FRAGMENTS)));
    ip_set_header_checksum(h);
}

static void finish_ipv6(const struct ip_cut *cut, size_t at, size_t data, bool last)
{
    uint8_t *h = cut->scratch, *fragment = h + IPV6_HEADER_BYTES;
    ip_put16(h + IPV6_LENGTH, (uint16_t)(IPV6_FRAGMENT_BYTES + data));
    fragment[0] = h[IPV6_NEXT_HEADER];
    fragment[1] = 0;
    ip_put16(fragment + 2, (uint16_t)(at | (last ? 0 : IPV6_MORE_FRAGMENTS)));
    ip_put32(fragment + 4, cut->id);
    h[IPV6_NEXT_HEADER] = PROTOCOL_FRAGMENT;
}

bool ip_fragment(const struct ip_cut *cut, void (*each)(void *context, uint8_t *fragment, size_t size),
                 void *context)
{
    const struct ip_packet *p = cut->packet;
    bool ipv4 = p->version == 4;
    size_t headers = p->payload + (ipv4 ? 0 : IPV6_FRAGMENT_BYTES), whole = p->size - p->payload;
    if (cut->mtu < headers + IP_FRAGMENT_UNIT || (ipv4 && p->dont_fragment))
        return false;
    size_t room = ROUND_DOWN(cut->mtu - headers, IP_FRAGMENT_UNIT), data;
    for (size_t at = 0; at < whole; at += data) {
        bool last = whole - at <= room;
        data = last ? whole - at : room;
        memcpy(cut->scratch, p->data, p->payload);
        memcpy(cut->scratch + headers, p->data + p->payload + at, data);
        if (ipv4)
            finish_ipv4(cut, at, data, last);
        else
            finish_ipv6(cut, at, data, last);
        each(context, cut->scratch, headers + data);
    }
    return true;
}
