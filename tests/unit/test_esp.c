/* SPDX-License-Identifier: Apache-2.0 */
/* ESP packets: published vectors, every cipher both ways, the anti-replay window, extended sequence numbers,
 * exhaustion. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/ipsec/esp.h"
#include "crypto/port/port.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>

#define BUFFER 2048
#define SPI_A  0xc0000001u /* what A receives with */
#define SPI_B  0xc0000002u

static size_t from_hex(const char *text, uint8_t *out)
{
    size_t bytes = strlen(text) / 2;
    for (size_t i = 0; i < bytes; i++) {
        unsigned value;
        assert_int_equal(sscanf(text + 2 * i, "%2x", &value), 1);
        out[i] = (uint8_t)value;
    }
    return bytes;
}

/* ---- Two ends of one SA ---- */

struct pair {
    struct esp_sa *a, *b;
};

static struct child_parameters child_of(const char *cipher, const char *integrity, bool esn)
{
    struct child_parameters c = {.spi_in = SPI_A, .spi_out = SPI_B, .esn = esn};
    c.cipher = algorithm_named(cipher, strlen(cipher));
    c.integrity = integrity ? algorithm_named(integrity, strlen(integrity)) : NULL;
    assert_non_null(c.cipher);
    for (unsigned i = 0; i < CIPHER_KEY_MAX; i++) {
        c.in.cipher[i] = (uint8_t)(i * 5 + 1);
        c.out.cipher[i] = (uint8_t)(i * 3 + 7);
    }
    for (unsigned i = 0; i < INTEGRITY_KEY_MAX; i++) {
        c.in.integrity[i] = (uint8_t)(i + 100);
        c.out.integrity[i] = (uint8_t)(200 - i);
    }
    return c;
}

static struct pair pair_of(const char *cipher, const char *integrity, bool esn)
{
    struct child_parameters a = child_of(cipher, integrity, esn), b = a;
    b.spi_in = a.spi_out;
    b.spi_out = a.spi_in;
    b.in = a.out;
    b.out = a.in;
    struct pair pair = {esp_create(&a), esp_create(&b)};
    assert_non_null(pair.a);
    assert_non_null(pair.b);
    return pair;
}

static void pair_free(struct pair *pair)
{
    esp_destroy(pair->a);
    esp_destroy(pair->b);
}

static void make_packet(uint8_t *packet, size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i++)
        packet[i] = (uint8_t)(i * 31 + seed);
    packet[0] = seed % 2 ? 0x60 : 0x45;
}

/* Seals packet number `n` of A. */
static size_t seal(struct pair *pair, unsigned n, uint8_t *out)
{
    uint8_t packet[64];
    make_packet(packet, sizeof(packet), n);
    return esp_seal(pair->a, packet, sizeof(packet), out, BUFFER);
}

/* Opens a copy at B, so that the packet can come again. */
static enum esp_result arrive(struct pair *pair, const uint8_t *sealed, size_t size)
{
    uint8_t copy[BUFFER], *inner;
    size_t inner_size;
    memcpy(copy, sealed, size);
    return esp_open(pair->b, copy, size, 5, &inner, &inner_size);
}

/* ---- Vectors ---- */

/* draft-mcgrew-gcm-test-01 section 4: packets as RFC 4106 makes them. Their trailers name a next header that
 * is not a tunnel's, so it is the transform that they are put to. */
static const struct {
    const char *cipher, *key, *esp, *text;
    uint64_t sequence;
    bool esn;
} gcm_vectors[] = {
    {"aes128gcm16", "4c80cdefbb5d10da906ac73c3613a6342e443b68",
     "00004321000000004956ed7e3b244cfe"
     "fecf537e729d5b07dc30df528dd22b768d1b98736696a6fd348509fa13ceac34cfa2436f14a3f3cf65925bf1f4a13c5d15b21e1"
     "8"
     "84f5ff6247aeabb786b93bce61bc17d768fd9732459018148f6cbe722fd04796562dfdb4",
     "45000048699a000080114db7c0a80102c0a801010a9bf15638d301000001000000000000045f736970045f75647003736970096"
     "3"
     "796265726369747902646b000021000101020201",
     0x8765432100000000ull, true},
    {"aes256gcm16", "abbccddef00112233445566778899aababbccddef00112233445566778899aab11223344",
     "4a2cbfe3000000020102030405060708"
     "ff425c9b724599df7a3bcd510194e00d6a78107f1b0b1cbf06efae9d65a5d763748a637985771d347f0545659f14e99def842d8"
     "e"
     "b335f4eecfdbf831824b4c4915956c96",
     "4500003069a6400080062690c0a801029389155e0a9e008b2dc57ee0000000007002400020bf0000020405b4010104020102020"
     "1",
     2, false},
};

static void test_gcm_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(gcm_vectors); i++) {
        uint8_t esp[BUFFER], text[BUFFER];
        struct child_parameters child = child_of(gcm_vectors[i].cipher, NULL, gcm_vectors[i].esn);
        from_hex(gcm_vectors[i].key, child.in.cipher);
        from_hex(gcm_vectors[i].esp, esp);
        size_t size = from_hex(gcm_vectors[i].text, text);
        struct esp_transform t;
        assert_true(esp_transform_init(&t, child.cipher, child.integrity, &child.in, false));
        t.esn = child.esn;
        assert_true(t.open(&t, esp, size, gcm_vectors[i].sequence));
        assert_memory_equal(esp + 16, text, size);
        esp_transform_end(&t);
    }
}

/* RFC 7634 appendix A, a whole tunnel packet. */
static void test_chacha_vector(void **state)
{
    (void)state;
    uint8_t esp[BUFFER], expected[BUFFER], *inner;
    struct child_parameters child = child_of("chacha20poly1305", NULL, false);
    child.spi_in = 0x01020304;
    from_hex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3", child.in.cipher);
    size_t inner_size,
        size = from_hex(
            "01020304000000051011121314151617"
            "24039428b97f417e3c13753a4f05087b67c352e6a7fab1b982d466ef407ae5c614ee8099d52844eb61aa95dfab4c02f7"
            "2aa71e7c4c4f64c9befe2facc638e8f3cbec163fac469b502773f6fb94e664da9165b82829f641e0"
            "76aaa8266b7fb0f7b11b369907e1ad43",
            esp);
    size_t expected_size = from_hex("45000054a6f200004001e778c6336405c000020508005b7a3a080000553bec1000073627"
                                    "08090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b"
                                    "2c2d2e2f3031323334353637",
                                    expected);
    struct esp_sa *sa = esp_create(&child);
    assert_non_null(sa);
    assert_int_equal(esp_open(sa, esp, size, 1, &inner, &inner_size), ESP_OK);
    assert_int_equal(inner_size, expected_size);
    assert_memory_equal(inner, expected, expected_size);
    esp_destroy(sa);
}

/* RFC 3602 section 4 case 7, which has no ICV: HMAC-SHA-256-128 is put behind it as RFC 4868 says. */
static void test_cbc_vector(void **state)
{
    (void)state;
    uint8_t esp[BUFFER], icv[32], *inner;
    struct child_parameters child = child_of("aes128", "sha256", false);
    child.spi_in = 0x8765;
    from_hex("0123456789abcdef0123456789abcdef", child.in.cipher);
    size_t inner_size,
        size = from_hex(
            "0000876500000002f4e765244f6407adf13dc1380f673f37"
            "773b5241a4c449225e4f3ce5ed611b0c237ca96cf74a93013c1b0ea1a0cf70f8e4ecaec78ac53aad7a0f022b859243c6"
            "47752e94a859352b8a4d4d2decd136e5c177f132ad3fbfb2201ac9904c74ee0a109e0ca1e4dfe9d5a100b842f1c22f0"
            "d",
            esp);
    assert_non_null(HMAC(EVP_sha256(), child.in.integrity, 32, esp, size, icv, NULL));
    memcpy(esp + size, icv, 16);
    struct esp_sa *sa = esp_create(&child);
    assert_non_null(sa);
    assert_int_equal(esp_open(sa, esp, size + 16, 1, &inner, &inner_size), ESP_OK);
    assert_int_equal(inner_size, 0x54);
    static const uint8_t head[] = {0x45, 0, 0, 0x54, 0x09, 0x04};
    assert_memory_equal(inner, head, sizeof(head));
    assert_int_equal(inner[0x53], 0x37);
    esp_destroy(sa);
}

/* ---- Both ways ---- */

static const struct {
    const char *cipher, *integrity;
} suites[] = {
    {"aes128gcm16", NULL}, {"aes256gcm16", NULL}, {"chacha20poly1305", NULL},
    {"aes128", "sha256"},  {"aes256", "sha384"},  {"aes256", "sha512"},
};

static void check_sizes(struct pair *pair)
{
    static const size_t sizes[] = {1, 15, 16, 17, 20, 31, 32, 33, 40, 64, 576, 1279, 1280, 1399, 1400, 1500};
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        uint8_t packet[BUFFER], sealed[BUFFER], in_place[BUFFER], *inner;
        size_t size = sizes[i], inner_size;
        make_packet(packet, size, (unsigned)i);
        size_t whole = esp_sealed_size(pair->a, size);
        assert_int_equal(esp_seal(pair->a, packet, size, sealed, whole - 1), 0);
        assert_int_equal(esp_seal(pair->a, packet, size, sealed, sizeof(sealed)), whole);
        assert_int_equal(esp_open(pair->b, sealed, whole, 7, &inner, &inner_size), ESP_OK);
        assert_int_equal(inner_size, size);
        assert_memory_equal(inner, packet, size);

        uint8_t *place = in_place + ESP_HEADER_BYTES + pair->a->out.iv_bytes;
        memcpy(place, packet, size);
        assert_int_equal(esp_seal(pair->a, place, size, in_place, sizeof(in_place)), whole);
        assert_int_equal(esp_open(pair->b, in_place, whole, 7, &inner, &inner_size), ESP_OK);
        assert_memory_equal(inner, packet, size);
    }
}

static void check_room(const struct esp_sa *sa)
{
    for (size_t room = 0; room < 1600; room++) {
        size_t fits = esp_inner_fits(sa, room);
        if (fits > 0)
            assert_true(esp_sealed_size(sa, fits) <= room);
        assert_true(esp_sealed_size(sa, fits + 1) > room);
    }
}

static void test_round_trip(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(suites); i++)
        for (unsigned esn = 0; esn < 2; esn++) {
            struct pair pair = pair_of(suites[i].cipher, suites[i].integrity, esn);
            check_sizes(&pair);
            check_room(pair.a);
            const struct esp_counters a = pair.a->counters, b = pair.b->counters;
            assert_int_equal(a.packets_out, 32);
            assert_int_equal(b.packets_in, 32);
            assert_int_equal(a.bytes_out, b.bytes_in);
            assert_int_equal(b.last_in_ms, 7);
            pair_free(&pair);
        }
}

/* What A seals is what RFC 4106 says, taken apart here without our code. */
static void test_sealed_form(void **state)
{
    (void)state;
    struct pair pair = pair_of("aes256gcm16", NULL, true);
    struct child_parameters child = child_of("aes256gcm16", NULL, true);
    uint8_t esp[BUFFER], nonce[12], text[BUFFER], packet[64];
    pair.a->sequence = 0x500000006ull;
    size_t size = seal(&pair, 3, esp);
    static const uint8_t header[] = {0xc0, 0, 0, 2, 0, 0, 0, 7}, iv[] = {0, 0, 0, 5, 0, 0, 0, 7};
    static const uint8_t aad[] = {0xc0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0, 7};
    assert_memory_equal(esp, header, sizeof(header));
    assert_memory_equal(esp + 8, iv, sizeof(iv));
    memcpy(nonce, child.out.cipher + 32, 4);
    memcpy(nonce + 4, iv, sizeof(iv));

    EVP_CIPHER_CTX *evp = EVP_CIPHER_CTX_new();
    int n, text_size = (int)size - 32;
    assert_int_equal(EVP_DecryptInit_ex(evp, EVP_aes_256_gcm(), NULL, child.out.cipher, nonce), 1);
    assert_int_equal(EVP_DecryptUpdate(evp, NULL, &n, aad, sizeof(aad)), 1);
    assert_int_equal(EVP_DecryptUpdate(evp, text, &n, esp + 16, text_size), 1);
    assert_int_equal(EVP_CIPHER_CTX_ctrl(evp, EVP_CTRL_AEAD_SET_TAG, 16, esp + size - 16), 1);
    assert_int_equal(EVP_DecryptFinal_ex(evp, text + n, &n), 1);
    EVP_CIPHER_CTX_free(evp);
    make_packet(packet, sizeof(packet), 3);
    assert_memory_equal(text, packet, sizeof(packet));
    static const uint8_t trailer[] = {1, 2, 2, 41};
    assert_int_equal(text_size, sizeof(packet) + sizeof(trailer));
    assert_memory_equal(text + sizeof(packet), trailer, sizeof(trailer));
    pair_free(&pair);
}

/* ---- What does not hold ---- */

static void test_tampering(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(suites); i++) {
        struct pair pair = pair_of(suites[i].cipher, suites[i].integrity, i % 2);
        uint8_t sealed[BUFFER];
        size_t size = seal(&pair, 1, sealed);
        for (size_t at = 0; at < size; at++) {
            sealed[at] ^= 0x40;
            assert_int_equal(arrive(&pair, sealed, size), at < 4 ? ESP_MALFORMED : ESP_BAD_ICV);
            sealed[at] ^= 0x40;
        }
        for (size_t cut = 0; cut < size; cut++)
            assert_int_not_equal(arrive(&pair, sealed, cut), ESP_OK);
        assert_int_equal(pair.b->replay.top, 0); /* nothing forged moved the window */
        assert_int_equal(arrive(&pair, sealed, size), ESP_OK);
        assert_int_equal(arrive(&pair, sealed, size), ESP_REPLAYED);
        pair_free(&pair);
    }
}

/* Seals a text with a trailer of the caller's and opens it. */
static enum esp_result open_text(struct pair *pair, const uint8_t *text, size_t size)
{
    uint8_t esp[BUFFER] = {0xc0, 0, 0, 2};
    struct esp_plain plain = {.packet = text, .size = size};
    uint64_t sequence = ++pair->a->sequence;
    esp[7] = (uint8_t)sequence;
    assert_true(pair->a->out.seal(&pair->a->out, &plain, esp, sequence));
    return arrive(pair, esp, 16 + size + 16);
}

static void test_trailers(void **state)
{
    (void)state;
    struct pair pair = pair_of("aes128gcm16", NULL, false);
    static const struct {
        uint8_t text[8];
        enum esp_result result;
    } cases[] = {
        {{0x45, 1, 2, 3, 4, 5, 0, 4}, ESP_OK},          {{0x60, 1, 2, 3, 1, 2, 2, 41}, ESP_OK},
        {{0xaa, 1, 2, 3, 1, 2, 2, 59}, ESP_DUMMY},      {{1, 2, 3, 4, 5, 6, 6, 59}, ESP_DUMMY},
        {{0x45, 1, 2, 3, 2, 2, 2, 4}, ESP_MALFORMED},   {{0x45, 1, 2, 3, 4, 5, 7, 4}, ESP_MALFORMED},
        {{0x45, 1, 2, 3, 4, 5, 255, 4}, ESP_MALFORMED}, {{1, 2, 3, 4, 5, 6, 6, 4}, ESP_MALFORMED},
        {{0x45, 1, 2, 3, 4, 5, 0, 41}, ESP_MALFORMED},  {{0x60, 1, 2, 3, 4, 5, 0, 4}, ESP_MALFORMED},
        {{0x45, 1, 2, 3, 4, 5, 0, 6}, ESP_MALFORMED},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        assert_int_equal(open_text(&pair, cases[i].text, sizeof(cases[i].text)), cases[i].result);
    const struct esp_counters c = pair.b->counters;
    assert_int_equal(c.packets_in, 2);
    assert_int_equal(c.dummy, 2);
    assert_int_equal(c.malformed, 7);
    pair_free(&pair);
}

/* ---- Sequence numbers ---- */

static void test_window(void **state)
{
    (void)state;
    enum { SEALED = 4000 };
    struct pair pair = pair_of("aes128gcm16", NULL, false);
    static uint8_t sealed[SEALED + 1][128];
    size_t size = 0;
    for (unsigned i = 1; i <= SEALED; i++)
        size = seal(&pair, 0, sealed[i]);
    assert_int_equal(arrive(&pair, sealed[SEALED], size), ESP_OK);
    assert_int_equal(arrive(&pair, sealed[SEALED - REPLAY_WINDOW], size), ESP_REPLAYED);
    assert_int_equal(arrive(&pair, sealed[SEALED - REPLAY_WINDOW + 1], size), ESP_OK);
    assert_int_equal(arrive(&pair, sealed[SEALED - REPLAY_WINDOW + 1], size), ESP_REPLAYED);
    for (unsigned i = SEALED - 1; i > SEALED - REPLAY_WINDOW + 1; i--)
        assert_int_equal(arrive(&pair, sealed[i], size), ESP_OK);
    for (unsigned i = 1; i <= SEALED; i++)
        assert_int_equal(arrive(&pair, sealed[i], size), ESP_REPLAYED);
    pair_free(&pair);
}

static void test_esn_wrap(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(suites); i++) {
        struct pair pair = pair_of(suites[i].cipher, suites[i].integrity, true);
        uint8_t sealed[64][256];
        size_t size = 0;
        pair.a->sequence = pair.b->replay.top = 0xffffffe0;
        for (unsigned n = 0; n < 64; n++)
            size = seal(&pair, n, sealed[n]);
        for (unsigned n = 0; n < 64; n += 2) /* the odd ones come later, from before and behind the wrap */
            assert_int_equal(arrive(&pair, sealed[n], size), ESP_OK);
        for (unsigned n = 1; n < 64; n += 2)
            assert_int_equal(arrive(&pair, sealed[n], size), ESP_OK);
        for (unsigned n = 0; n < 64; n++)
            assert_int_equal(arrive(&pair, sealed[n], size), ESP_REPLAYED);
        assert_true(pair.b->replay.top == 0x100000020ull);
        pair_free(&pair);
    }
}

static void check_end(bool esn, uint64_t rekey, uint64_t last)
{
    struct pair pair = pair_of("aes256gcm16", NULL, esn);
    uint8_t sealed[BUFFER];
    pair.a->sequence = rekey - 2;
    assert_int_not_equal(seal(&pair, 0, sealed), 0);
    assert_false(pair.a->counters.rekey_due);
    assert_int_not_equal(seal(&pair, 0, sealed), 0);
    assert_true(pair.a->counters.rekey_due);
    pair.a->sequence = last - 1;
    assert_false(esp_exhausted(pair.a));
    assert_int_not_equal(seal(&pair, 0, sealed), 0);
    assert_true(esp_exhausted(pair.a));
    assert_int_equal(seal(&pair, 0, sealed), 0);
    assert_true(pair.a->sequence == last); /* it never wraps */
    pair_free(&pair);
}

static void test_exhaustion(void **state)
{
    (void)state;
    check_end(false, SEQUENCE_REKEY, UINT32_MAX);
    check_end(true, SEQUENCE_REKEY_ESN, UINT64_MAX);
}

/* No key stays in the parameters, and no IV of CBC follows from the one before. */
static void test_secrets(void **state)
{
    (void)state;
    struct pair pair = pair_of("aes256", "sha512", false);
    static const struct child_keys none;
    assert_memory_equal(&pair.a->parameters.in, &none, sizeof(none));
    assert_memory_equal(&pair.a->parameters.out, &none, sizeof(none));
    uint8_t one[BUFFER], two[BUFFER];
    seal(&pair, 0, one);
    seal(&pair, 0, two);
    unsigned equal = 0;
    for (unsigned i = 8; i < 24; i++)
        equal += one[i] == two[i];
    assert_true(equal < 8);
    pair_free(&pair);
}

static unsigned allocations;

static void *counted_malloc(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    allocations++;
    return malloc(size);
}

static void *counted_realloc(void *old, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    allocations++;
    return realloc(old, size);
}

static void counted_free(void *memory, const char *file, int line)
{
    (void)file;
    (void)line;
    free(memory);
}

/* Packets of the AEADs take no memory (libcrypto's HMAC does). */
static void test_no_allocation(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(suites) && !suites[i].integrity; i++) {
        struct pair pair = pair_of(suites[i].cipher, NULL, true);
        uint8_t sealed[BUFFER];
        unsigned before = allocations;
        assert_true(before > 0);
        for (unsigned n = 0; n < 100; n++) {
            size_t size = seal(&pair, n, sealed);
            assert_int_equal(arrive(&pair, sealed, size), ESP_OK);
            assert_int_equal(arrive(&pair, sealed, size), ESP_REPLAYED);
        }
        assert_int_equal(allocations, before);
        pair_free(&pair);
    }
}

static int start(void **state)
{
    (void)state;
    static const struct crypto_surroundings surroundings = {.entropy = crypto_cpu_entropy};
    if (!CRYPTO_set_mem_functions(counted_malloc, counted_realloc, counted_free))
        return -1;
    return crypto_start(&surroundings) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gcm_vectors), cmocka_unit_test(test_chacha_vector),
        cmocka_unit_test(test_cbc_vector),  cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_sealed_form), cmocka_unit_test(test_tampering),
        cmocka_unit_test(test_trailers),    cmocka_unit_test(test_window),
        cmocka_unit_test(test_esn_wrap),    cmocka_unit_test(test_exhaustion),
        cmocka_unit_test(test_secrets),     cmocka_unit_test(test_no_allocation),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
