/* SPDX-License-Identifier: Apache-2.0 */
/* What Debian's prebuilt libargon2 wants of Linux besides efi_libc.c: a stack-protector canary at FS:28h, and
 * names of functions that are never called, because Shoji asks for one thread and for no text encoding. (It
 * uses no red zone, so the firmware's interrupts do it no harm.) */
#include "crypto/port/port.h"

#define MSR_FS_BASE   0xc0000100u
#define CANARY_OFFSET 0x28

/* What FS points at meanwhile. The value of the canary does not matter: it has only to stay the same. */
static const struct {
    uint8_t before[CANARY_OFFSET];
    uint64_t canary;
} thread_block = {.canary = 0x0a0dff00c0de5afe};

/* Owned by the boot CPU, between begin and end. */
static uint64_t firmware_fs_base;

static uint64_t read_msr(uint32_t msr)
{
    uint32_t low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (uint64_t)high << 32 | low;
}

static void write_msr(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

void crypto_foreign_begin(void)
{
    firmware_fs_base = read_msr(MSR_FS_BASE);
    write_msr(MSR_FS_BASE, (uintptr_t)&thread_block);
}

void crypto_foreign_end(void)
{
    write_msr(MSR_FS_BASE, firmware_fs_base);
}

no_return void __stack_chk_fail(void);
int __sprintf_chk(char *out, int flag, size_t size, const char *format, ...);
int argon2_thread_create(void *handle, void *function, void *arguments);
int argon2_thread_join(void *handle);
void argon2_thread_exit(void);

#define THREAD_FAILED (-1)

/* libargon2's stack is broken: nothing here can be trusted any more. */
void __stack_chk_fail(void)
{
    __builtin_trap();
}

/* Of its text encoding, which nothing calls. */
int __sprintf_chk(char *out, int flag, size_t size, const char *format, ...)
{
    (void)out;
    (void)flag;
    (void)size;
    (void)format;
    __builtin_trap();
}

/* In place of its thread.c, which would want pthreads; with one thread it is not called, and says no if it
 * were. */
int argon2_thread_create(void *handle, void *function, void *arguments)
{
    (void)handle;
    (void)function;
    (void)arguments;
    return THREAD_FAILED;
}

int argon2_thread_join(void *handle)
{
    (void)handle;
    return THREAD_FAILED;
}

void argon2_thread_exit(void)
{
}
