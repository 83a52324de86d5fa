/* SPDX-License-Identifier: Apache-2.0 */
/* Cutting an IP packet into fragments, and bounded reassembly. */
#include "crypto/ipsec/ip_fragment.h"
#include "crypto/ipsec/ip_adjust.h"
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

/* ---- Putting together ---- */

static bool belongs(const struct reassembly_slot *slot, const struct ip_packet *f)
{
    return slot->used && slot->id == f->fragment_id && ip_equal(&slot->source, &f->flow.source) &&
           ip_equal(&slot->destination, &f->flow.destination) &&
           (f->version == 6 || slot->protocol == f->flow.protocol);
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
    oldest->source = f->flow.source;
    oldest->destination = f->flow.destination;
    oldest->id = f->fragment_id;
    oldest->protocol = f->flow.protocol;
    return oldest;
}

static bool unit_there(const struct reassembly_slot *slot, size_t unit)
{
    return slot->units[unit / 8] & BIT(unit % 8);
}

/* Puts the fragment's data in place. False when it contradicts what is there: it overlaps in part or with
 * other bytes, or lies behind the end. A mere duplicate is none. */
static bool place(struct reassembly_slot *slot, const struct ip_packet *f)
{
    const uint8_t *data = f->data + f->payload;
    size_t size = f->size - f->payload, first = f->fragment_offset / IP_FRAGMENT_UNIT;
    size_t count = ROUND_UP(size, IP_FRAGMENT_UNIT) / IP_FRAGMENT_UNIT, there = 0;
    size_t end = f->fragment_offset + size;
    if (size == 0 || !range_fits(f->fragment_offset, size, REASSEMBLY_DATA_MAX) ||
        (f->more && size % IP_FRAGMENT_UNIT != 0))
        return false;
    if (slot->total ? end > slot->total || (!f->more && end != slot->total) : !f->more && slot->highest > end)
        return false;
    for (size_t unit = first; unit < first + count; unit++)
        there += unit_there(slot, unit);
    if (there > 0)
        return there == count && memcmp(slot->packet + REASSEMBLY_ROOM + f->fragment_offset, data, size) == 0;
    for (size_t unit = first; unit < first + count; unit++)
        slot->units[unit / 8] |= (uint8_t)BIT(unit % 8);
    memcpy(slot->packet + REASSEMBLY_ROOM + f->fragment_offset, data, size);
    slot->received += size;
    slot->highest = MAX(slot->highest, end);
    if (!f->more)
        slot->total = end;
    return true;
}

/* Nothing overlaps and nothing lies behind the end, so the sum alone tells. */
static bool complete(const struct reassembly_slot *slot)
{
    return slot->total > 0 && slot->header_size > 0 && slot->received == slot->total;
}

static void keep_header(struct reassembly_slot *slot, const struct ip_packet *f)
{
    slot->header_size = f->version == 4 ? f->payload : IPV6_HEADER_BYTES;
    memcpy(slot->header, f->data, slot->header_size);
    if (f->version == 6) /* what the fragment header names, be it another extension */
        slot->header[IPV6_NEXT_HEADER] = f->data[f->fragment_header];
}

/* The first fragment's header in front of the data, as if it had never been cut. */
static uint8_t *join(struct reassembly_slot *slot)
{
    static_assert(REASSEMBLY_ROOM >= IPV4_HEADER_MAX + 14, "for the link's header too");
    uint8_t *packet = slot->packet + REASSEMBLY_ROOM - slot->header_size;
    memcpy(packet, slot->header, slot->header_size);
    if (slot->source.version == 4) {
        ip_put16(packet + IPV4_TOTAL_LENGTH, (uint16_t)(slot->header_size + slot->total));
        ip_put16(packet + IPV4_FRAGMENT, 0);
        packet[1] |= slot->congested ? ECN_CE : 0;
        ip_set_header_checksum(packet);
    } else {
        ip_put16(packet + IPV6_LENGTH, (uint16_t)slot->total);
        packet[1] |= slot->congested ? ECN_CE << 4 : 0;
    }
    return packet;
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
    if (!complete(slot))
        return REASSEMBLY_WAITS;
    *packet = join(slot);
    *size = slot->header_size + slot->total;
    slot->used = false;
    return REASSEMBLY_WHOLE;
}
