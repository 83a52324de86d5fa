/* SPDX-License-Identifier: Apache-2.0 */
/* The tunnel's SA table and its life. */
#include "crypto/ipsec/tunnel.h"
#include "crypto/ipsec/tunnel_parts.h"
#include "lib/strings.h"

void *malloc(size_t size);
void free(void *memory);

struct tunnel *tunnel_create(const struct tunnel_settings *settings, const struct tunnel_callbacks *callbacks,
                             void *owner)
{
    if (settings->wire_mtu < IPV4_MTU_MIN || settings->wire_mtu > TUNNEL_PACKET_MAX ||
        settings->guest_mtu < IPV6_MTU_MIN || settings->guest_mtu > TUNNEL_PACKET_MAX)
        return NULL;
    struct tunnel *t = malloc(sizeof(*t));
    if (!t)
        return NULL;
    memset(t, 0, sizeof(*t));
    t->settings = *settings;
    t->callbacks = callbacks;
    t->owner = owner;
    return t;
}

void tunnel_destroy(struct tunnel *tunnel)
{
    if (!tunnel)
        return;
    for (unsigned i = 0; i < TUNNEL_SAS_MAX; i++)
        esp_destroy(tunnel->entries[i].sa);
    wipe(tunnel, sizeof(*tunnel));
    free(tunnel);
}

void tunnel_set_gateway(struct tunnel *tunnel, const struct ip_address *ipv4, const struct ip_address *ipv6)
{
    tunnel->gateway4 = *ipv4;
    tunnel->gateway6 = *ipv6;
}

/* ---- The table ---- */

struct tunnel_entry *tunnel_find(struct tunnel *t, uint32_t spi_in)
{
    for (unsigned i = 0; i < TUNNEL_SAS_MAX; i++)
        if (t->entries[i].sa && esp_spi_in(t->entries[i].sa) == spi_in)
            return &t->entries[i];
    return NULL;
}

/* The SA that was last told to send, NULL when none was. */
static const struct esp_sa *newest(const struct tunnel *t)
{
    const struct tunnel_entry *best = NULL;
    for (unsigned i = 0; i < TUNNEL_SAS_MAX; i++)
        if (t->entries[i].sa && t->entries[i].rank > (best ? best->rank : 0))
            best = &t->entries[i];
    return best ? best->sa : NULL;
}

static bool endpoints_agree(const struct ip_endpoint *local, const struct ip_endpoint *remote)
{
    return local->ip.version == remote->ip.version && ip_bytes(local->ip.version) > 0;
}

bool tunnel_add(struct tunnel *tunnel, const struct child_parameters *child, uint32_t replaces)
{
    if (tunnel_find(tunnel, child->spi_in) || !endpoints_agree(&child->outer_local, &child->outer_remote))
        return false;
    const struct esp_sa *before = newest(tunnel);
    if (!before || !ip_equal(&esp_parameters(before)->outer_remote.ip, &child->outer_remote.ip))
        tunnel->path = (struct path_mtu){0}; /* to another gateway */
    for (unsigned i = 0; i < TUNNEL_SAS_MAX; i++) {
        struct tunnel_entry *entry = &tunnel->entries[i];
        if (entry->sa)
            continue;
        entry->sa = esp_create(child);
        entry->rank = replaces == 0 ? ++tunnel->last_rank : 0;
        tunnel->next_id ^= child->spi_out; /* a start that is not the same in each run */
        return entry->sa != NULL;
    }
    return false;
}

void tunnel_use(struct tunnel *tunnel, uint32_t spi_in)
{
    struct tunnel_entry *entry = tunnel_find(tunnel, spi_in);
    if (entry)
        entry->rank = ++tunnel->last_rank;
}

void tunnel_remove(struct tunnel *tunnel, uint32_t spi_in)
{
    struct tunnel_entry *entry = tunnel_find(tunnel, spi_in);
    if (!entry)
        return;
    esp_destroy(entry->sa);
    *entry = (struct tunnel_entry){0};
}

void tunnel_move(struct tunnel *tunnel, uint32_t spi_in, const struct ip_endpoint *local,
                 const struct ip_endpoint *remote, bool udp_encapsulated)
{
    struct tunnel_entry *entry = tunnel_find(tunnel, spi_in);
    if (!entry || !endpoints_agree(local, remote))
        return;
    esp_move(entry->sa, local, remote, udp_encapsulated);
    tunnel->path = (struct path_mtu){0}; /* it is another path */
}

bool tunnel_sa_counters(struct tunnel *tunnel, uint32_t spi_in, struct esp_counters *out)
{
    const struct tunnel_entry *entry = tunnel_find(tunnel, spi_in);
    if (entry)
        esp_counters(entry->sa, out);
    return entry != NULL;
}

bool tunnel_rekey_due(struct tunnel *tunnel, uint32_t spi_in)
{
    const struct tunnel_entry *entry = tunnel_find(tunnel, spi_in);
    return entry && esp_rekey_due(entry->sa);
}

const struct esp_sa *tunnel_sa(const struct tunnel *tunnel, unsigned index)
{
    for (unsigned i = 0; i < TUNNEL_SAS_MAX; i++)
        if (tunnel->entries[i].sa && index-- == 0)
            return tunnel->entries[i].sa;
    return NULL;
}

void tunnel_counters(const struct tunnel *tunnel, struct tunnel_counters *out)
{
    *out = tunnel->counters;
}

bool tunnel_is_up(const struct tunnel *tunnel)
{
    const struct esp_sa *sa = newest(tunnel);
    return sa && !esp_exhausted(sa);
}

/* ---- Sizes ---- */

size_t tunnel_fits(const struct tunnel *t, const struct esp_sa *sa, uint64_t now)
{
    size_t path = path_mtu_now(&t->path, t->settings.wire_mtu, now);
    size_t fits = esp_inner_fits(sa, path - outer_size(esp_parameters(sa)));
    return MIN(fits, (size_t)t->settings.guest_mtu);
}

size_t tunnel_room(const struct tunnel *t, const struct esp_sa *sa, uint8_t version, uint64_t now)
{
    size_t fits = tunnel_fits(t, sa, now);
    return version == 6 ? MAX(fits, (size_t)IPV6_MTU_MIN) : fits;
}

size_t tunnel_inner_mtu(const struct tunnel *tunnel, uint8_t version, uint64_t now)
{
    const struct esp_sa *sa = newest(tunnel);
    return sa ? tunnel_room(tunnel, sa, version, now) : 0;
}
