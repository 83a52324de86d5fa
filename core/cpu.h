/* SPDX-License-Identifier: Apache-2.0 */
/* Per-CPU data of the host kernel, and the few privileged instructions as functions. */
#ifndef SHOJI_CORE_CPU_H
#define SHOJI_CORE_CPU_H

#include "include/handoff.h"
#include "lib/base.h"

#define STACK_BYTES     KIB(16)
#define IST_STACK_BYTES KIB(4)

/* Interrupt stacks of the task state segment: what can arrive at any time runs on a stack of its own. */
enum ist { IST_NONE, IST_NMI, IST_MACHINE_CHECK, IST_DOUBLE_FAULT, IST_COUNT };

/* Segment selectors of the host. */
#define SELECTOR_CODE 0x08
#define SELECTOR_DATA 0x10
#define SELECTOR_TSS  0x18

struct descriptor_table {
    uint16_t limit;
    uint64_t base;
} packed;

struct task_state {
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t reserved1;
    uint64_t ist[7]; /* ist[n - 1] is IST n */
    uint64_t reserved2;
    uint16_t reserved3, io_map;
} packed;
static_assert(sizeof(struct task_state) == 104, "64-bit TSS, APM 2 section 12.2.5");

struct vcpu;

/* One CPU. Owned by that CPU; others read `index`, `apic_id` and `vcpu` only, which never change after
 * launch. */
struct cpu {
    struct cpu *self; /* at GS:0 */
    /* An NMI that arrives in the hypervisor is noted, and code that stands between its last look at the note
     * and the guest starts again (core/exceptions.S). */
    uint64_t nmi_window, nmi_window_bytes, nmi_restart;
    uint64_t nmi_arrived;
    uint32_t index, apic_id;
    struct vcpu *vcpu;
    uint8_t *stack_top;
    uint64_t gdt[5];
    struct task_state tss;
    struct handoff_cpu entry;           /* how it came in */
    uint64_t entry_gs_base, entry_efer; /* the firmware's, replaced by ours from the start */
    uint8_t xmm[16][16] aligned_to(16); /* the guest's, between simd_begin and simd_end */
    uint32_t mxcsr;
    bool in_simd;
    bool init_arrived; /* an INIT was turned into #SX; taken by the guest's side */
};

#define CPU_NMI_WINDOW_OFFSET 8
static_assert(offsetof(struct cpu, nmi_window) == CPU_NMI_WINDOW_OFFSET, "exceptions.S and run.S");

extern struct cpu *cpus[HANDOFF_CPUS_MAX];
extern unsigned cpu_count;

static inline struct cpu *this_cpu(void)
{
    struct cpu *cpu;
    __asm__ volatile("mov %%gs:0, %0" : "=r"(cpu));
    return cpu;
}

/* Allocates a CPU's data and stacks. NULL when memory is short. */
struct cpu *cpu_create(unsigned index) must_check;

/* Loads the host's GDT, IDT and TSS on this CPU. */
void cpu_load_tables(struct cpu *cpu);

/* CR0 and CR4 for the host on this CPU: write protection, SMEP and SMAP where there are any. */
uint64_t cpu_host_cr0(void);
uint64_t cpu_host_cr4(void);
bool cpu_has_smap(void);
bool cpu_is_amd(void); /* or Hygon, whose CPUs are the same */

static inline uint64_t msr_read(uint32_t msr)
{
    uint32_t low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return low | (uint64_t)high << 32;
}

static inline void msr_write(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr" : : "a"((uint32_t)value), "d"((uint32_t)(value >> 32)), "c"(msr) : "memory");
}

/* False when the CPU raised #GP: no such MSR, or no such value. */
bool msr_read_safe(uint32_t msr, uint64_t *value) must_check;
bool msr_write_safe(uint32_t msr, uint64_t value) must_check;
/* XSETBV; CR4.OSXSAVE must be set. */
bool xcr_write_safe(uint32_t index, uint64_t value) must_check;

struct cpuid {
    uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct cpuid r;
    __asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
    return r;
}

static inline void port_write(uint16_t port, unsigned bytes, uint32_t value)
{
    if (bytes == 1)
        __asm__ volatile("outb %b0, %1" : : "a"(value), "Nd"(port));
    else if (bytes == 2)
        __asm__ volatile("outw %w0, %1" : : "a"(value), "Nd"(port));
    else
        __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint32_t port_read(uint16_t port, unsigned bytes)
{
    uint32_t value = 0;
    if (bytes == 1)
        __asm__ volatile("inb %1, %b0" : "+a"(value) : "Nd"(port));
    else if (bytes == 2)
        __asm__ volatile("inw %1, %w0" : "+a"(value) : "Nd"(port));
    else
        __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline uint64_t tsc_read(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return low | (uint64_t)high << 32;
}

static inline uint64_t cr0_read(void)
{
    uint64_t v;
    __asm__ volatile("mov %%cr0, %0" : "=r"(v));
    return v;
}
static inline uint64_t cr2_read(void)
{
    uint64_t v;
    __asm__ volatile("mov %%cr2, %0" : "=r"(v));
    return v;
}
static inline uint64_t cr3_read(void)
{
    uint64_t v;
    __asm__ volatile("mov %%cr3, %0" : "=r"(v));
    return v;
}
static inline uint64_t cr4_read(void)
{
    uint64_t v;
    __asm__ volatile("mov %%cr4, %0" : "=r"(v));
    return v;
}
static inline void cr0_write(uint64_t v)
{
    __asm__ volatile("mov %0, %%cr0" : : "r"(v) : "memory");
}
static inline void cr3_write(uint64_t v)
{
    __asm__ volatile("mov %0, %%cr3" : : "r"(v) : "memory");
}
static inline void cr4_write(uint64_t v)
{
    __asm__ volatile("mov %0, %%cr4" : : "r"(v) : "memory");
}

/* The APIC ID of the CPU that runs this code, from CPUID (32-bit where there is leaf 0Bh). */
uint32_t cpu_apic_id(void);

#endif
