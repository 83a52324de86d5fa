/* SPDX-License-Identifier: Apache-2.0 */
/* The DHCPv6 server of one client (RFC 8415): one address, in the first IA_NA that asks, and DNS servers. */
#include "services/vpn/guest_network.h"

enum {
    SOLICIT = 1,
    ADVERTISE = 2,
    REQUEST = 3,
    CONFIRM = 4,
    RENEW = 5,
    REBIND = 6,
    REPLY = 7,
    RELEASE = 8,
    DECLINE = 9,
    INFORMATION = 11
};

enum {
    OPTION_CLIENT = 1,
    OPTION_SERVER = 2,
    OPTION_IA_NA = 3,
    OPTION_ADDRESS = 5,
    OPTION_STATUS = 13,
    OPTION_RAPID_COMMIT = 14,
    OPTION_DNS = 23
};

enum { STATUS_SUCCESS = 0, STATUS_NO_ADDRESS = 2, STATUS_NOT_ON_LINK = 4 };

#define DUID_MAX      130 /* RFC 8415 section 11.1, with its type */
#define DUID_LL       3   /* a link-layer address, of Ethernet (1) */
#define DUID_LL_BYTES 10
#define IA_HEAD       12 /* IAID, T1, T2 */
#define IA_MAX        4
#define ADDRESS_BYTES 24 /* address, preferred and valid lifetime */

struct association {
    uint32_t id;
    struct reader options; /* inside the IA_NA */
};

struct request {
    uint8_t type;
    uint32_t xid;
    const uint8_t *client, *server;
    size_t client_size, server_size;
    bool rapid_commit;
    struct association ia[IA_MAX];
    unsigned ia_count;
};

/* Takes the next option; false at the end or when it does not fit (then `r` has failed). */
static bool next_option(struct reader *r, uint16_t *kind, struct reader *value)
{
    if (reader_left(r) == 0)
        return false;
    *kind = (uint16_t)reader_be(r, 2);
    size_t length = (size_t)reader_be(r, 2);
    const uint8_t *data = reader_bytes(r, length);
    if (!data)
        return false;
    *value = reader_of(data, length);
    return true;
}

static bool take_option(struct request *q, uint16_t kind, struct reader *value)
{
    switch (kind) {
    case OPTION_CLIENT:
        q->client = value->data;
        q->client_size = value->size;
        return value->size > 0 && value->size <= DUID_MAX;
    case OPTION_SERVER:
        q->server = value->data;
        q->server_size = value->size;
        return true;
    case OPTION_RAPID_COMMIT:
        q->rapid_commit = true;
        return true;
    case OPTION_IA_NA:
        if (q->ia_count == IA_MAX)
            return true;
        q->ia[q->ia_count].id = (uint32_t)reader_be(value, 4);
        (void)reader_bytes(value, IA_HEAD - 4);
        q->ia[q->ia_count++].options = *value;
        return !value->failed;
    default:
        return true;
    }
}

static bool read_request(const uint8_t *message, size_t size, struct request *q)
{
    struct reader r = reader_of(message, size), value;
    uint16_t kind;
    *q = (struct request){.type = reader_u8(&r), .xid = (uint32_t)reader_be(&r, 3)};
    while (next_option(&r, &kind, &value))
        if (!take_option(q, kind, &value))
            return false;
    return !r.failed;
}

static void server_identifier(const struct guest_network *n, uint8_t out[DUID_LL_BYTES])
{
    struct writer w = writer_of(out, DUID_LL_BYTES);
    writer_be(&w, DUID_LL, 2);
    writer_be(&w, 1, 2);
    writer_bytes(&w, n->mac.bytes, MAC_BYTES);
}

/* Which message may hold or must hold our identifier (RFC 8415 section 16). */
static bool is_for_us(const struct guest_network *n, const struct request *q)
{
    uint8_t us[DUID_LL_BYTES];
    server_identifier(n, us);
    bool ours = q->server && q->server_size == sizeof(us) && memcmp(q->server, us, sizeof(us)) == 0;
    switch (q->type) {
    case SOLICIT:
    case CONFIRM:
    case REBIND:
        return q->client && !q->server;
    case REQUEST:
    case RENEW:
    case RELEASE:
    case DECLINE:
        return q->client && ours;
    case INFORMATION:
        return !q->server || ours;
    default:
        return false;
    }
}

static void write_option(struct writer *w, uint16_t kind, const void *value, size_t size)
{
    writer_be(w, kind, 2);
    writer_be(w, size, 2);
    writer_bytes(w, value, size);
}

static void write_status(struct writer *w, uint16_t status)
{
    writer_be(w, OPTION_STATUS, 2);
    writer_be(w, 2, 2);
    writer_be(w, status, 2);
}

static void write_address(struct writer *w, const uint8_t *address, uint32_t preferred, uint32_t valid)
{
    writer_be(w, OPTION_ADDRESS, 2);
    writer_be(w, ADDRESS_BYTES, 2);
    writer_bytes(w, address, IP_BYTES_MAX);
    writer_be(w, preferred, 4);
    writer_be(w, valid, 4);
}

/* Addresses of the client that are not (or no longer) its own get lifetimes of 0. */
static void write_stale(struct writer *w, const struct guest_network *n, struct reader options)
{
    struct reader value;
    uint16_t kind;
    while (next_option(&options, &kind, &value)) {
        const uint8_t *address = reader_bytes(&value, IP_BYTES_MAX);
        if (kind == OPTION_ADDRESS && address && memcmp(address, n->address6.bytes, IP_BYTES_MAX) != 0)
            write_address(w, address, 0, 0);
    }
}

static void write_association(struct writer *w, const struct guest_network *n, const struct request *q,
                              unsigned index)
{
    const struct association *ia = &q->ia[index];
    writer_be(w, OPTION_IA_NA, 2);
    uint8_t *length = writer_room(w, 2);
    size_t start = w->at;
    writer_be(w, ia->id, 4);
    writer_be(w, n->lease / 2, 4);
    writer_be(w, n->lease / 5 * 4, 4);
    if (index == 0) {
        write_address(w, n->address6.bytes, n->lease, n->lease);
        if (q->type == RENEW || q->type == REBIND)
            write_stale(w, n, ia->options);
    } else {
        write_status(w, STATUS_NO_ADDRESS);
    }
    if (w->failed)
        return;
    length[0] = (uint8_t)((w->at - start) >> 8);
    length[1] = (uint8_t)(w->at - start);
}

static void write_dns(struct writer *w, const struct guest_network *n)
{
    uint8_t servers[IKE_DNS_MAX * IP_BYTES_MAX];
    size_t size = 0;
    for (unsigned i = 0; i < n->dns_count; i++)
        if (n->dns[i].version == 6) {
            memcpy(servers + size, n->dns[i].bytes, IP_BYTES_MAX);
            size += IP_BYTES_MAX;
        }
    if (size > 0)
        write_option(w, OPTION_DNS, servers, size);
}

/* Are all the addresses that the client believes in ours? False in *any when it named none. */
static bool all_on_link(const struct guest_network *n, const struct request *q, bool *any)
{
    bool good = true;
    *any = false;
    for (unsigned i = 0; i < q->ia_count; i++) {
        struct reader options = q->ia[i].options, value;
        uint16_t kind;
        while (next_option(&options, &kind, &value)) {
            const uint8_t *address = reader_bytes(&value, IP_BYTES_MAX);
            if (kind != OPTION_ADDRESS || !address)
                continue;
            *any = true;
            good &= memcmp(address, n->address6.bytes, IP_BYTES_MAX) == 0;
        }
    }
    return good;
}

bool dhcp6_answer(const struct guest_network *n, const uint8_t *message, size_t size, struct dhcp_answer *out)
{
    struct request q;
    uint8_t us[DUID_LL_BYTES];
    if (n->address6.version != 6 || !read_request(message, size, &q) || !is_for_us(n, &q))
        return false;
    bool any = false, on_link = all_on_link(n, &q, &any);
    if (q.type == CONFIRM && !any)
        return false;
    bool commits = q.type != SOLICIT || q.rapid_commit;
    struct writer w = writer_of(out->data, sizeof(out->data));
    writer_be(&w, commits ? REPLY : ADVERTISE, 1);
    writer_be(&w, q.xid, 3);
    if (q.client)
        write_option(&w, OPTION_CLIENT, q.client, q.client_size);
    server_identifier(n, us);
    write_option(&w, OPTION_SERVER, us, sizeof(us));
    if (q.type == SOLICIT && q.rapid_commit)
        write_option(&w, OPTION_RAPID_COMMIT, NULL, 0);
    if (q.type == CONFIRM || q.type == RELEASE || q.type == DECLINE)
        write_status(&w, q.type == CONFIRM && !on_link ? STATUS_NOT_ON_LINK : STATUS_SUCCESS);
    else
        for (unsigned i = 0; i < q.ia_count && q.type != INFORMATION; i++)
            write_association(&w, n, &q, i);
    write_dns(&w, n);
    out->size = w.at;
    return !w.failed;
}
