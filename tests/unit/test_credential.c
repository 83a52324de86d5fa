/* SPDX-License-Identifier: Apache-2.0 */
/* Who we are and how the gateway is judged: keys, certificates, signatures, and a sentence for each refusal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/ipsec/certificate.h"
#include "crypto/ipsec/signature.h"
#include "crypto/port/port.h"
#include "tests/unit/support/certificate_maker.h"

static const struct auth_octets octets = {(const uint8_t *)"the octets that both ends sign", 30, "SHA256"};
#define ALL_HASHES (BIT(HASH_SHA2_256) | BIT(HASH_SHA2_384) | BIT(HASH_SHA2_512))
#define USAGE      KU_DIGITAL_SIGNATURE

/* An authority, one below it, the gateway's certificate, and keys that take long to make. */
static struct made root, middle, gateway;
static EVP_PKEY *rsa;

static struct identity id_of(const char *text)
{
    struct identity id;
    struct report problem = {""};
    if (!identity_parse(text, strlen(text), &id, &problem))
        fail_msg("\"%s\" was refused: %s", text, problem.text);
    return id;
}

static void assert_says(const struct report *problem, const char *words)
{
    if (!strstr(problem->text, words))
        fail_msg("\"%s\" does not say \"%s\"", problem->text, words);
}

/* ---- One judgement: the usual case, and what a test changes in it ---- */

struct judgement {
    const struct made *authority, *chain[4];
    struct bytes_view crls;
    bool crl_required;
    const struct made *signer; /* default: the first of the chain */
    const char *id, *expected;
    uint64_t now;
    uint32_t hashes;
    uint8_t method; /* 0: the signer's */
    bool flip;
};

static struct judgement usual(void)
{
    return (struct judgement){.authority = &root,
                              .chain = {&gateway, &middle},
                              .id = "vpn.example.com",
                              .expected = "vpn.example.com",
                              .now = MADE_NOW,
                              .hashes = ALL_HASHES};
}

static bool judge(const struct judgement *j, struct report *problem)
{
    *problem = (struct report){""};
    const struct made *signer = j->signer ? j->signer : j->chain[0];
    struct credential *own = credential_certificate(made_view(signer), made_key_view(signer), problem);
    struct trust *trust = trust_certificates(made_view(j->authority), j->crls, j->crl_required, problem);
    if (!own || !trust)
        fail_msg("no credential or trust: %s", problem->text);
    const struct identity id = id_of(j->id), expected = id_of(j->expected);
    struct peer_claim claim = {.id = &id, .expected = &expected, .now = j->now};
    uint8_t auth[SIGNATURE_MAX];
    size_t size = 0;
    if (!credential_sign(own, &octets, j->hashes, &claim.method, auth, &size, problem))
        fail_msg("not signed: %s", problem->text);
    if (j->flip)
        auth[size - 1] ^= 1;
    if (j->method)
        claim.method = j->method;
    uint8_t *exact = malloc(size);
    assert_non_null(exact);
    memcpy(exact, auth, size);
    claim.auth = (struct bytes_view){exact, size};
    for (unsigned i = 0; i < ARRAY_COUNT(j->chain) && j->chain[i]; i++)
        claim.certificates[claim.certificate_count++] = made_view(j->chain[i]);
    const bool good = trust_verify(trust, &octets, &claim, problem);
    free(exact);
    credential_free(own);
    trust_free(trust);
    return good;
}

static void assert_accepted(const struct judgement *j)
{
    struct report problem;
    if (!judge(j, &problem))
        fail_msg("refused: %s", problem.text);
    assert_string_equal(problem.text, "");
}

static void assert_refused(const struct judgement *j, const char *words)
{
    struct report problem;
    if (judge(j, &problem))
        fail_msg("accepted, where \"%s\" was to be said", words);
    assert_says(&problem, words);
}

/* The usual judgement with another leaf under the intermediate authority. */
static void judge_leaf(const struct recipe *changes, const char *words)
{
    struct made leaf;
    struct recipe recipe = *changes;
    struct judgement j = usual();
    recipe.issuer = recipe.issuer ? recipe.issuer : &middle;
    recipe.name = recipe.name ? recipe.name : "gateway";
    make_certificate(&recipe, &leaf);
    j.chain[0] = &leaf;
    if (words)
        assert_refused(&j, words);
    else
        assert_accepted(&j);
    made_free(&leaf);
}

/* ---- Pre-shared keys ---- */

static const uint8_t psk[] = "correct horse battery staple 42";

static bool judge_psk(const char *theirs, const char *digest, const char *id, uint8_t method,
                      struct report *problem)
{
    *problem = (struct report){""};
    struct credential *own = credential_psk((const uint8_t *)theirs, strlen(theirs), problem);
    struct trust *trust = trust_psk(psk, sizeof(psk) - 1, problem);
    const struct identity said = id_of(id), expected = id_of("gw.example.com");
    struct peer_claim claim = {.id = &said, .expected = &expected};
    struct auth_octets what = octets;
    uint8_t auth[SIGNATURE_MAX], same[SIGNATURE_MAX];
    size_t size = 0;
    what.prf_digest = digest;
    assert_non_null(own);
    assert_non_null(trust);
    struct bytes_view none[CERTIFICATES_MAX];
    assert_int_equal(credential_chain(own, none), 0);
    assert_int_equal(trust_request(trust, same, sizeof(same)), 0);
    assert_true(credential_sign(own, &what, ALL_HASHES, &claim.method, auth, &size, problem));
    assert_int_equal(claim.method, AUTH_PRESHARED);
    if (method)
        claim.method = method;
    claim.auth = (struct bytes_view){auth, size};
    const bool good = trust_verify(trust, &what, &claim, problem);
    if (good) {
        claim.auth.size--;
        struct report shorter = {""};
        assert_false(trust_verify(trust, &what, &claim, &shorter));
    }
    credential_free(own);
    trust_free(trust);
    return good;
}

static void test_preshared(void **state)
{
    (void)state;
    struct report problem;
    static const char *const digests[] = {"SHA256", "SHA384", "SHA512"};
    for (size_t i = 0; i < ARRAY_COUNT(digests); i++)
        if (!judge_psk((const char *)psk, digests[i], "gw.example.com", 0, &problem))
            fail_msg("%s: %s", digests[i], problem.text);
    assert_false(judge_psk("another", "SHA256", "gw.example.com", 0, &problem));
    assert_says(&problem, "does not fit the pre-shared key");
    assert_false(judge_psk((const char *)psk, "SHA256", "other.example.com", 0, &problem));
    assert_says(&problem, "calls itself other.example.com, not gw.example.com");
    assert_false(judge_psk((const char *)psk, "SHA256", "gw.example.com", AUTH_SIGNATURE, &problem));
    assert_says(&problem, "the policy expects the pre-shared key");
    problem = (struct report){""};
    assert_null(credential_psk(psk, 0, &problem));
    assert_says(&problem, "0 bytes");
}

/* AUTH computed by another implementation (Python's hmac): prf(prf("secret", pad), "octets"). */
static void test_preshared_vector(void **state)
{
    (void)state;
    static const uint8_t wanted[] = {0x93, 0xd6, 0xb4, 0x32, 0xe9, 0x88, 0xc4, 0xc1, 0x84, 0xf4, 0x94,
                                     0x57, 0xef, 0x7d, 0xdf, 0xef, 0x93, 0x8f, 0x11, 0x79, 0xde, 0x41,
                                     0x20, 0x12, 0x0d, 0x1c, 0xc5, 0x23, 0xb3, 0x68, 0xd3, 0x3b};
    struct report problem = {""};
    struct credential *own = credential_psk((const uint8_t *)"secret", 6, &problem);
    const struct auth_octets what = {(const uint8_t *)"octets", 6, "SHA256"};
    uint8_t auth[SIGNATURE_MAX], method;
    size_t size = 0;
    assert_true(credential_sign(own, &what, 0, &method, auth, &size, &problem));
    assert_int_equal(size, sizeof(wanted));
    assert_memory_equal(auth, wanted, size);
    credential_free(own);
}

/* ---- Signatures ---- */

static void test_signatures(void **state)
{
    (void)state;
    struct made leaf;
    EVP_PKEY *keys[] = {make_ec_key("P-256"), make_ec_key("P-384"), make_ec_key("P-521"), rsa};
    for (size_t k = 0; k < ARRAY_COUNT(keys); k++) {
        const struct recipe recipe = {.name = "gateway",
                                      .issuer = &middle,
                                      .key = keys[k],
                                      .dns = "vpn.example.com",
                                      .key_usage = USAGE};
        make_certificate(&recipe, &leaf);
        /* With each hash alone, with all, and (ECDSA) without RFC 7427. */
        static const uint32_t hashes[] = {BIT(HASH_SHA2_256), BIT(HASH_SHA2_384), BIT(HASH_SHA2_512),
                                          ALL_HASHES, 0};
        for (size_t h = 0; h < ARRAY_COUNT(hashes) - (keys[k] == rsa); h++) {
            struct judgement j = usual();
            j.chain[0] = &leaf;
            j.hashes = hashes[h];
            assert_accepted(&j);
            j.flip = true;
            assert_refused(&j, "the gateway's signature is wrong");
            j.flip = false;
            j.signer = &gateway;
            assert_refused(&j, "the gateway's signature is");
            j.signer = NULL;
            j.method = AUTH_RSA_SHA1;
            assert_refused(&j, "RSA and SHA-1, which is refused");
            j.method = AUTH_PRESHARED;
            assert_refused(&j, "the policy expects a certificate");
        }
        made_free(&leaf);
        if (keys[k] != rsa)
            EVP_PKEY_free(keys[k]);
    }
}

/* PKCS #1 version 1.5 is not what we make, but what a gateway may send (RFC 7427 appendix A.1). */
static void test_pkcs1(void **state)
{
    (void)state;
    uint8_t auth[SIGNATURE_MAX] = {15,   0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48,
                                   0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00};
    size_t size = sizeof(auth) - 16;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit_ex(md, NULL, "SHA256", NULL, NULL, rsa, NULL), 1);
    assert_int_equal(EVP_DigestSign(md, auth + 16, &size, octets.octets, octets.size), 1);
    EVP_MD_CTX_free(md);
    struct report problem = {""};
    const struct bytes_view signed_bytes = {octets.octets, octets.size};
    struct bytes_view view = {auth, 16 + size};
    assert_true(signature_verify(rsa, AUTH_SIGNATURE, view, signed_bytes, &problem));
    assert_string_equal(problem.text, "");
    assert_false(signature_verify(gateway.key, AUTH_SIGNATURE, view, signed_bytes, &problem));
    assert_says(&problem, "of another kind");
    /* SHA-1 instead: another last byte of the object identifier. */
    auth[13] = 0x05;
    problem = (struct report){""};
    assert_false(signature_verify(rsa, AUTH_SIGNATURE, view, signed_bytes, &problem));
    assert_says(&problem, "an algorithm that is not accepted");
    auth[13] = 0x0b;
    for (size_t cut = 0; cut <= 16; cut++) {
        struct report shorter = {""};
        view.size = cut;
        assert_false(signature_verify(rsa, AUTH_SIGNATURE, view, signed_bytes, &shorter));
        assert_string_not_equal(shorter.text, "");
    }
}

/* RSASSA-PSS whose hashes are named without the NULL parameter, which RFC 4055 section 2.1 allows as well. */
static void test_pss_without_nulls(void **state)
{
    (void)state;
    static const uint8_t named[] = {
        0x3f, 0x30, 0x3d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a, 0x30, 0x30,
        0xa0, 0x0d, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03, 0xa1,
        0x1a, 0x30, 0x18, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08, 0x30, 0x0b,
        0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03, 0xa2, 0x03, 0x02, 0x01, 0x40};
    const struct signature_scheme scheme = {KEY_RSA, true, HASH_SHA2_512, 64};
    uint8_t auth[SIGNATURE_MAX], der[4096], *at = der;
    size_t size = 0;
    struct private_key key;
    struct report problem = {""};
    const int der_size = i2d_PrivateKey(rsa, &at);
    assert_true(private_key_load((struct bytes_view){der, (size_t)der_size}, &key, &problem));
    memcpy(auth, named, sizeof(named));
    assert_true(key.sign(key.context, &scheme, octets.octets, octets.size, der, &size));
    memcpy(auth + sizeof(named), der, size);
    key.release(key.context);
    const struct bytes_view view = {auth, sizeof(named) + size}, signed_bytes = {octets.octets, octets.size};
    assert_true(signature_verify(rsa, AUTH_SIGNATURE, view, signed_bytes, &problem));
    auth[sizeof(named) - 1] = 32; /* another length of salt */
    assert_false(signature_verify(rsa, AUTH_SIGNATURE, view, signed_bytes, &problem));
    assert_says(&problem, "an algorithm that is not accepted");
}

static void test_peer_without_hashes(void **state)
{
    (void)state;
    struct made leaf;
    const struct recipe recipe = {.name = "client", .issuer = &middle, .key = rsa, .key_usage = USAGE};
    make_certificate(&recipe, &leaf);
    struct report problem = {""};
    struct credential *own = credential_certificate(made_view(&leaf), made_key_view(&leaf), &problem);
    uint8_t auth[SIGNATURE_MAX], method;
    size_t size;
    assert_false(credential_sign(own, &octets, 0, &method, auth, &size, &problem));
    assert_says(&problem, "could only sign with SHA-1");
    problem = (struct report){""};
    assert_false(credential_sign(own, &octets, BIT(1) | BIT(5), &method, auth, &size, &problem));
    assert_says(&problem, "none of SHA-256");
    credential_free(own);
    made_free(&leaf);
}

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
    assert_null(trust_certificates(made_view(&gateway), (struct bytes_view){0}, false, &problem));
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
    assert_null(trust_certificates(made_view(&root), crl, false, &problem));
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

/* ---- Files ---- */

static void refuse_files(struct bytes_view chain, struct bytes_view key, const char *words)
{
    struct report problem = {""};
    assert_null(credential_certificate(chain, key, &problem));
    assert_says(&problem, words);
}

static void test_files(void **state)
{
    (void)state;
    struct report problem = {""};
    struct bytes_view pem = make_pem("CERTIFICATE", made_view(&gateway)),
                      key_pem = make_pem("EC PRIVATE KEY", made_key_view(&gateway)),
                      encrypted = make_pem("ENCRYPTED PRIVATE KEY", made_key_view(&gateway));
    struct credential *own = credential_certificate(pem, key_pem, &problem);
    struct bytes_view chain[CERTIFICATES_MAX];
    if (!own)
        fail_msg("refused: %s", problem.text);
    assert_int_equal(credential_chain(own, chain), 1);
    assert_int_equal(chain[0].size, gateway.size);
    assert_memory_equal(chain[0].data, gateway.der, gateway.size);
    credential_free(own);
    refuse_files(pem, encrypted, "encrypted with a passphrase");
    refuse_files(pem, made_key_view(&root), "is not that of our certificate");
    refuse_files(key_pem, key_pem, "there is no CERTIFICATE in the file");
    refuse_files(pem, pem, "there is no PRIVATE KEY in the file");
    refuse_files((struct bytes_view){0}, key_pem, "there is no CERTIFICATE");
    /* Every cut of a PEM file is refused, but those behind the last dash. */
    for (size_t cut = 0; cut < pem.size - 2; cut += 7) {
        problem = (struct report){""};
        uint8_t *exact = malloc(cut ? cut : 1);
        memcpy(exact, pem.data, cut);
        struct credential *c = credential_certificate((struct bytes_view){exact, cut}, key_pem, &problem);
        if (c && cut < pem.size - 24)
            fail_msg("a file cut at %zu was taken", cut);
        credential_free(c);
        free(exact);
    }
    struct made again;
    make_certificate(&(struct recipe){.name = "x", .key = gateway.key, .long_comment = true}, &again);
    refuse_files(made_view(&again), key_pem, "more than 4096 bytes");
    made_free(&again);
    free((void *)pem.data);
    free((void *)key_pem.data);
    free((void *)encrypted.data);
}

static void test_request(void **state)
{
    (void)state;
    struct report problem = {""};
    struct trust *trust = trust_certificates(made_view(&root), (struct bytes_view){0}, false, &problem);
    uint8_t out[64], hash[20], *der = NULL;
    size_t hashed;
    assert_non_null(trust);
    assert_int_equal(trust_request(trust, out, 19), 0);
    assert_int_equal(trust_request(trust, out, sizeof(out)), 20);
    const int size = i2d_PUBKEY(root.key, &der);
    assert_true(size > 0 && EVP_Q_digest(NULL, "SHA1", NULL, der, (size_t)size, hash, &hashed));
    assert_memory_equal(out, hash, sizeof(hash));
    OPENSSL_free(der);
    trust_free(trust);
}

/* What another end sends: no certificate at all, too many, damaged ones. */
static void test_claims(void **state)
{
    (void)state;
    struct report problem = {""};
    struct trust *trust = trust_certificates(made_view(&root), (struct bytes_view){0}, false, &problem);
    const struct identity id = id_of("vpn.example.com");
    struct peer_claim claim = {.id = &id,
                               .expected = &id,
                               .method = AUTH_SIGNATURE,
                               .auth = {octets.octets, octets.size},
                               .now = MADE_NOW};
    assert_false(trust_verify(trust, &octets, &claim, &problem));
    assert_says(&problem, "the gateway sent 0 certificates");
    for (size_t cut = 0; cut < gateway.size; cut += 11) {
        problem = (struct report){""};
        uint8_t *exact = malloc(cut ? cut : 1);
        memcpy(exact, gateway.der, cut);
        claim.certificate_count = 1;
        claim.certificates[0] = (struct bytes_view){exact, cut};
        assert_false(trust_verify(trust, &octets, &claim, &problem));
        assert_says(&problem, "the gateway's certificate cannot be read");
        free(exact);
    }
    claim.expected = NULL;
    problem = (struct report){""};
    assert_false(trust_verify(trust, &octets, &claim, &problem));
    assert_string_not_equal(problem.text, "");
    trust_free(trust);
}

static uint64_t no_clock(void *context)
{
    (void)context;
    return 1; /* the judge's own clock is the claim's */
}

static int start(void **state)
{
    (void)state;
    static const uint8_t ip[] = {192, 0, 2, 1};
    const struct crypto_surroundings surroundings = {.entropy = crypto_cpu_entropy, .seconds = no_clock};
    if (!crypto_start(&surroundings))
        return -1;
    rsa = make_rsa_key(2048);
    make_certificate(
        &(struct recipe){.name = "root", .authority = true, .key_usage = KU_KEY_CERT_SIGN | KU_CRL_SIGN},
        &root);
    make_certificate(&(struct recipe){.name = "middle",
                                      .issuer = &root,
                                      .authority = true,
                                      .key_usage = KU_KEY_CERT_SIGN | KU_CRL_SIGN},
                     &middle);
    make_certificate(&(struct recipe){.name = "gateway",
                                      .issuer = &middle,
                                      .dns = "vpn.example.com",
                                      .email = "gw@example.com",
                                      .ip = ip,
                                      .ip_size = sizeof(ip),
                                      .key_usage = USAGE,
                                      .key_id = true},
                     &gateway);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    made_free(&root);
    made_free(&middle);
    made_free(&gateway);
    EVP_PKEY_free(rsa);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_preshared),
        cmocka_unit_test(test_preshared_vector),
        cmocka_unit_test(test_signatures),
        cmocka_unit_test(test_pkcs1),
        cmocka_unit_test(test_pss_without_nulls),
        cmocka_unit_test(test_chain),
        cmocka_unit_test(test_peer_without_hashes),
        cmocka_unit_test(test_validity),
        cmocka_unit_test(test_usage),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_leaf_as_authority),
        cmocka_unit_test(test_identities),
        cmocka_unit_test(test_revocation),
        cmocka_unit_test(test_crl_files),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_request),
        cmocka_unit_test(test_claims),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
