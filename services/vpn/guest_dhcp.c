/* SPDX-License-Identifier: Apache-2.0 */
/* The DHCP servers of one client: DHCP (RFC 2131, options of RFC 2132) and DHCPv6 (RFC 8415) with one address
 * each, in DHCPv6 for the first IA_NA that asks. */
#include "services/vpn/guest.h"

#include "lib/reader.h"
#include "lib/writer.h"

#include <lwip/prot/dhcp.h>
#include <lwip/prot/dhcp6.h>
#include <lwip/prot/iana.h>

/* ---- Options ---- */

/* Kind and length are one byte each in DHCP, two in DHCPv6. */
#define WIDTH4 1
#define WIDTH6 2

struct option {
    unsigned kind;
    const uint8_t *value; /* NULL: there is none */
    size_t size;
};

/* Takes the next option; false at the end or when it does not fit (then `r` has failed). */
static bool next_option(struct reader *r, unsigned width, struct option *out)
{
    while (width == WIDTH4 && reader_left(r) > 0 && r->data[r->at] == DHCP_OPTION_PAD)
        reader_u8(r);
    if (reader_left(r) == 0 || (width == WIDTH4 && r->data[r->at] == DHCP_OPTION_END))
        return false;
    out->kind = (unsigned)reader_be(r, width);
    out->size = (size_t)reader_be(r, width);
    out->value = reader_bytes(r, out->size);
    return out->value != NULL;
}

/* Takes the next option of a kind whose value has so many bytes at the least. */
static struct option next_of(struct reader *r, unsigned width, unsigned kind, size_t least)
{
    struct option o;
    while (next_option(r, width, &o))
        if (o.kind == kind && o.size >= least)
            return o;
    return (struct option){.value = NULL};
}

static struct option find(struct reader options, unsigned width, unsigned kind, size_t least)
{
    return next_of(&options, width, kind, least);
}

/* Is none of them cut short? */
static bool options_are_whole(struct reader options, unsigned width)
{
    struct option o;
    while (next_option(&options, width, &o))
        continue;
    return !options.failed;
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
    uint8_t servers[IKE_INNER_MAX * IP_BYTES_MAX], version = width == WIDTH4 ? 4 : 6;
    struct writer v = writer_of(servers, sizeof(servers));
    for (unsigned i = 0; i < n->inner.dns.count; i++)
        if (n->inner.dns.item[i].version == version)
            writer_bytes(&v, n->inner.dns.item[i].bytes, ip_bytes(version));
    if (v.at > 0)
        put_option(w, width, kind, servers, v.at);
}

/* ---- DHCP ---- */

#define BOOTP_MIN             300 /* older clients drop what is shorter */
#define FLAG_BROADCAST        PP_HTONS(0x8000)
#define DHCP_OPTION_ROUTES    121
#define DHCP_OPTION_ROUTE_MAX 9 /* length, network, router */

struct request4 {
    const struct dhcp_msg *head; /* as far as the options */
    struct reader options;
    uint8_t type; /* 0: not given */
};

static bool read_request4(const uint8_t *message, size_t size, struct request4 *q)
{
    struct reader r = reader_of(message, size);
    const struct dhcp_msg *head = (const void *)reader_bytes(&r, DHCP_OPTIONS_OFS);
    if (!head || head->op != DHCP_BOOTREQUEST || head->htype != LWIP_IANA_HWTYPE_ETHERNET ||
        (head->chaddr[0] & MAC_GROUP_BIT) || head->hlen != ETH_HWADDR_LEN || head->giaddr.addr != 0 ||
        head->cookie != PP_HTONL(DHCP_MAGIC_COOKIE) || !options_are_whole(r, WIDTH4))
        return false;
    struct option type = find(r, WIDTH4, DHCP_OPTION_MESSAGE_TYPE, 1);
    *q = (struct request4){.head = head, .options = r, .type = type.value ? type.value[0] : 0};
    return true;
}

/* The type of the answer; 0: none (RFC 2131 section 4.3). */
static uint8_t decide4(const struct guest_network *n, const struct request4 *q)
{
    struct option requested = find(q->options, WIDTH4, DHCP_OPTION_REQUESTED_IP, 4),
                  server = find(q->options, WIDTH4, DHCP_OPTION_SERVER_ID, 4);
    const void *wanted = requested.value ? (const void *)requested.value : &q->head->ciaddr;
    if (q->type == DHCP_DISCOVER)
        return DHCP_OFFER;
    if (q->type == DHCP_INFORM)
        return q->head->ciaddr.addr != 0 ? DHCP_ACK : 0;
    if (q->type != DHCP_REQUEST || (server.value && memcmp(server.value, n->gateway4.bytes, 4) != 0))
        return 0;
    return memcmp(wanted, n->address4.bytes, 4) == 0 ? DHCP_ACK : DHCP_NAK;
}

static void put_route(struct writer *w, unsigned prefix, const uint8_t *network, const uint8_t *router)
{
    writer_be(w, prefix, 1);
    writer_bytes(w, network, (prefix + 7) / 8);
    writer_bytes(w, router, 4);
}

/* The networks that the gateway says are behind it (RFC 3442). A client that heeds them heeds no
 * DHCP_OPTION_ROUTER, so the default route is one of them where the tunnel takes everything. */
static void put_routes(struct writer *w, const struct guest_network *n)
{
    uint8_t routes[(SELECTORS_MAX + 1) * DHCP_OPTION_ROUTE_MAX];
    struct writer r = writer_of(routes, sizeof(routes));
    for (unsigned i = 0; i < n->inner.subnets.count; i++) {
        const struct traffic_selector *s = &n->inner.subnets.item[i];
        int prefix = selector_prefix(s);
        if (s->first.version == 4 && prefix >= 0)
            put_route(&r, (unsigned)prefix, s->first.bytes, n->gateway4.bytes);
    }
    if (r.at > 0 && n->everything4)
        put_route(&r, 0, NULL, n->gateway4.bytes);
    /* A long client identifier may leave too little room: better no routes than no lease. */
    if (r.at > 0 && 2 + r.at + 1 <= w->size - w->at)
        put_option(w, WIDTH4, DHCP_OPTION_ROUTES, routes, r.at);
}

static void put_options4(struct writer *w, const struct guest_network *n, const struct request4 *q,
                         uint8_t type)
{
    struct option client = find(q->options, WIDTH4, DHCP_OPTION_CLIENT_ID, 2);
    put_number(w, WIDTH4, DHCP_OPTION_MESSAGE_TYPE, type, 1);
    put_option(w, WIDTH4, DHCP_OPTION_SERVER_ID, n->gateway4.bytes, 4);
    if (client.value) /* echoed (RFC 6842) */
        put_option(w, WIDTH4, DHCP_OPTION_CLIENT_ID, client.value, client.size);
    if (type == DHCP_NAK)
        return;
    if (q->type != DHCP_INFORM) {
        put_number(w, WIDTH4, DHCP_OPTION_LEASE_TIME, n->lease, 4);
        put_number(w, WIDTH4, DHCP_OPTION_T1, n->lease / 2, 4);
        put_number(w, WIDTH4, DHCP_OPTION_T2, n->lease / 8 * 7, 4);
    }
    put_number(w, WIDTH4, DHCP_OPTION_SUBNET_MASK, ~(UINT32_MAX >> n->prefix4), 4);
    put_option(w, WIDTH4, DHCP_OPTION_ROUTER, n->gateway4.bytes, 4);
    put_dns(w, WIDTH4, DHCP_OPTION_DNS_SERVER, n);
    if (n->mtu > 0)
        put_number(w, WIDTH4, DHCP_OPTION_MTU, n->mtu, 2);
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
    struct dhcp_msg head = {.op = DHCP_BOOTREPLY,
                            .htype = LWIP_IANA_HWTYPE_ETHERNET,
                            .hlen = ETH_HWADDR_LEN,
                            .xid = q.head->xid,
                            .flags = q.head->flags,
                            .ciaddr.addr = type == DHCP_ACK ? q.head->ciaddr.addr : 0,
                            .cookie = PP_HTONL(DHCP_MAGIC_COOKIE)};
    memcpy(head.chaddr, q.head->chaddr, sizeof(head.chaddr));
    if (type != DHCP_NAK && q.type != DHCP_INFORM)
        memcpy(&head.yiaddr, n->address4.bytes, 4);
    struct writer w = writer_of(out->data, sizeof(out->data));
    writer_bytes(&w, &head, DHCP_OPTIONS_OFS);
    put_options4(&w, n, &q, type);
    writer_be(&w, DHCP_OPTION_END, 1);
    if (w.at < BOOTP_MIN)
        writer_zero(&w, BOOTP_MIN - w.at);
    out->size = w.at;
    out->to = (struct ip_address){4, {255, 255, 255, 255}};
    if (type != DHCP_NAK && q.head->ciaddr.addr != 0)
        memcpy(out->to.bytes, &q.head->ciaddr, 4);
    else if (type != DHCP_NAK && !(q.head->flags & FLAG_BROADCAST))
        out->to = n->address4;
    return !w.failed;
}

/* ---- DHCPv6 ---- */

#define STATUS_NONE   -1
#define DUID_MAX      130 /* RFC 8415 section 11.1, with its type */
#define DUID_LL       (DHCP6_DUID_LL << 16 | LWIP_IANA_HWTYPE_ETHERNET)
#define DUID_LL_BYTES 10
#define IA_HEAD       12 /* IAID, T1, T2 */
#define IA_MAX        4
#define ADDRESS_BYTES 24 /* address, preferred and valid lifetime */

/* Which message may hold or must hold our identifier (section 16). */
static bool is_for_us(uint8_t type, const struct option *client, const struct option *server,
                      const uint8_t us[DUID_LL_BYTES])
{
    const uint64_t to_anybody = BIT(DHCP6_SOLICIT) | BIT(DHCP6_CONFIRM) | BIT(DHCP6_REBIND),
                   to_us = BIT(DHCP6_REQUEST) | BIT(DHCP6_RENEW) | BIT(DHCP6_RELEASE) | BIT(DHCP6_DECLINE);
    uint64_t bit = type <= DHCP6_INFOREQUEST ? BIT(type) : 0;
    bool names_us = server->size == DUID_LL_BYTES && memcmp(server->value, us, DUID_LL_BYTES) == 0;
    if (bit & to_anybody)
        return client->value && !server->value;
    if (bit & to_us)
        return client->value && names_us;
    return type == DHCP6_INFOREQUEST && (!server->value || names_us);
}

/* The next IA_NA; *inside are its own options. */
static const uint8_t *next_association(struct reader *r, struct reader *inside)
{
    struct option o = next_of(r, WIDTH6, DHCP6_OPTION_IA_NA, IA_HEAD);
    if (o.value)
        *inside = reader_of(o.value + IA_HEAD, o.size - IA_HEAD);
    return o.value;
}

static const uint8_t *next_address(struct reader *inside)
{
    return next_of(inside, WIDTH6, DHCP6_OPTION_IAADDR, IP_BYTES_MAX).value;
}

/* CONFIRM: are all the addresses that the client believes in ours? Without any there is no answer. */
static int confirm(const struct guest_network *n, struct reader options)
{
    int status = STATUS_NONE;
    struct reader inside;
    const uint8_t *address;
    while (next_association(&options, &inside))
        while ((address = next_address(&inside))) {
            status = DHCP6_STATUS_SUCCESS;
            if (memcmp(address, n->address6.bytes, IP_BYTES_MAX) != 0)
                return DHCP6_STATUS_NOTONLINK;
        }
    return status;
}

static void put_address(struct writer *w, const uint8_t *address, uint32_t lifetime)
{
    writer_be(w, DHCP6_OPTION_IAADDR, WIDTH6);
    writer_be(w, ADDRESS_BYTES, WIDTH6);
    writer_bytes(w, address, IP_BYTES_MAX);
    writer_be(w, lifetime, 4);
    writer_be(w, lifetime, 4);
}

/* The first IA_NA gets the address; those of the client that are no longer its own get lifetimes of 0. */
static void put_associations(struct writer *w, const struct guest_network *n, struct reader options,
                             uint8_t type)
{
    struct reader inside;
    const uint8_t *ia, *address;
    bool renews = type == DHCP6_RENEW || type == DHCP6_REBIND;
    for (unsigned i = 0; i < IA_MAX && (ia = next_association(&options, &inside)); i++) {
        uint8_t value[DHCP_ANSWER_MAX];
        struct writer v = writer_of(value, sizeof(value));
        writer_bytes(&v, ia, 4); /* IAID */
        writer_be(&v, n->lease / 2, 4);
        writer_be(&v, n->lease / 5 * 4, 4);
        if (i > 0)
            put_number(&v, WIDTH6, DHCP6_OPTION_STATUS_CODE, DHCP6_STATUS_NOADDRSAVAIL, 2);
        else
            put_address(&v, n->address6.bytes, n->lease);
        while (i == 0 && renews && (address = next_address(&inside)))
            if (memcmp(address, n->address6.bytes, IP_BYTES_MAX) != 0)
                put_address(&v, address, 0);
        w->failed |= v.failed;
        put_option(w, WIDTH6, DHCP6_OPTION_IA_NA, value, v.at);
    }
}

bool dhcp6_answer(const struct guest_network *n, const uint8_t *message, size_t size, struct dhcp_answer *out)
{
    uint8_t us[DUID_LL_BYTES];
    ip_put32(us, DUID_LL);
    memcpy(us + 4, n->mac.addr, ETH_HWADDR_LEN);
    struct reader r = reader_of(message, size);
    uint8_t type = reader_u8(&r);
    const uint8_t *transaction = reader_bytes(&r, DHCP6_TRANSACTION_ID_LEN);
    struct option client = find(r, WIDTH6, DHCP6_OPTION_CLIENTID, 1),
                  server = find(r, WIDTH6, DHCP6_OPTION_SERVERID, 0);
    if (n->address6.version != 6 || !options_are_whole(r, WIDTH6) || client.size > DUID_MAX ||
        !is_for_us(type, &client, &server, us))
        return false;
    int status = type == DHCP6_CONFIRM ? confirm(n, r) : DHCP6_STATUS_SUCCESS;
    if (status == STATUS_NONE)
        return false;
    bool rapid = type == DHCP6_SOLICIT && find(r, WIDTH6, DHCP6_OPTION_RAPID_COMMIT, 0).value;
    struct writer w = writer_of(out->data, sizeof(out->data));
    writer_be(&w, type == DHCP6_SOLICIT && !rapid ? DHCP6_ADVERTISE : DHCP6_REPLY, 1);
    writer_bytes(&w, transaction, DHCP6_TRANSACTION_ID_LEN);
    if (client.value)
        put_option(&w, WIDTH6, DHCP6_OPTION_CLIENTID, client.value, client.size);
    put_option(&w, WIDTH6, DHCP6_OPTION_SERVERID, us, sizeof(us));
    if (rapid)
        put_option(&w, WIDTH6, DHCP6_OPTION_RAPID_COMMIT, NULL, 0);
    if (type == DHCP6_CONFIRM || type == DHCP6_RELEASE || type == DHCP6_DECLINE)
        put_number(&w, WIDTH6, DHCP6_OPTION_STATUS_CODE, (uint32_t)status, 2);
    else if (type != DHCP6_INFOREQUEST)
        put_associations(&w, n, r, type);
    put_dns(&w, WIDTH6, DHCP6_OPTION_DNS_SERVERS, n);
    out->size = w.at;
    return !w.failed;
}
