/* SPDX-License-Identifier: Apache-2.0 */
/* The connection: start, failure and back-off, what is due, and the public functions. */
#include "crypto/ipsec/connection.h"
#include "lib/format.h"
#include "lib/strings.h"
#include <openssl/crypto.h>

#define SILENT_BACKOFF_MAX_MS  (4 * SECOND_MS)
#define REFUSED_BACKOFF_MAX_MS (60 * SECOND_MS)
#define REFUSED_BACKOFF_MS     (2 * SECOND_MS)
#define BACKOFF_DOUBLINGS_MAX  6
#define AT_ONCE_MS             1

void ike_log(struct ike *ike, const char *fmt, ...)
{
    char line[REPORT_MAX];
    va_list args;
    va_start(args, fmt);
    format_list(line, sizeof(line), fmt, args);
    va_end(args);
    ike->call.log(ike->owner, line);
}

void wake_at(struct ike *ike, uint64_t when)
{
    ike->wake = MIN(ike->wake, when);
}

uint64_t soft_limit(struct ike *ike, uint32_t seconds)
{
    uint8_t random = 0;
    if (seconds == 0)
        return NEVER;
    if (!ike->call.entropy(ike->owner, &random, sizeof(random)))
        random = 0;
    uint64_t ms = seconds * SECOND_MS;
    return ike->now + ms * 8 / 10 + ms * random / (10 * 256);
}

uint64_t hard_limit(struct ike *ike, uint32_t seconds)
{
    return seconds ? ike->now + seconds * SECOND_MS : NEVER;
}

static void give_up(struct ike *ike, const char *why, uint64_t again_in_ms)
{
    /* `why` may lie in an SA that is about to go. */
    ike->last_error.text[0] = '\0';
    report(&ike->last_error, "%s", why);
    for (unsigned i = 0; i < SAS_MAX; i++)
        if (ike->sas[i] && ike->sas[i]->state != SA_GONE)
            sa_kill(ike->sas[i]);
    for (unsigned i = 0; i < CHILDREN_MAX; i++)
        child_remove(ike, &ike->children[i]);
    ike->current = NULL;
    ike->is_up = false;
    ike->again_at = ike->wanted ? ike->now + again_in_ms : NEVER;
    ike->call.down(ike->owner, ike->last_error.text, ike->wanted ? again_in_ms : 0);
}

static bool steady(const struct ike *ike)
{
    return ike->is_up && ike->now >= ike->up_since + STEADY_MS;
}

void ike_fail(struct ike *ike, const char *why, bool refused)
{
    if (steady(ike))
        ike->failures = 0;
    uint64_t most = refused ? REFUSED_BACKOFF_MAX_MS : SILENT_BACKOFF_MAX_MS;
    uint64_t delay = (refused ? REFUSED_BACKOFF_MS : SECOND_MS)
                     << MIN(ike->failures, (unsigned)BACKOFF_DOUBLINGS_MAX);
    ike->failures++;
    give_up(ike, why, MIN(delay, most));
}

void ike_fail_now(struct ike *ike, const char *why)
{
    if (steady(ike))
        give_up(ike, why, AT_ONCE_MS);
    else
        ike_fail(ike, why, true);
}

void sa_fail(struct ike_sa *sa, const char *why, bool refused)
{
    struct ike *ike = sa->ike;
    if (sa == ike->current || !ike->current) {
        if (sa->state != SA_GONE && sa->state != SA_REPLACED)
            ike_fail(ike, why, refused);
        else
            sa_kill(sa);
        return;
    }
    if (sa->reauth) {
        ike_log(ike, "re-authentication failed: %s", why);
        ike->current->reauth_at = ike->now + REAUTH_AGAIN_MS;
    }
    sa_kill(sa);
}

void ike_came_up(struct ike *ike)
{
    ike->last_error.text[0] = '\0';
    if (!ike->is_up)
        ike->up_since = ike->now;
    ike->is_up = true;
    ike->call.up(ike->owner, &ike->inner);
}

struct ike *ike_create(const struct ike_configuration *configuration, const struct ike_callbacks *callbacks,
                       void *owner, struct tunnel *tunnel)
{
    struct ike *ike = OPENSSL_zalloc(sizeof(*ike));
    if (!ike)
        return NULL;
    ike->config = configuration;
    ike->call = *callbacks;
    ike->owner = owner;
    ike->tunnel = tunnel;
    ike->again_at = NEVER;
    return ike;
}

void ike_destroy(struct ike *ike)
{
    if (!ike)
        return;
    for (unsigned i = 0; i < CHILDREN_MAX; i++)
        child_remove(ike, &ike->children[i]);
    for (unsigned i = 0; i < SAS_MAX; i++)
        if (ike->sas[i])
            sa_kill(ike->sas[i]);
    ike_sweep(ike);
    OPENSSL_clear_free(ike, sizeof(*ike));
}

static void start(struct ike *ike, bool reauth)
{
    struct ike_sa *sa = sa_create(ike, true);
    if (!sa) {
        ike_log(ike, "there is no memory or randomness for an IKE SA");
        if (!reauth)
            ike->again_at = ike->now + SECOND_MS;
        else
            ike->current->reauth_at = ike->now + REAUTH_AGAIN_MS;
        return;
    }
    sa->reauth = reauth;
    if (reauth)
        ike->current->reauth_at = NEVER;
    else
        ike->again_at = NEVER;
    init_begin(sa);
}

/* When the peer was last heard, by IKE or by ESP. */
static uint64_t last_heard(struct ike *ike)
{
    uint64_t last = ike->current->last_in;
    for (unsigned i = 0; i < CHILDREN_MAX; i++) {
        struct esp_counters counters;
        if (ike->children[i].state != CHILD_FREE &&
            ike->call.child_counters(ike->tunnel, ike->children[i].p.spi_in, &counters))
            last = MAX(last, counters.last_in_ms);
    }
    return last;
}

/* The peer's own rekeying made it, and its DELETE of the old one has not come: it may not have our answer
 * yet, and not know the SPI. */
static bool unconfirmed(struct ike *ike, const struct child *c)
{
    const struct child *old = child_of_spi_in(ike, c->replaces);
    return !c->ours && old && old->state == CHILD_WAITING;
}

static enum exchange due_for_current(struct ike_sa *sa)
{
    struct ike *ike = sa->ike;
    bool may_retry = ike->now >= sa->retry_at;
    if (!child_live(ike) && may_retry) {
        sa->attempt.child = 0;
        return EX_CHILD;
    }
    if (ike->now >= sa->rekey_at && may_retry)
        return EX_REKEY_IKE;
    for (unsigned i = 0; i < CHILDREN_MAX && may_retry; i++) {
        struct child *c = &ike->children[i];
        if (c->state == CHILD_LIVE && c->sa == sa && ike->now >= c->rekey_at && !unconfirmed(ike, c)) {
            sa->attempt.child = c->p.spi_in;
            return EX_CHILD;
        }
    }
    uint64_t check = ike->config->dead_peer_interval
                         ? last_heard(ike) + ike->config->dead_peer_interval * SECOND_MS
                         : NEVER;
    if (ike->now >= check || sa->probe)
        return EX_LIVENESS;
    wake_at(ike, check);
    wake_at(ike, may_retry ? sa->rekey_at : sa->retry_at);
    return EX_NONE;
}

/* What this IKE SA's next request is to be. */
static enum exchange due(struct ike_sa *sa)
{
    struct ike *ike = sa->ike;
    if (sa->close)
        return EX_DELETE_IKE;
    if (sa->state != SA_LIVE)
        return EX_NONE;
    if (sa->move)
        return EX_MOVE;
    for (unsigned i = 0; i < CHILDREN_MAX; i++)
        if (ike->children[i].state == CHILD_SUPERSEDED && ike->children[i].sa == sa) {
            sa->attempt.child = ike->children[i].p.spi_in;
            return EX_DELETE_CHILD;
        }
    return sa == ike->current ? due_for_current(sa) : EX_NONE;
}

static void keep_alive(struct ike_sa *sa)
{
    static const uint8_t byte = 0xff;
    struct ike *ike = sa->ike;
    if (!sa->nat_local || ike->config->keepalive_interval == 0)
        return;
    if (ike->now >= sa->keepalive_at) {
        struct ike_datagram datagram = {sa->local, sa->remote, &byte, sizeof(byte)};
        ike->call.send(ike->owner, &datagram);
        sa->keepalive_at = ike->now + ike->config->keepalive_interval * SECOND_MS;
    }
    wake_at(ike, sa->keepalive_at);
}

static void sa_tick(struct ike_sa *sa)
{
    struct ike *ike = sa->ike;
    if (ike->now >= sa->expire_at) {
        if (sa == ike->current)
            ike_fail_now(ike, "the IKE SA reached the end of its lifetime and could not be renewed");
        else
            sa_kill(sa);
        return;
    }
    if (sa == ike->current && ike->now >= sa->reauth_by) {
        ike_fail(ike, "the gateway could not be authenticated anew within the reauth-lifetime", true);
        return;
    }
    wake_at(ike, sa == ike->current ? MIN(sa->expire_at, sa->reauth_by) : sa->expire_at);
    if (sa->request.kind != EX_NONE)
        request_tick(sa);
    if (sa->request.kind == EX_NONE && sa->state >= SA_LIVE && sa->state <= SA_REPLACED) {
        enum exchange next = due(sa);
        if (next != EX_NONE)
            request_begin(sa, next);
    }
    if (sa->request.kind != EX_NONE && sa->state <= SA_REPLACED)
        wake_at(ike, sa->request.due);
    if (sa == ike->current)
        keep_alive(sa);
}

static uint64_t run(struct ike *ike)
{
    ike->wake = NEVER;
    children_tick(ike);
    if (ike->current && ike->wanted && ike->now >= ike->current->reauth_at)
        start(ike, true);
    if (ike->wanted && ike->now >= ike->again_at)
        start(ike, false);
    for (unsigned i = 0; i < SAS_MAX; i++)
        if (ike->sas[i] && ike->sas[i]->state < SA_DEAD)
            sa_tick(ike->sas[i]);
    if (ike->current && ike->wanted)
        wake_at(ike, ike->current->reauth_at);
    wake_at(ike, ike->again_at);
    ike_sweep(ike);
    return MAX(ike->wake, ike->now);
}

/* Only our own end moves: another address of the gateway that did not come under its IKE SA proves nothing
 * (RFC 4555 section 3.5), and serves the next start. */
static void change_address(struct ike *ike)
{
    struct ike_sa *sa = ike->current;
    if (!sa->mobike || sa->remote.ip.version != ike->local.version) {
        give_up(ike,
                sa->mobike ? "our address changed to the other IP version; the tunnel begins anew"
                           : "our address changed, and the gateway does not support MOBIKE",
                AT_ONCE_MS);
        return;
    }
    for (unsigned i = 0; i < SAS_MAX; i++)
        if (ike->sas[i] && ike->sas[i] != sa && ike->sas[i]->state <= SA_AUTH)
            sa_fail(ike->sas[i], "our address changed", false);
    sa->local.ip = ike->local;
    sa->move = true;
    children_move(sa);
    if (sa->request.kind != EX_NONE)
        request_resend(sa);
}

void ike_connect(struct ike *ike, const struct ip_address *local, const struct ip_address *remote,
                 uint64_t now)
{
    bool moved = !ip_equal(&ike->local, local) || !ip_equal(&ike->remote, remote);
    ike->now = now;
    ike->local = *local;
    ike->remote = *remote;
    if (!ike->wanted) {
        ike->wanted = true;
        ike->failures = 0;
        ike->again_at = now;
    } else if (!ike->current && moved) {
        for (unsigned i = 0; i < SAS_MAX; i++)
            if (ike->sas[i])
                sa_kill(ike->sas[i]);
        ike->again_at = now;
    } else if (ike->current && !ip_equal(&ike->current->local.ip, local)) {
        change_address(ike);
    }
    run(ike);
}

void ike_disconnect(struct ike *ike, uint64_t now)
{
    ike->now = now;
    ike->wanted = false;
    ike->again_at = NEVER;
    for (unsigned i = 0; i < SAS_MAX; i++) {
        struct ike_sa *sa = ike->sas[i];
        if (sa && sa->state <= SA_AUTH)
            sa_kill(sa);
        else if (sa && sa->state == SA_LIVE)
            sa->close = true;
    }
    run(ike);
}

static struct ike_sa *find_sa(struct ike *ike, const struct ike_header *header)
{
    for (unsigned i = 0; i < SAS_MAX; i++) {
        struct ike_sa *sa = ike->sas[i];
        if (sa && sa->state != SA_DEAD && sa->spi_i == header->spi_i &&
            (sa->spi_r == header->spi_r || sa->state == SA_INIT))
            return sa;
    }
    return NULL;
}

void ike_receive(struct ike *ike, const struct ike_datagram *datagram, uint64_t now)
{
    struct ike_header header;
    ike->now = now;
    if (datagram->size > sizeof(ike->incoming))
        return;
    memcpy(ike->incoming, datagram->data, datagram->size);
    if (!header_read(ike->incoming, datagram->size, &header))
        return;
    struct ike_sa *sa = find_sa(ike, &header);
    if (MAJOR_VERSION(header.version) != MAJOR_VERSION(IKE_VERSION)) {
        if (sa && sa->state == SA_INIT && ip_equal(&datagram->remote.ip, &sa->remote.ip))
            init_other_version(sa, MAJOR_VERSION(header.version));
        run(ike);
        return;
    }
    if (!sa || (sa->state != SA_INIT && header.next != PAYLOAD_SK && header.next != PAYLOAD_SKF)) {
        /* In clear: INVALID_IKE_SPI, INVALID_SPI or noise. It proves nothing (section 2.21.4). */
        ike_suspect(ike, now);
        return;
    }
    if (sa->state == SA_INIT) {
        if (ip_equal(&datagram->remote.ip, &sa->remote.ip))
            init_receive(sa, &header, datagram->size);
    } else {
        sa_receive(sa, &header, datagram->size, datagram);
    }
    run(ike);
}

void ike_suspect(struct ike *ike, uint64_t now)
{
    ike->now = now;
    if (!ike->current || (ike->suspected_at && now < ike->suspected_at + SUSPECT_MS))
        return;
    ike->suspected_at = MAX(now, 1);
    if (ike->current->request.kind == EX_NONE && ike->current->state == SA_LIVE)
        request_begin(ike->current, EX_LIVENESS);
}

uint64_t ike_tick(struct ike *ike, uint64_t now)
{
    ike->now = now;
    return run(ike);
}
