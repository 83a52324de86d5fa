/* SPDX-License-Identifier: Apache-2.0 */
/* Cutting an IP packet into fragments, and bounded reassembly. */
#include "crypto/ipsec/ip_fragment.h"
#include "lib/strings.h"

#define OPTION_COPIED 0x80 /* stands in every fragment, not in the first alone (RFC 791 section 3.1) */

/* ---- Cutting ---- */

/* Overwrites the options that belong into the first fragment alone with no-operations. */
static void blank_options(uint8_t *header, size_t size)
{
    size_t length;
    for (size_t at = IPV4_HEADER_BYTES; (length = ip_option_bytes(header, at, size)) > 0; at += length)
        if (!(header[at] & OPTION_COPIED))
            memset(header + at, IP_OPTION_NOP, length);
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
    if (p->size <= cut->mtu) {
        each(context, p->data, p->size);
        return true;
    }
    if (cut->mtu < headers + IP_FRAGMENT_UNIT || p->dont_fragment)
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

/* ---- Putting together ---- */

static bool belongs(const struct reassembly_slot *slot, const struct ip_packet *f)
{
    const struct ip_packet *one = &slot->one;
    return slot->used && one->fragment_id == f->fragment_id && ip_equal(&one->flow.source, &f->flow.source) &&
           ip_equal(&one->flow.destination, &f->flow.destination) &&
           (f->version == 6 || one->flow.protocol == f->flow.protocol);
}

/* The fragment's slot: its own, a free one, or the oldest one's. */
static struct reassembly_slot *slot_for(struct reassembly *r, const struct ip_packet *f, uint64_t now)
{
    struct reassembly_slot *oldest = &r->slot[0];
    for (unsigned i = 0; i < REASSEMBLY_SLOTS; i++) {
        struct reassembly_slot *slot = &r->slot[i];
        if (slot->used && now - slot->since > REASSEMBLY_TIMEOUT_MS)
            slot->used = false;
        if (belongs(slot, f))
            return slot;
        if (oldest->used && (!slot->used || slot->since < oldest->since))
            oldest = slot;
    }
    memset(oldest, 0, offsetof(struct reassembly_slot, packet));
    oldest->used = true;
    oldest->since = now;
    oldest->one = *f;
    oldest->limit = REASSEMBLY_DATA_MAX;
    return oldest;
}

/* Puts the fragment's data in place. False when it contradicts what is there: it overlaps in part or with
 * other bytes, or lies behind the end. A mere duplicate is none. */
static bool place(struct reassembly_slot *slot, const struct ip_packet *f)
{
    const uint8_t *data = f->data + f->payload;
    size_t size = f->size - f->payload, end = f->fragment_offset + size, there = 0;
    size_t first = f->fragment_offset / IP_FRAGMENT_UNIT,
           behind = ROUND_UP(end, IP_FRAGMENT_UNIT) / IP_FRAGMENT_UNIT;
    if (size == 0 || end + f->more > slot->limit || (f->more && size % IP_FRAGMENT_UNIT != 0) ||
        (!f->more && end < slot->highest))
        return false;
    uint8_t *to = slot->packet + REASSEMBLY_ROOM + f->fragment_offset;
    for (size_t unit = first; unit < behind; unit++)
        there += (slot->units[unit / 8] & BIT(unit % 8)) != 0;
    if (there > 0)
        return there == behind - first && memcmp(to, data, size) == 0;
    for (size_t unit = first; unit < behind; unit++)
        slot->units[unit / 8] |= (uint8_t)BIT(unit % 8);
    memcpy(to, data, size);
    slot->received += size;
    slot->highest = MAX(slot->highest, end);
    if (!f->more)
        slot->limit = end;
    return true;
}

/* The first fragment's header goes where the whole packet's will be, in front of the data. */
static void keep_header(struct reassembly_slot *slot, const struct ip_packet *f)
{
    static_assert(REASSEMBLY_ROOM >= IPV4_HEADER_MAX + 14, "for the link's header too");
    slot->header_size = f->version == 4 ? f->payload : IPV6_HEADER_BYTES;
    uint8_t *header = slot->packet + REASSEMBLY_ROOM - slot->header_size;
    memcpy(header, f->data, slot->header_size);
    if (f->version == 6) /* what the fragment header names, be it another extension */
        header[IPV6_NEXT_HEADER] = f->data[f->fragment_header];
}

/* Makes the header one of a packet that has never been cut. */
static void mend_header(struct reassembly_slot *slot, uint8_t *packet, size_t size)
{
    if (slot->one.version == 4) {
        ip_put16(packet + IPV4_TOTAL_LENGTH, (uint16_t)size);
        ip_put16(packet + IPV4_FRAGMENT, 0);
        packet[1] |= slot->congested ? ECN_CE : 0;
        ip_set_header_checksum(packet);
    } else {
        ip_put16(packet + IPV6_LENGTH, (uint16_t)(size - IPV6_HEADER_BYTES));
        packet[1] |= slot->congested ? ECN_CE << 4 : 0;
    }
}

enum reassembly_result reassembly_take(struct reassembly *r, const struct ip_packet *fragment, uint64_t now,
                                       uint8_t **packet, size_t *size)
{
    struct reassembly_slot *slot = slot_for(r, fragment, now);
    if (slot->hopeless || !place(slot, fragment)) {
        slot->hopeless = true;
        return REASSEMBLY_DROPPED;
    }
    if (fragment->fragment_offset == 0)
        keep_header(slot, fragment);
    slot->congested |= (fragment->traffic_class & ECN_MASK) == ECN_CE;
    /* Nothing overlaps and nothing lies behind the end, so the sum alone tells. */
    if (slot->received < slot->limit)
        return REASSEMBLY_WAITS;
    *packet = slot->packet + REASSEMBLY_ROOM - slot->header_size;
    *size = slot->header_size + slot->limit;
    mend_header(slot, *packet, *size);
    slot->used = false;
    return REASSEMBLY_WHOLE;
}
