/* SPDX-License-Identifier: Apache-2.0 */
/* Who we are: pre-shared keys, certificates and private keys from files, and signatures made and checked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/support/judgement.h"

/* ---- Pre-shared keys ---- */

static const uint8_t psk[] = "correct horse battery staple 42";

static bool judge_psk(const char *theirs, const char *digest, const char *id, uint8_t method,
                      struct report *problem)
{
    *problem = (struct report){""};
    struct credential *peer = credential_psk((const uint8_t *)theirs, strlen(theirs), problem);
    struct credential *own = credential_psk(psk, sizeof(psk) - 1, problem);
    const struct identity said = id_of(id), expected = id_of("gw.example.com");
    struct peer_claim claim = {.id = &said, .expected = &expected};
    struct auth_octets what = octets;
    struct auth_data auth;
    uint8_t none_at_all[64];
    what.prf_digest = digest;
    assert_non_null(peer);
    assert_non_null(own);
    struct bytes_view none[CERTIFICATES_MAX];
    assert_int_equal(credential_chain(own, none), 0);
    assert_int_equal(credential_request(own, none_at_all, sizeof(none_at_all)), 0);
    assert_true(credential_sign(peer, &what, ALL_HASHES, &auth, problem));
    assert_int_equal(auth.method, AUTH_PRESHARED);
    claim.method = method ? method : auth.method;
    claim.auth = (struct bytes_view){auth.bytes, auth.size};
    const bool good = credential_verify(own, &what, &claim, problem);
    if (good) {
        claim.auth.size--;
        struct report shorter = {""};
        assert_false(credential_verify(own, &what, &claim, &shorter));
    }
    credential_free(peer);
    credential_free(own);
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
    const struct auth_octets what = {{(const uint8_t *)"octets", 6}, "SHA256"};
    struct auth_data auth;
    assert_true(credential_sign(own, &what, 0, &auth, &problem));
    assert_int_equal(auth.size, sizeof(wanted));
    assert_memory_equal(auth.bytes, wanted, auth.size);
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
    assert_int_equal(EVP_DigestSign(md, auth + 16, &size, octets.octets.data, octets.octets.size), 1);
    EVP_MD_CTX_free(md);
    struct report problem = {""};
    struct bytes_view view = {auth, 16 + size};
    assert_true(signature_verify(rsa, AUTH_SIGNATURE, view, octets.octets, &problem));
    assert_string_equal(problem.text, "");
    assert_false(signature_verify(gateway.key, AUTH_SIGNATURE, view, octets.octets, &problem));
    assert_says(&problem, "of another kind");
    /* SHA-1 instead: another last byte of the object identifier. */
    auth[13] = 0x05;
    problem = (struct report){""};
    assert_false(signature_verify(rsa, AUTH_SIGNATURE, view, octets.octets, &problem));
    assert_says(&problem, "an algorithm that is not accepted");
    auth[13] = 0x0b;
    for (size_t cut = 0; cut <= 16; cut++) {
        struct report shorter = {""};
        view.size = cut;
        assert_false(signature_verify(rsa, AUTH_SIGNATURE, view, octets.octets, &shorter));
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
    const struct signature_scheme scheme = {KEY_RSA, true, HASH_SHA2_512};
    uint8_t auth[SIGNATURE_MAX], der[4096], *at = der;
    size_t size = 0;
    struct private_key key = {0};
    struct report problem = {""};
    const int der_size = i2d_PrivateKey(rsa, &at);
    assert_true(private_key_read((struct bytes_view){der, (size_t)der_size}, &key, &problem));
    memcpy(auth, named, sizeof(named));
    assert_true(key.sign(key.context, &scheme, octets.octets, der, &size));
    memcpy(auth + sizeof(named), der, size);
    key.release(key.context);
    const struct bytes_view view = {auth, sizeof(named) + size};
    assert_true(signature_verify(rsa, AUTH_SIGNATURE, view, octets.octets, &problem));
    auth[sizeof(named) - 1] = 32; /* another length of salt */
    assert_false(signature_verify(rsa, AUTH_SIGNATURE, view, octets.octets, &problem));
    assert_says(&problem, "an algorithm that is not accepted");
}

static void test_peer_without_hashes(void **state)
{
    (void)state;
    struct made leaf;
    const struct recipe recipe = {.name = "client", .issuer = &middle, .key = rsa, .key_usage = USAGE};
    make_certificate(&recipe, &leaf);
    struct report problem = {""};
    const struct credential_files files = {
        .chain = made_view(&leaf), .private_key = made_key_view(&leaf), .authorities = made_view(&root)};
    struct credential *own = credential_certificates(&files, &problem);
    struct auth_data auth;
    assert_non_null(own);
    assert_false(credential_sign(own, &octets, 0, &auth, &problem));
    assert_says(&problem, "could only sign with SHA-1");
    problem = (struct report){""};
    assert_false(credential_sign(own, &octets, BIT(1) | BIT(5), &auth, &problem));
    assert_says(&problem, "none of SHA-256");
    credential_free(own);
    made_free(&leaf);
}

/* ---- Files ---- */

static struct credential *from_files(struct bytes_view chain, struct bytes_view key, struct report *problem)
{
    const struct credential_files files = {
        .chain = chain, .private_key = key, .authorities = made_view(&root)};
    return credential_certificates(&files, problem);
}

static void refuse_files(struct bytes_view chain, struct bytes_view key, const char *words)
{
    struct report problem = {""};
    assert_null(from_files(chain, key, &problem));
    assert_says(&problem, words);
}

static void test_files(void **state)
{
    (void)state;
    struct report problem = {""};
    struct bytes_view pem = make_pem("CERTIFICATE", made_view(&gateway)),
                      key_pem = make_pem("EC PRIVATE KEY", made_key_view(&gateway)),
                      encrypted = make_pem("ENCRYPTED PRIVATE KEY", made_key_view(&gateway));
    struct credential *own = from_files(pem, key_pem, &problem);
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
        struct credential *c = from_files((struct bytes_view){exact, cut}, key_pem, &problem);
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
    struct credential *both = judge_of(made_view(&root), (struct bytes_view){0}, &problem);
    uint8_t out[64], hash[20], *der = NULL;
    size_t hashed;
    assert_non_null(both);
    assert_int_equal(credential_request(both, out, 19), 0);
    assert_int_equal(credential_request(both, out, sizeof(out)), 20);
    const int size = i2d_PUBKEY(root.key, &der);
    assert_true(size > 0 && EVP_Q_digest(NULL, "SHA1", NULL, der, (size_t)size, hash, &hashed));
    assert_memory_equal(out, hash, sizeof(hash));
    OPENSSL_free(der);
    credential_free(both);
}

/* What another end sends: no certificate at all, too many, damaged ones. */
static void test_claims(void **state)
{
    (void)state;
    struct report problem = {""};
    struct credential *both = judge_of(made_view(&root), (struct bytes_view){0}, &problem);
    const struct identity id = id_of("vpn.example.com");
    struct peer_claim claim = {
        .id = &id, .expected = &id, .method = AUTH_SIGNATURE, .auth = octets.octets, .now = MADE_NOW};
    assert_false(credential_verify(both, &octets, &claim, &problem));
    assert_says(&problem, "the gateway sent 0 certificates");
    for (size_t cut = 0; cut < gateway.size; cut += 11) {
        problem = (struct report){""};
        uint8_t *exact = malloc(cut ? cut : 1);
        memcpy(exact, gateway.der, cut);
        claim.certificate_count = 1;
        claim.certificates[0] = (struct bytes_view){exact, cut};
        assert_false(credential_verify(both, &octets, &claim, &problem));
        assert_says(&problem, "the gateway's certificate cannot be read");
        free(exact);
    }
    claim.expected = NULL;
    problem = (struct report){""};
    assert_false(credential_verify(both, &octets, &claim, &problem));
    assert_string_not_equal(problem.text, "");
    credential_free(both);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_preshared),
        cmocka_unit_test(test_preshared_vector),
        cmocka_unit_test(test_signatures),
        cmocka_unit_test(test_pkcs1),
        cmocka_unit_test(test_pss_without_nulls),
        cmocka_unit_test(test_peer_without_hashes),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_request),
        cmocka_unit_test(test_claims),
    };
    return cmocka_run_group_tests(tests, judgement_start, judgement_stop);
}
