/* SPDX-License-Identifier: Apache-2.0 */
/* The hypervisor's memory: reads give ones, writes vanish, whatever instruction touches it. The firmware's
 * memory map tells where it is. */
#include "lib/format.h"
#include "tests/system/efi/runtime.h"

CODE(load_8, "movzbl (%rdi), %eax");
CODE(load_16, "movzwl (%rdi), %eax");
CODE(load_32, "mov (%rdi), %eax");
CODE(load_64, "mov (%rdi), %rax");
CODE(store_8, "movb $0x5a, (%rdi)");
CODE(store_16, "movw $0x5a5a, (%rdi)");
CODE(store_32, "movl $0x5a5a5a5a, (%rdi)");
CODE(store_64, "mov %rcx, (%rdi)");
CODE(locked_add, "lock xadd %rax, (%rdi)");
CODE(exchange, "xchg %rax, (%rdi)");
CODE(compare_exchange, "lock cmpxchg %rcx, (%rdi)");
CODE(add, "add %rcx, (%rdi)");
CODE(push_there, "push (%rdi)\n\tpop %rax");
CODE(fill, "cld\n\trep stosb");
CODE(copy_out, "cld\n\trep movsb");
CODE(scan, "cld\n\trepe scasb");
CODE(vector_load, "movdqu (%rdi), %xmm0\n\tmovq %xmm0, %rax");
CODE(vector_store, "movdqu %xmm0, (%rdi)");
CODE(jump_there, "call *%rdi");
CODE(load_tables, "lgdt (%rdi)");

static uint64_t read_64(uint64_t at)
{
    struct registers r = {.gpr = {[RDI] = at}};
    (void)try_code(load_64, &r);
    return r.gpr[RAX];
}

static void tell(const char *name, const char *code, uint64_t at, uint64_t rax, uint64_t rcx)
{
    char full[48];
    struct registers r = {.gpr = {[RDI] = at, [RSI] = at + 8, [RAX] = rax, [RCX] = rcx}};
    struct outcome o = try_code(code, &r);
    format(full, sizeof(full), "block.%s", name);
    verdict(full, "%s rax %llx rcx %llx rdi %lld then %llx", outcome_text(o).s,
            (unsigned long long)r.gpr[RAX], (unsigned long long)r.gpr[RCX], (long long)(r.gpr[RDI] - at),
            (unsigned long long)read_64(at));
}

void test_block(void)
{
    if (!block)
        return;
    static uint8_t target[64];
    const uint64_t middle = block + block_bytes / 2, mark = 0x5a5a5a5a5a5a5a5a;
    static const struct {
        const char *name, *code;
    } plain[] = {{"load-8", load_8},
                 {"load-16", load_16},
                 {"load-32", load_32},
                 {"load-64", load_64},
                 {"store-8", store_8},
                 {"store-16", store_16},
                 {"store-32", store_32},
                 {"store-64", store_64},
                 {"locked-add", locked_add},
                 {"exchange", exchange},
                 {"compare-exchange", compare_exchange},
                 {"add", add},
                 {"push", push_there}};
    for (unsigned i = 0; i < ARRAY_COUNT(plain); i++)
        tell(plain[i].name, plain[i].code, middle, 1, mark);
    tell("first", load_64, block, 0, 0);
    tell("last", load_64, block + block_bytes - 8, 0, 0);
    tell("straddling-pages", load_64, middle - 4, 0, 0);
    tell("fill-over-pages", fill, middle - 12, 0x5a, 24);
    tell("scan-over-pages", scan, middle - 12, 0xff, 24);
    tell("vector-load", vector_load, middle, 0, 0);
    tell("vector-store", vector_store, middle, 0, 0);
    struct registers r = {.gpr = {[RSI] = middle, [RDI] = (uint64_t)target, [RCX] = sizeof(target)}};
    struct outcome o = try_code(copy_out, &r);
    unsigned ones = 0;
    for (unsigned i = 0; i < sizeof(target); i++)
        ones += target[i] == 0xff;
    verdict("block.copy-out", "%s %u ones", outcome_text(o).s, ones);
    /* All ones is no instruction. */
    r = (struct registers){.gpr = {[RDI] = middle}};
    o = try_code(jump_there, &r);
    verdict("block.execute", "%s", outcome_text(o).s);
}
