/* SPDX-License-Identifier: Apache-2.0 */
/* ESP packets of anybody, and authentic ones with arbitrary texts. Input: a byte that chooses the suite, a
 * byte of choices, the packet or the text. Nothing that was forged is ever accepted or moves the window; of
 * what is authentic, the trailer decides. */
#include <stdlib.h>
#include <string.h>

#include "crypto/ipsec/esp.h"
#include "crypto/port/port.h"

#define SPI_IN     0x1000u
#define TEXT_MAX   2048
#define ROOM       (TEXT_MAX + 128)
#define START_OPEN 5000 /* the window is somewhere, not at its start */

/* Bits of the second byte. */
#define AUTHENTIC BIT(0) /* the rest is a text, sealed by the peer */
#define MEND_SPI  BIT(1) /* so that what is behind the SPI is reached */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static const struct {
    const char *cipher, *integrity;
    bool esn;
} suites[] = {
    {"aes256gcm16", NULL, true}, {"aes128gcm16", NULL, false}, {"chacha20poly1305", NULL, true},
    {"aes256", "sha256", true},  {"aes128", "sha512", false},
};
static struct esp_sa *ours[ARRAY_COUNT(suites)];

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* Its keys are the same both ways, so it can open what it seals. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    static const struct crypto_surroundings surroundings = {.entropy = crypto_cpu_entropy};
    struct child_parameters child = {.spi_in = SPI_IN, .spi_out = SPI_IN};
    require(crypto_start(&surroundings));
    require(crypto_cpu_entropy(NULL, &child.in, sizeof(child.in)));
    child.out = child.in;
    for (size_t i = 0; i < ARRAY_COUNT(suites); i++) {
        const char *integrity = suites[i].integrity;
        child.cipher = algorithm_named(suites[i].cipher, strlen(suites[i].cipher));
        child.integrity = integrity ? algorithm_named(integrity, strlen(integrity)) : NULL;
        child.esn = suites[i].esn;
        ours[i] = esp_create(&child);
        require(ours[i]);
    }
    return 0;
}

/* What the trailer of an authentic text says, read without the code that is tested. */
static enum esp_result expected(const uint8_t *text, size_t size, size_t *inner)
{
    size_t padding = text[size - 2];
    if (padding + 2 > size)
        return ESP_MALFORMED;
    *inner = size - 2 - padding;
    for (size_t i = 0; i < padding; i++)
        if (text[*inner + i] != i + 1)
            return ESP_MALFORMED;
    if (text[size - 1] == 59)
        return ESP_DUMMY;
    unsigned version = text[size - 1] == 4 ? 4 : text[size - 1] == 41 ? 6 : 0;
    return version && *inner > 0 && text[0] >> 4 == version ? ESP_OK : ESP_MALFORMED;
}

static void open_authentic(struct esp_sa *sa, const uint8_t *text, size_t size)
{
    size_t alignment = MAX(sa->out.alignment, 4u), inner_size = 0, wanted = 0;
    uint8_t esp[ROOM] = {0, 0, SPI_IN >> 8, SPI_IN & 0xff}, *inner = NULL;
    size = ROUND_DOWN(MIN(size, (size_t)TEXT_MAX), alignment);
    if (size == 0)
        return;
    struct esp_plain plain = {.packet = text, .size = size};
    uint32_t low = __builtin_bswap32((uint32_t)++sa->sequence);
    memcpy(esp + 4, &low, sizeof(low));
    require(sa->out.seal(&sa->out, &plain, esp, sa->sequence));
    size_t whole = ESP_HEADER_BYTES + sa->in.iv_bytes + size + sa->in.icv_bytes;
    enum esp_result result = esp_open(sa, esp, whole, 1, &inner, &inner_size);
    require(result == expected(text, size, &wanted));
    require(result != ESP_OK || (inner_size == wanted && memcmp(inner, text, wanted) == 0));
    require(sa->replay.top == sa->sequence);
}

static void open_forged(struct esp_sa *sa, uint8_t choices, const uint8_t *data, size_t size)
{
    uint8_t *packet = malloc(size + 1), *inner;
    size_t inner_size;
    require(packet);
    memcpy(packet, data, size);
    if (choices & MEND_SPI && size >= 4)
        memcpy(packet, (const uint8_t[]){0, 0, SPI_IN >> 8, SPI_IN & 0xff}, 4);
    enum esp_result result = esp_open(sa, packet, size, 1, &inner, &inner_size);
    require(result == ESP_BAD_ICV || result == ESP_REPLAYED || result == ESP_MALFORMED);
    require(sa->replay.top == START_OPEN);
    free(packet);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct esp_sa *sa = ours[data[0] % ARRAY_COUNT(suites)];
    memset(&sa->replay, 0, sizeof(sa->replay));
    sa->sequence = sa->replay.top = START_OPEN;
    if (data[1] & AUTHENTIC)
        open_authentic(sa, data + 2, size - 2);
    else
        open_forged(sa, data[1], data + 2, size - 2);
    return 0;
}
