/* SPDX-License-Identifier: Apache-2.0 */
/* A ticket-free spin lock: interrupts and NMIs never run hypervisor code that takes locks, so nothing else is
 * needed. */
#ifndef SHOJI_CORE_SPINLOCK_H
#define SHOJI_CORE_SPINLOCK_H

#include "lib/base.h"

struct spinlock {
    uint32_t held;
};

static inline void spin_lock(struct spinlock *lock)
{
    while (__atomic_exchange_n(&lock->held, 1, __ATOMIC_ACQUIRE))
        while (__atomic_load_n(&lock->held, __ATOMIC_RELAXED))
            __builtin_ia32_pause();
}

static inline void spin_unlock(struct spinlock *lock)
{
    __atomic_store_n(&lock->held, 0, __ATOMIC_RELEASE);
}

#endif
