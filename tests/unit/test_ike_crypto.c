/* SPDX-License-Identifier: Apache-2.0 */
/* Key exchange, key derivation and the encrypted payload against published vectors (RFC 5903, RFC 7748, NIST
 * CAVS and OpenSSL for the IKEv2 KDF) and against bytes computed by Python (CBC's IV is the counter
 * encrypted). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/ipsec/protect.h"
#include "crypto/port/port.h"
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#define HEX_MAX 512

static size_t unhex(const char *text, uint8_t *out)
{
    size_t size = strlen(text) / 2;
    for (size_t i = 0; i < size; i++) {
        unsigned byte;
        assert_int_equal(sscanf(text + 2 * i, "%2x", &byte), 1);
        out[i] = (uint8_t)byte;
    }
    return size;
}

static struct bytes_view view(const char *text, uint8_t store[HEX_MAX])
{
    return (struct bytes_view){store, unhex(text, store)};
}

static struct nonce nonce_of(const char *text)
{
    struct nonce out;
    out.size = unhex(text, out.bytes);
    return out;
}

static void assert_hex(const uint8_t *data, const char *text)
{
    uint8_t expected[HEX_MAX];
    size_t size = unhex(text, expected);
    assert_memory_equal(data, expected, size);
}

/* ---- Key exchange ---- */

struct exchange_vector {
    uint16_t group;
    const char *secret, *own, *peer, *shared;
};

static const struct exchange_vector curves[] = {
    {19, "c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433",
     "dad0b65394221cf9b051e1feca5787d098dfe637fc90b9ef945d0c37725811805271a0461cdb8252d61f1c456fa3e59ab1f45b3"
     "3"
     "accf5f58389e0577b8990bb3",
     "d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf6356fbf3ca366cc23e8157854c13c58d6aac23f04"
     "6"
     "ada30f8353e74f33039872ab",
     "d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de"},
    {20, "099f3c7034d4a2c699884d73a375a67f7624ef7c6b3c0f160647b67414dce655e35b538041e649ee3faef896783ab194",
     "667842d7d180ac2cde6f74f37551f55755c7645c20ef73e31634fe72b4c55ee6de3ac808acb4bdb4c88732aee95f41aa9482ed1"
     "f"
     "c0eeb9cafc4984625ccfc23f65032149e0e144ada024181535a0f38eeb9fcff3c2c947dae69b4c634573a81c",
     "e558dbef53eecde3d3fccfc1aea08a89a987475d12fd950d83cfa41732bc509d0d1ac43a0336def96fda41d0774a3571dcfbec7"
     "a"
     "acf3196472169e838430367f66eebe3c6e70c416dd5f0c68759dd1fff83fa40142209dff5eaad96db9e6386c",
     "11187331c279962d93d604243fd592cb9d0a926f422e47187521287e7156c5c4d603135569b9e9d09cf5d4a270f59746"},
    {31, "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
     "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
     "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
     "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"},
};

/* Frees the builder. */
static EVP_PKEY *key_of(const char *type, OSSL_PARAM_BLD *builder)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(builder);
    assert_true(EVP_PKEY_fromdata_init(context) > 0);
    assert_true(EVP_PKEY_fromdata(context, &key, EVP_PKEY_KEYPAIR, params) > 0);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(builder);
    EVP_PKEY_CTX_free(context);
    return key;
}

static EVP_PKEY *make_ec(const struct exchange_vector *v, const uint8_t *secret, size_t size)
{
    uint8_t point[1 + KE_PUBLIC_MAX] = {4};
    size_t point_size = 1 + unhex(v->own, point + 1);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    BIGNUM *number = BN_bin2bn(secret, (int)size, NULL);
    assert_true(OSSL_PARAM_BLD_push_utf8_string(builder, "group", v->group == 19 ? "P-256" : "P-384", 0));
    assert_true(OSSL_PARAM_BLD_push_octet_string(builder, "pub", point, point_size));
    assert_true(OSSL_PARAM_BLD_push_BN(builder, "priv", number));
    EVP_PKEY *key = key_of("EC", builder);
    BN_free(number);
    return key;
}

static void curves_match_their_vectors(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(curves); i++) {
        const struct exchange_vector *v = &curves[i];
        uint8_t secret[HEX_MAX], peer[HEX_MAX], shared[KE_SHARED_MAX];
        size_t size = unhex(v->secret, secret), peer_size = unhex(v->peer, peer);
        struct key_exchange ke = {.group = algorithm_find(TRANSFORM_KE, v->group, 0)};
        ke.secret = v->group == 31 ? EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, secret, size)
                                   : make_ec(v, secret, size);
        assert_non_null(ke.secret);
        assert_true(ke_finish(&ke, peer, peer_size, shared));
        assert_hex(shared, v->shared);
        assert_false(ke_finish(&ke, peer, peer_size - 1, shared));
        if (v->group != 31) {
            peer[3] ^= 1; /* no longer on the curve */
            assert_false(ke_finish(&ke, peer, peer_size, shared));
        } else {
            memset(peer, 0, sizeof(peer)); /* a point of small order gives zero */
            assert_false(ke_finish(&ke, peer, peer_size, shared));
        }
        ke_free(&ke);
    }
}

static EVP_PKEY *make_modp(const struct algorithm *group, const BIGNUM *prime, const BIGNUM *secret)
{
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    BN_CTX *numbers = BN_CTX_new();
    BIGNUM *own = BN_new(), *two = BN_new();
    assert_true(BN_set_word(two, 2) && BN_mod_exp(own, two, secret, prime, numbers));
    assert_true(OSSL_PARAM_BLD_push_utf8_string(builder, "group", group->key_group, 0));
    assert_true(OSSL_PARAM_BLD_push_BN(builder, "pub", own));
    assert_true(OSSL_PARAM_BLD_push_BN(builder, "priv", secret));
    EVP_PKEY *key = key_of("DH", builder);
    BN_CTX_free(numbers);
    BN_free(own);
    BN_free(two);
    return key;
}

/* 4 to a secret of 64 bytes 01h to 40h, modulo primes that Python computed from RFC 3526's formulas; SHA-256
 * of the result. */
static void modp_groups_match_python(void **state)
{
    (void)state;
    static const struct {
        uint16_t group;
        const char *digest;
    } vectors[] = {
        {14, "d4ca7bc4e144b2146d677050261c42bb9ed260b59eecbdda4fa46080ef371221"},
        {15, "d69ada8ea4575fa3303e1ae218b9c99afc0948d972cd32df522c0e1c9c49b52f"},
    };
    for (unsigned i = 0; i < ARRAY_COUNT(vectors); i++) {
        uint8_t secret[64], peer[KE_PUBLIC_MAX] = {0}, shared[KE_SHARED_MAX], digest[32];
        struct key_exchange ke = {.group = algorithm_find(TRANSFORM_KE, vectors[i].group, 0)};
        size_t bytes = ke.group->public_bytes, digest_size;
        for (unsigned k = 0; k < sizeof(secret); k++)
            secret[k] = (uint8_t)(k + 1);
        BIGNUM *prime =
            vectors[i].group == 14 ? BN_get_rfc3526_prime_2048(NULL) : BN_get_rfc3526_prime_3072(NULL);
        BIGNUM *exponent = BN_bin2bn(secret, sizeof(secret), NULL);
        ke.secret = make_modp(ke.group, prime, exponent);
        BN_free(exponent);
        peer[bytes - 1] = 4;
        assert_true(ke_finish(&ke, peer, bytes, shared));
        assert_true(EVP_Q_digest(NULL, "SHA256", NULL, shared, bytes, digest, &digest_size));
        assert_hex(digest, vectors[i].digest);
        peer[bytes - 1] = 1; /* of order one */
        assert_false(ke_finish(&ke, peer, bytes, shared));
        peer[bytes - 1] = 0;
        assert_false(ke_finish(&ke, peer, bytes, shared));
        memset(peer, 0xff, sizeof(peer)); /* beyond the prime */
        assert_false(ke_finish(&ke, peer, bytes, shared));
        assert_true(BN_sub_word(prime, 1) && BN_bn2binpad(prime, peer, (int)bytes) > 0);
        assert_false(ke_finish(&ke, peer, bytes, shared)); /* of order two */
        BN_free(prime);
        ke_free(&ke);
    }
}

static void two_ends_agree(void **state)
{
    (void)state;
    static const uint16_t groups[] = {31, 19, 20, 14, 15};
    for (unsigned i = 0; i < ARRAY_COUNT(groups); i++) {
        const struct algorithm *group = algorithm_find(TRANSFORM_KE, groups[i], 0);
        struct key_exchange a, b;
        uint8_t one[KE_SHARED_MAX], two[KE_SHARED_MAX];
        assert_true(ke_start(&a, group) && ke_start(&b, group));
        assert_memory_not_equal(a.public_value, b.public_value, group->public_bytes);
        assert_true(ke_finish(&a, b.public_value, group->public_bytes, one));
        assert_true(ke_finish(&b, a.public_value, group->public_bytes, two));
        assert_memory_equal(one, two, group->shared_bytes);
        ke_free(&a);
        ke_free(&b);
    }
}

/* ---- Key derivation ---- */

static void kdf_matches_openssls_vector(void **state)
{
    (void)state;
    uint8_t shared[HEX_MAX];
    struct key_inputs in = {.nonce_i = nonce_of("3651fef5c9c35e93"),
                            .nonce_r = nonce_of("c09a8b90a3f04d59"),
                            .spi_i = 0x8e5c3ae507221684,
                            .spi_r = 0xb1f201bb155c3acd};
    in.shared =
        view("d084a30166a50fb7325c3960874a839449ef9741c2f4f947d0201dd8c1269273d79509f37e3ca3eb4fa2fe2a"
             "28254e289cd3f34dad4eb4df1a07685a4b8a94fa61e2491f7598b3ce65547ff133b3f63d1ac4175eaa695033"
             "f3cedb026a6873a36455172a8540b8a5d23a0143bed0390ee49b168269d75fffee9fb62be965993c",
             shared);
    struct ike_choice choice = {.cipher = algorithm_find(TRANSFORM_ENCRYPTION, 12, 256),
                                .integrity = algorithm_find(TRANSFORM_INTEGRITY, 12, 0),
                                .prf = algorithm_find(TRANSFORM_PRF, 5, 0)};
    struct ike_keys k;
    assert_true(keys_ike(&k, &choice, &in, NULL));
    assert_hex(k.d, "462b9dd525d4fd71169174272779e704baf62c6231779ae9efe8c58b21916b42");
    assert_hex(k.i.integrity, "010164af2111ebd762f6916ca9a6f0ee05c8b320e4ee27705521de2589adea18");
    assert_hex(k.r.integrity, "78f1a551738af7c88dc4f0bb0c096a3f7d1f1a670fc79f49f678d60d665bb371");
    assert_hex(k.i.cipher, "0c8657f03ba9f62b9a818d7a228968c506e237ae9502aa6db395c61ea6a3e795");
    assert_hex(k.r.cipher, "04f86b7368bfb5423df79e48809bbccd49fd826d024f63d7c2a5566400a12e73");
    assert_hex(k.pi, "6aa034510428f5ea008fe2fc16886fa388274ea6c2b4fcfc6141bf04f8207ef8");
    assert_hex(k.pr, "afc224ea1059cb220dc0b23ac0e4ccda495a4e131b1d56e223aba5a48e8ed1f5");
}

/* CHILD SA keys with and without a new key exchange, and an IKE SA in place of another. SHA-1 stands here
 * alone: the vector is of 2015, and nothing but this test can name it. */
static void kdf_matches_nists_vector(void **state)
{
    (void)state;
    static const struct algorithm sha1 = {.type = TRANSFORM_PRF, .id = 2, .key_bytes = 20, .digest = "SHA1"};
    uint8_t old_shared[HEX_MAX], new_shared[HEX_MAX], seed[HEX_MAX];
    struct key_inputs in = {
        .nonce_i = nonce_of("32b50d5f4a3763f3"),
        .nonce_r = nonce_of("9206a04b26564cb1"),
        .shared = view("4b2c1f971981a8ad8d0abeafabf38cf75fc8349c148142465ed9c8b516b8be52", old_shared),
        .spi_i = 0x34c9e7c188868785,
        .spi_r = 0x3ff77d760d2b2199};
    struct ike_choice choice = {.cipher = algorithm_find(TRANSFORM_ENCRYPTION, 12, 128),
                                .integrity = algorithm_find(TRANSFORM_INTEGRITY, 12, 0),
                                .prf = &sha1};
    struct ike_keys k, again;
    struct child_keys there, back;
    assert_true(keys_ike(&k, &choice, &in, NULL));
    assert_hex(k.d, "a14293677cc80ff8f9cc0eee30d895da9d8f4056");

    in.shared = (struct bytes_view){0};
    assert_true(keys_child(&k, &choice, &in, &there, &back));
    assert_hex(there.cipher, "8059e3ee8810e6c3a91bc8bcd2a7a411");
    assert_hex(there.integrity, "51b8d0e6ae239c7b38093ad85ef4c5811a8e7b5d1cdabd9560b2d5e092d1f24e");
    assert_hex(back.cipher, "2d4b85eccdf0ad0dc9abd94b51ee7181");

    in.shared = view("863f3c9d06efd39d2b907b97f8699e5dd5251ef64a2a176f36ee40c87d4f9330", new_shared);
    assert_true(keys_child(&k, &choice, &in, &there, &back));
    assert_hex(there.cipher, "bb43244c1860ad65ee1e211ffe8bb366");
    assert_hex(there.integrity, "1750c8f89cb9f547df7f4fa61d37301628190e38c66232eab4b3ab14c400a519");

    /* The new IKE SA's keys follow from SKEYSEED(Rekey). */
    uint8_t text[64], expected[20];
    struct writer w = writer_of(text, sizeof(text));
    writer_bytes(&w, in.nonce_i.bytes, in.nonce_i.size);
    writer_bytes(&w, in.nonce_r.bytes, in.nonce_r.size);
    writer_be(&w, in.spi_i, 8);
    writer_be(&w, in.spi_r, 8);
    struct bytes_view seed_view = view("63e81194946ebd05df7df5ebf5d8750056bf1f1d", seed);
    assert_true(prf_plus(&sha1, seed_view, (struct bytes_view){text, w.at}, expected, sizeof(expected)));
    assert_true(keys_ike(&again, &choice, &in, &k));
    assert_memory_equal(again.d, expected, sizeof(expected));
}

/* ---- The encrypted payload ---- */

struct sealed_vector {
    uint16_t cipher, key_bits, integrity;
    const char *message;
};
static const struct sealed_vector sealed[] = {
    {20, 256, 0,
     "010203040506070811121314151617182e2025080000000700000041290000250000000000000005faf06c9dd94d29a582d8431"
     "1e2"
     "7d73c1a5a1efc68ab81a1104"},
    {20, 128, 0,
     "010203040506070811121314151617182e202508000000070000004129000025000000000000000"
     "59d62f7353bd6964b980877dee0831d75268eb6444067283af9"},
    {28, 0, 0,
     "010203040506070811121314151617182e2025080000000700000041290000250000000000000005943c63ce04656d40ff5780d"
     "060"
     "3cd3c3c85186b1de57a6380d"},
    {12, 256, 12,
     "010203040506070811121314151617182e202508000000070000005029000034db3fd1d0106e10640f1192bedb6feaa50fc9"
     "5f089a7670a549687ecb87999c5d9fb19a3f8a75e3da2d7d32a351a680f0"},
    {12, 128, 14,
     "010203040506070811121314151617182e20250800000007000000602900004415f42fe87db533fc8d588775116b78d68c92"
     "9d3284b96700942d1a574ae30827109bd3d7735643b62e640e284962fb8b71d0faac9a693630abae65c8d624f18f"},
    {12, 256, 13,
     "010203040506070811121314151617182e20250800000007000000582900003cdb3fd1d0106e10640f1192bedb6feaa50fc9"
     "5f089a7670a549687ecb87999c5d8efd559f418a1c2d71871d1e32d38cd394e08f58174edab6"},
};

static const uint8_t plain[] = {0, 0, 0, 8, 0, 0, 0x40, 0}; /* INITIAL_CONTACT */

static struct ike_keys keys_of(const struct sealed_vector *v)
{
    struct ike_keys keys = {.choice.cipher = algorithm_find(TRANSFORM_ENCRYPTION, v->cipher, v->key_bits)};
    if (v->integrity)
        keys.choice.integrity = algorithm_find(TRANSFORM_INTEGRITY, v->integrity, 0);
    for (unsigned i = 0; i < sizeof(keys.i.cipher); i++)
        keys.i.cipher[i] = (uint8_t)(0x20 + i);
    for (unsigned i = 0; i < sizeof(keys.i.integrity); i++)
        keys.i.integrity[i] = (uint8_t)(0x60 + i);
    return keys;
}

static void seals_and_opens_pythons_messages(void **state)
{
    (void)state;
    static struct outbox box;
    for (unsigned i = 0; i < ARRAY_COUNT(sealed); i++) {
        uint8_t message[HEX_MAX], copy[HEX_MAX];
        size_t size = unhex(sealed[i].message, message);
        struct piece opened;
        uint64_t counter = 5;
        struct ike_keys keys = keys_of(&sealed[i]);
        struct seal seal = {.keys = &keys, .counter = &counter};
        seal.header = (struct ike_header){.spi_i = 0x0102030405060708,
                                          .spi_r = 0x1112131415161718,
                                          .exchange = INFORMATIONAL,
                                          .flags = IKE_FLAG_INITIATOR,
                                          .message_id = 7};
        uint8_t text[sizeof(plain)];
        memcpy(text, plain, sizeof(plain));
        struct builder b = {.w = writer_of(text, sizeof(text)), .first = 41};
        b.w.at = sizeof(text);
        assert_true(protect_seal(&seal, &b, &box));
        assert_int_equal(box.count, 1);
        assert_int_equal(box.size[0], size);
        assert_memory_equal(box.data, message, size);
        for (size_t k = 0; k < size; k++) { /* each byte counts */
            memcpy(copy, message, size);
            copy[k] ^= 1;
            assert_false(protect_open(&keys, copy, size, &opened));
        }
        assert_true(protect_open(&keys, message, size, &opened));
        assert_int_equal(opened.size, sizeof(plain));
        assert_memory_equal(opened.data, plain, sizeof(plain));
        assert_int_equal(opened.first, 41);
        assert_int_equal(opened.fragment, 0);
    }
}

static void opens_pythons_fragment(void **state)
{
    (void)state;
    uint8_t message[HEX_MAX];
    size_t size =
        unhex("0102030405060708111213141516171835202508000000070000004500000029000200030000000000000005faf0"
              "6c9dd94d29a58208a778d819b8bff11cddf6251c2d3b77",
              message);
    struct ike_keys keys = keys_of(&sealed[0]);
    struct piece opened;
    assert_true(protect_open(&keys, message, size, &opened));
    assert_int_equal(opened.fragment, 2);
    assert_int_equal(opened.total, 3);
    assert_memory_equal(opened.data, plain, sizeof(plain));
}

static bool add(struct reassembly *r, uint32_t message_id, const char *text, uint16_t fragment,
                uint16_t total, struct piece *whole)
{
    static uint8_t out[IKE_MESSAGE_MAX];
    *whole = (struct piece){41, (const uint8_t *)text, strlen(text), fragment, total};
    return reassembly_add(r, message_id, whole, out);
}

static void reassembles_within_bounds(void **state)
{
    (void)state;
    static struct reassembly r;
    static char large[IKE_MESSAGE_MAX + 1];
    struct piece whole;
    assert_false(add(&r, 1, "c", 3, 3, &whole));
    assert_false(add(&r, 1, "c", 3, 3, &whole));
    assert_false(add(&r, 1, "aaa", 1, 3, &whole));
    assert_true(add(&r, 1, "bb", 2, 3, &whole));
    assert_int_equal(whole.size, 6);
    assert_memory_equal(whole.data, "aaabbc", 6);
    assert_int_equal(whole.first, 41);
    /* A larger total begins anew; a smaller one is old and dropped (RFC 7383 section 2.6). */
    assert_false(add(&r, 2, "aaa", 1, 2, &whole));
    assert_false(add(&r, 2, "c", 3, 3, &whole));
    assert_false(add(&r, 2, "bb", 2, 2, &whole));
    assert_false(add(&r, 2, "aaa", 1, 3, &whole));
    assert_true(add(&r, 2, "bb", 2, 3, &whole));
    /* Too much of it does not fit and never becomes whole. */
    memset(large, 'x', IKE_MESSAGE_MAX);
    assert_false(add(&r, 3, large, 1, 2, &whole));
    assert_false(add(&r, 3, "x", 2, 2, &whole));
}

static int start(void **state)
{
    static const struct crypto_surroundings surroundings = {.entropy = crypto_cpu_entropy};
    (void)state;
    return crypto_start(&surroundings) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(curves_match_their_vectors),
        cmocka_unit_test(modp_groups_match_python),
        cmocka_unit_test(two_ends_agree),
        cmocka_unit_test(kdf_matches_openssls_vector),
        cmocka_unit_test(kdf_matches_nists_vector),
        cmocka_unit_test(seals_and_opens_pythons_messages),
        cmocka_unit_test(opens_pythons_fragment),
        cmocka_unit_test(reassembles_within_bounds),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
