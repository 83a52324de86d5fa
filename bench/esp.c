/* SPDX-License-Identifier: Apache-2.0 */
/* Our ESP path for one packet of 1400 bytes against EVP's AES-256-GCM alone (the key set once; IV, AAD and
 * tag with each packet), interleaved in one run. Prints the ratio of the speeds (ours to EVP's) for sealing
 * and opening, one line for each of the runs: "seal 0.93". */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>

#include "crypto/ipsec/esp.h"
#include "crypto/port/port.h"

#define PACKET_BYTES 1400
#define IV_BYTES     12
#define AAD_BYTES    8
#define TAG_BYTES    16
#define ROOM         1536
#define BATCH        32 /* packets sealed, then opened */
#define PASSES       1000
#define RUNS         9
#define SPI          0x1000u

struct evp_packet {
    uint8_t text[PACKET_BYTES], tag[TAG_BYTES];
};

static uint8_t packet[PACKET_BYTES] __attribute__((aligned(64)));
static uint8_t sealed[BATCH][ROOM] __attribute__((aligned(64)));
static struct evp_packet evp_sealed[BATCH] __attribute__((aligned(64)));

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void number(uint8_t *iv, uint8_t *aad, uint64_t n)
{
    memcpy(iv + 4, &n, sizeof(n));
    memcpy(aad, &n, sizeof(n));
}

static bool evp_seal(EVP_CIPHER_CTX *c, uint64_t n, struct evp_packet *out)
{
    uint8_t iv[IV_BYTES] = {0}, aad[AAD_BYTES];
    int size;
    number(iv, aad, n);
    return EVP_EncryptInit_ex(c, NULL, NULL, NULL, iv) == 1 &&
           EVP_EncryptUpdate(c, NULL, &size, aad, sizeof(aad)) == 1 &&
           EVP_EncryptUpdate(c, out->text, &size, packet, PACKET_BYTES) == 1 &&
           EVP_EncryptFinal_ex(c, out->text + size, &size) == 1 &&
           EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, out->tag) == 1;
}

static bool evp_open(EVP_CIPHER_CTX *c, uint64_t n, struct evp_packet *in)
{
    uint8_t iv[IV_BYTES] = {0}, aad[AAD_BYTES];
    int size;
    number(iv, aad, n);
    return EVP_DecryptInit_ex(c, NULL, NULL, NULL, iv) == 1 &&
           EVP_DecryptUpdate(c, NULL, &size, aad, sizeof(aad)) == 1 &&
           EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, in->tag) == 1 &&
           EVP_DecryptUpdate(c, in->text, &size, in->text, PACKET_BYTES) == 1 &&
           EVP_DecryptFinal_ex(c, in->text + size, &size) == 1;
}

/* Seconds that one side took, in turns with the other. */
struct times {
    double seal, open;
};

static bool evp_pass(EVP_CIPHER_CTX *out, EVP_CIPHER_CTX *in, uint64_t first, struct times *times)
{
    bool good = true;
    double start = now();
    for (unsigned i = 0; i < BATCH; i++)
        good &= evp_seal(out, first + i, &evp_sealed[i]);
    double middle = now();
    for (unsigned i = 0; i < BATCH; i++)
        good &= evp_open(in, first + i, &evp_sealed[i]);
    times->seal += middle - start;
    times->open += now() - middle;
    return good;
}

static bool our_pass(struct esp_sa *sa, struct times *times)
{
    bool good = true;
    size_t sizes[BATCH], inner_size;
    uint8_t *inner;
    double start = now();
    for (unsigned i = 0; i < BATCH; i++)
        sizes[i] = esp_seal(sa, packet, PACKET_BYTES, sealed[i], ROOM);
    double middle = now();
    for (unsigned i = 0; i < BATCH; i++)
        good &= esp_open(sa, sealed[i], sizes[i], 1, &inner, &inner_size) == ESP_OK;
    times->seal += middle - start;
    times->open += now() - middle;
    return good;
}

static EVP_CIPHER_CTX *evp_context(const uint8_t *key, int encrypt)
{
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    return c && EVP_CipherInit_ex(c, EVP_aes_256_gcm(), NULL, key, NULL, encrypt) == 1 ? c : NULL;
}

int main(void)
{
    static const struct crypto_surroundings surroundings = {.entropy = crypto_cpu_entropy};
    struct child_parameters child = {
        .spi_in = SPI, .spi_out = SPI, .cipher = algorithm_named("aes256gcm16", 11)};
    packet[0] = 0x45;
    if (!crypto_start(&surroundings))
        return 1;
    struct esp_sa *sa = esp_create(&child);
    EVP_CIPHER_CTX *out = evp_context(child.out.cipher, 1), *in = evp_context(child.in.cipher, 0);
    if (!sa || !out || !in)
        return 1;
    for (int run = -1; run < RUNS; run++) { /* the first one warms up */
        struct times ours = {0}, evps = {0};
        for (uint64_t pass = 0; pass < PASSES; pass++)
            if (!evp_pass(out, in, pass * BATCH, &evps) || !our_pass(sa, &ours))
                return 1;
        if (run >= 0)
            printf("seal %.4f\nopen %.4f\n", evps.seal / ours.seal, evps.open / ours.open);
    }
    esp_destroy(sa);
    EVP_CIPHER_CTX_free(out);
    EVP_CIPHER_CTX_free(in);
    return 0;
}
