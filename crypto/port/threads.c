/* SPDX-License-Identifier: Apache-2.0 */
/* libcrypto's threads where there is one thread: locks have nobody to wait for, locals are plain slots.
 * Linked ahead of the archive, in place of its threads_pthread.c, so every function of that file is here.
 * libcrypto itself is built with threads on: without them its reference counts would be plain integers and
 * its tables of another shape. */
#include "lib/base.h"
#include <openssl/crypto.h>

#define LOCALS_MAX 32 /* libcrypto 3.0 makes about ten */
#define THREAD_ID  1

/* What stands behind CRYPTO_RWLOCK: how often it is held for reading, or HELD_FOR_WRITING. */
struct lock {
    int held;
};
#define HELD_FOR_WRITING (-1)

/* Not in libcrypto's public headers. */
int openssl_init_fork_handlers(void);
int openssl_get_fork_id(void);

enum once_state { ONCE_NEW, ONCE_DONE };
static_assert(sizeof(CRYPTO_ONCE) >= sizeof(int),
              "holds an enum once_state; CRYPTO_ONCE_STATIC_INIT is zero");

static void *locals[LOCALS_MAX];
static unsigned locals_used;

CRYPTO_RWLOCK *CRYPTO_THREAD_lock_new(void)
{
    return OPENSSL_zalloc(sizeof(struct lock));
}

void CRYPTO_THREAD_lock_free(CRYPTO_RWLOCK *lock)
{
    OPENSSL_free(lock);
}

/* A lock that this very thread holds in the other way would never come free: that is an error, not a wait. */
int CRYPTO_THREAD_read_lock(CRYPTO_RWLOCK *lock)
{
    struct lock *l = lock;
    if (l->held == HELD_FOR_WRITING)
        return 0;
    l->held++;
    return 1;
}

int CRYPTO_THREAD_write_lock(CRYPTO_RWLOCK *lock)
{
    struct lock *l = lock;
    if (l->held)
        return 0;
    l->held = HELD_FOR_WRITING;
    return 1;
}

int CRYPTO_THREAD_unlock(CRYPTO_RWLOCK *lock)
{
    struct lock *l = lock;
    if (!l->held)
        return 0;
    l->held = l->held == HELD_FOR_WRITING ? 0 : l->held - 1;
    return 1;
}

int CRYPTO_THREAD_run_once(CRYPTO_ONCE *once, void (*init)(void))
{
    int *state = (int *)once;
    if (*state == ONCE_DONE)
        return 1;
    *state = ONCE_DONE; /* first: an init that comes here again must not recurse */
    init();
    return 1;
}

int CRYPTO_THREAD_init_local(CRYPTO_THREAD_LOCAL *key, void (*cleanup)(void *))
{
    (void)cleanup; /* is for a thread's end */
    if (locals_used == LOCALS_MAX)
        return 0;
    *key = locals_used++;
    return 1;
}

void *CRYPTO_THREAD_get_local(CRYPTO_THREAD_LOCAL *key)
{
    return *key < LOCALS_MAX ? locals[*key] : NULL;
}

int CRYPTO_THREAD_set_local(CRYPTO_THREAD_LOCAL *key, void *value)
{
    if (*key >= LOCALS_MAX)
        return 0;
    locals[*key] = value;
    return 1;
}

int CRYPTO_THREAD_cleanup_local(CRYPTO_THREAD_LOCAL *key)
{
    return CRYPTO_THREAD_set_local(key, NULL);
}

CRYPTO_THREAD_ID CRYPTO_THREAD_get_current_id(void)
{
    return THREAD_ID;
}

int CRYPTO_THREAD_compare_id(CRYPTO_THREAD_ID a, CRYPTO_THREAD_ID b)
{
    return a == b;
}

int CRYPTO_atomic_add(int *value, int amount, int *result, CRYPTO_RWLOCK *lock)
{
    (void)lock;
    *result = __atomic_add_fetch(value, amount, __ATOMIC_ACQ_REL);
    return 1;
}

int CRYPTO_atomic_or(uint64_t *value, uint64_t bits, uint64_t *result, CRYPTO_RWLOCK *lock)
{
    (void)lock;
    *result = __atomic_or_fetch(value, bits, __ATOMIC_ACQ_REL);
    return 1;
}

int CRYPTO_atomic_load(uint64_t *value, uint64_t *result, CRYPTO_RWLOCK *lock)
{
    (void)lock;
    *result = __atomic_load_n(value, __ATOMIC_ACQUIRE);
    return 1;
}

int openssl_init_fork_handlers(void)
{
    return 1;
}

int openssl_get_fork_id(void)
{
    return THREAD_ID;
}
