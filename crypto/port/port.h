/* SPDX-License-Identifier: Apache-2.0 */
/* libcrypto and libargon2 without an operating system: what a program gives them, and how it brings them up.
 *
 * Every program that uses them (the loader, ring-3 services, host tests) does so from one thread; that is
 * what crypto/port/threads.c relies on. The core links only the AES assembly and core_cpu.c, and needs none
 * of this. */
#ifndef SHOJI_CRYPTO_PORT_H
#define SHOJI_CRYPTO_PORT_H

#include "lib/base.h"

/* What stands in for the C library. The functions must stay valid for the life of the program. */
struct crypto_surroundings {
    /* Memory, aligned to 16 bytes; NULL when there is none. release accepts whatever allocate returned, and
     * wipes nothing: libcrypto and libargon2 wipe their secrets before they release them. Both may be NULL on
     * Linux, where malloc is used. */
    void *(*allocate)(void *context, size_t size);
    void (*release)(void *context, void *memory);
    /* Fills the buffer with full-entropy bytes; false when it cannot. NULL: there is no entropy, and whatever
     * asks for random numbers fails. Hashes and ciphers ask for none. */
    bool (*entropy)(void *context, void *out, size_t size);
    /* Seconds since 1970, for certificate dates; NULL: the time is not known, and checks that need it fail.
     */
    uint64_t (*seconds)(void *context);
    void *context;
};

/* Brings libcrypto up: learns what the CPU can do, and remembers the surroundings. To be called once, before
 * anything else in crypto/ and before the first malloc. False when the structure is incomplete. */
bool crypto_start(const struct crypto_surroundings *surroundings) must_check;

/* The surroundings given to crypto_start, NULL before it. For crypto/port alone. */
const struct crypto_surroundings *crypto_surroundings(void);

/* Entropy from the CPU's RDSEED, else RDRAND; each draw is retried, and a CPU that keeps repeating a value is
 * refused. False when the CPU has neither or it fails. Fits crypto_surroundings.entropy (context is unused).
 */
bool crypto_cpu_entropy(void *context, void *out, size_t size);

/* Between these two calls code that was compiled for Linux may run: libargon2 comes prebuilt from Debian, and
 * its stack protectors read FS:28h. In the loader FS is made to point at something; on Linux it does already.
 * Not to be nested. */
void crypto_foreign_begin(void);
void crypto_foreign_end(void);

#endif
