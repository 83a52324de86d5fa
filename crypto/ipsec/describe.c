/* SPDX-License-Identifier: Apache-2.0 */
/* The connection's state in words. */
#include "crypto/ipsec/connection.h"
#include "lib/format.h"

#define LINE_MAX_BYTES 400

static uint64_t seconds_until(const struct describer *d, uint64_t when)
{
    return when > d->now ? (when - d->now) / SECOND_MS : 0;
}

void say(const struct describer *d, const char *fmt, ...)
{
    char text[LINE_MAX_BYTES];
    va_list args;
    va_start(args, fmt);
    format_list(text, sizeof(text), fmt, args);
    va_end(args);
    d->line(d->context, text);
}

static void describe_limit(const struct describer *d, const char *what, uint64_t when)
{
    if (when != NEVER)
        say(d, "    %s in %lu s", what, (unsigned long)seconds_until(d, when));
}

static void describe_sa(const struct describer *d, const struct ike_sa *sa)
{
    static const char *const states[] = {"waiting for the gateway's IKE_SA_INIT",
                                         "waiting for the gateway's IKE_AUTH",
                                         "established",
                                         "replaced",
                                         "deleted",
                                         "freed"};
    char local[IP_TEXT_MAX], remote[IP_TEXT_MAX];
    ip_format(&sa->local.ip, local);
    ip_format(&sa->remote.ip, remote);
    say(d, "  IKE SA %016lx-%016lx: %s%s, %s port %u to %s port %u, for %lu s", (unsigned long)sa->spi_i,
        (unsigned long)sa->spi_r, states[sa->state], sa->reauth ? " (re-authentication)" : "", local,
        sa->local.port, remote, sa->remote.port, (unsigned long)((d->now - sa->born) / SECOND_MS));
    if (sa->keys.cipher)
        say(d, "    %s%s%s, %s, %s%s%s%s%s%s", sa->keys.cipher->name, sa->keys.integrity ? "-" : "",
            sa->keys.integrity ? sa->keys.integrity->name : "", sa->keys.prf->name,
            sa->group ? sa->group->name : "-", sa->nat_local ? ", we are behind a NAT" : "",
            sa->nat_remote ? ", the gateway is behind a NAT" : "", sa->mobike ? ", MOBIKE" : "",
            sa->fragmentation ? ", fragmentation" : "", sa->initiator ? "" : ", begun by the gateway");
    describe_limit(d, "rekeying", sa->rekey_at);
    describe_limit(d, "re-authentication", sa->reauth_at);
    describe_limit(d, "ends", sa->expire_at);
    if (sa->request.kind != EX_NONE)
        say(d, "    %s sent %u times, unanswered", exchange_kinds[sa->request.kind].name, sa->request.sent);
}

static void describe_selectors(const struct describer *d, const struct child_parameters *p)
{
    char from[SELECTOR_TEXT_MAX], to[SELECTOR_TEXT_MAX];
    for (unsigned i = 0; i < MAX(p->local.count, p->remote.count); i++) {
        from[0] = to[0] = '\0';
        if (i < p->local.count)
            selector_format(&p->local.item[i], from);
        if (i < p->remote.count)
            selector_format(&p->remote.item[i], to);
        say(d, "    %s === %s", from, to);
    }
}

static void describe_child(const struct ike *ike, const struct describer *d, const struct child *c)
{
    static const char *const states[] = {
        "free", "installed", "replaced", "deleted", "replaced by the gateway", "deleted, still open inbound"};
    say(d, "  CHILD SA %08x in, %08x out: %s%s, for %lu s", c->p.spi_in, c->p.spi_out, states[c->state],
        ike->sending == c->p.spi_in ? ", sending" : "", (unsigned long)((d->now - c->born) / SECOND_MS));
    say(d, "    %s%s%s%s, %s", c->p.cipher->name, c->p.integrity ? "-" : "",
        c->p.integrity ? c->p.integrity->name : "", c->p.esn ? ", ESN" : "",
        c->p.udp_encapsulated ? "ESP in UDP" : "ESP");
    describe_selectors(d, &c->p);
    describe_limit(d, "rekeying", c->rekey_at);
    describe_limit(d, "ends", c->expire_at);
    struct esp_counters n;
    if (ike->call.child_counters(ike->tunnel, c->p.spi_in, &n))
        say(d,
            "    in %lu packets, %lu bytes; out %lu packets, %lu bytes; refused: %lu replayed, %lu with a "
            "wrong ICV, %lu outside the selectors, %lu malformed",
            (unsigned long)n.packets_in, (unsigned long)n.bytes_in, (unsigned long)n.packets_out,
            (unsigned long)n.bytes_out, (unsigned long)n.replayed, (unsigned long)n.bad_icv,
            (unsigned long)n.selector_refused, (unsigned long)n.malformed);
}

static void describe_addresses(const struct describer *d, const char *what, const struct ip_address *list,
                               unsigned count)
{
    char text[IP_TEXT_MAX];
    for (unsigned i = 0; i < count; i++) {
        ip_format(&list[i], text);
        say(d, "  %s %s", what, text);
    }
}

void ike_describe(const struct ike *ike, const struct describer *d)
{
    say(d, "tunnel: %s", ike->is_up ? "up" : ike->wanted ? "down, trying" : "down");
    if (ike->again_at != NEVER)
        say(d, "  next try in %lu s", (unsigned long)seconds_until(d, ike->again_at));
    if (ike->last_error.text[0])
        say(d, "  last error: %s", ike->last_error.text);
    if (ike->is_up) {
        describe_addresses(d, "inner address", ike->inner.address, ike->inner.address_count);
        describe_addresses(d, "DNS", ike->inner.dns, ike->inner.dns_count);
    }
    for (const struct ike_sa *sa = ike->sas; sa; sa = sa->next)
        describe_sa(d, sa);
    for (unsigned i = 0; i < CHILDREN_MAX; i++)
        if (ike->children[i].state != CHILD_FREE)
            describe_child(ike, d, &ike->children[i]);
}
