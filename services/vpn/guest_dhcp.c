/* SPDX-License-Identifier: Apache-2.0 */
/* The DHCP servers of one client: DHCP (RFC 2131, options of RFC 2132) and DHCPv6 (RFC 8415) with one address
 * each, in DHCPv6 for the first IA_NA that asks. */
#include "services/vpn/guest.h"

/* ---- Options ---- */

/* Kind and length are one byte each in DHCP, two in DHCPv6. */
#define WIDTH4 1
#define WIDTH6 2

enum { OPTION4_PAD = 0, OPTION4_END = 255 };

struct option {
    unsigned kind;
    const uint8_t *value; /* NULL: not given */
    size_t size;
};

/* Takes the next option; false at the end or when it does not fit (then `r` has failed). */
static bool next_option(struct reader *r, unsigned width, struct option *out)
{
    while (width == WIDTH4 && reader_left(r) > 0 && r->data[r->at] == OPTION4_PAD)
        reader_u8(r);
    if (reader_left(r) == 0 || (width == WIDTH4 && r->data[r->at] == OPTION4_END))
        return false;
    out->kind = (unsigned)reader_be(r, width);
    out->size = (size_t)reader_be(r, width);
    out->value = reader_bytes(r, out->size);
    return out->value != NULL;
}

static void put_option(struct writer *w, unsigned width, unsigned kind, const void *value, size_t size)
{
    writer_be(w, kind, width);
    writer_be(w, size, width);
    writer_bytes(w, value, size);
}

static void put_number(struct writer *w, unsigned width, unsigned kind, uint32_t value, unsigned size)
{
    writer_be(w, kind, width);
    writer_be(w, size, width);
    writer_be(w, value, size);
}

static void put_dns(struct writer *w, unsigned width, unsigned kind, const struct guest_network *n)
{
    uint8_t servers[IKE_DNS_MAX * IP_BYTES_MAX], version = width == WIDTH4 ? 4 : 6;
    size_t size = 0;
    for (unsigned i = 0; i < n->inner.dns_count; i++)
        if (n->inner.dns[i].version == version) {
            memcpy(servers + size, n->inner.dns[i].bytes, ip_bytes(version));
            size += ip_bytes(version);
        }
    if (size > 0)
        put_option(w, width, kind, servers, size);
}

/* ---- DHCP ---- */

#define BOOT_REQUEST   1
#define BOOT_REPLY     2
#define HARDWARE       1          /* Ethernet */
#define COOKIE         0x63538263 /* 99.130.83.99, as it lies in memory */
#define FLAG_BROADCAST 0x0080     /* the same way */
#define BOOTP_MIN      300        /* older clients drop what is shorter */
#define ROUTE_MAX      9          /* length, network, router */

/* In network byte order; what is not touched here is only copied. */
struct packed bootp {
    uint8_t operation, hardware, hardware_size, hops;
    uint32_t transaction;
    uint16_t seconds, flags;
    uint32_t client, yours, next_server, relay;
    uint8_t client_mac[16], names[192];
    uint32_t cookie;
};

enum { DISCOVER4 = 1, OFFER4 = 2, REQUEST4 = 3, ACK4 = 5, NAK4 = 6, INFORM4 = 8 };

enum {
    OPTION4_MASK = 1,
    OPTION4_ROUTER = 3,
    OPTION4_DNS = 6,
    OPTION4_MTU = 26,
    OPTION4_REQUESTED = 50,
    OPTION4_LEASE = 51,
    OPTION4_TYPE = 53,
    OPTION4_SERVER = 54,
    OPTION4_RENEWAL = 58,
    OPTION4_REBINDING = 59,
    OPTION4_CLIENT = 61,
    OPTION4_ROUTES = 121
};

struct request4 {
    const struct bootp *head;
    uint8_t type;
    const uint8_t *requested, *server; /* NULL: not given */
    struct option client;              /* its identifier, echoed (RFC 6842) */
};

static bool read_request4(const uint8_t *message, size_t size, struct request4 *q)
{
    struct reader r = reader_of(message, size);
    struct option o;
    *q = (struct request4){.head = (const void *)reader_bytes(&r, sizeof(struct bootp))};
    if (!q->head || q->head->operation != BOOT_REQUEST || q->head->hardware != HARDWARE ||
        (q->head->client_mac[0] & MAC_GROUP_BIT) || q->head->hardware_size != MAC_BYTES ||
        q->head->relay != 0 || q->head->cookie != COOKIE)
        return false;
    while (next_option(&r, WIDTH4, &o)) {
        if (o.kind == OPTION4_TYPE && o.size == 1)
            q->type = o.value[0];
        else if (o.kind == OPTION4_REQUESTED && o.size == 4)
            q->requested = o.value;
        else if (o.kind == OPTION4_SERVER && o.size == 4)
            q->server = o.value;
        else if (o.kind == OPTION4_CLIENT && o.size >= 2)
            q->client = o;
    }
    return !r.failed;
}

/* The type of the answer; 0: none (RFC 2131 section 4.3). */
static uint8_t decide4(const struct guest_network *n, const struct request4 *q)
{
    const void *wanted = q->requested ? (const void *)q->requested : &q->head->client;
    if (q->type == DISCOVER4)
        return OFFER4;
    if (q->type == INFORM4)
        return q->head->client != 0 ? ACK4 : 0;
    if (q->type != REQUEST4 || (q->server && memcmp(q->server, n->gateway4.bytes, 4) != 0))
        return 0;
    return memcmp(wanted, n->address4.bytes, 4) == 0 ? ACK4 : NAK4;
}

static void put_route(struct writer *w, unsigned prefix, const uint8_t *network, const uint8_t *router)
{
    writer_be(w, prefix, 1);
    writer_bytes(w, network, (prefix + 7) / 8);
    writer_bytes(w, router, 4);
}

/* The networks that the gateway says are behind it (RFC 3442). A client that heeds them heeds no
 * OPTION4_ROUTER, so the default route is one of them where the tunnel takes everything. */
static void put_routes(struct writer *w, const struct guest_network *n)
{
    uint8_t routes[(IKE_SUBNETS_MAX + 1) * ROUTE_MAX];
    struct writer r = writer_of(routes, sizeof(routes));
    for (unsigned i = 0; i < n->inner.subnet_count; i++) {
        const struct traffic_selector *s = &n->inner.subnets[i];
        int prefix = selector_prefix(s);
        if (s->first.version == 4 && prefix >= 0)
            put_route(&r, (unsigned)prefix, s->first.bytes, n->gateway4.bytes);
    }
    if (r.at > 0 && n->everything4)
        put_route(&r, 0, NULL, n->gateway4.bytes);
    /* A long client identifier may leave too little room: better no routes than no lease. */
    if (r.at > 0 && 2 + r.at + 1 <= w->size - w->at)
        put_option(w, WIDTH4, OPTION4_ROUTES, routes, r.at);
}

static void put_options4(struct writer *w, const struct guest_network *n, const struct request4 *q,
                         uint8_t type)
{
    put_number(w, WIDTH4, OPTION4_TYPE, type, 1);
    put_option(w, WIDTH4, OPTION4_SERVER, n->gateway4.bytes, 4);
    if (q->client.value)
        put_option(w, WIDTH4, OPTION4_CLIENT, q->client.value, q->client.size);
    if (type == NAK4)
        return;
    if (q->type != INFORM4) {
        put_number(w, WIDTH4, OPTION4_LEASE, n->lease, 4);
        put_number(w, WIDTH4, OPTION4_RENEWAL, n->lease / 2, 4);
        put_number(w, WIDTH4, OPTION4_REBINDING, n->lease / 8 * 7, 4);
    }
    put_number(w, WIDTH4, OPTION4_MASK, ~(UINT32_MAX >> n->prefix4), 4);
    put_option(w, WIDTH4, OPTION4_ROUTER, n->gateway4.bytes, 4);
    put_dns(w, WIDTH4, OPTION4_DNS, n);
    if (n->mtu > 0)
        put_number(w, WIDTH4, OPTION4_MTU, n->mtu, 2);
    put_routes(w, n);
}

/* It goes to the address that the client has, or is given, unless it asks for a broadcast (section 4.1). */
bool dhcp4_answer(const struct guest_network *n, const uint8_t *message, size_t size, struct dhcp_answer *out)
{
    struct request4 q;
    if (n->address4.version != 4 || !read_request4(message, size, &q))
        return false;
    uint8_t type = decide4(n, &q);
    if (type == 0)
        return false;
    struct bootp head = {.operation = BOOT_REPLY,
                         .hardware = HARDWARE,
                         .hardware_size = MAC_BYTES,
                         .transaction = q.head->transaction,
                         .flags = q.head->flags,
                         .client = type == ACK4 ? q.head->client : 0,
                         .cookie = COOKIE};
    memcpy(head.client_mac, q.head->client_mac, sizeof(head.client_mac));
    if (type != NAK4 && q.type != INFORM4)
        memcpy(&head.yours, n->address4.bytes, 4);
    struct writer w = writer_of(out->data, sizeof(out->data));
    writer_bytes(&w, &head, sizeof(head));
    put_options4(&w, n, &q, type);
    writer_be(&w, OPTION4_END, 1);
    if (w.at < BOOTP_MIN)
        writer_zero(&w, BOOTP_MIN - w.at);
    out->size = w.at;
    out->to = (struct ip_address){4, {255, 255, 255, 255}};
    if (type != NAK4 && q.head->client != 0)
        memcpy(out->to.bytes, &q.head->client, 4);
    else if (type != NAK4 && !(q.head->flags & FLAG_BROADCAST))
        out->to = n->address4;
    return !w.failed;
}

/* ---- DHCPv6 ---- */

enum {
    SOLICIT6 = 1,
    ADVERTISE6 = 2,
    REQUEST6 = 3,
    CONFIRM6 = 4,
    RENEW6 = 5,
    REBIND6 = 6,
    REPLY6 = 7,
    RELEASE6 = 8,
    DECLINE6 = 9,
    INFORMATION6 = 11
};

enum {
    OPTION6_CLIENT = 1,
    OPTION6_SERVER = 2,
    OPTION6_IA_NA = 3,
    OPTION6_ADDRESS = 5,
    OPTION6_STATUS = 13,
    OPTION6_RAPID_COMMIT = 14,
    OPTION6_DNS = 23
};

enum { STATUS_NONE = -1, STATUS_SUCCESS = 0, STATUS_NO_ADDRESS = 2, STATUS_NOT_ON_LINK = 4 };

#define DUID_MAX      130        /* RFC 8415 section 11.1, with its type */
#define DUID_LL       0x00030001 /* a link-layer address, of Ethernet */
#define DUID_LL_BYTES 10
#define IA_HEAD       12 /* IAID, T1, T2 */
#define IA_MAX        4
#define ADDRESS_BYTES 24 /* address, preferred and valid lifetime */

struct request6 {
    uint8_t type;
    uint32_t transaction;
    struct reader options;
    struct option client, server;
    bool rapid_commit;
};

static bool read_request6(const uint8_t *message, size_t size, struct request6 *q)
{
    struct reader r = reader_of(message, size);
    struct option o;
    *q = (struct request6){.type = reader_u8(&r), .transaction = (uint32_t)reader_be(&r, 3)};
    q->options = r;
    while (next_option(&r, WIDTH6, &o)) {
        if ((o.kind == OPTION6_CLIENT && (o.size == 0 || o.size > DUID_MAX)) ||
            (o.kind == OPTION6_IA_NA && o.size < IA_HEAD))
            return false;
        if (o.kind == OPTION6_CLIENT)
            q->client = o;
        else if (o.kind == OPTION6_SERVER)
            q->server = o;
        else if (o.kind == OPTION6_RAPID_COMMIT)
            q->rapid_commit = true;
    }
    return !r.failed;
}

/* The next IA_NA; *inside are its own options. */
static const uint8_t *next_association(struct reader *r, struct reader *inside)
{
    struct option o;
    while (next_option(r, WIDTH6, &o))
        if (o.kind == OPTION6_IA_NA) {
            *inside = reader_of(o.value + IA_HEAD, o.size - IA_HEAD);
            return o.value;
        }
    return NULL;
}

static const uint8_t *next_address(struct reader *inside)
{
    struct option o;
    while (next_option(inside, WIDTH6, &o))
        if (o.kind == OPTION6_ADDRESS && o.size >= IP_BYTES_MAX)
            return o.value;
    return NULL;
}

/* Which message may hold or must hold our identifier (section 16). */
static bool is_for_us(const struct request6 *q, const uint8_t us[DUID_LL_BYTES])
{
    const uint64_t to_anybody = BIT(SOLICIT6) | BIT(CONFIRM6) | BIT(REBIND6),
                   to_us = BIT(REQUEST6) | BIT(RENEW6) | BIT(RELEASE6) | BIT(DECLINE6);
    uint64_t type = q->type <= INFORMATION6 ? BIT(q->type) : 0;
    bool names_us = q->server.size == DUID_LL_BYTES && memcmp(q->server.value, us, DUID_LL_BYTES) == 0;
    if (type & to_anybody)
        return q->client.value && !q->server.value;
    if (type & to_us)
        return q->client.value && names_us;
    return q->type == INFORMATION6 && (!q->server.value || names_us);
}

/* CONFIRM: are all the addresses that the client believes in ours? Without any there is no answer. */
static int confirm(const struct guest_network *n, const struct request6 *q)
{
    int status = STATUS_NONE;
    struct reader r = q->options, inside;
    const uint8_t *address;
    while (next_association(&r, &inside))
        while ((address = next_address(&inside)))
            if (status != STATUS_NOT_ON_LINK)
                status = memcmp(address, n->address6.bytes, IP_BYTES_MAX) == 0 ? STATUS_SUCCESS
                                                                               : STATUS_NOT_ON_LINK;
    return status;
}

static void put_address(struct writer *w, const uint8_t *address, uint32_t lifetime)
{
    writer_be(w, OPTION6_ADDRESS, WIDTH6);
    writer_be(w, ADDRESS_BYTES, WIDTH6);
    writer_bytes(w, address, IP_BYTES_MAX);
    writer_be(w, lifetime, 4);
    writer_be(w, lifetime, 4);
}

/* The first IA_NA gets the address; those of the client that are no longer its own get lifetimes of 0. */
static void put_associations(struct writer *w, const struct guest_network *n, const struct request6 *q)
{
    struct reader r = q->options, inside;
    const uint8_t *ia, *address;
    for (unsigned i = 0; i < IA_MAX && (ia = next_association(&r, &inside)); i++) {
        uint8_t value[DHCP_ANSWER_MAX];
        struct writer v = writer_of(value, sizeof(value));
        writer_bytes(&v, ia, 4); /* IAID */
        writer_be(&v, n->lease / 2, 4);
        writer_be(&v, n->lease / 5 * 4, 4);
        if (i > 0)
            put_number(&v, WIDTH6, OPTION6_STATUS, STATUS_NO_ADDRESS, 2);
        else
            put_address(&v, n->address6.bytes, n->lease);
        while (i == 0 && (q->type == RENEW6 || q->type == REBIND6) && (address = next_address(&inside)))
            if (memcmp(address, n->address6.bytes, IP_BYTES_MAX) != 0)
                put_address(&v, address, 0);
        w->failed |= v.failed;
        put_option(w, WIDTH6, OPTION6_IA_NA, value, v.at);
    }
}

bool dhcp6_answer(const struct guest_network *n, const uint8_t *message, size_t size, struct dhcp_answer *out)
{
    struct request6 q;
    uint8_t us[DUID_LL_BYTES];
    ip_put32(us, DUID_LL);
    memcpy(us + 4, n->mac.bytes, MAC_BYTES);
    if (n->address6.version != 6 || !read_request6(message, size, &q) || !is_for_us(&q, us))
        return false;
    int status = q.type == CONFIRM6 ? confirm(n, &q) : STATUS_SUCCESS;
    if (status == STATUS_NONE)
        return false;
    struct writer w = writer_of(out->data, sizeof(out->data));
    writer_be(&w, q.type == SOLICIT6 && !q.rapid_commit ? ADVERTISE6 : REPLY6, 1);
    writer_be(&w, q.transaction, 3);
    if (q.client.value)
        put_option(&w, WIDTH6, OPTION6_CLIENT, q.client.value, q.client.size);
    put_option(&w, WIDTH6, OPTION6_SERVER, us, sizeof(us));
    if (q.type == SOLICIT6 && q.rapid_commit)
        put_option(&w, WIDTH6, OPTION6_RAPID_COMMIT, NULL, 0);
    if (q.type == CONFIRM6 || q.type == RELEASE6 || q.type == DECLINE6)
        put_number(&w, WIDTH6, OPTION6_STATUS, (uint32_t)status, 2);
    else if (q.type != INFORMATION6)
        put_associations(&w, n, &q);
    put_dns(&w, WIDTH6, OPTION6_DNS, n);
    out->size = w.at;
    return !w.failed;
}
