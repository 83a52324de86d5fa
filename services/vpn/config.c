/* SPDX-License-Identifier: Apache-2.0 */
/* The grammar of [vpn NAME]: one row of a table for each key, and what must go together. */
#include "services/vpn/config.h"
#include "crypto/ipsec/proposal.h"
#include "lib/format.h"
#include "lib/ini.h"
#include "lib/policy.h"
#include "lib/strings.h"

#define POLICY_FILE "policy.conf"
#define AT_LINE     POLICY_FILE " line %u: "
#define QUOTE_MAX   60
#define QUOTED(t)   (int)MIN((t).length, (size_t)QUOTE_MAX), (t).at

#define DEFAULT_MTU            1500
#define DEFAULT_IKE_LIFETIME   14400
#define DEFAULT_CHILD_LIFETIME 3600
#define DEFAULT_CHILD_BYTES    GIB(64)
#define DEFAULT_DEAD_PEER      30
#define DEFAULT_KEEPALIVE      20
#define DEFAULT_FRAGMENT       1280
#define DEFAULT_LEASE          60

/* RFC 8247 and 8221: what a gateway of today has; AEADs first. For ESP each also without a group, for
 * gateways that rekey without forward secrecy. */
#define GROUPS      "-x25519-ecp384-ecp256-modp3072-modp2048"
#define AEADS       "aes256gcm16-aes128gcm16-chacha20poly1305"
#define OTHERS      "aes256-aes128-sha512-sha384-sha256"
#define PRFS        "-prfsha384-prfsha256-prfsha512"
#define DEFAULT_IKE AEADS PRFS GROUPS ", " OTHERS PRFS GROUPS
#define DEFAULT_ESP AEADS GROUPS ", " AEADS ", " OTHERS GROUPS ", " OTHERS

struct parser {
    struct vpn_configuration *out;
    struct report *problem;
    unsigned line;
    bool remote_id_given;
};

struct key {
    const char *name;
    bool (*set)(struct parser *p, const struct key *key, struct ini_text value);
    size_t at; /* of the member that a common setter sets */
    uint32_t least, most;
};

#define MEMBER(p, key, type) ((type *)(void *)((char *)(p)->out + (key)->at))

/* ---- Values ---- */

static bool wrong(const struct parser *p, struct ini_text value, const char *what)
{
    return report(p->problem, AT_LINE "\"%.*s\" is %s.", p->line, QUOTED(value), what);
}

/* Puts the line in front of a sentence that somebody else made. */
static bool at_line(const struct parser *p, const struct report *cause)
{
    return report(p->problem, AT_LINE "%s", p->line, cause->text);
}

static bool read_number(const struct parser *p, const struct key *key, struct ini_text value, uint64_t *out)
{
    if (ini_u64(value, out) && *out >= key->least && *out <= key->most)
        return true;
    return report(p->problem, AT_LINE "\"%.*s\" is no value for \"%s\"; write a number from %u to %u.",
                  p->line, QUOTED(value), key->name, key->least, key->most);
}

static bool set_seconds(struct parser *p, const struct key *key, struct ini_text value)
{
    uint64_t number = 0;
    if (!read_number(p, key, value, &number))
        return false;
    *MEMBER(p, key, uint32_t) = (uint32_t)number;
    return true;
}

static bool set_seconds_or_never(struct parser *p, const struct key *key, struct ini_text value)
{
    *MEMBER(p, key, uint32_t) = 0;
    return ini_is(value, "never") || set_seconds(p, key, value);
}

static bool set_size(struct parser *p, const struct key *key, struct ini_text value)
{
    uint64_t number = 0;
    if (!read_number(p, key, value, &number))
        return false;
    *MEMBER(p, key, uint16_t) = (uint16_t)number;
    return true;
}

static bool set_flag(struct parser *p, const struct key *key, struct ini_text value)
{
    bool yes = ini_is(value, "yes");
    if (!yes && !ini_is(value, "no"))
        return wrong(p, value, "unknown; write yes or no");
    *MEMBER(p, key, bool) = yes;
    return true;
}

static bool name_is_plain(struct ini_text name)
{
    for (size_t i = 0; i < name.length; i++) {
        char c = name.at[i], lower = (char)(c | 0x20);
        bool letter = (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9');
        if (!letter && c != '-' && c != '_' && (c != '.' || i == 0))
            return false;
    }
    return name.length > 0 && name.length < VPN_NAME_MAX;
}

static bool set_secret(struct parser *p, const struct key *key, struct ini_text value)
{
    if (!name_is_plain(value) || !ini_copy(value, MEMBER(p, key, char), VPN_NAME_MAX))
        return wrong(p, value, "no name of a secret; it has 1 to 31 letters, digits, \"-\", \"_\" or \".\"");
    return true;
}

static bool set_gateway(struct parser *p, const struct key *key, struct ini_text value)
{
    (void)key;
    if (value.length == 0 || !ini_copy(value, p->out->gateway, VPN_HOST_MAX))
        return wrong(p, value, "no gateway; write its DNS name or address");
    if (!ip_parse(value.at, value.length, &p->out->gateway_address))
        p->out->gateway_address = (struct ip_address){.version = 0};
    return true;
}

static bool set_identity(struct parser *p, const struct key *key, struct ini_text value)
{
    struct report cause = {""};
    return identity_parse(value.at, value.length, MEMBER(p, key, struct identity), &cause) ||
           at_line(p, &cause);
}

static bool set_ike(struct parser *p, const struct key *key, struct ini_text value)
{
    struct report cause = {""};
    (void)key;
    return proposals_parse_ike(value.at, value.length, p->out->ike.ike, &p->out->ike.ike_count, &cause) ||
           at_line(p, &cause);
}

static bool set_esp(struct parser *p, const struct key *key, struct ini_text value)
{
    struct report cause = {""};
    (void)key;
    return proposals_parse_esp(value.at, value.length, p->out->ike.esp, &p->out->ike.esp_count, &cause) ||
           at_line(p, &cause);
}

static bool set_networks(struct parser *p, const struct key *key, struct ini_text value)
{
    struct selector_list *list = MEMBER(p, key, struct selector_list);
    list->count = 0;
    while (value.at) {
        struct ini_text word = ini_split(value, ',', &value);
        if (list->count == SELECTORS_MAX || !selector_parse(word.at, word.length, &list->item[list->count]))
            return wrong(p, word, "no network (or one too many); write like 10.0.0.0/8, 2001:db8::/32");
        list->count++;
    }
    return true;
}

static bool set_inner(struct parser *p, const struct key *key, struct ini_text value)
{
    (void)key;
    p->out->ike.want_inner4 = p->out->ike.want_inner6 = false;
    while (value.at) {
        struct ini_text word = ini_split(value, ',', &value);
        if (ini_is(word, "ipv4"))
            p->out->ike.want_inner4 = true;
        else if (ini_is(word, "ipv6"))
            p->out->ike.want_inner6 = true;
        else
            return wrong(p, word, "unknown; write ipv4, ipv6 or both with a comma");
    }
    return true;
}

static bool set_encapsulation(struct parser *p, const struct key *key, struct ini_text value)
{
    (void)key;
    p->out->ike.force_udp = ini_is(value, "always");
    if (!p->out->ike.force_udp && !ini_is(value, "auto"))
        return wrong(p, value, "unknown; write auto or always");
    return true;
}

static bool set_plain(struct parser *p, const struct key *key, struct ini_text value)
{
    if (ini_is(value, "none"))
        return true;
    if (!set_networks(p, key, value))
        return false;
    for (unsigned i = 0; i < p->out->plain.count; i++)
        if (p->out->plain.item[i].first.version != 4)
            return wrong(p, value, "not all IPv4; only IPv4 networks can be plain");
    return true;
}

/* ---- The wire's addresses ---- */

/* "192.0.2.2/24" */
static bool read_interface(struct ini_text value, uint8_t version, struct ip_address *address,
                           uint8_t *prefix)
{
    struct ini_text length, head = ini_split(value, '/', &length);
    uint64_t bits;
    if (!length.at || !ini_u64(length, &bits) || bits == 0 || bits > 8 * ip_bytes(version) ||
        !ip_parse(head.at, head.length, address) || address->version != version)
        return false;
    *prefix = (uint8_t)bits;
    return true;
}

static bool set_wire4(struct parser *p, const struct key *key, struct ini_text value)
{
    struct wire_settings *w = &p->out->wire;
    (void)key;
    w->dhcp4 = ini_is(value, "dhcp");
    if (w->dhcp4 || ini_is(value, "off") || read_interface(value, 4, &w->address4, &w->prefix4))
        return true;
    return wrong(p, value, "no IPv4 address for the wire; write dhcp, off, or one like 192.0.2.2/24");
}

static bool set_wire6(struct parser *p, const struct key *key, struct ini_text value)
{
    struct wire_settings *w = &p->out->wire;
    uint8_t prefix;
    (void)key;
    w->automatic6 = ini_is(value, "auto");
    if (w->automatic6 || ini_is(value, "off") || read_interface(value, 6, &w->address6, &prefix))
        return true;
    return wrong(p, value, "no IPv6 address for the wire; write auto, off, or one like 2001:db8::2/64");
}

static bool set_router(struct parser *p, const struct key *key, struct ini_text value)
{
    struct ip_address *out = MEMBER(p, key, struct ip_address);
    if (ip_parse(value.at, value.length, out) && out->version == key->least)
        return true;
    return wrong(p, value, key->least == 4 ? "no IPv4 address" : "no IPv6 address");
}

static bool set_dns(struct parser *p, const struct key *key, struct ini_text value)
{
    struct wire_settings *w = &p->out->wire;
    (void)key;
    for (w->dns_count = 0; value.at; w->dns_count++) {
        struct ini_text word = ini_split(value, ',', &value);
        if (w->dns_count == WIRE_DNS_MAX || !ip_parse(word.at, word.length, &w->dns[w->dns_count]))
            return wrong(p, word, "no address of a DNS server, or the third one");
    }
    return true;
}

static bool set_bytes(struct parser *p, const struct key *key, struct ini_text value)
{
    if (!ini_u64(value, MEMBER(p, key, uint64_t)))
        return wrong(p, value, "no number of bytes");
    return true;
}

/* ---- The table ---- */

#define AT(member) offsetof(struct vpn_configuration, member)
#define DAY        86400u

static const struct key keys[] = {
    {"gateway", set_gateway, 0, 0, 0},
    {"local-id", set_identity, AT(ike.local_id), 0, 0},
    {"remote-id", set_identity, AT(ike.remote_id), 0, 0},
    {"psk", set_secret, AT(secrets.psk), 0, 0},
    {"certificate", set_secret, AT(secrets.certificate), 0, 0},
    {"private-key", set_secret, AT(secrets.private_key), 0, 0},
    {"authorities", set_secret, AT(secrets.authorities), 0, 0},
    {"crl", set_secret, AT(secrets.crl), 0, 0},
    {"crl-required", set_flag, AT(crl_required), 0, 0},
    {"ike", set_ike, 0, 0, 0},
    {"esp", set_esp, 0, 0, 0},
    {"networks", set_networks, AT(ike.remote_selectors), 0, 0},
    {"local-networks", set_networks, AT(ike.local_selectors), 0, 0},
    {"addresses", set_inner, 0, 0, 0},
    {"udp-encapsulation", set_encapsulation, 0, 0, 0},
    {"ike-lifetime", set_seconds_or_never, AT(ike.ike_lifetime), 5, 7 * DAY},
    {"child-lifetime", set_seconds_or_never, AT(ike.child_lifetime), 3, 7 * DAY},
    {"child-bytes", set_bytes, AT(ike.child_bytes_max), 0, 0},
    {"reauth-lifetime", set_seconds_or_never, AT(ike.reauth_lifetime), 5, 30 * DAY},
    {"dead-peer-interval", set_seconds_or_never, AT(ike.dead_peer_interval), 1, DAY},
    {"keepalive-interval", set_seconds_or_never, AT(ike.keepalive_interval), 1, DAY},
    {"fragment-size", set_size, AT(ike.fragment_size), 576, 1500},
    {"wire-address", set_wire4, 0, 0, 0},
    {"wire-router", set_router, AT(wire.router4), 4, 0},
    {"wire-address6", set_wire6, 0, 0, 0},
    {"wire-router6", set_router, AT(wire.router6), 6, 0},
    {"wire-dns", set_dns, 0, 0, 0},
    {"wire-mtu", set_size, AT(wire.mtu), 1280, 1500},
    {"guest-lease", set_seconds, AT(guest_lease), 10, DAY},
    {"copy-dscp", set_flag, AT(copy_dscp), 0, 0},
    {"plain", set_plain, AT(plain), 0, 0},
};

struct key_lines {
    unsigned line[ARRAY_COUNT(keys)]; /* where each key stood; 0: nowhere */
};

/* ---- The section ---- */

static bool set_defaults(struct parser *p)
{
    struct vpn_configuration *c = p->out;
    static const char any[] = "0.0.0.0/0, ::/0";
    const struct key remote = {.at = AT(ike.remote_selectors)}, local = {.at = AT(ike.local_selectors)};
    *c = (struct vpn_configuration){
        .crl_required = false,
        .ike = {.want_inner4 = true,
                .want_inner6 = true,
                .ike_lifetime = DEFAULT_IKE_LIFETIME,
                .child_lifetime = DEFAULT_CHILD_LIFETIME,
                .child_bytes_max = DEFAULT_CHILD_BYTES,
                .dead_peer_interval = DEFAULT_DEAD_PEER,
                .keepalive_interval = DEFAULT_KEEPALIVE,
                .fragment_size = DEFAULT_FRAGMENT},
        .wire = {.mtu = DEFAULT_MTU, .dhcp4 = true, .automatic6 = true},
        .guest_lease = DEFAULT_LEASE,
    };
    const struct ini_text networks = {any, sizeof(any) - 1}, ike = {DEFAULT_IKE, sizeof(DEFAULT_IKE) - 1},
                          esp = {DEFAULT_ESP, sizeof(DEFAULT_ESP) - 1};
    return set_networks(p, &remote, networks) && set_networks(p, &local, networks) && set_ike(p, NULL, ike) &&
           set_esp(p, NULL, esp);
}

static bool begin_section(struct parser *p, const struct ini_line *line)
{
    if (p->out->line != 0)
        return report(p->problem, AT_LINE "there is a [vpn] section already in line %u; keep one.", p->line,
                      p->out->line);
    if (!set_defaults(p))
        return false;
    if (!name_is_plain(line->value) || !ini_copy(line->value, p->out->name, VPN_NAME_MAX))
        return wrong(p, line->value, "no name for a VPN; write one like [vpn office]");
    p->out->line = p->line;
    return true;
}

static bool read_key(struct parser *p, struct key_lines *seen, const struct ini_line *line)
{
    for (unsigned i = 0; i < ARRAY_COUNT(keys); i++) {
        if (!ini_is(line->key, keys[i].name))
            continue;
        if (seen->line[i] != 0)
            return report(p->problem, AT_LINE "\"%s\" was given already in line %u.", p->line, keys[i].name,
                          seen->line[i]);
        seen->line[i] = p->line;
        return keys[i].set(p, &keys[i], line->value);
    }
    return report(p->problem, AT_LINE "the key \"%.*s\" is unknown in [vpn]; docs/policy.md lists them.",
                  p->line, QUOTED(line->key));
}

static bool lacks(const struct parser *p, const char *what)
{
    return report(p->problem, AT_LINE "[vpn %s] lacks %s; add it.", p->out->line, p->out->name, what);
}

/* What no key can judge alone. */
static bool check_section(struct parser *p)
{
    struct vpn_configuration *c = p->out;
    const struct vpn_secret_names *s = &c->secrets;
    bool certificate = s->certificate[0] || s->private_key[0] || s->authorities[0];
    if (c->line == 0)
        return report(p->problem, POLICY_FILE ": there is no section [vpn NAME]; add one.");
    if (!c->gateway[0])
        return lacks(p, "the key \"gateway\"");
    if (c->ike.local_id.kind == 0)
        return lacks(p, "the key \"local-id\"");
    if (!certificate && !s->psk[0])
        return lacks(p, "\"psk\", or \"certificate\", \"private-key\" and \"authorities\"");
    if (certificate && s->psk[0])
        return report(p->problem, AT_LINE "[vpn %s] gives a pre-shared key and certificates; keep one.",
                      c->line, c->name);
    if (certificate && (!s->certificate[0] || !s->private_key[0] || !s->authorities[0]))
        return lacks(p, "one of \"certificate\", \"private-key\" and \"authorities\", which go together");
    if (c->crl_required && !s->crl[0])
        return lacks(p, "the key \"crl\", which \"crl-required\" wants");
    if (!c->ike.want_inner4 && !c->ike.want_inner6)
        return lacks(p, "an address family in \"addresses\"");
    p->line = c->line;
    const struct ini_text gateway = {c->gateway, strlen(c->gateway)};
    const struct key remote_id = {.at = AT(ike.remote_id)};
    return c->ike.remote_id.kind != 0 || set_identity(p, &remote_id, gateway);
}

/* Sections that are the loader's to judge (lib/policy.c). */
static bool is_known_elsewhere(struct ini_text kind)
{
    static const char *const others[] = {"os", "log", "cpu", "volume", "usb"};
    for (unsigned i = 0; i < ARRAY_COUNT(others); i++)
        if (ini_is(kind, others[i]))
            return true;
    return false;
}

static bool parse_lines(struct parser *p, struct ini ini)
{
    struct key_lines seen = {{0}};
    bool inside = false, any = false;
    for (;;) {
        struct ini_line line;
        if (!ini_next(&ini, &line, p->problem))
            return false;
        p->line = line.number;
        if (line.kind == INI_END)
            return check_section(p);
        if (line.kind == INI_SECTION) {
            any = true;
            inside = ini_is(line.key, "vpn");
            if (!inside && !is_known_elsewhere(line.key))
                return wrong(p, line.key, "an unknown section");
            if (inside && !begin_section(p, &line))
                return false;
            continue;
        }
        if (!any)
            return report(p->problem, AT_LINE "the key \"%.*s\" stands before the first section.", p->line,
                          QUOTED(line.key));
        if (inside && !read_key(p, &seen, &line))
            return false;
    }
}

bool vpn_configuration_parse(const char *text, size_t size, struct vpn_configuration *out,
                             struct report *problem)
{
    struct parser p = {.out = out, .problem = problem};
    memset(out, 0, sizeof(*out));
    if (size > POLICY_FILE_MAX)
        return report(problem, POLICY_FILE " is larger than %u KiB; shorten it.",
                      (unsigned)(POLICY_FILE_MAX >> 10));
    bool good = parse_lines(&p, ini_of(POLICY_FILE, text, size));
    if (!good)
        memset(out, 0, sizeof(*out));
    return good;
}
