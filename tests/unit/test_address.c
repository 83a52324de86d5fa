/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses and traffic selectors: text both ways, and what they match. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/support/ip_maker.h"

static bool parses(const char *text)
{
    struct ip_address ip;
    return ip_parse(text, strlen(text), &ip);
}

static void test_address_text(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out; /* RFC 5952 says how it is written */
    } good[] = {
        {"0.0.0.0", "0.0.0.0"},
        {"255.255.255.255", "255.255.255.255"},
        {"10.9.0.1", "10.9.0.1"},
        {"::", "::"},
        {"::1", "::1"},
        {"1::", "1::"},
        {"2001:db8::1", "2001:db8::1"},
        {"2001:0DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
        {"0:0:1:0:0:0:1:0", "0:0:1::1:0"},
        {"::ffff:192.0.2.1", "::ffff:c000:201"},
        {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
        {"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
        {"fe80:0:0:0:0:0:0:0", "fe80::"},
    };
    static const char *const bad[] = {
        "",
        "1",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.256",
        "01.2.3.4",
        "1.2.3.4 ",
        "1..2.3",
        "a.b.c.d",
        ":",
        ":::",
        "1:2:3",
        "1::2::3",
        "12345::",
        "g::",
        "1:2:3:4:5:6:7:8:9",
        "1:",
        ":1",
        "1:2:3:4:5:6:7:8::",
        "::1.2.3",
        "1.2.3.4::",
        "1:2:3:4:5:6:7:1.2.3.4",
        "0x1.2.3.4",
        "-1.2.3.4",
    };
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        struct ip_address ip = ip_of(good[i].in), again;
        char text[IP_TEXT_MAX];
        ip_format(&ip, text);
        assert_string_equal(text, good[i].out);
        assert_true(ip_parse(text, strlen(text), &again) && ip_equal(&ip, &again));
    }
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        assert_false(parses(bad[i]));
    struct ip_address none = {0};
    assert_false(ip_parse("1.2.3.4\0", 8, &none) || ip_parse("::1\0", 4, &none));
    char text[IP_TEXT_MAX];
    ip_format(&none, text);
    assert_string_equal(text, "none");
}

static struct traffic_selector selector_of(const char *text)
{
    struct traffic_selector s;
    assert_true(selector_parse(text, strlen(text), &s));
    return s;
}

static void test_selector_text(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } good[] = {
        {"10.0.0.0/8", "10.0.0.0/8"},
        {"0.0.0.0/0", "0.0.0.0/0"},
        {"::/0", "::/0"},
        {"2001:db8::/32", "2001:db8::/32"},
        {"2001:db8::/61", "2001:db8::/61"},
        {"10.9.0.5", "10.9.0.5"},
        {"10.9.0.5/32", "10.9.0.5"},
        {"10.0.0.0-10.0.0.255", "10.0.0.0/24"},
        {"10.0.0.1-10.0.0.255", "10.0.0.1-10.0.0.255"},
    };
    static const char *const bad[] = {
        "10.0.0.0/33", "10.0.0.1/8",   "10.0.0.0/",           "/8",     "10.0.0.9-10.0.0.1",
        "10.0.0.1-",   "10.0.0.0-::1", "10.0.0.0/8-10.0.0.9", "::/129", "10.0.0.0/8x"};
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        struct traffic_selector s = selector_of(good[i].in);
        char text[SELECTOR_TEXT_MAX];
        selector_format(&s, text);
        assert_string_equal(text, good[i].out);
    }
    struct traffic_selector s;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        assert_false(selector_parse(bad[i], strlen(bad[i]), &s));
    s = selector_of("10.0.0.0/8");
    s.protocol = 17;
    s.first_port = s.last_port = 53;
    char text[SELECTOR_TEXT_MAX];
    selector_format(&s, text);
    assert_string_equal(text, "10.0.0.0/8[17/53-53]");
}

static struct selector_list list_of(const char *a, const char *b)
{
    struct selector_list list = {.count = b ? 2 : 1, .item = {selector_of(a)}};
    if (b)
        list.item[1] = selector_of(b);
    return list;
}

static void test_match(void **state)
{
    (void)state;
    struct selector_list local = list_of("10.9.0.5", "2001:db8:9::5"), remote = list_of("10.0.0.0/8", "::/0");
    struct packet_flow flow = {.source = ip_of("10.9.0.5"),
                               .destination = ip_of("10.255.255.255"),
                               .protocol = 17,
                               .ports_known = true,
                               .source_port = 1,
                               .destination_port = 53};
    assert_true(selectors_match(&local, &remote, &flow));
    assert_false(selectors_match(&remote, &local, &flow));
    flow.destination = ip_of("11.0.0.0");
    assert_false(selectors_match(&local, &remote, &flow));
    flow.destination = ip_of("9.255.255.255");
    assert_false(selectors_match(&local, &remote, &flow));
    flow.destination = ip_of("2001:db8::1");
    flow.source = ip_of("2001:db8:9::5");
    assert_true(selectors_match(&local, &remote, &flow));
    flow.source = ip_of("2001:db8:9::6");
    assert_false(selectors_match(&local, &remote, &flow));

    remote.item[1].protocol = 17;
    remote.item[1].first_port = 50;
    remote.item[1].last_port = 60;
    flow.source = ip_of("2001:db8:9::5");
    assert_true(selectors_match(&local, &remote, &flow));
    flow.destination_port = 61;
    assert_false(selectors_match(&local, &remote, &flow));
    flow.destination_port = 60;
    flow.protocol = 6;
    assert_false(selectors_match(&local, &remote, &flow));
    flow.protocol = 17;
    flow.ports_known = false; /* a later fragment */
    assert_false(selectors_match(&local, &remote, &flow));
    remote.item[1].first_port = 65535; /* OPAQUE */
    remote.item[1].last_port = 0;
    assert_true(selectors_match(&local, &remote, &flow));
    flow.ports_known = true;
    assert_false(selectors_match(&local, &remote, &flow));
    struct selector_list none = {0};
    assert_false(selectors_match(&none, &remote, &flow));
    assert_false(selectors_match(&local, &none, &flow));
}

static void test_within(void **state)
{
    (void)state;
    struct selector_list outer = list_of("10.0.0.0/8", "2001:db8::/32"), inner = list_of("10.1.0.0/16", NULL);
    assert_true(selectors_within(&inner, &outer));
    assert_true(selectors_within(&outer, &outer));
    assert_false(selectors_within(&outer, &inner));
    inner = list_of("10.1.0.0/16", "192.0.2.1");
    assert_false(selectors_within(&inner, &outer));
    inner = list_of("9.0.0.0-10.0.0.5", NULL);
    assert_false(selectors_within(&inner, &outer));
    inner = list_of("10.0.0.1", NULL);
    outer.item[0].protocol = 6;
    assert_false(selectors_within(&inner, &outer)); /* any protocol is more than TCP */
    inner.item[0].protocol = 6;
    assert_true(selectors_within(&inner, &outer));
    outer.item[0].first_port = 10;
    outer.item[0].last_port = 20;
    assert_false(selectors_within(&inner, &outer));
    inner.item[0].first_port = inner.item[0].last_port = 20;
    assert_true(selectors_within(&inner, &outer));
    inner.item[0].first_port = 65535;
    inner.item[0].last_port = 0;
    assert_false(selectors_within(&inner, &outer));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_address_text),
        cmocka_unit_test(test_selector_text),
        cmocka_unit_test(test_match),
        cmocka_unit_test(test_within),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
