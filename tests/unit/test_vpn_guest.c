/* SPDX-License-Identifier: Apache-2.0 */
/* What the guest is answered: DHCP, DHCPv6, ARP, neighbour and router discovery. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "services/vpn/guest.h"
#include "tests/unit/support/ip_maker.h"

#define CLIENT_MAC 2, 0, 0, 0, 0, 0x77
#define OPTIONS_AT 240

static struct guest_network network_of(const char *ipv4, const char *ipv6)
{
    struct guest_network n = {.mac = {{2, 0, 0, 0, 0, 0xbb}},
                              .gateway6 = ip_of("fe80::ff:fe00:bb"),
                              .mtu = 1400,
                              .lease = 60,
                              .inner = {.dns = {2, {ip_of("10.20.0.53"), ip_of("fd20::53")}}}};
    if (ipv4) {
        n.address4 = ip_of(ipv4);
        guest_network_choose4(&n);
    }
    if (ipv6)
        n.address6 = ip_of(ipv6);
    return n;
}

/* ---- The network around an address ---- */

static void test_network(void **state)
{
    static const struct {
        const char *address, *gateway;
        unsigned prefix;
    } cases[] = {{"10.30.0.1", "10.30.0.2", 30},   {"10.30.0.2", "10.30.0.1", 30},
                 {"10.30.0.3", "10.30.0.1", 29},   {"10.30.0.4", "10.30.0.1", 29},
                 {"10.30.0.8", "10.30.0.1", 28},   {"10.30.0.7", "10.30.0.1", 28},
                 {"10.30.0.0", "10.28.0.1", 14},   {"0.0.0.0", "0.0.0.1", 1},
                 {"10.30.0.255", "10.30.0.1", 23}, {"10.30.0.254", "10.30.0.253", 30}};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct guest_network n = network_of(cases[i].address, NULL);
        char text[IP_TEXT_MAX];
        ip_format(&n.gateway4, text);
        assert_string_equal(text, cases[i].gateway);
        assert_int_equal(n.prefix4, cases[i].prefix);
    }
}

/* ---- DHCP ---- */

struct ask4 {
    uint8_t type;
    const char *requested, *server, *ciaddr;
    bool broadcast, identified;
};

static size_t add(uint8_t *message, size_t at, uint8_t kind, const void *value, uint8_t size)
{
    message[at] = kind;
    message[at + 1] = size;
    memcpy(message + at + 2, value, size);
    return at + 2 + size;
}

static size_t make_ask4(const struct ask4 *ask, uint8_t message[400])
{
    static const uint8_t mac[] = {CLIENT_MAC}, cookie[] = {99, 130, 83, 99};
    struct ip_address ip;
    memset(message, 0, 400);
    memcpy(message, "\1\1\6\0\xde\xad\xbe\xef", 8);
    message[10] = ask->broadcast ? 0x80 : 0;
    if (ask->ciaddr) {
        ip = ip_of(ask->ciaddr);
        memcpy(message + 12, ip.bytes, 4);
    }
    memcpy(message + 28, mac, 6);
    memcpy(message + 236, cookie, 4);
    size_t at = add(message, OPTIONS_AT, 53, &ask->type, 1);
    if (ask->requested) {
        ip = ip_of(ask->requested);
        at = add(message, at, 50, ip.bytes, 4);
    }
    if (ask->server) {
        ip = ip_of(ask->server);
        at = add(message, at, 54, ip.bytes, 4);
    }
    if (ask->identified)
        at = add(message, at, 61, "\1name", 5);
    message[at++] = 255;
    return at;
}

/* The option's value in an answer; NULL: it is not there. */
static const uint8_t *option4(const struct dhcp_answer *a, uint8_t kind, uint8_t *size)
{
    for (size_t at = OPTIONS_AT; at + 1 < a->size && a->data[at] != 255; at += 2u + a->data[at + 1])
        if (a->data[at] == kind) {
            *size = a->data[at + 1];
            return a->data + at + 2;
        }
    return NULL;
}

static void check_option4(const struct dhcp_answer *a, uint8_t kind, const char *value, uint8_t size)
{
    uint8_t found = 0;
    const uint8_t *at = option4(a, kind, &found);
    assert_non_null(at);
    assert_int_equal(found, size);
    assert_memory_equal(at, value, size);
}

/* The type of the answer; 0: none. */
static unsigned ask4(const struct guest_network *n, const struct ask4 *ask, struct dhcp_answer *a)
{
    uint8_t message[400], size = 0;
    memset(a, 0, sizeof(*a));
    if (!dhcp4_answer(n, message, make_ask4(ask, message), a))
        return 0;
    const uint8_t *type = option4(a, 53, &size);
    assert_true(type && size == 1 && a->size >= 300 && a->size <= DHCP_ANSWER_MAX);
    assert_int_equal(a->data[0], 2);
    assert_memory_equal(a->data + 4, "\xde\xad\xbe\xef", 4);
    return *type;
}

static void test_dhcp4_lease(void **state)
{
    struct guest_network n = network_of("10.30.0.1", NULL);
    struct dhcp_answer a;
    (void)state;
    assert_int_equal(ask4(&n, &(struct ask4){.type = 1, .identified = true}, &a), 2);
    assert_memory_equal(a.data + 16, "\x0a\x1e\x00\x01", 4);
    check_option4(&a, 54, "\x0a\x1e\x00\x02", 4);
    check_option4(&a, 61, "\1name", 5);
    check_option4(&a, 51, "\0\0\0\x3c", 4);
    check_option4(&a, 1, "\xff\xff\xff\xfc", 4);
    check_option4(&a, 3, "\x0a\x1e\x00\x02", 4);
    check_option4(&a, 6, "\x0a\x14\x00\x35", 4);
    check_option4(&a, 26, "\x05\x78", 2);
    assert_memory_equal(a.to.bytes, "\x0a\x1e\x00\x01", 4);

    struct ask4 ask = {.type = 3, .requested = "10.30.0.1", .server = "10.30.0.2", .broadcast = true};
    assert_int_equal(ask4(&n, &ask, &a), 5);
    assert_memory_equal(a.to.bytes, "\xff\xff\xff\xff", 4);
    assert_int_equal(ask4(&n, &(struct ask4){.type = 3, .ciaddr = "10.30.0.1"}, &a), 5);
    assert_memory_equal(a.data + 12, "\x0a\x1e\x00\x01", 4);
    assert_memory_equal(a.to.bytes, "\x0a\x1e\x00\x01", 4);
}

/* Split networks by RFC 3442; the default route is one of them only where all of IPv4 goes into the tunnel.
 */
static void test_dhcp4_routes(void **state)
{
    static const char *const subnets[] = {"10.20.0.0/24", "fd20::/64", "172.16.0.0/12", "192.0.2.7",
                                          "10.0.0.1-10.0.0.9"};
    static const char routes[] = "\x18\x0a\x14\x00\x0a\x1e\x00\x02"
                                 "\x0c\xac\x10\x0a\x1e\x00\x02"
                                 "\x20\xc0\x00\x02\x07\x0a\x1e\x00\x02"
                                 "\x00\x0a\x1e\x00\x02";
    struct guest_network n = network_of("10.30.0.1", NULL);
    struct dhcp_answer a;
    uint8_t size = 0;
    (void)state;
    n.everything4 = true;
    assert_int_equal(ask4(&n, &(struct ask4){.type = 1}, &a), 2);
    assert_null(option4(&a, 121, &size)); /* none given: OPTION4_ROUTER says all */
    for (size_t i = 0; i < ARRAY_COUNT(subnets); i++)
        assert_true(
            selector_parse(subnets[i], strlen(subnets[i]), &n.inner.subnets.item[n.inner.subnets.count++]));
    assert_int_equal(ask4(&n, &(struct ask4){.type = 1}, &a), 2);
    check_option4(&a, 121, routes, sizeof(routes) - 1);
    n.everything4 = false;
    assert_int_equal(ask4(&n, &(struct ask4){.type = 1}, &a), 2);
    check_option4(&a, 121, routes, sizeof(routes) - 1 - 5);
    check_option4(&a, 3, "\x0a\x1e\x00\x02", 4);
    while (n.inner.subnets.count < SELECTORS_MAX)
        n.inner.subnets.item[n.inner.subnets.count++] = n.inner.subnets.item[3];
    n.everything4 = true;
    assert_int_equal(ask4(&n, &(struct ask4){.type = 1, .identified = true}, &a), 2);
    assert_non_null(option4(&a, 121, &size));
    assert_int_equal(size, 8 + 7 + 12 * 9 + 5);
}

/* An old address is refused, another server's client left alone; no address yet: silence. */
static void test_dhcp4_refusals(void **state)
{
    struct guest_network n = network_of("10.30.0.1", NULL);
    struct dhcp_answer a;
    uint8_t size = 0;
    (void)state;
    assert_int_equal(ask4(&n, &(struct ask4){.type = 3, .requested = "10.30.0.9"}, &a), 6);
    assert_null(option4(&a, 51, &size));
    assert_memory_equal(a.data + 16, "\0\0\0\0", 4);
    assert_memory_equal(a.to.bytes, "\xff\xff\xff\xff", 4);
    assert_int_equal(ask4(&n, &(struct ask4){.type = 3, .ciaddr = "10.30.0.9"}, &a), 6);
    assert_int_equal(ask4(&n, &(struct ask4){.type = 3, .requested = "10.30.0.1", .server = "10.0.0.9"}, &a),
                     0);
    assert_int_equal(ask4(&n, &(struct ask4){.type = 7, .ciaddr = "10.30.0.1"}, &a), 0);
    assert_int_equal(ask4(&n, &(struct ask4){.type = 8}, &a), 0);
    assert_int_equal(ask4(&n, &(struct ask4){.type = 8, .ciaddr = "10.30.0.1"}, &a), 5);
    assert_null(option4(&a, 51, &size));
    struct guest_network none = network_of(NULL, "fd30::1");
    assert_int_equal(ask4(&none, &(struct ask4){.type = 1}, &a), 0);
}

/* Every message cut short anywhere is refused or answered, never read beyond its end (ASan watches). */
static void test_dhcp4_cut(void **state)
{
    struct guest_network n = network_of("10.30.0.1", NULL);
    uint8_t message[400];
    size_t whole = make_ask4(&(struct ask4){.type = 1, .identified = true}, message);
    (void)state;
    for (size_t size = 0; size < whole; size++) {
        uint8_t *copy = malloc(size ? size : 1);
        struct dhcp_answer a;
        memcpy(copy, message, size);
        bool answered = dhcp4_answer(&n, copy, size, &a);
        assert_int_equal(answered, size == 243 || size == whole - 1);
        free(copy);
    }
}

/* ---- DHCPv6 ---- */

#define DUID "\0\3\0\1\2\0\0\0\0\x77"
#define US   "\0\3\0\1\2\0\0\0\0\xbb"

struct ask6 {
    uint8_t type;
    bool server, rapid;
    unsigned ia_count;
    const char *address; /* in the first IA_NA */
};

static size_t add6(uint8_t *message, size_t at, uint16_t kind, const void *value, uint16_t size)
{
    message[at + 1] = (uint8_t)kind;
    message[at + 3] = (uint8_t)size;
    message[at] = message[at + 2] = 0;
    memcpy(message + at + 4, value, size);
    return at + 4 + size;
}

static size_t make_ask6(const struct ask6 *ask, uint8_t message[256])
{
    message[0] = ask->type;
    memcpy(message + 1, "\xab\xcd\xef", 3);
    size_t at = add6(message, 4, 1, DUID, 10);
    if (ask->server)
        at = add6(message, at, 2, US, 10);
    if (ask->rapid)
        at = add6(message, at, 14, "", 0);
    for (unsigned i = 0; i < ask->ia_count; i++) {
        uint8_t ia[40] = {0, 0, 0, (uint8_t)(i + 1)};
        size_t size = 12;
        if (i == 0 && ask->address) {
            uint8_t inner[24] = {0};
            struct ip_address ip = ip_of(ask->address);
            memcpy(inner, ip.bytes, 16);
            size = add6(ia, 12, 5, inner, 24);
        }
        at = add6(message, at, 3, ia, (uint16_t)size);
    }
    return at;
}

/* Finds an option from `at` on, inside `end`. */
static const uint8_t *option6(const uint8_t *data, size_t at, size_t end, uint16_t kind, size_t *size)
{
    while (at + 4 <= end) {
        *size = (size_t)(data[at + 2] << 8 | data[at + 3]);
        if ((data[at] << 8 | data[at + 1]) == kind)
            return data + at + 4;
        at += 4 + *size;
    }
    return NULL;
}

static unsigned ask6(const struct guest_network *n, const struct ask6 *ask, struct dhcp_answer *a)
{
    uint8_t message[256];
    size_t size = 0;
    if (!dhcp6_answer(n, message, make_ask6(ask, message), a))
        return 0;
    assert_memory_equal(a->data + 1, "\xab\xcd\xef", 3);
    const uint8_t *client = option6(a->data, 4, a->size, 1, &size);
    assert_true(client && size == 10);
    assert_memory_equal(client, DUID, 10);
    const uint8_t *server = option6(a->data, 4, a->size, 2, &size);
    assert_true(server && size == 10);
    assert_memory_equal(server, US, 10);
    return a->data[0];
}

static void check_address6(const struct dhcp_answer *a, const char *text, const char *valid)
{
    size_t size = 0, inner = 0;
    struct ip_address ip = ip_of(text);
    const uint8_t *ia = option6(a->data, 4, a->size, 3, &size);
    assert_true(ia && size >= 12);
    const uint8_t *address = ia + 12;
    while ((address = option6(address, 0, (size_t)(ia + size - address), 5, &inner))) {
        assert_int_equal(inner, 24);
        if (memcmp(address, ip.bytes, 16) == 0) {
            assert_memory_equal(address + 20, valid, 4);
            return;
        }
        address += inner;
    }
    fail_msg("%s is not in the answer", text);
}

static void test_dhcp6_lease(void **state)
{
    struct guest_network n = network_of(NULL, "fd30::1");
    struct dhcp_answer a;
    size_t size = 0;
    (void)state;
    assert_int_equal(ask6(&n, &(struct ask6){.type = 1, .ia_count = 1}, &a), 2);
    check_address6(&a, "fd30::1", "\0\0\0\x3c");
    const uint8_t *dns = option6(a.data, 4, a.size, 23, &size);
    struct ip_address server = ip_of("fd20::53");
    assert_true(dns && size == 16);
    assert_memory_equal(dns, server.bytes, 16);
    assert_int_equal(ask6(&n, &(struct ask6){.type = 1, .ia_count = 1, .rapid = true}, &a), 7);
    assert_non_null(option6(a.data, 4, a.size, 14, &size));
    assert_int_equal(ask6(&n, &(struct ask6){.type = 3, .server = true, .ia_count = 2}, &a), 7);
    check_address6(&a, "fd30::1", "\0\0\0\x3c");
    struct ask6 renew = {.type = 5, .server = true, .ia_count = 1, .address = "fd30::99"};
    assert_int_equal(ask6(&n, &renew, &a), 7);
    check_address6(&a, "fd30::1", "\0\0\0\x3c");
    check_address6(&a, "fd30::99", "\0\0\0\0");
}

static void test_dhcp6_others(void **state)
{
    struct guest_network n = network_of(NULL, "fd30::1"), none = network_of("10.30.0.1", NULL);
    struct dhcp_answer a;
    size_t size = 0;
    (void)state;
    assert_int_equal(ask6(&none, &(struct ask6){.type = 1, .ia_count = 1}, &a), 0);
    assert_int_equal(ask6(&n, &(struct ask6){.type = 1, .server = true}, &a), 0);
    assert_int_equal(ask6(&n, &(struct ask6){.type = 3, .ia_count = 1}, &a), 0);
    assert_int_equal(ask6(&n, &(struct ask6){.type = 2}, &a), 0);
    assert_int_equal(ask6(&n, &(struct ask6){.type = 4, .ia_count = 1}, &a), 0);
    assert_int_equal(ask6(&n, &(struct ask6){.type = 4, .ia_count = 1, .address = "fd30::9"}, &a), 7);
    assert_memory_equal(option6(a.data, 4, a.size, 13, &size), "\0\4", 2);
    assert_int_equal(ask6(&n, &(struct ask6){.type = 4, .ia_count = 1, .address = "fd30::1"}, &a), 7);
    assert_memory_equal(option6(a.data, 4, a.size, 13, &size), "\0\0", 2);
    assert_int_equal(ask6(&n, &(struct ask6){.type = 8, .server = true, .ia_count = 1}, &a), 7);
    assert_null(option6(a.data, 4, a.size, 3, &size));
    assert_int_equal(ask6(&n, &(struct ask6){.type = 11}, &a), 7);
    assert_non_null(option6(a.data, 4, a.size, 23, &size));
}

/* ---- ARP and discovery ---- */

static void make_arp(uint8_t message[SIZEOF_ETHARP_HDR], const char *sender, const char *target,
                     uint8_t operation)
{
    static const uint8_t mac[] = {CLIENT_MAC};
    struct ip_address from = ip_of(sender), to = ip_of(target);
    memcpy(message, "\0\1\x08\0\6\4\0", 7);
    message[7] = operation;
    memcpy(message + 8, mac, 6);
    memcpy(message + 14, from.bytes, 4);
    memset(message + 18, 0, 6);
    memcpy(message + 24, to.bytes, 4);
}

static void test_arp(void **state)
{
    static const struct {
        const char *from, *to;
        uint8_t operation;
        bool answered;
    } cases[] = {{"10.30.0.1", "10.30.0.2", 1, true},  {"10.30.0.1", "10.30.0.77", 1, true},
                 {"0.0.0.0", "10.30.0.2", 1, true},    {"0.0.0.0", "10.30.0.1", 1, false},
                 {"10.30.0.1", "10.30.0.1", 1, false}, {"0.0.0.0", "10.30.0.77", 1, false},
                 {"10.30.0.1", "10.30.0.2", 2, false}, {"10.30.0.9", "10.30.0.1", 1, false}};
    struct guest_network n = network_of("10.30.0.1", NULL);
    uint8_t message[SIZEOF_ETHARP_HDR], answer[SIZEOF_ETHARP_HDR];
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        make_arp(message, cases[i].from, cases[i].to, cases[i].operation);
        assert_int_equal(arp_answer(&n, message, sizeof(message), (void *)answer), cases[i].answered);
        assert_false(arp_answer(&n, message, sizeof(message) - 1, (void *)answer));
        if (!cases[i].answered)
            continue;
        assert_int_equal(answer[7], 2);
        assert_memory_equal(answer + 8, n.mac.addr, 6);
        assert_memory_equal(answer + 14, message + 24, 4);
        assert_memory_equal(answer + 18, message + 8, 10);
    }
}

static void test_discovery(void **state)
{
    struct guest_network n = network_of(NULL, "fd30::1");
    struct ip_address guest = ip_of("fe80::77"), nobody = {.version = 6}, to;
    uint8_t message[32] = {135}, answer[32], ra[32];
    (void)state;
    memcpy(message + 8, n.gateway6.bytes, 16);
    assert_true(neighbour_answer(&n, &guest, message, sizeof(message), &to, (void *)answer));
    assert_true(ip_equal(&to, &guest));
    assert_memory_equal(answer + 4, "\xe0\0\0\0", 4);
    assert_memory_equal(answer + 26, n.mac.addr, 6);
    assert_true(neighbour_answer(&n, &nobody, message, sizeof(message), &to, (void *)answer));
    assert_true(ip_equal(&to, &ip_all_nodes));
    assert_memory_equal(answer + 4, "\xa0\0\0\0", 4);
    message[23] ^= 1;
    assert_false(neighbour_answer(&n, &guest, message, sizeof(message), &to, (void *)answer));

    assert_int_equal(router_advertise(&n, (void *)ra), 32);
    assert_memory_equal(ra, "\x86\0\0\0\x40\xc0\0\x5a", 8); /* M and O; 90 s */
    assert_memory_equal(ra + 24, "\5\1\0\0\0\0\5\x78", 8);
    n.address6.version = 0;
    assert_int_equal(router_advertise(&n, (void *)ra), 32);
    assert_memory_equal(ra + 5, "\0\0\0", 3); /* no router any more */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_network),      cmocka_unit_test(test_dhcp4_lease),
        cmocka_unit_test(test_dhcp4_routes), cmocka_unit_test(test_dhcp4_refusals),
        cmocka_unit_test(test_dhcp4_cut),    cmocka_unit_test(test_dhcp6_lease),
        cmocka_unit_test(test_dhcp6_others), cmocka_unit_test(test_arp),
        cmocka_unit_test(test_discovery),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
