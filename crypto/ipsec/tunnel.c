/* SPDX-License-Identifier: Apache-2.0 */
/* The tunnel's SA table and its life. */
#include "crypto/ipsec/tunnel_parts.h"
#include <openssl/crypto.h>

struct tunnel *tunnel_create(size_t wire_mtu, bool copy_dscp, const struct tunnel_callbacks *callbacks,
                             void *owner)
{
    struct tunnel *t = OPENSSL_zalloc(sizeof(*t));
    if (!t)
        return NULL;
    t->wire_mtu = wire_mtu;
    t->copy_dscp = copy_dscp;
    t->callbacks = callbacks;
    t->owner = owner;
    return t;
}

void tunnel_destroy(struct tunnel *tunnel)
{
    for (unsigned i = 0; tunnel && i < TUNNEL_SAS_MAX; i++)
        esp_destroy(tunnel->sas[i]);
    OPENSSL_clear_free(tunnel, sizeof(*tunnel));
}

void tunnel_set_gateway(struct tunnel *tunnel, const struct ip_address *ipv4, const struct ip_address *ipv6)
{
    tunnel->gateway4 = *ipv4;
    tunnel->gateway6 = *ipv6;
}

/* ---- The table ---- */

struct esp_sa *tunnel_find(const struct tunnel *tunnel, uint32_t spi_in)
{
    for (unsigned i = 0; i < TUNNEL_SAS_MAX; i++)
        if (tunnel->sas[i] && tunnel->sas[i]->parameters.spi_in == spi_in)
            return tunnel->sas[i];
    return NULL;
}

struct esp_sa *tunnel_sending(const struct tunnel *t, const struct packet_flow *flow)
{
    struct esp_sa *best = NULL;
    for (unsigned i = 0; i < TUNNEL_SAS_MAX; i++) {
        struct esp_sa *sa = t->sas[i];
        if (sa && sa->rank > (best ? best->rank : 0) && !esp_exhausted(sa) &&
            (!flow || selectors_match(&sa->parameters.local, &sa->parameters.remote, flow)))
            best = sa;
    }
    return best;
}

const struct esp_sa *tunnel_add(struct tunnel *tunnel, const struct child_parameters *child,
                                uint32_t replaces)
{
    const struct esp_sa *before = tunnel_sending(tunnel, NULL);
    unsigned i = 0;
    while (i < TUNNEL_SAS_MAX && tunnel->sas[i])
        i++;
    if (i == TUNNEL_SAS_MAX || tunnel_find(tunnel, child->spi_in) || !(tunnel->sas[i] = esp_create(child)))
        return NULL;
    if (!before || !ip_equal(&before->parameters.outer_remote.ip, &child->outer_remote.ip))
        tunnel->path_until = 0; /* to another gateway */
    tunnel->sa_count++;
    tunnel->sas[i]->rank = replaces == 0 ? ++tunnel->last_rank : 0;
    tunnel->next_id ^= child->spi_out; /* a start that is not the same in each run */
    return tunnel->sas[i];
}

void tunnel_use(struct tunnel *tunnel, uint32_t spi_in)
{
    struct esp_sa *sa = tunnel_find(tunnel, spi_in);
    if (sa)
        sa->rank = ++tunnel->last_rank;
}

void tunnel_remove(struct tunnel *tunnel, uint32_t spi_in)
{
    struct esp_sa *sa = tunnel_find(tunnel, spi_in);
    for (unsigned i = 0; sa && i < TUNNEL_SAS_MAX; i++)
        if (tunnel->sas[i] == sa)
            tunnel->sas[i] = NULL;
    tunnel->sa_count -= sa != NULL;
    esp_destroy(sa);
}

void tunnel_move(struct tunnel *tunnel, uint32_t spi_in, const struct ip_endpoint *local,
                 const struct ip_endpoint *remote, bool udp_encapsulated)
{
    struct esp_sa *sa = tunnel_find(tunnel, spi_in);
    if (!sa)
        return;
    sa->parameters.outer_local = *local;
    sa->parameters.outer_remote = *remote;
    sa->parameters.udp_encapsulated = udp_encapsulated;
    tunnel->path_until = 0; /* it is another path */
}

void tunnel_counters(const struct tunnel *tunnel, struct tunnel_counters *out)
{
    *out = tunnel->counters;
}

/* ---- Sizes ---- */

size_t tunnel_path(const struct tunnel *t, uint64_t now)
{
    return now < t->path_until ? MIN(t->path_mtu, t->wire_mtu) : t->wire_mtu;
}

void tunnel_path_lower(struct tunnel *t, size_t least, size_t quoted, size_t told, uint64_t now)
{
    static const size_t plateaus[] = {1492, 1400, 1280, 1006, IPV4_MTU_MIN}; /* after RFC 1191 section 7 */
    if (told >= quoted)
        return; /* it would have fitted */
    for (size_t i = 0; told == 0 && i < ARRAY_COUNT(plateaus); i++)
        if (plateaus[i] < quoted)
            told = plateaus[i];
    if (MAX(told, least) >= tunnel_path(t, now))
        return; /* an older one said less */
    t->path_mtu = MAX(told, least);
    t->path_until = now + PATH_MTU_LIFETIME_MS;
}

size_t tunnel_outer_size(const struct esp_sa *sa)
{
    return ip_header_bytes(sa->parameters.outer_remote.ip.version) +
           (sa->parameters.udp_encapsulated ? UDP_HEADER_BYTES : 0);
}

size_t tunnel_fits(const struct tunnel *t, const struct esp_sa *sa, uint64_t now)
{
    size_t fits = esp_inner_fits(sa, tunnel_path(t, now) - tunnel_outer_size(sa));
    return MIN(fits, (size_t)TUNNEL_GUEST_MTU);
}

size_t tunnel_inner_mtu(const struct tunnel *t, const struct esp_sa *sa, uint8_t version, uint64_t now)
{
    size_t fits = tunnel_fits(t, sa, now);
    return version == 6 ? MAX(fits, (size_t)IPV6_MTU_MIN) : fits;
}
