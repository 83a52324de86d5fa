/* SPDX-License-Identifier: Apache-2.0 */
/* The connection's state in words. */
#include "crypto/ipsec/connection.h"

#define LINE_MAX_BYTES 400

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
        say(d, "    %s in %lu s", what, (unsigned long)(when > d->now ? (when - d->now) / SECOND_MS : 0));
}

static void describe_sa(const struct describer *d, const struct ike_sa *sa)
{
    static const char *const states[] = {"waiting for the gateway's IKE_SA_INIT",
                                         "waiting for the gateway's IKE_AUTH",
                                         "established",
                                         "replaced",
                                         "deleted",
                                         "freed"};
    const struct ike_choice *k = &sa->keys.choice;
    char local[IP_TEXT_MAX], remote[IP_TEXT_MAX];
    ip_format(&sa->local.ip, local);
    ip_format(&sa->remote.ip, remote);
    say(d, "  IKE SA %016lx-%016lx: %s%s, %s port %u to %s port %u, for %lu s", (unsigned long)sa->spi_i,
        (unsigned long)sa->spi_r, states[sa->state], sa->reauth ? " (re-authentication)" : "", local,
        sa->local.port, remote, sa->remote.port, (unsigned long)((d->now - sa->born) / SECOND_MS));
    if (k->cipher)
        say(d, "    %s%s%s, %s, %s%s%s%s%s%s", k->cipher->name, k->integrity ? "-" : "",
            k->integrity ? k->integrity->name : "", k->prf->name, k->group->name,
            sa->nat_local ? ", we are behind a NAT" : "",
            sa->nat_remote ? ", the gateway is behind a NAT" : "", sa->mobike ? ", MOBIKE" : "",
            sa->fragmentation ? ", fragmentation" : "", sa->initiator ? "" : ", begun by the gateway");
    describe_limit(d, "rekeying", sa->rekey_at);
    describe_limit(d, "re-authentication", sa->reauth_at);
    describe_limit(d, "ends", sa->expire_at);
    if (sa->request.kind)
        say(d, "    %s sent %u times, unanswered", sa->request.kind->name, sa->request.sent);
}

static void describe_selectors(const struct describer *d, const char *what, const struct selector_list *list)
{
    char text[SELECTOR_TEXT_MAX];
    for (unsigned i = 0; i < list->count; i++) {
        selector_format(&list->item[i], text);
        say(d, "    %s %s", what, text);
    }
}

static void describe_child(const struct ike *ike, const struct describer *d, const struct child *c)
{
    static const char *const states[] = {
        "free", "installed", "replaced", "deleted", "replaced by the gateway", "deleted, still open inbound"};
    const struct child_parameters *p = &c->esp->parameters;
    const struct esp_counters *n = &c->esp->counters;
    say(d, "  CHILD SA %08x in, %08x out: %s%s, for %lu s", p->spi_in, p->spi_out, states[c->state],
        ike->sending == p->spi_in ? ", sending" : "", (unsigned long)((d->now - c->born) / SECOND_MS));
    say(d, "    %s%s%s%s, %s", p->cipher->name, p->integrity ? "-" : "",
        p->integrity ? p->integrity->name : "", p->esn ? ", ESN" : "",
        p->udp_encapsulated ? "ESP in UDP" : "ESP");
    describe_selectors(d, "from", &p->local);
    describe_selectors(d, "to", &p->remote);
    describe_limit(d, "rekeying", c->rekey_at);
    describe_limit(d, "ends", c->expire_at);
    say(d,
        "    in %lu packets, %lu bytes; out %lu packets, %lu bytes; refused: %lu replayed, %lu with a "
        "wrong ICV, %lu outside the selectors, %lu malformed",
        (unsigned long)n->packets_in, (unsigned long)n->bytes_in, (unsigned long)n->packets_out,
        (unsigned long)n->bytes_out, (unsigned long)n->replayed, (unsigned long)n->bad_icv,
        (unsigned long)n->selector_refused, (unsigned long)n->malformed);
}

static void describe_addresses(const struct describer *d, const char *what, const struct inner_list *list)
{
    char text[IP_TEXT_MAX];
    for (unsigned i = 0; i < list->count; i++) {
        ip_format(&list->item[i], text);
        say(d, "  %s %s", what, text);
    }
}

void ike_describe(const struct ike *ike, const struct describer *d)
{
    say(d, "tunnel: %s", ike->is_up ? "up" : ike->wanted ? "down, trying" : "down");
    describe_limit(d, "next try", ike->again_at);
    if (ike->last_error.text[0])
        say(d, "  last error: %s", ike->last_error.text);
    if (ike->is_up) {
        describe_addresses(d, "inner address", &ike->inner.address);
        describe_addresses(d, "DNS", &ike->inner.dns);
    }
    for (const struct ike_sa *sa = ike->sas; sa; sa = sa->next)
        describe_sa(d, sa);
    for (unsigned i = 0; i < CHILDREN_MAX; i++)
        if (ike->children[i].state != CHILD_FREE)
            describe_child(ike, d, &ike->children[i]);
}
