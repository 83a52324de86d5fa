/* SPDX-License-Identifier: Apache-2.0 */
/* The grammar of [vpn NAME]: one row of a table for each key, and what must go together. */
#include "services/vpn/config.h"
#include "crypto/ipsec/proposal.h"
#include "lib/strings.h"

/* RFC 8247 and 8221: what a gateway of today has; AEADs first. For ESP each also without a group, for
 * gateways that rekey without forward secrecy. */
#define GROUPS      "-x25519-ecp384-ecp256-modp3072-modp2048"
#define AEADS       "aes256gcm16-aes128gcm16-chacha20poly1305"
#define OTHERS      "aes256-aes128-sha512-sha384-sha256"
#define PRFS        "-prfsha384-prfsha256-prfsha512"
#define DEFAULT_IKE AEADS PRFS GROUPS ", " OTHERS PRFS GROUPS
#define DEFAULT_ESP AEADS GROUPS ", " AEADS ", " OTHERS GROUPS ", " OTHERS
#define EVERYTHING  "0.0.0.0/0, ::/0"

#define AT(member) offsetof(struct vpn_configuration, member)

static struct vpn_configuration *out_of(const struct policy_parser *p)
{
    return p->out;
}

/* ---- Values ---- */

static bool wrong(const struct policy_parser *p, struct ini_text value, const char *what)
{
    return report(p->problem, "\"%.*s\" is %s.", QUOTED(value), what);
}

static bool set_seconds_or_never(struct policy_parser *p, struct ini_text value)
{
    return ini_is(value, "never") || policy_set_number(p, value);
}

static bool set_secret(struct policy_parser *p, struct ini_text value)
{
    if (!policy_name_is_good(value) || value.at[0] == '.' ||
        !ini_copy(value, policy_member(p), POLICY_NAME_MAX))
        return wrong(p, value, "no name of a secret; it has 1 to 31 letters, digits, \"-\", \"_\" or \".\"");
    return true;
}

static bool set_gateway(struct policy_parser *p, struct ini_text value)
{
    struct vpn_configuration *c = out_of(p);
    if (value.length == 0 || !ini_copy(value, c->gateway, VPN_HOST_MAX))
        return wrong(p, value, "no gateway; write its DNS name or address");
    (void)!ip_parse(value.at, value.length, &c->gateway_address);
    return true;
}

static bool set_identity(struct policy_parser *p, struct ini_text value)
{
    return identity_parse(value.at, value.length, policy_member(p), p->problem);
}

static bool set_proposals(struct policy_parser *p, struct ini_text value)
{
    enum ipsec_protocol protocol = p->key->at == AT(ike.ike) ? PROTOCOL_IKE : PROTOCOL_ESP;
    return proposals_parse(value, protocol, policy_member(p), p->problem);
}

static bool add_network(struct policy_parser *p, struct ini_text word)
{
    struct selector_list *list = policy_member(p);
    if (list->count == SELECTORS_MAX || !selector_parse(word.at, word.length, &list->item[list->count]))
        return wrong(p, word, "no network (or one too many); write like 10.0.0.0/8, 2001:db8::/32");
    list->count++;
    return true;
}

static bool add_inner(struct policy_parser *p, struct ini_text word)
{
    struct ike_configuration *c = &out_of(p)->ike;
    c->want_inner4 |= ini_is(word, "ipv4");
    c->want_inner6 |= ini_is(word, "ipv6");
    return ini_is(word, "ipv4") || ini_is(word, "ipv6") ||
           wrong(p, word, "unknown; write ipv4, ipv6 or both with a comma");
}

static bool add_plain(struct policy_parser *p, struct ini_text word)
{
    const struct selector_list *list = policy_member(p);
    if (ini_is(p->value, "none"))
        return true;
    return add_network(p, word) && (list->item[list->count - 1].first.version == 4 ||
                                    wrong(p, word, "not IPv4; only IPv4 networks can be plain"));
}

/* ---- The wire's addresses ---- */

static bool set_wire(struct policy_parser *p, struct ini_text value)
{
    struct wire_family *w = policy_member(p);
    bool ipv4 = w == &out_of(p)->wire.ipv4;
    struct ini_text length, head = ini_split(value, '/', &length);
    w->automatic = ini_is(value, ipv4 ? "dhcp" : "auto");
    if (w->automatic || ini_is(value, "off") ||
        (ip_parse(head.at, head.length, &w->address) && w->address.version == (ipv4 ? 4 : 6) && length.at &&
         ini_u64(length, &w->prefix) && w->prefix > 0 && w->prefix <= 8 * ip_bytes(w->address.version)))
        return true;
    return wrong(p, value,
                 ipv4 ? "no IPv4 address for the wire; write dhcp, off, or one like 192.0.2.2/24"
                      : "no IPv6 address for the wire; write auto, off, or one like 2001:db8::2/64");
}

static bool set_router(struct policy_parser *p, struct ini_text value)
{
    struct ip_address *out = policy_member(p);
    bool ipv4 = p->key->at == AT(wire.ipv4.router);
    if (ip_parse(value.at, value.length, out) && out->version == (ipv4 ? 4 : 6))
        return true;
    return wrong(p, value, ipv4 ? "no IPv4 address" : "no IPv6 address");
}

static bool add_dns(struct policy_parser *p, struct ini_text word)
{
    struct wire_settings *w = &out_of(p)->wire;
    if (w->dns_count == WIRE_DNS_MAX || !ip_parse(word.at, word.length, &w->dns[w->dns_count]))
        return wrong(p, word, "no address of a DNS server, or the third one");
    w->dns_count++;
    return true;
}

/* ---- The section ---- */

#define DAY 86400u

static const char *const no_yes[] = {"no", "yes", NULL}, *const auto_always[] = {"auto", "always", NULL};

static const struct policy_key keys[] = {
    {.name = "gateway", .set = set_gateway, .required = true},
    {.name = "local-id", .set = set_identity, .required = true, .at = AT(ike.local_id)},
    {.name = "remote-id", .set = set_identity, .at = AT(ike.remote_id)},
    {.name = "psk", .set = set_secret, .at = AT(secrets[SECRET_PSK])},
    {.name = "certificate", .set = set_secret, .at = AT(secrets[SECRET_CERTIFICATE])},
    {.name = "private-key", .set = set_secret, .at = AT(secrets[SECRET_KEY])},
    {.name = "authorities", .set = set_secret, .at = AT(secrets[SECRET_AUTHORITIES])},
    {.name = "crl", .set = set_secret, .at = AT(secrets[SECRET_CRL])},
    {.name = "crl-required", .set = policy_set_choice, .words = no_yes, .at = AT(crl_required)},
    {.name = "ike", .set = set_proposals, .initial = DEFAULT_IKE, .at = AT(ike.ike)},
    {.name = "esp", .set = set_proposals, .initial = DEFAULT_ESP, .at = AT(ike.esp)},
    {"networks", add_network, EVERYTHING, AT(ike.remote_selectors), .list = true},
    {"local-networks", add_network, EVERYTHING, AT(ike.local_selectors), .list = true},
    {.name = "addresses", .set = add_inner, .list = true, .initial = "ipv4, ipv6"},
    {.name = "udp-encapsulation", .set = policy_set_choice, .words = auto_always, .at = AT(ike.force_udp)},
    {"ike-lifetime", set_seconds_or_never, "14400", AT(ike.ike_lifetime), .least = 5, .most = 7 * DAY},
    {"child-lifetime", set_seconds_or_never, "3600", AT(ike.child_lifetime), .least = 3, .most = 7 * DAY},
    {"child-bytes", policy_set_number, "68719476736", AT(ike.child_bytes_max), .most = UINT64_MAX},
    {"reauth-lifetime", set_seconds_or_never, "never", AT(ike.reauth_lifetime), .least = 5, .most = 30 * DAY},
    {"dead-peer-interval", set_seconds_or_never, "30", AT(ike.dead_peer_interval), .least = 1, .most = DAY},
    {"keepalive-interval", set_seconds_or_never, "20", AT(ike.keepalive_interval), .least = 1, .most = DAY},
    {"fragment-size", policy_set_number, "1280", AT(ike.fragment_size), .least = 576, .most = 1500},
    {.name = "wire-address", .set = set_wire, .initial = "dhcp", .at = AT(wire.ipv4)},
    {.name = "wire-router", .set = set_router, .at = AT(wire.ipv4.router)},
    {.name = "wire-address6", .set = set_wire, .initial = "auto", .at = AT(wire.ipv6)},
    {.name = "wire-router6", .set = set_router, .at = AT(wire.ipv6.router)},
    {.name = "wire-dns", .set = add_dns, .list = true},
    {"wire-mtu", policy_set_number, "1500", AT(wire.mtu), .least = 1280, .most = 1500},
    {"guest-lease", policy_set_number, "60", AT(guest_lease), .least = 10, .most = DAY},
    {.name = "copy-dscp", .set = policy_set_choice, .words = no_yes, .at = AT(copy_dscp)},
    {.name = "plain", .set = add_plain, .list = true, .at = AT(plain)},
};
static_assert(ARRAY_COUNT(keys) <= POLICY_KEYS_MAX, "the parser has a place for each");

static bool start_section(struct policy_parser *p)
{
    struct vpn_configuration *c = out_of(p);
    if (c->line != 0)
        return report(p->problem, "there is a [vpn] section already in line %u; keep one.", c->line);
    c->line = p->line;
    if (!policy_name_is_good(p->name) || !ini_copy(p->name, c->name, POLICY_NAME_MAX))
        return wrong(p, p->name, "no name for a VPN; write one like [vpn office]");
    return true;
}

static bool lacks(const struct policy_parser *p, const char *what)
{
    return report(p->problem, "[vpn %s] lacks %s; add it.", out_of(p)->name, what);
}

/* What no key can judge alone. */
static bool end_section(struct policy_parser *p)
{
    struct vpn_configuration *c = out_of(p);
    bool psk = c->secrets[SECRET_PSK][0], certificate = c->secrets[SECRET_CERTIFICATE][0],
         key = c->secrets[SECRET_KEY][0], authorities = c->secrets[SECRET_AUTHORITIES][0];
    if (!psk && !certificate && !key && !authorities)
        return lacks(p, "\"psk\", or \"certificate\", \"private-key\" and \"authorities\"");
    if (psk && (certificate || key || authorities))
        return report(p->problem, "[vpn %s] gives a pre-shared key and certificates; keep one.", c->name);
    if (!psk && !(certificate && key && authorities))
        return lacks(p, "one of \"certificate\", \"private-key\" and \"authorities\"");
    if (c->crl_required && !c->secrets[SECRET_CRL][0])
        return lacks(p, "the key \"crl\", which \"crl-required\" wants");
    return c->ike.remote_id.kind != 0 ||
           identity_parse(c->gateway, strlen(c->gateway), &c->ike.remote_id, p->problem);
}

static bool check_whole(struct policy_parser *p)
{
    return out_of(p)->line != 0 ||
           report(p->problem, POLICY_FILE ": there is no section [vpn NAME]; add one.");
}

bool vpn_configuration_parse(const char *text, size_t size, struct vpn_configuration *out,
                             struct report *problem)
{
    static const struct policy_section sections[] = {
        {"vpn", start_section, end_section, keys, ARRAY_COUNT(keys)},
        {.kind = "os"},
        {.kind = "log"},
        {.kind = "cpu"},
        {.kind = "volume"},
        {.kind = "usb"},
    };
    static_assert(ARRAY_COUNT(sections) <= POLICY_SECTIONS_MAX, "the parser has a place for each");
    static const struct policy_grammar grammar = {
        .sections = sections,
        .section_count = ARRAY_COUNT(sections),
        .known = "[vpn NAME], and the loader's [os], [log], [cpu], [usb] and [volume NAME]",
        .check = check_whole,
        .out_size = sizeof(*out)};
    return policy_grammar_parse(&grammar, text, size, out, problem);
}
