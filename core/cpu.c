/* SPDX-License-Identifier: Apache-2.0 */
#include "core/cpu.h"

#include "core/exceptions.h"
#include "core/memory.h"
#include "core/paging.h"
#include "core/registers.h"
#include "lib/strings.h"

struct cpu *cpus[HANDOFF_CPUS_MAX]; /* written at launch, one slot by each CPU */
unsigned cpu_count;

#define GDT_CODE 0x00af9b000000ffffull
#define GDT_DATA 0x00cf93000000ffffull
#define TSS_TYPE 0x89ull /* present, available 64-bit TSS */

#define CPUID_1_EBX_APIC_ID_SHIFT 24
#define CPUID_7_EBX_SMEP          BIT(7)
#define CPUID_7_EBX_SMAP          BIT(20)
#define LEAF_STRUCTURED           7u
#define LEAF_TOPOLOGY             0xbu

/* A stack of `bytes` with an unmapped page below it; returns its top. */
static uint8_t *stack_create(size_t bytes)
{
    uint8_t *pages = pages_allocate(1 + bytes / PAGE_SIZE);
    if (!pages)
        return NULL;
    paging_guard(pages);
    return pages + PAGE_SIZE + bytes;
}

struct cpu *cpu_create(unsigned index)
{
    struct cpu *cpu = pages_allocate(ROUND_UP(sizeof *cpu, PAGE_SIZE) / PAGE_SIZE);
    if (!cpu)
        return NULL;
    cpu->self = cpu;
    cpu->index = index;
    cpu->apic_id = cpu_apic_id();
    cpu->stack_top = stack_create(STACK_BYTES);
    if (!cpu->stack_top)
        return NULL;
    for (unsigned i = IST_NMI; i < IST_COUNT; i++) {
        uint8_t *top = stack_create(IST_STACK_BYTES);
        if (!top)
            return NULL;
        cpu->tss.ist[i - 1] = (uint64_t)top;
    }
    uint64_t tss = (uint64_t)&cpu->tss;
    cpu->tss.rsp[0] = (uint64_t)cpu->stack_top;
    cpu->tss.io_map = sizeof cpu->tss;
    cpu->gdt[SELECTOR_CODE / 8] = GDT_CODE;
    cpu->gdt[SELECTOR_DATA / 8] = GDT_DATA;
    cpu->gdt[SELECTOR_TSS / 8] =
        (sizeof cpu->tss - 1) | (tss & 0xffffff) << 16 | TSS_TYPE << 40 | (tss >> 24 & 0xff) << 56;
    cpu->gdt[SELECTOR_TSS / 8 + 1] = tss >> 32;
    return cpu;
}

void cpu_load_tables(struct cpu *cpu)
{
    struct descriptor_table gdt = {.limit = sizeof cpu->gdt - 1, .base = (uint64_t)cpu->gdt};
    struct descriptor_table idt = exceptions_idt();
    uint64_t scratch;
    __asm__ volatile("lgdt %1\n\t"
                     "pushq %3\n\t"
                     "leaq 1f(%%rip), %0\n\t"
                     "pushq %0\n\t"
                     "lretq\n"
                     "1:\tmovl %4, %%ds\n\t"
                     "movl %4, %%es\n\t"
                     "movl %4, %%ss\n\t"
                     "lidt %2\n\t"
                     "ltr %5"
                     : "=&r"(scratch)
                     : "m"(gdt), "m"(idt), "i"((uint64_t)SELECTOR_CODE), "r"(SELECTOR_DATA),
                       "r"((uint16_t)SELECTOR_TSS)
                     : "memory");
}

uint64_t cpu_host_cr0(void)
{
    return CR0_PE | BIT(1) /* MP */ | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
}

static uint32_t structured_features(void)
{
    return cpuid(0, 0).eax >= LEAF_STRUCTURED ? cpuid(LEAF_STRUCTURED, 0).ebx : 0;
}

bool cpu_has_smap(void)
{
    return structured_features() & CPUID_7_EBX_SMAP;
}

uint64_t cpu_host_cr4(void)
{
    uint64_t cr4 = CR4_PAE | CR4_MCE | CR4_OSFXSR | CR4_OSXMMEXCPT | (cr4_read() & CR4_LA57);
    if (structured_features() & CPUID_7_EBX_SMEP)
        cr4 |= CR4_SMEP;
    if (cpu_has_smap())
        cr4 |= CR4_SMAP;
    return cr4;
}

bool cpu_is_amd(void)
{
    struct cpuid vendor = cpuid(0, 0);
    char name[12];
    memcpy(name, &vendor.ebx, 4);
    memcpy(name + 4, &vendor.edx, 4);
    memcpy(name + 8, &vendor.ecx, 4);
    return !memcmp(name, "AuthenticAMD", sizeof name) || !memcmp(name, "HygonGenuine", sizeof name);
}

uint32_t cpu_apic_id(void)
{
    if (cpuid(0, 0).eax >= LEAF_TOPOLOGY) {
        struct cpuid topology = cpuid(LEAF_TOPOLOGY, 0);
        if (topology.ebx & 0xffff)
            return topology.edx;
    }
    return cpuid(1, 0).ebx >> CPUID_1_EBX_APIC_ID_SHIFT;
}
