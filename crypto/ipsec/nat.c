/* SPDX-License-Identifier: Apache-2.0 */
/* NAT detection (RFC 7296 section 2.23). */
#include "crypto/ipsec/connection.h"
#include "lib/strings.h"
#include <openssl/evp.h>

static bool nat_hash(const struct ike_sa *sa, const struct ip_endpoint *end, uint8_t out[NAT_HASH_BYTES])
{
    uint8_t text[8 + 8 + IP_BYTES_MAX + 2];
    struct builder b = builder_of(text, sizeof(text));
    put_be(&b, sa->spi_i, 8);
    put_be(&b, sa->spi_r, 8);
    put_bytes(&b, end->ip.bytes, ip_bytes(end->ip.version));
    put_be(&b, end->port, 2);
    size_t size = 0;
    return !b.failed && EVP_Q_digest(NULL, "SHA1", NULL, text, b.size, out, &size) && size == NAT_HASH_BYTES;
}

void put_nat_detection(struct ike_sa *sa, struct builder *b)
{
    struct ike *ike = sa->ike;
    uint8_t source[NAT_HASH_BYTES], destination[NAT_HASH_BYTES];
    /* A source hash of no address makes the peer believe in a NAT: UDP is used for ESP, too. */
    bool good = ike->config->force_udp ? ike->call.entropy(ike->owner, source, sizeof(source))
                                       : nat_hash(sa, &sa->local, source);
    if (!good || !nat_hash(sa, &sa->remote, destination)) {
        b->failed = true;
        return;
    }
    put_notify(b, NOTIFY_NAT_SOURCE, source, sizeof(source));
    put_notify(b, NOTIFY_NAT_DESTINATION, destination, sizeof(destination));
}

void nat_judge(struct ike_sa *sa, const struct payload_list *list)
{
    uint8_t here[NAT_HASH_BYTES], there[NAT_HASH_BYTES];
    struct notify n;
    if (!nat_hash(sa, &sa->local, here) || !nat_hash(sa, &sa->remote, there))
        return;
    bool source_seen = false, source_matches = false, destination_seen = false, destination_matches = false;
    for (unsigned i = 0; i < list->count; i++) {
        if (list->item[i].type != PAYLOAD_NOTIFY || !notify_read(&list->item[i], &n) ||
            n.data.size != NAT_HASH_BYTES)
            continue;
        if (n.type == NOTIFY_NAT_SOURCE) { /* a peer with several addresses sends several */
            source_seen = true;
            source_matches = source_matches || memcmp(n.data.data, there, NAT_HASH_BYTES) == 0;
        } else if (n.type == NOTIFY_NAT_DESTINATION) {
            destination_seen = true;
            destination_matches = destination_matches || memcmp(n.data.data, here, NAT_HASH_BYTES) == 0;
        }
    }
    if (!source_seen || !destination_seen)
        return;
    sa->nat_known = true;
    sa->nat_remote = !source_matches;
    sa->nat_local = !destination_matches;
}

bool nat_watches(const struct ike_sa *sa)
{
    return sa->mobike && sa->nat_known && sa->nat_local;
}

/* A NAT that has forgotten us gives us another port. With MOBIKE the gateway follows only when it is told
 * (RFC 4555 section 3.8). */
bool nat_mapping_changed(struct ike_sa *sa, const struct payload_list *list)
{
    struct notify n;
    if (!notify_find(list, NOTIFY_NAT_DESTINATION, &n) || n.data.size != NAT_HASH_BYTES)
        return false;
    bool changed = sa->mapping_known && memcmp(sa->mapping, n.data.data, NAT_HASH_BYTES) != 0;
    memcpy(sa->mapping, n.data.data, NAT_HASH_BYTES);
    sa->mapping_known = true;
    return changed;
}
