/* SPDX-License-Identifier: Apache-2.0 */
/* Where both ends seem to be: NAT detection (RFC 7296 section 2.23), liveness checks, which ask for it, and
 * MOBIKE (RFC 4555): our address, or what a NAT makes of it, has changed; the SAs live on. */
#include "crypto/ipsec/connection.h"
#include <openssl/evp.h>

static bool nat_hash(const struct ike_sa *sa, const struct ip_endpoint *end, uint8_t out[NAT_HASH_BYTES])
{
    uint8_t text[8 + 8 + IP_BYTES_MAX + 2];
    struct writer w = writer_of(text, sizeof(text));
    writer_be(&w, sa->spi_i, 8);
    writer_be(&w, sa->spi_r, 8);
    writer_bytes(&w, end->ip.bytes, ip_bytes(end->ip.version));
    writer_be(&w, end->port, 2);
    size_t size = 0;
    return !w.failed && EVP_Q_digest(NULL, "SHA1", NULL, text, w.at, out, &size) && size == NAT_HASH_BYTES;
}

void put_nat_detection(struct ike_sa *sa, struct builder *b)
{
    struct ike *ike = sa->ike;
    uint8_t source[NAT_HASH_BYTES], destination[NAT_HASH_BYTES];
    /* A source hash of no address makes the peer believe in a NAT: UDP is used for ESP, too. */
    bool good = ike->config->force_udp ? ike->call.entropy(ike->owner, source, sizeof(source))
                                       : nat_hash(sa, &sa->local, source);
    b->w.failed = b->w.failed || !good || !nat_hash(sa, &sa->remote, destination);
    put_notify(b, NOTIFY_NAT_SOURCE, source, sizeof(source));
    put_notify(b, NOTIFY_NAT_DESTINATION, destination, sizeof(destination));
}

/* Is there such a hash, and one of this end? A peer with several addresses sends several. */
static bool has_hash(const struct ike_sa *sa, const struct payload_list *list, uint16_t type,
                     const struct ip_endpoint *end, bool *same)
{
    uint8_t expected[NAT_HASH_BYTES];
    struct notify n;
    bool found = false;
    *same = false;
    if (!nat_hash(sa, end, expected))
        return false;
    for (unsigned i = 0; i < list->count; i++)
        if (notify_read(&list->item[i], &n) && n.type == type && n.data.size == NAT_HASH_BYTES) {
            found = true;
            *same = *same || memcmp(n.data.data, expected, NAT_HASH_BYTES) == 0;
        }
    return found;
}

void nat_judge(struct ike_sa *sa, const struct payload_list *list)
{
    bool same_source, same_destination;
    if (!has_hash(sa, list, NOTIFY_NAT_SOURCE, &sa->remote, &same_source) ||
        !has_hash(sa, list, NOTIFY_NAT_DESTINATION, &sa->local, &same_destination))
        return;
    sa->nat_known = true;
    sa->nat_remote = !same_source;
    sa->nat_local = !same_destination;
}

bool nat_watches(const struct ike_sa *sa)
{
    return sa->mobike && sa->nat_known && sa->nat_local;
}

/* A NAT that has forgotten us gives us another port. With MOBIKE the gateway follows only when it is told
 * (RFC 4555 section 3.8). */
static bool mapping_changed(struct ike_sa *sa, const struct payload_list *list)
{
    struct notify n;
    if (!notify_find(list, NOTIFY_NAT_DESTINATION, &n) || n.data.size != NAT_HASH_BYTES)
        return false;
    bool changed = sa->mapping_known && memcmp(sa->mapping, n.data.data, NAT_HASH_BYTES) != 0;
    memcpy(sa->mapping, n.data.data, NAT_HASH_BYTES);
    sa->mapping_known = true;
    return changed;
}

static bool liveness_build(struct ike_sa *sa, struct builder *b)
{
    sa->probe = false;
    if (nat_watches(sa))
        put_nat_detection(sa, b);
    return true;
}

static void liveness_answer(struct ike_sa *sa, const struct payload_list *list)
{
    if (nat_watches(sa) && mapping_changed(sa, list))
        sa->move = true;
}

const struct exchange exchange_liveness = {"liveness check", INFORMATIONAL, liveness_build, liveness_answer};

static bool move_build(struct ike_sa *sa, struct builder *b)
{
    struct ike *ike = sa->ike;
    sa->move = false;
    if (!ike->call.entropy(ike->owner, sa->attempt.cookie2, sizeof(sa->attempt.cookie2)))
        return false;
    put_notify(b, NOTIFY_UPDATE_SA_ADDRESSES, NULL, 0);
    put_nat_detection(sa, b);
    put_notify(b, NOTIFY_COOKIE2, sa->attempt.cookie2, sizeof(sa->attempt.cookie2));
    return true;
}

static void move_answer(struct ike_sa *sa, const struct payload_list *list)
{
    struct ike *ike = sa->ike;
    struct notify n;
    char where[IP_TEXT_MAX];
    if (notify_error(list, &n)) {
        ike_fail(ike, FAIL_LOST, "the tunnel could not move with our address: %s", error_words(n.type).text);
        return;
    }
    if (!notify_find(list, NOTIFY_COOKIE2, &n) || n.data.size != sizeof(sa->attempt.cookie2) ||
        !equal_constant_time(n.data.data, sa->attempt.cookie2, n.data.size)) {
        ike_fail(ike, FAIL_LOST, "the gateway's answer to our new address lacks the COOKIE2 that we sent");
        return;
    }
    /* Moved again meanwhile: the next exchange judges. */
    if (sa->move)
        return;
    nat_judge(sa, list);
    (void)mapping_changed(sa, list);
    children_move(sa);
    ip_format(&sa->local.ip, where);
    ike_log(ike, "the tunnel has moved to our address %s", where);
}

const struct exchange exchange_move = {"UPDATE_SA_ADDRESSES", INFORMATIONAL, move_build, move_answer};
