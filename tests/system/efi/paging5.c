/* SPDX-License-Identifier: Apache-2.0 */
/* Five levels of page tables: what a hypervisor has to decode, at addresses that only they reach. */
#include "lib/strings.h"
#include "tests/system/efi/device.h"
#include "tests/system/efi/runtime.h"

#define LEAF_STRUCTURED     7u
#define STRUCTURED_ECX_LA57 BIT(16)
#define HIGH                (5ull << 48) /* where the same first 256 TiB are seen once more */

struct values {
    uint32_t cr4, cr3, entry;
    uint16_t selector;
} packed;

extern const uint8_t paging5_start[], paging5_end[], paging5_values[], paging5_long[];

CODE(high_cpuid, "cpuid");
CODE(high_load, "movl (%rdi), %eax");
CODE(high_store, "movl %eax, 4(%rdi)\n\taddl $1, 4(%rdi)\n\tmovzwl 4(%rdi), %eax");
CODE(high_out, "outl %eax, %dx\n\tinl %dx, %eax");

static void switch_to(uint64_t cr3, bool five)
{
    uint8_t *copy = (uint8_t *)(low_memory + LOW_MODES);
    struct values values = {.cr4 = (uint32_t)((cr4_read() & ~CR4_LA57) | (five ? CR4_LA57 : 0)),
                            .cr3 = (uint32_t)cr3,
                            .entry = (uint32_t)(uint64_t)copy + (uint32_t)(paging5_long - paging5_start),
                            .selector = SELECTOR_CODE64};
    memcpy(copy, paging5_start, (size_t)(paging5_end - paging5_start));
    memcpy(copy + (paging5_values - paging5_start), &values, sizeof(values));
    ((void (*)(void))copy)();
}

void test_paging5(void)
{
    bool there = cpuid(0, 0).eax >= LEAF_STRUCTURED && (cpuid(LEAF_STRUCTURED, 0).ecx & STRUCTURED_ECX_LA57);
    model("paging5.there", "%d", there);
    if (!there)
        return;
    uint64_t *top = pages(1);
    top[0] = top[HIGH >> 48] = machine_cr3() | WINDOW_OPEN;
    switch_to((uint64_t)top, true);
    model("paging5.on", "%d", (cr4_read() & CR4_LA57) != 0);
    struct registers r = {0};
    struct outcome o = try_code(high_cpuid + HIGH, &r);
    model("paging5.cpuid", "%s %d", outcome_text(o).s, r.gpr[RBX] == cpuid(0, 0).ebx);
    uint64_t place = HIGH + device_page + TEST_DEVICE_MEMORY;
    *(volatile uint32_t *)place = 0x13579bdf;
    r = (struct registers){.gpr = {[RDI] = place}};
    o = try_code(high_load + HIGH, &r);
    model("paging5.load", "%s %llx", outcome_text(o).s, (unsigned long long)r.gpr[RAX]);
    r.gpr[RAX] = 0x1234ffff;
    o = try_code(high_store + HIGH, &r);
    model("paging5.store", "%s %llx", outcome_text(o).s, (unsigned long long)r.gpr[RAX]);
    r = (struct registers){.gpr = {[RAX] = 0x80000000, [RDX] = 0xcf8}};
    o = try_code(high_out + HIGH, &r);
    model("paging5.port", "%s %llx", outcome_text(o).s, (unsigned long long)r.gpr[RAX]);
    r = (struct registers){.gpr = {[RDI] = 9ull << 48}};
    o = try_code(high_load, &r);
    model("paging5.not-there", "%s", outcome_text(o).s);
    if (block) {
        r = (struct registers){.gpr = {[RDI] = HIGH + block}};
        o = try_code(high_load + HIGH, &r);
        model("paging5.block", "%s %llx", outcome_text(o).s, (unsigned long long)r.gpr[RAX]);
    }
    switch_to(machine_cr3(), false);
    model("paging5.off", "%d", (cr4_read() & CR4_LA57) == 0);
}
