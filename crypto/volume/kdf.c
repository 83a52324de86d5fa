/* SPDX-License-Identifier: Apache-2.0 */
/* Passphrase to key: one function per kind of derivation, and the memory that argon2 may use. */
#include "crypto/volume/kdf.h"
#include "crypto/port/port.h"
#include "lib/strings.h"
#include <argon2.h>

/* libargon2's callbacks have no context. Owned by argon2(), which is not re-entered. */
static const struct luks2_allocator *argon2_memory;

static int allocate_blocks(uint8_t **memory, size_t bytes)
{
    *memory = argon2_memory->allocate(argon2_memory->context, bytes);
    return *memory ? ARGON2_OK : ARGON2_MEMORY_ALLOCATION_ERROR;
}

/* libargon2 has wiped the blocks. */
static void release_blocks(uint8_t *memory, size_t bytes)
{
    argon2_memory->release(argon2_memory->context, memory, bytes);
}

static bool too_little_memory(const struct luks2_slot *slot, const struct luks2_help *help)
{
    const uint64_t needed_mib = ((uint64_t)slot->memory_kib + KIB(1) - 1) / KIB(1);
    const uint64_t there_mib = help->memory.largest(help->memory.context) / MIB(1);
    return report(help->problem,
                  "Key slot %u needs %llu MiB of memory and %llu MiB are there; use another passphrase, or "
                  "make the slot "
                  "anew with cryptsetup luksConvertKey --pbkdf-memory.",
                  slot->number, (unsigned long long)needed_mib, (unsigned long long)there_mib);
}

static bool argon2(const struct luks2_slot *slot, const void *passphrase, size_t passphrase_bytes,
                   const struct luks2_help *help, uint8_t *key)
{
    if ((uint64_t)slot->memory_kib * KIB(1) > help->memory.largest(help->memory.context))
        return too_little_memory(slot, help);
    argon2_context context = {
        .out = key,
        .outlen = slot->area_key_bytes,
        .pwd = (uint8_t *)(uintptr_t)passphrase, /* only read: ARGON2_FLAG_CLEAR_PASSWORD is not given */
        .pwdlen = (uint32_t)passphrase_bytes,
        .salt = (uint8_t *)(uintptr_t)slot->salt,
        .saltlen = slot->salt_bytes,
        .t_cost = slot->time,
        .m_cost = slot->memory_kib,
        .lanes = slot->lanes,
        .threads = 1,
        .version = ARGON2_VERSION_13,
        .allocate_cbk = allocate_blocks,
        .free_cbk = release_blocks,
        .flags = ARGON2_DEFAULT_FLAGS,
    };
    struct progress_meter meter = {.to = &help->progress,
                                   .total = (uint64_t)slot->time * ARGON2_SYNC_POINTS * slot->lanes};
    argon2_memory = &help->memory;
    argon2_progress_begin(&meter);
    crypto_foreign_begin();
    int status = argon2_ctx(&context, slot->kdf == LUKS2_ARGON2I ? Argon2_i : Argon2_id);
    crypto_foreign_end();
    argon2_progress_end();
    argon2_memory = NULL;
    if (status == ARGON2_OK)
        return true;
    if (status == ARGON2_MEMORY_ALLOCATION_ERROR)
        return too_little_memory(slot, help);
    return report(help->problem,
                  "Key slot %u cannot be computed (argon2 error %d); make it anew with cryptsetup.",
                  slot->number, status);
}

bool kdf_derive(const struct luks2_slot *slot, const void *passphrase, size_t passphrase_bytes,
                const struct luks2_help *help, uint8_t key[LUKS2_KEY_MAX])
{
    if (slot->kdf != LUKS2_PBKDF2)
        return argon2(slot, passphrase, passphrase_bytes, help, key);
    const struct pbkdf2 parameters = {
        .hash = slot->kdf_hash,
        .secret = passphrase,
        .secret_bytes = passphrase_bytes,
        .salt = slot->salt,
        .salt_bytes = slot->salt_bytes,
        .iterations = slot->iterations,
        .progress = &help->progress,
    };
    pbkdf2(&parameters, key, slot->area_key_bytes);
    return true;
}
