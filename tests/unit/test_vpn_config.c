/* SPDX-License-Identifier: Apache-2.0 */
/* The section [vpn NAME]: what a good one means, and the sentence for each way to be wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "services/vpn/config.h"
#include "tests/unit/support/ip_maker.h"

#define HEAD "[os]\npath = \\EFI\\x\n[vpn office]\n" /* the section is line 3 */
#define BASE HEAD "gateway = vpn.example.com\nlocal-id = me@example.com\npsk = office-psk\n"

static struct vpn_configuration c;

static void must_parse(const char *text)
{
    struct report problem = {""};
    if (!vpn_configuration_parse(text, strlen(text), &c, &problem))
        fail_msg("%s\nfor:\n%s", problem.text, text);
    assert_string_equal(problem.text, "");
}

static void must_refuse(const char *words, const char *text)
{
    static const struct vpn_configuration empty;
    struct report problem = {""};
    if (vpn_configuration_parse(text, strlen(text), &c, &problem))
        fail_msg("accepted:\n%s", text);
    if (!strstr(problem.text, words) || strncmp(problem.text, "policy.conf", 11) != 0)
        fail_msg("\"%s\" does not say: %s", problem.text, words);
    assert_memory_equal(&c, &empty, sizeof(c));
}

static void test_defaults(void **state)
{
    (void)state;
    must_parse(BASE);
    assert_string_equal(c.name, "office");
    assert_int_equal(c.line, 3);
    assert_string_equal(c.gateway, "vpn.example.com");
    assert_int_equal(c.gateway_address.version, 0);
    assert_string_equal(c.secrets[SECRET_PSK], "office-psk");
    assert_int_equal(c.ike.local_id.kind, ID_EMAIL);
    assert_int_equal(c.ike.remote_id.kind, ID_FQDN);
    assert_int_equal(c.ike.remote_id.size, strlen("vpn.example.com"));
    assert_true(c.ike.ike.count >= 2 && c.ike.esp.count >= 2);
    assert_true(c.ike.want_inner4 && c.ike.want_inner6 && !c.ike.force_udp);
    assert_int_equal(c.ike.remote_selectors.count, 2);
    assert_int_equal(c.ike.child_lifetime, 3600);
    assert_int_equal(c.ike.reauth_lifetime, 0);
    assert_true(c.wire.ipv4.automatic && c.wire.ipv6.automatic);
    assert_int_equal(c.wire.mtu, 1500);
    assert_int_equal(c.plain.count, 0);
    assert_int_equal(c.guest_lease, 60);
}

static void test_all_keys(void **state)
{
    (void)state;
    must_parse(
        HEAD "gateway = 192.0.2.1\nlocal-id = CN=me, O=Example\nremote-id = gw.example.com\n"
             "certificate = me.crt\nprivate-key = me.key\nauthorities = ca\ncrl = crl\ncrl-required = yes\n"
             "ike = aes128gcm16-prfsha256-ecp256\nesp = aes128gcm16\n"
             "networks = 10.20.0.0/24, fd20::/64\nlocal-networks = 0.0.0.0/0\naddresses = ipv4\n"
             "udp-encapsulation = always\nike-lifetime = 600\nchild-lifetime = never\nchild-bytes = 1000000\n"
             "reauth-lifetime = 7200\ndead-peer-interval = 5\nkeepalive-interval = 9\nfragment-size = 1200\n"
             "wire-address = 192.0.2.2/24\nwire-router = 192.0.2.254\nwire-address6 = off\n"
             "wire-dns = 192.0.2.53, 2001:db8::53\nwire-mtu = 1400\nguest-lease = 30\ncopy-dscp = yes\n"
             "plain = 192.168.0.0/16, 10.1.2.3\n[log]\nport = 0x3e8\n");
    assert_int_equal(c.gateway_address.version, 4);
    assert_int_equal(c.ike.local_id.kind, ID_DER_DN);
    assert_string_equal(c.secrets[SECRET_KEY], "me.key");
    assert_true(c.crl_required && c.copy_dscp && c.ike.force_udp);
    assert_int_equal(c.ike.ike.count, 1);
    assert_int_equal(c.ike.esp.count, 1);
    assert_int_equal(c.ike.remote_selectors.count, 2);
    assert_int_equal(c.ike.local_selectors.count, 1);
    assert_true(c.ike.want_inner4 && !c.ike.want_inner6);
    assert_int_equal(c.ike.child_lifetime, 0);
    assert_int_equal(c.ike.child_bytes_max, 1000000);
    assert_int_equal(c.ike.fragment_size, 1200);
    struct ip_address wire = ip_of("192.0.2.2"), router = ip_of("192.0.2.254");
    assert_true(ip_equal(&c.wire.ipv4.address, &wire) && ip_equal(&c.wire.ipv4.router, &router));
    assert_int_equal(c.wire.ipv4.prefix, 24);
    assert_false(c.wire.ipv4.automatic || c.wire.ipv6.automatic);
    assert_int_equal(c.wire.dns_count, 2);
    assert_int_equal(c.plain.count, 2);
}

static void test_refusals(void **state)
{
    static const struct {
        const char *words, *text;
    } cases[] = {
        {"there is no section [vpn NAME]", "[os]\npath = \\EFI\\x\n"},
        {"policy.conf line 1: the key \"gateway\" stands before", "gateway = a\n"},
        {"policy.conf line 1: the section [vnp] is unknown", "[vnp office]\n"},
        {"policy.conf line 3: [vpn office] lacks the key \"gateway\"", HEAD},
        {"lacks the key \"local-id\"", HEAD "gateway = a.example\n"},
        {"lacks \"psk\", or", HEAD "gateway = a.example\nlocal-id = a.example\n"},
        {"keep one", BASE "certificate = x\n"},
        {"lacks one of", HEAD "gateway = a.example\nlocal-id = a.example\ncertificate = x\n"},
        {"which \"crl-required\" wants", BASE "crl-required = yes\n"},
        {"policy.conf line 7: the key \"frob\" is unknown", BASE "frob = 1\n"},
        {"policy.conf line 7: \"psk\" was given already in line 6", BASE "psk = other\n"},
        {"a [vpn] section already in line 3", BASE "[vpn home]\n"},
        {"no name for a VPN", "[vpn]\n"},
        {"policy.conf line 7: \"../x\" is no name of a secret", BASE "crl = ../x\n"},
        {"policy.conf line 7: ", BASE "ike = aes256gcm8-x25519\n"},
        {"policy.conf line 7: ", BASE "esp = 3des\n"},
        {"is no network", BASE "networks = 10.0.0.0/33\n"},
        {"write no or yes", BASE "copy-dscp = maybe\n"},
        {"write a number from 3 to", BASE "child-lifetime = 2\n"},
        {"write a number from 10 to", BASE "guest-lease = never\n"},
        {"write auto or always", BASE "udp-encapsulation = never\n"},
        {"write ipv4, ipv6 or both", BASE "addresses = ipv5\n"},
        {"no IPv4 address for the wire", BASE "wire-address = 192.0.2.2\n"},
        {"no IPv4 address", BASE "wire-router = fd00::1\n"},
        {"DNS server", BASE "wire-dns = 1.1.1.1, 1.0.0.1, 9.9.9.9\n"},
        {"write a number from 1280 to 1500", BASE "wire-mtu = 9000\n"},
        {"only IPv4 networks can be plain", BASE "plain = fd00::/8\n"},
        {"\"none\" is no network", BASE "plain = none, 10.0.0.0/8\n"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        must_refuse(cases[i].words, cases[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_defaults), cmocka_unit_test(test_all_keys),
                                       cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
