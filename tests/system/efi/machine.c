/* SPDX-License-Identifier: Apache-2.0 */
/* Page tables, descriptor tables and masked interrupts: the tests' own machine. */
#include "lib/strings.h"
#include "tests/system/efi/runtime.h"

#define GIGABYTES    4u
#define LARGE_BYTES  MIB(2)
#define IST_FAULTS   1u
#define IST_NMIS     2u
#define GATE_PRESENT 0x8e00u
#define GATE_USER    0x6000u
#define PIC_1_MASK   0x21u
#define PIC_2_MASK   0xa1u
#define APIC_PAGE    0xfee00000ull
#define LVT_TIMER_AT 0x320u
#define LVT_OFF      0x10000u
#define SPURIOUS_AT  0xf0u
#define SPURIOUS_ON  0x13fu /* enabled, vector 3fh */

#define FLAT_CODE64 0x00af9b000000ffffull
#define FLAT_DATA   0x00cf93000000ffffull
#define FLAT_CODE32 0x00cf9b000000ffffull
#define USER_DATA   0x00cff3000000ffffull
#define USER_CODE64 0x00affb000000ffffull
#define CODE16      0x00009b000000ffffull /* 64 KiB */
#define TASK_64     0x0000890000000000ull

struct gate {
    uint16_t low, selector;
    uint16_t attributes; /* bits 0-2: IST */
    uint16_t middle;
    uint32_t high, reserved;
} packed;
static_assert(sizeof(struct gate) == 16, "interrupt gate, APM 2 section 4.8.4");

struct test_cpu *test_cpus[CPUS_MAX];
unsigned test_cpu_count;
static struct gate idt[VECTORS] aligned_to(16);
static uint64_t *page_directory[GIGABYTES], *window_table;
static uint64_t next_page, root;

extern const char vector_entries[];

void *pages(unsigned count)
{
    void *first = (void *)next_page;
    next_page += count * PAGE_SIZE;
    memset(first, 0, count * PAGE_SIZE);
    return first;
}

uint64_t machine_cr3(void)
{
    return root;
}

/* All of the first 4 GiB as itself, for every privilege level. */
static void build_tables(void)
{
    const uint64_t open = WINDOW_OPEN;
    uint64_t *top = pages(1), *pointers = pages(1);
    top[0] = (uint64_t)pointers | open;
    for (unsigned g = 0; g < GIGABYTES; g++) {
        page_directory[g] = pages(1);
        pointers[g] = (uint64_t)page_directory[g] | open;
        for (unsigned i = 0; i < TABLE_ENTRIES; i++)
            page_directory[g][i] = (GIB(g) + i * LARGE_BYTES) | open | PTE_LARGE;
    }
    window_table = pages(1);
    page_directory[WINDOW / GIB(1)][WINDOW % GIB(1) / LARGE_BYTES] = (uint64_t)window_table | open;
    root = (uint64_t)top;
}

uint64_t machine_directory(unsigned gigabyte)
{
    return (uint64_t)page_directory[gigabyte];
}

void window_map(unsigned n, uint64_t physical, uint64_t flags)
{
    window_table[n] = flags ? physical | flags : 0;
    __asm__ volatile("invlpg (%0)" : : "r"(WINDOW + n * PAGE_SIZE) : "memory");
}

static uint64_t with_base(uint64_t descriptor, uint64_t base)
{
    return descriptor | (base & 0xffffff) << 16 | (base >> 24 & 0xff) << 56;
}

static void build_cpu(struct test_cpu *cpu, unsigned index)
{
    uint64_t modes = low_memory + LOW_MODES, tss = (uint64_t)&cpu->tss;
    memset(cpu, 0, CPU_BYTES);
    cpu->index = index;
    cpu->tss.ist[IST_FAULTS - 1] = (uint64_t)cpu + CPU_BYTES / 2;
    cpu->tss.ist[IST_NMIS - 1] = (uint64_t)cpu + CPU_BYTES * 3 / 4;
    cpu->tss.rsp[0] = cpu->tss.ist[IST_FAULTS - 1];
    cpu->tss.io_map = sizeof(cpu->tss);
    cpu->gdt[SELECTOR_CODE64 / 8] = FLAT_CODE64;
    cpu->gdt[SELECTOR_FLAT / 8] = FLAT_DATA;
    cpu->gdt[SELECTOR_CODE32 / 8] = FLAT_CODE32;
    cpu->gdt[SELECTOR_CODE32_LOW / 8] = with_base(FLAT_CODE32, modes);
    cpu->gdt[SELECTOR_CODE16_LOW / 8] = with_base(CODE16, modes);
    cpu->gdt[SELECTOR_DATA_LOW / 8] = with_base(FLAT_DATA, modes);
    cpu->gdt[SELECTOR_USER_FLAT / 8] = USER_DATA;
    cpu->gdt[SELECTOR_USER_CODE64 / 8] = USER_CODE64;
    cpu->gdt[SELECTOR_TASK / 8] = with_base(TASK_64 | (sizeof(cpu->tss) - 1), tss);
    cpu->gdt[SELECTOR_TASK / 8 + 1] = tss >> 32;
}

static void build_idt(void)
{
    for (unsigned vector = 0; vector < VECTORS; vector++) {
        uint64_t entry = (uint64_t)vector_entries + 16 * vector;
        unsigned ist = vector == EXCEPTION_NMI ? IST_NMIS : IST_FAULTS;
        idt[vector] = (struct gate){.low = (uint16_t)entry,
                                    .selector = SELECTOR_CODE64,
                                    .attributes = (uint16_t)(GATE_PRESENT | ist),
                                    .middle = (uint16_t)(entry >> 16),
                                    .high = (uint32_t)(entry >> 32)};
    }
    idt[VECTOR_DONE].attributes |= GATE_USER;
    idt[EXCEPTION_BP].attributes |= GATE_USER;
}

void machine_load_tables(struct test_cpu *cpu)
{
    const struct descriptor_table gdtr = {sizeof(cpu->gdt) - 1, (uint64_t)cpu->gdt};
    const struct descriptor_table idtr = {sizeof(idt) - 1, (uint64_t)idt};
    cpu->gdt[SELECTOR_TASK / 8] &= ~BIT(41); /* not busy */
    __asm__ volatile("lgdt %0\n\t"
                     "lidt %1\n\t"
                     "push %2\n\t"
                     "lea 1f(%%rip), %%rax\n\t"
                     "push %%rax\n\t"
                     "lretq\n"
                     "1:\tmov %3, %%eax\n\t"
                     "mov %%eax, %%ds\n\t"
                     "mov %%eax, %%es\n\t"
                     "mov %%eax, %%ss\n\t"
                     "xor %%eax, %%eax\n\t"
                     "mov %%eax, %%fs\n\t"
                     "mov %%eax, %%gs\n\t"
                     "mov %4, %%eax\n\t"
                     "ltr %%ax"
                     :
                     : "m"(gdtr), "m"(idtr), "i"(SELECTOR_CODE64), "i"(SELECTOR_FLAT), "i"(SELECTOR_TASK)
                     : "rax", "memory");
    msr_write(MSR_FS_BASE, 0); /* a null selector does not clear it everywhere */
    msr_write(MSR_GS_BASE, 0);
}

static void silence_interrupts(void)
{
    port_write(PIC_1_MASK, 1, 0xff);
    port_write(PIC_2_MASK, 1, 0xff);
    *(volatile uint32_t *)(APIC_PAGE + LVT_TIMER_AT) = LVT_OFF;
    *(volatile uint32_t *)(APIC_PAGE + SPURIOUS_AT) = SPURIOUS_ON;
}

void machine_take(struct test_cpu *const memory[], const uint32_t apic_ids[], unsigned cpus, uint64_t tables)
{
    __asm__ volatile("cli");
    next_page = tables;
    test_cpu_count = cpus;
    for (unsigned i = 0; i < cpus; i++) {
        test_cpus[i] = memory[i];
        build_cpu(memory[i], i);
        memory[i]->apic_id = apic_ids[i];
    }
    build_tables();
    build_idt();
    cr3_write(root);
    machine_load_tables(test_cpus[0]);
    silence_interrupts();
}
