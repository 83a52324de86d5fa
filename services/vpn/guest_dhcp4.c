/* SPDX-License-Identifier: Apache-2.0 */
/* The DHCP server of one client (RFC 2131, options of RFC 2132). */
#include "services/vpn/guest_network.h"

#define BOOT_REQUEST   1
#define BOOT_REPLY     2
#define COOKIE         0x63825363u
#define FLAG_BROADCAST 0x8000
#define CHADDR_BYTES   16
#define NAMES_BYTES    192 /* sname and file */
#define BOOTP_MIN      300 /* older clients drop what is shorter */

enum { DISCOVER = 1, OFFER = 2, REQUEST = 3, ACK = 5, NAK = 6, INFORM = 8 };

enum {
    OPTION_PAD = 0,
    OPTION_MASK = 1,
    OPTION_ROUTER = 3,
    OPTION_DNS = 6,
    OPTION_MTU = 26,
    OPTION_REQUESTED = 50,
    OPTION_LEASE = 51,
    OPTION_TYPE = 53,
    OPTION_SERVER = 54,
    OPTION_RENEWAL = 58,
    OPTION_REBINDING = 59,
    OPTION_CLIENT = 61,
    OPTION_END = 255
};

struct request {
    uint32_t xid;
    uint16_t flags;
    const uint8_t *ciaddr, *chaddr;
    uint8_t type;
    const uint8_t *requested, *server; /* NULL: not given */
    const uint8_t *client;             /* its identifier, echoed (RFC 6842) */
    uint8_t client_size;
};

static void take_option(struct request *out, uint8_t kind, const uint8_t *value, uint8_t length)
{
    if (kind == OPTION_TYPE && length == 1)
        out->type = value[0];
    else if (kind == OPTION_REQUESTED && length == 4)
        out->requested = value;
    else if (kind == OPTION_SERVER && length == 4)
        out->server = value;
    else if (kind == OPTION_CLIENT && length >= 2) {
        out->client = value;
        out->client_size = length;
    }
}

static bool read_request(const uint8_t *message, size_t size, struct request *out)
{
    static const uint8_t nobody[4];
    struct reader r = reader_of(message, size);
    uint32_t kind = (uint32_t)reader_be(&r, 4); /* op, htype, hlen, hops */
    *out = (struct request){.xid = (uint32_t)reader_be(&r, 4)};
    (void)reader_bytes(&r, 2);
    out->flags = (uint16_t)reader_be(&r, 2);
    out->ciaddr = reader_bytes(&r, 4);
    (void)reader_bytes(&r, 8);
    const uint8_t *relay = reader_bytes(&r, 4);
    out->chaddr = reader_bytes(&r, CHADDR_BYTES);
    (void)reader_bytes(&r, NAMES_BYTES);
    uint32_t cookie = (uint32_t)reader_be(&r, 4);
    if (r.failed || kind >> 8 != (BOOT_REQUEST << 16 | 1 << 8 | MAC_BYTES) || cookie != COOKIE ||
        (out->chaddr[0] & MAC_GROUP_BIT) || memcmp(relay, nobody, 4) != 0)
        return false;
    while (reader_left(&r) > 0) {
        uint8_t option = reader_u8(&r);
        if (option == OPTION_END)
            break;
        if (option == OPTION_PAD)
            continue;
        uint8_t length = reader_u8(&r);
        const uint8_t *value = reader_bytes(&r, length);
        if (!value)
            return false;
        take_option(out, option, value, length);
    }
    return true;
}

static void write_option(struct writer *w, uint8_t kind, const void *value, uint8_t size)
{
    writer_be(w, kind, 1);
    writer_be(w, size, 1);
    writer_bytes(w, value, size);
}

static void write_number(struct writer *w, uint8_t kind, uint32_t value, uint8_t size)
{
    writer_be(w, kind, 1);
    writer_be(w, size, 1);
    writer_be(w, value, size);
}

static void write_dns(struct writer *w, const struct guest_network *n)
{
    uint8_t servers[IKE_DNS_MAX * 4], size = 0;
    for (unsigned i = 0; i < n->dns_count; i++)
        if (n->dns[i].version == 4) {
            memcpy(servers + size, n->dns[i].bytes, 4);
            size += 4;
        }
    if (size > 0)
        write_option(w, OPTION_DNS, servers, size);
}

static void write_options(struct writer *w, const struct guest_network *n, const struct request *q,
                          uint8_t type)
{
    write_number(w, OPTION_TYPE, type, 1);
    write_option(w, OPTION_SERVER, n->gateway4.bytes, 4);
    if (q->client)
        write_option(w, OPTION_CLIENT, q->client, q->client_size);
    if (type == NAK)
        return;
    if (q->type != INFORM) {
        write_number(w, OPTION_LEASE, n->lease, 4);
        write_number(w, OPTION_RENEWAL, n->lease / 2, 4);
        write_number(w, OPTION_REBINDING, n->lease / 8 * 7, 4);
    }
    write_number(w, OPTION_MASK, ~(UINT32_MAX >> n->prefix4), 4);
    write_option(w, OPTION_ROUTER, n->gateway4.bytes, 4);
    write_dns(w, n);
    if (n->mtu > 0)
        write_number(w, OPTION_MTU, n->mtu, 2);
}

/* The type of the answer; 0: none (RFC 2131 section 4.3). */
static uint8_t decide(const struct guest_network *n, const struct request *q)
{
    static const uint8_t nobody[4];
    if (q->type == DISCOVER)
        return OFFER;
    if (q->type == INFORM)
        return memcmp(q->ciaddr, nobody, 4) != 0 ? ACK : 0;
    if (q->type != REQUEST || (q->server && memcmp(q->server, n->gateway4.bytes, 4) != 0))
        return 0;
    const uint8_t *wanted = q->requested ? q->requested : q->ciaddr;
    return memcmp(wanted, n->address4.bytes, 4) == 0 ? ACK : NAK;
}

/* Where it goes (section 4.1): to the address that the client has, or is given, unless it asks for a
 * broadcast. */
static void address_answer(const struct guest_network *n, const struct request *q, uint8_t type,
                           struct dhcp_answer *out)
{
    static const uint8_t nobody[4];
    out->to = (struct ip_address){4, {255, 255, 255, 255}};
    memcpy(out->mac.bytes, q->chaddr, MAC_BYTES);
    if (type == NAK)
        return;
    if (memcmp(q->ciaddr, nobody, 4) != 0)
        memcpy(out->to.bytes, q->ciaddr, 4);
    else if (!(q->flags & FLAG_BROADCAST))
        memcpy(out->to.bytes, n->address4.bytes, 4);
}

bool dhcp4_answer(const struct guest_network *n, const uint8_t *message, size_t size, struct dhcp_answer *out)
{
    struct request q;
    if (n->address4.version != 4 || !read_request(message, size, &q))
        return false;
    uint8_t type = decide(n, &q);
    if (type == 0)
        return false;
    struct writer w = writer_of(out->data, sizeof(out->data));
    writer_be(&w, (uint32_t)BOOT_REPLY << 24 | 1 << 16 | MAC_BYTES << 8, 4);
    writer_be(&w, q.xid, 4);
    writer_be(&w, q.flags, 4); /* secs is 0 in an answer */
    if (type == ACK)
        writer_bytes(&w, q.ciaddr, 4);
    else
        writer_zero(&w, 4);
    if (type == NAK || q.type == INFORM)
        writer_zero(&w, 4);
    else
        writer_bytes(&w, n->address4.bytes, 4);
    writer_zero(&w, 8); /* next server, relay */
    writer_bytes(&w, q.chaddr, CHADDR_BYTES);
    writer_zero(&w, NAMES_BYTES);
    writer_be(&w, COOKIE, 4);
    write_options(&w, n, &q, type);
    writer_be(&w, OPTION_END, 1);
    if (w.at < BOOTP_MIN)
        writer_zero(&w, BOOTP_MIN - w.at);
    out->size = w.at;
    address_answer(n, &q, type, out);
    return !w.failed;
}
