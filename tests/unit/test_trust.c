/* SPDX-License-Identifier: Apache-2.0 */
/* How the gateway's certificate is judged: chain, validity, usage, names, revocation, and a sentence for each
 * refusal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/support/judgement.h"

/* ---- Chains ---- */

static void test_chain(void **state)
{
    (void)state;
    struct judgement j = usual();
    assert_accepted(&j);
    j.chain[2] = &root; /* some send the root as well */
    assert_accepted(&j);
    j.chain[1] = NULL;
    assert_refused(&j, "issued by CN=middle, O=Example, which no trusted authority vouches for");
    j = usual();
    j.authority = &middle; /* an authority that is itself signed may be trusted directly */
    assert_accepted(&j);
    struct made other;
    const struct recipe recipe = {.name = "root", .authority = true, .key_usage = KU_KEY_CERT_SIGN};
    make_certificate(&recipe, &other); /* the same name, another key */
    j = usual();
    j.authority = &other;
    assert_refused(&j, "the certificate of the authority");
    made_free(&other);
    struct made alone;
    const struct recipe own = {.name = "gateway", .dns = "vpn.example.com", .key_usage = USAGE};
    make_certificate(&own, &alone);
    j = usual();
    j.chain[0] = &alone;
    assert_refused(&j, "the gateway's certificate signed itself");
    made_free(&alone);
}

static void test_validity(void **state)
{
    (void)state;
    struct judgement j = usual();
    j.now = MADE_NOW + 2 * (uint64_t)MADE_YEAR;
    assert_refused(&j, "expired on 2027-06-01");
    j.now = MADE_NOW - 2 * (uint64_t)MADE_YEAR;
    assert_refused(&j, "is valid from 2025-06-01 on only");
    j.now = 0;
    assert_refused(&j, "the time is not known");
    judge_leaf(&(struct recipe){.dns = "vpn.example.com", .until = MADE_NOW - 86400},
               "the gateway's certificate expired on 2026-05-31");
    judge_leaf(&(struct recipe){.dns = "vpn.example.com", .from = MADE_NOW + 86400},
               "the gateway's certificate is valid from 2026-06-02 on only");
}

static void test_usage(void **state)
{
    (void)state;
    const char *name = "vpn.example.com";
    judge_leaf(&(struct recipe){.dns = name}, NULL);
    judge_leaf(&(struct recipe){.dns = name, .key_usage = KU_NON_REPUDIATION}, NULL);
    judge_leaf(&(struct recipe){.dns = name, .key_usage = KU_KEY_ENCIPHERMENT}, "is not for signing");
    judge_leaf(&(struct recipe){.dns = name, .extended_usage = NID_server_auth}, NULL);
    judge_leaf(&(struct recipe){.dns = name, .extended_usage = NID_ipsec_IKE}, NULL);
    judge_leaf(&(struct recipe){.dns = name, .extended_usage = NID_anyExtendedKeyUsage}, NULL);
    judge_leaf(&(struct recipe){.dns = name, .extended_usage = NID_client_auth}, "is not for a gateway");
    judge_leaf(&(struct recipe){.dns = name, .extended_usage = NID_code_sign}, "is not for a gateway");
    judge_leaf(&(struct recipe){.dns = name, .authority = true, .key_usage = USAGE | KU_KEY_CERT_SIGN},
               "an authority's own");
    judge_leaf(&(struct recipe){.dns = name, .digest = "SHA1"}, "a hash that is too weak");
    /* A gateway's certificate must not make another one's. */
    judge_leaf(&(struct recipe){.name = "below", .dns = name, .issuer = &gateway},
               "no trusted authority vouches for");
    EVP_PKEY *weak = make_rsa_key(1024);
    struct made leaf;
    make_certificate(&(struct recipe){.name = "g", .issuer = &middle, .key = weak, .dns = name}, &leaf);
    struct judgement j = usual();
    j.chain[0] = &leaf;
    j.signer = &gateway;
    assert_refused(&j, "too weak");
    made_free(&leaf);
    EVP_PKEY_free(weak);
    make_certificate(&(struct recipe){.name = "g", .issuer = &middle, .dns = name, .long_comment = true},
                     &leaf);
    assert_refused(&j, "cannot be read, or has more than 4096 bytes");
    made_free(&leaf);
}

static void test_leaf_as_authority(void **state)
{
    (void)state;
    struct made leaf;
    make_certificate(&(struct recipe){.name = "g", .issuer = &gateway, .dns = "vpn.example.com"}, &leaf);
    struct judgement j = usual();
    j.chain[0] = &leaf;
    j.chain[1] = &gateway;
    j.chain[2] = &middle;
    assert_refused(&j, "the certificate of the authority CN=gateway, O=Example is refused: ");
    made_free(&leaf);
    struct report problem = {""};
    assert_null(judge_of(made_view(&gateway), (struct bytes_view){0}, &problem));
    assert_says(&problem, "the certificate of CN=gateway, O=Example is no authority's");
}

/* ---- Names ---- */

static void judge_name(const char *id, const char *expected, const char *words)
{
    struct judgement j = usual();
    j.id = id;
    j.expected = expected;
    if (words)
        assert_refused(&j, words);
    else
        assert_accepted(&j);
}

static void test_names(void **state)
{
    (void)state;
    judge_name("VPN.Example.COM", "vpn.example.com", NULL);
    judge_name("gw@example.com", "gw@example.com", NULL);
    judge_name("192.0.2.1", "192.0.2.1", NULL);
    judge_name("CN=GATEWAY,  O=example", "CN=gateway,O=Example", NULL);
    judge_name("keyid:676174657761792d6b65792d31", "keyid:676174657761792D6B65792D31", NULL);
    /* Another of its names is as good, one that it has not is none. */
    judge_name("CN=gateway, O=Example", "vpn.example.com", NULL);
    judge_name("other.example.com", "vpn.example.com",
               "calls itself other.example.com, which its certificate");
    judge_name("other.example.com", "other.example.com",
               "for vpn.example.com, gw@example.com, 192.0.2.1, not other.example.com");
    judge_name("vpn.example.com", "192.0.2.2", "not 192.0.2.2");
    judge_name("vpn.example.com", "CN=gateway, O=Example2", "not CN=gateway, O=Example2");
    judge_name("vpn.example.com", "keyid:00", "not keyid:00");
    judge_name("vpn.example.com", "CN=vpn.example.com", "not CN=vpn.example.com");
    judge_name("vpn.example.com", "vpn.example.co", "not vpn.example.co");
    /* A name in the subject is not a subjectAltName. */
    judge_leaf(&(struct recipe){.name = "vpn.example.com"},
               "for CN=vpn.example.com, O=Example, not vpn.example.com");
    judge_leaf(&(struct recipe){.dns = "*.example.com"}, "not vpn.example.com");
}

static void test_identities(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint8_t kind;
        uint16_t size;
        const char *back;
    } good[] = {
        {"vpn.example.com", ID_FQDN, 15, "vpn.example.com"},
        {"first.last+tag@example.com", ID_EMAIL, 26, "first.last+tag@example.com"},
        {"10.1.2.3", ID_IPV4, 4, "10.1.2.3"},
        {"2001:db8::1", ID_IPV6, 16, "2001:db8::1"},
        {"keyid:00ffAb", ID_KEY, 3, "keyid:00ffab"},
        {"CN = a\\, b , O=\\=c", ID_DER_DN, 30, "CN=\"a, b\", O==c"},
    };
    static const char *const bad[] = {"",        "a b",       "@x",   "x@",     "a@b@c",
                                      "keyid:0", "keyid:zz",  "CN=",  "=x",     "CN=a,",
                                      "XX=a",    "C=toolong", "a\tb", "CN=a\\", "a,CN=b"};
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        char text[IDENTITY_TEXT_MAX];
        const struct identity id = id_of(good[i].text);
        assert_int_equal(id.kind, good[i].kind);
        assert_int_equal(id.size, good[i].size);
        identity_format(&id, text);
        assert_string_equal(text, good[i].back);
    }
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct identity id;
        struct report problem = {""};
        if (identity_parse(bad[i], strlen(bad[i]), &id, &problem))
            fail_msg("\"%s\" was taken", bad[i]);
        assert_string_not_equal(problem.text, "");
    }
    struct identity cut;
    assert_false(identity_parse("keyid:00\0000", 11, &cut, &(struct report){""})); /* no digit is left out */
    /* From the wire: wrong sizes and bytes that no terminal should see. */
    char text[IDENTITY_TEXT_MAX];
    identity_format(&(struct identity){ID_FQDN, 4, {'a', 27, '[', 0xff}}, text);
    assert_string_equal(text, "a?[?");
    identity_format(&(struct identity){ID_IPV4, 5, {1}}, text);
    assert_string_equal(text, "(an identity of kind 1, 5 bytes)");
    identity_format(&(struct identity){ID_DER_DN, 3, {0x30, 5, 1}}, text);
    assert_string_equal(text, "(a malformed distinguished name)");
}

/* ---- Revocation ---- */

static void judge_crl(const struct bytes_view *parts, unsigned count, bool required, const char *words)
{
    size_t size = 0;
    uint8_t all[16384];
    for (unsigned i = 0; i < count; i++) {
        struct bytes_view pem = make_pem("X509 CRL", parts[i]);
        assert_true(size + pem.size <= sizeof(all));
        memcpy(all + size, pem.data, pem.size);
        size += pem.size;
        free((void *)pem.data);
    }
    struct judgement j = usual();
    j.crls = (struct bytes_view){all, size};
    j.crl_required = required;
    if (words)
        assert_refused(&j, words);
    else
        assert_accepted(&j);
}

static void test_revocation(void **state)
{
    (void)state;
    const int64_t from = MADE_NOW - 86400, until = MADE_NOW + 86400;
    struct bytes_view of_root = make_crl(&root, NULL, from, until),
                      of_middle = make_crl(&middle, NULL, from, until),
                      revoked = make_crl(&middle, &gateway, from, until),
                      revoked_middle = make_crl(&root, &middle, from, until),
                      expired = make_crl(&middle, NULL, from - 86400, from),
                      early = make_crl(&middle, NULL, until, until + 86400),
                      forged = make_crl(&middle, &gateway, from, until);
    ((uint8_t *)forged.data)[forged.size - 1] ^= 1;
    judge_crl((struct bytes_view[]){of_root, of_middle}, 2, true, NULL);
    judge_crl((struct bytes_view[]){of_middle}, 1, true, "there is no CRL of CN=root, O=Example");
    judge_crl(NULL, 0, true, "there is no CRL of CN=middle, O=Example, and the policy requires one");
    judge_crl((struct bytes_view[]){of_middle}, 1, false, NULL);
    judge_crl((struct bytes_view[]){of_root, revoked}, 2, true,
              "the gateway's certificate was revoked on 2026-05-31");
    judge_crl((struct bytes_view[]){revoked}, 1, false,
              "the gateway's certificate was revoked on 2026-05-31");
    judge_crl((struct bytes_view[]){revoked_middle}, 1, false,
              "the certificate of the authority CN=middle, O=Example was revoked");
    judge_crl((struct bytes_view[]){of_root, expired}, 2, false,
              "the CRL of CN=middle, O=Example expired on 2026-05-31: give a newer one");
    judge_crl((struct bytes_view[]){of_root, early}, 2, true, "is valid from 2026-06-02 on only");
    judge_crl((struct bytes_view[]){of_root, forged}, 2, true,
              "the CRL of CN=middle, O=Example cannot be used");
    struct bytes_view all[] = {of_root, of_middle, revoked, revoked_middle, expired, early, forged};
    for (size_t i = 0; i < ARRAY_COUNT(all); i++)
        free((void *)all[i].data);
}

static void refuse_crl(struct bytes_view crl, const char *words)
{
    struct report problem = {""};
    assert_null(judge_of(made_view(&root), crl, &problem));
    assert_says(&problem, words);
    free((void *)crl.data);
}

static void test_crl_files(void **state)
{
    (void)state;
    refuse_crl(make_crl_with(&root, NULL, MADE_NOW, MADE_NOW + 1, "SHA1"),
               "the CRL of CN=root, O=Example is not signed by RSA or ECDSA with SHA-2");
    refuse_crl(make_crl_with(&root, NULL, MADE_NOW, 0, "SHA256"), "does not say until when it holds");
    struct bytes_view cut = make_crl(&root, NULL, MADE_NOW, MADE_NOW + 1);
    cut.size--;
    refuse_crl(cut, "CRL 1 cannot be read");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chain),      cmocka_unit_test(test_validity),
        cmocka_unit_test(test_usage),      cmocka_unit_test(test_leaf_as_authority),
        cmocka_unit_test(test_names),      cmocka_unit_test(test_identities),
        cmocka_unit_test(test_revocation), cmocka_unit_test(test_crl_files),
    };
    return cmocka_run_group_tests(tests, judgement_start, judgement_stop);
}
