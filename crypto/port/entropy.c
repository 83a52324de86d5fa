/* SPDX-License-Identifier: Apache-2.0 */
/* Where libcrypto's random generator gets its seed, in place of the archive's rand_unix.c; and the CPU's own
 * source. */
#include "crypto/port/port.h"
#include "lib/strings.h"
#include <cpuid.h>
#include <openssl/crypto.h>

/* libcrypto's internal rand_pool.h. */
typedef struct rand_pool_st RAND_POOL;
size_t ossl_rand_pool_bytes_needed(RAND_POOL *pool, unsigned entropy_factor);
unsigned char *ossl_rand_pool_add_begin(RAND_POOL *pool, size_t bytes);
int ossl_rand_pool_add_end(RAND_POOL *pool, size_t bytes, size_t entropy_bits);
size_t ossl_rand_pool_entropy_available(RAND_POOL *pool);

size_t ossl_pool_acquire_entropy(RAND_POOL *pool);
int ossl_pool_add_nonce_data(RAND_POOL *pool);
int ossl_rand_pool_add_additional_data(RAND_POOL *pool);
int ossl_rand_pool_init(void);
void ossl_rand_pool_cleanup(void);
void ossl_rand_pool_keep_random_devices_open(int keep);

#define NONCE_BYTES 16

static bool add_entropy(RAND_POOL *pool, size_t bytes, size_t entropy_bits)
{
    const struct crypto_surroundings *s = crypto_surroundings();
    if (!s || !s->entropy)
        return false;
    unsigned char *to = ossl_rand_pool_add_begin(pool, bytes);
    return to && s->entropy(s->context, to, bytes) && ossl_rand_pool_add_end(pool, bytes, entropy_bits);
}

/* Returns the bits that are in the pool; too few, and seeding fails. */
size_t ossl_pool_acquire_entropy(RAND_POOL *pool)
{
    size_t bytes = ossl_rand_pool_bytes_needed(pool, 1);
    if (bytes && !add_entropy(pool, bytes, bytes * 8))
        return 0;
    return ossl_rand_pool_entropy_available(pool);
}

int ossl_pool_add_nonce_data(RAND_POOL *pool)
{
    return add_entropy(pool, NONCE_BYTES, 0);
}

int ossl_rand_pool_add_additional_data(RAND_POOL *pool)
{
    return add_entropy(pool, NONCE_BYTES, 0);
}

int ossl_rand_pool_init(void)
{
    return 1;
}

void ossl_rand_pool_cleanup(void)
{
}

void ossl_rand_pool_keep_random_devices_open(int keep)
{
    (void)keep;
}

#define CPUID_FEATURES     1
#define CPUID_1_ECX_RDRAND BIT(30)
#define CPUID_EXTENDED     7
#define CPUID_7_EBX_RDSEED BIT(18)
#define DRAW_RETRIES       1000 /* RDSEED may be dry for microseconds when all CPUs draw */
#define REPEATS_MAX        4    /* a 64-bit value this often in a row is a broken generator */

typedef bool draw_function(uint64_t *out);

static bool draw_seed(uint64_t *out)
{
    bool drawn;
    __asm__ volatile("rdseed %0" : "=r"(*out), "=@ccc"(drawn));
    return drawn;
}

static bool draw_random(uint64_t *out)
{
    bool drawn;
    __asm__ volatile("rdrand %0" : "=r"(*out), "=@ccc"(drawn));
    return drawn;
}

static draw_function *cpu_source(void)
{
    unsigned a, b, c, d;
    if (__get_cpuid_count(CPUID_EXTENDED, 0, &a, &b, &c, &d) && (b & CPUID_7_EBX_RDSEED))
        return draw_seed;
    if (__get_cpuid(CPUID_FEATURES, &a, &b, &c, &d) && (c & CPUID_1_ECX_RDRAND))
        return draw_random;
    return NULL;
}

static bool draw_with_retries(draw_function *draw, uint64_t *out)
{
    for (unsigned i = 0; i < DRAW_RETRIES; i++) {
        if (draw(out))
            return true;
        __builtin_ia32_pause();
    }
    return false;
}

bool crypto_cpu_entropy(void *context, void *out, size_t size)
{
    (void)context;
    draw_function *draw = cpu_source();
    uint64_t last = 0, value = 0;
    unsigned repeats = 0;
    for (size_t at = 0; at < size; at += sizeof(value)) {
        if (!draw || !draw_with_retries(draw, &value))
            return false;
        repeats = at && value == last ? repeats + 1 : 0;
        if (repeats == REPEATS_MAX || value == 0 ||
            value == UINT64_MAX) /* some CPUs "succeed" with all ones after sleep */
            return false;
        last = value;
        memcpy((uint8_t *)out + at, &value, MIN(sizeof(value), size - at));
    }
    wipe(&value, sizeof(value));
    wipe(&last, sizeof(last));
    return true;
}
