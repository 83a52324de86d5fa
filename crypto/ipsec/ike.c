/* SPDX-License-Identifier: Apache-2.0 */
/* The connection: start, failure and back-off, what is due, and the public functions. */
#include "crypto/ipsec/connection.h"

#define BACKOFF_DOUBLINGS_MAX 6
#define AT_ONCE_MS            1

/* How long is waited before the next start: doubled with each failure in a row, up to a limit. */
static const struct {
    uint64_t first, most;
} backoff[] = {
    [FAIL_SILENT] = {SECOND_MS, 4 * SECOND_MS},
    [FAIL_REFUSED] = {2 * SECOND_MS, 60 * SECOND_MS},
    [FAIL_LOST] = {2 * SECOND_MS, 60 * SECOND_MS},
    [FAIL_MOVED] = {AT_ONCE_MS, AT_ONCE_MS},
};

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

bool reached(struct ike *ike, uint64_t when)
{
    if (ike->now < when)
        wake_at(ike, when);
    return ike->now >= when;
}

void limit_life(struct ike *ike, uint32_t seconds, uint64_t *soft, uint64_t *hard)
{
    uint8_t random = 0;
    uint64_t ms = seconds * SECOND_MS;
    if (seconds == 0)
        return;
    if (!ike->call.entropy(ike->owner, &random, sizeof(random)))
        random = 0;
    *soft = MIN(*soft, ike->now + ms * 8 / 10 + ms * random / (10 * 256));
    *hard = MIN(*hard, ike->now + ms);
}

void ike_fail(struct ike *ike, enum failure kind, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    format_list(ike->last_error.text, sizeof(ike->last_error.text), fmt, args);
    va_end(args);
    if (ike->is_up && ike->now >= ike->up_since + STEADY_MS) {
        ike->failures = 0;
        kind = kind == FAIL_LOST ? FAIL_MOVED : kind;
    }
    uint64_t delay = backoff[kind].first << MIN(ike->failures, (unsigned)BACKOFF_DOUBLINGS_MAX);
    uint64_t again_in_ms = MIN(delay, backoff[kind].most);
    ike->failures += kind != FAIL_MOVED;
    for (struct ike_sa *sa = ike->sas; sa; sa = sa->next)
        if (sa->state != SA_GONE)
            sa_kill(sa);
    children_remove(ike);
    ike->current = NULL;
    ike->is_up = false;
    ike->again_at = ike->wanted ? ike->now + again_in_ms : NEVER;
    wake_at(ike, ike->again_at);
    ike->call.down(ike->owner, ike->last_error.text, ike->wanted ? again_in_ms : 0);
}

void sa_fail(struct ike_sa *sa, enum failure kind, const char *fmt, ...)
{
    struct ike *ike = sa->ike;
    bool is_connection = sa == ike->current || !ike->current;
    char why[REPORT_MAX];
    va_list args;
    va_start(args, fmt);
    format_list(why, sizeof(why), fmt, args);
    va_end(args);
    if (is_connection && sa->state != SA_GONE && sa->state != SA_REPLACED) {
        ike_fail(ike, kind, "%s", why);
        return;
    }
    if (!is_connection && sa->reauth) {
        ike_log(ike, "re-authentication failed: %s", why);
        ike->current->reauth_at = ike->now + REAUTH_AGAIN_MS;
        wake_at(ike, ike->current->reauth_at);
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
    children_remove(ike);
    for (struct ike_sa *sa = ike->sas; sa; sa = sa->next)
        sa_kill(sa);
    ike_sweep(ike);
    OPENSSL_clear_free(ike, sizeof(*ike));
}

/* Begins an IKE SA when it is time: the first one, or one that takes over from the current one. */
static void start(struct ike *ike)
{
    uint64_t *due = ike->current ? &ike->current->reauth_at : &ike->again_at;
    if (!ike->wanted || !reached(ike, *due))
        return;
    struct ike_sa *sa = sa_create(ike, true);
    *due = sa ? NEVER : ike->now + SECOND_MS;
    wake_at(ike, *due);
    if (sa) {
        sa->reauth = ike->current != NULL;
        init_begin(sa);
    } else {
        ike_log(ike, "there is no memory for an IKE SA");
    }
}

/* When the peer was last heard, by IKE or by ESP. */
static uint64_t last_heard(struct ike *ike)
{
    uint64_t last = ike->current->last_in;
    for (struct child *c = NULL; (c = child_next(ike, c));)
        last = MAX(last, c->esp->counters.last_in_ms);
    return last;
}

/* The peer's own rekeying made it, and its DELETE of the old one has not come: it may not have our answer
 * yet, and not know the SPI. */
static bool unconfirmed(struct ike *ike, const struct child *c)
{
    const struct child *old = child_of_spi_in(ike, c->replaces);
    return !c->ours && old && old->state == CHILD_WAITING;
}

static const struct exchange *due_for_current(struct ike_sa *sa)
{
    struct ike *ike = sa->ike;
    bool may_retry = reached(ike, sa->retry_at);
    if (!child_live(ike) && may_retry) {
        sa->attempt.child = 0;
        return &exchange_child;
    }
    if (may_retry && reached(ike, sa->rekey_at))
        return &exchange_rekey_ike;
    for (struct child *c = NULL; may_retry && (c = child_next(ike, c));)
        if (c->state == CHILD_LIVE && c->sa == sa && ike->now >= c->rekey_at && !unconfirmed(ike, c)) {
            sa->attempt.child = c->esp->parameters.spi_in;
            return &exchange_child;
        }
    uint64_t patience = ike->config->dead_peer_interval * SECOND_MS;
    bool quiet = patience && reached(ike, last_heard(ike) + patience);
    return quiet || sa->probe ? &exchange_liveness : NULL;
}

/* What this IKE SA's next request is to be. */
static const struct exchange *due(struct ike_sa *sa)
{
    struct ike *ike = sa->ike;
    if (sa->close)
        return &exchange_delete_ike;
    if (sa->state != SA_LIVE)
        return NULL;
    if (sa->move)
        return &exchange_move;
    for (struct child *c = NULL; (c = child_next(ike, c));)
        if (c->state == CHILD_SUPERSEDED && c->sa == sa) {
            sa->attempt.child = c->esp->parameters.spi_in;
            return &exchange_delete_child;
        }
    return sa == ike->current ? due_for_current(sa) : NULL;
}

static void keep_alive(struct ike_sa *sa)
{
    static const uint8_t byte = 0xff;
    struct ike *ike = sa->ike;
    uint64_t interval = ike->config->keepalive_interval * SECOND_MS;
    if (sa->nat_local && interval && reached(ike, sa->keepalive_at)) {
        struct ike_datagram datagram = {sa->local, sa->remote, &byte, sizeof(byte)};
        ike->call.send(ike->owner, &datagram);
        sa->keepalive_at = ike->now + interval;
        wake_at(ike, sa->keepalive_at);
    }
}

static void sa_tick(struct ike_sa *sa)
{
    struct ike *ike = sa->ike;
    bool is_current = sa == ike->current;
    if (reached(ike, sa->expire_at)) {
        if (is_current)
            ike_fail(ike, FAIL_LOST, "the IKE SA reached the end of its lifetime and could not be renewed");
        else
            sa_kill(sa);
        return;
    }
    if (is_current && reached(ike, sa->reauth_by)) {
        ike_fail(ike, FAIL_REFUSED, "the gateway could not be authenticated anew within the reauth-lifetime");
        return;
    }
    request_tick(sa);
    if (!sa->request.kind && sa->state >= SA_LIVE && sa->state <= SA_REPLACED) {
        const struct exchange *next = due(sa);
        if (next)
            request_begin(sa, next);
    }
    if (sa == ike->current)
        keep_alive(sa);
}

static uint64_t run(struct ike *ike)
{
    ike->wake = NEVER;
    children_tick(ike);
    start(ike);
    for (struct ike_sa *sa = ike->sas; sa; sa = sa->next)
        if (sa->state < SA_DEAD)
            sa_tick(sa);
    ike_sweep(ike);
    return MAX(ike->wake, ike->now);
}

/* Only our own end moves: another address of the gateway that did not come under its IKE SA proves nothing
 * (RFC 4555 section 3.5), and serves the next start. */
static void change_address(struct ike *ike)
{
    struct ike_sa *sa = ike->current;
    if (!sa->mobike || sa->remote.ip.version != ike->local.version) {
        ike_fail(ike, FAIL_MOVED, "%s",
                 sa->mobike ? "our address changed to the other IP version; the tunnel begins anew"
                            : "our address changed, and the gateway does not support MOBIKE");
        return;
    }
    for (struct ike_sa *other = ike->sas; other; other = other->next)
        if (other != sa && other->state <= SA_AUTH)
            sa_fail(other, FAIL_SILENT, "our address changed");
    sa->local.ip = ike->local;
    sa->move = true;
    children_move(sa);
    if (sa->request.kind)
        request_resend(sa);
}

void ike_connect(struct ike *ike, const struct ip_address *local, const struct ip_address *remote,
                 uint64_t now)
{
    bool moved = !ip_equal(&ike->local, local) || !ip_equal(&ike->remote, remote);
    ike->now = now;
    ike->local = *local;
    ike->remote = *remote;
    if (!ike->wanted || (!ike->current && moved)) {
        for (struct ike_sa *sa = ike->sas; sa; sa = sa->next)
            sa_kill(sa);
        ike->wanted = true;
        ike->failures = 0;
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
    for (struct ike_sa *sa = ike->sas; sa; sa = sa->next)
        if (sa->state <= SA_AUTH)
            sa_kill(sa);
        else if (sa->state == SA_LIVE)
            sa->close = true;
    run(ike);
}

static struct ike_sa *find_sa(struct ike *ike, const struct ike_header *header)
{
    for (struct ike_sa *sa = ike->sas; sa; sa = sa->next)
        if (sa->state != SA_DEAD && sa->spi_i == header->spi_i &&
            (sa->spi_r == header->spi_r || sa->state == SA_INIT))
            return sa;
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
    if (sa && sa->state == SA_INIT && ip_equal(&datagram->remote.ip, &sa->remote.ip))
        init_receive(sa, &header, datagram->size);
    else if (sa && sa->state != SA_INIT && MAJOR_VERSION(header.version) == MAJOR_VERSION(IKE_VERSION) &&
             (header.next == PAYLOAD_SK || header.next == PAYLOAD_SKF))
        sa_receive(sa, &header, datagram->size, datagram);
    else /* in clear: INVALID_IKE_SPI, INVALID_SPI or noise; it proves nothing (section 2.21.4) */
        ike_suspect(ike, now);
    ke_free(&ike->agreed.own.ke);
    wipe(ike->agreed.shared, sizeof(ike->agreed.shared));
    run(ike);
}

void ike_suspect(struct ike *ike, uint64_t now)
{
    ike->now = now;
    if (!ike->current || (ike->suspected_at && now < ike->suspected_at + SUSPECT_MS))
        return;
    ike->suspected_at = MAX(now, 1);
    if (!ike->current->request.kind && ike->current->state == SA_LIVE)
        request_begin(ike->current, &exchange_liveness);
}

uint64_t ike_tick(struct ike *ike, uint64_t now)
{
    ike->now = now;
    return run(ike);
}
