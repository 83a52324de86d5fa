/* SPDX-License-Identifier: Apache-2.0 */
/* Brings libcrypto up and keeps what the program gives it. */
#include "crypto/port/port.h"

/* libcrypto's, not in its public headers. The first is its constructor on Linux; nothing calls it elsewhere.
 */
void OPENSSL_cpuid_setup(void);
int openssl_init_fork_handlers(void); /* crypto/port/threads.c */
int ossl_rand_pool_init(void);        /* crypto/port/entropy.c */

/* Set once, by crypto_start. */
static struct crypto_surroundings current;
static bool started;

bool crypto_start(const struct crypto_surroundings *surroundings)
{
    if (started || !surroundings || !surroundings->allocate != !surroundings->release)
        return false;
    current = *surroundings;
    started = true;
    OPENSSL_cpuid_setup();
    /* Both succeed and do nothing; called here, they make the linker take those two files before it looks
     * into the archive. */
    return openssl_init_fork_handlers() && ossl_rand_pool_init();
}

const struct crypto_surroundings *crypto_surroundings(void)
{
    return started ? &current : NULL;
}
