/* SPDX-License-Identifier: Apache-2.0 */
/* The runtime of the EFI tests: a machine of their own (page tables, descriptor tables, exception handlers)
 * under the firmware that started them, verdicts on COM1, and the other CPUs. */
#ifndef SHOJI_TESTS_SYSTEM_EFI_RUNTIME_H
#define SHOJI_TESTS_SYSTEM_EFI_RUNTIME_H

#include "core/cpu.h"
#include "core/registers.h"
#include "lib/base.h"

/* ---- What the tests say (serial.c) ---- */

void say(const char *fmt, ...) printf_like(1, 2);

/* `verdict NAME VALUE`: what every x86 CPU answers alike, so it is equal on both lanes, bare and under Shoji.
 * `model NAME VALUE`: what depends on the CPU's model; equal to the bare machine of the same lane. */
void verdict(const char *name, const char *fmt, ...) printf_like(2, 3);
void model(const char *name, const char *fmt, ...) printf_like(2, 3);

/* ---- The machine (machine.c) ---- */

#define SELECTOR_CODE64      0x08
#define SELECTOR_FLAT        0x10
#define SELECTOR_CODE32      0x18
#define SELECTOR_CODE32_LOW  0x20 /* the base of these three is low_memory + LOW_MODES */
#define SELECTOR_CODE16_LOW  0x28
#define SELECTOR_DATA_LOW    0x30
#define SELECTOR_USER_FLAT   0x3b
#define SELECTOR_USER_CODE64 0x43
#define SELECTOR_TASK        0x48 /* two entries */
#define SELECTOR_TASK_A      0x58 /* of the task switch test */
#define SELECTOR_TASK_B      0x60
#define SELECTOR_DEVICE      0x70 /* 64 KiB from the device's page */
#define GDT_ENTRIES          16

/* Low memory, from low_memory: below 1 MiB, page aligned. */
#define LOW_START 0x0000u /* what the other CPUs start with */
#define LOW_MODES 0x1000u /* code of the mode tests */
#define LOW_BYTES 0x5000u

#define CPUS_MAX       4
#define CPU_BYTES      KIB(32)
#define VECTORS        64
#define VECTOR_DONE    0x30 /* ring 3 is through */
#define VECTOR_TEST    0x31
#define EXCEPTION_NONE (-1)

/* The general registers of a piece of code, in the order of x86's numbering, and its flags. */
struct registers {
    uint64_t gpr[GPR_COUNT]; /* gpr[RSP] is not used */
    uint64_t rflags;
};

/* What an exception handler finds; runtime.S knows the layout. */
struct frame {
    struct registers r;
    uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

/* How a piece of code ended. */
struct outcome {
    int vector; /* EXCEPTION_NONE: it returned */
    uint32_t error;
    uint64_t address; /* CR2 */
    uint64_t offset;  /* of the faulting instruction from the code's start */
};

struct test_cpu;
/* Called in exception context; true: the code goes on at frame->rip. */
typedef bool (*vector_hook)(struct test_cpu *cpu, struct frame *frame);

/* One CPU, at the start of CPU_BYTES that are aligned to their size and hold its stacks, so that the stack
 * pointer tells which CPU this is. */
struct test_cpu {
    uint32_t index, apic_id;
    uint64_t gdt[GDT_ENTRIES];
    struct task_state tss;
    vector_hook hooks[VECTORS];
    uint64_t recover_rsp; /* of the code that is being tried; 0: none */
    const void *code;
    struct registers *registers;
    struct outcome outcome;
    volatile uint64_t nmis;
};

extern struct test_cpu *test_cpus[CPUS_MAX];
extern unsigned test_cpu_count;
extern uint64_t low_memory;         /* physical */
extern uint64_t device_page;        /* the test core's register page, or a page of RAM on the bare machine */
extern bool device_is_trapped;      /* which of the two */
extern uint64_t block, block_bytes; /* the hypervisor's memory; 0: there is none */

static inline struct test_cpu *me(void)
{
    uint64_t rsp;
    __asm__ volatile("mov %%rsp, %0" : "=r"(rsp));
    return (struct test_cpu *)ROUND_DOWN(rsp, CPU_BYTES);
}

/* Takes the machine from the firmware, for good: all memory comes from `memory`, and interrupts are off. */
void machine_take(struct test_cpu *const memory[], const uint32_t apic_ids[], unsigned cpus, uint64_t tables);
void machine_load_tables(struct test_cpu *cpu);
uint64_t machine_cr3(void);
uint64_t machine_directory(unsigned gigabyte); /* the page directory of one GiB, of 2 MiB pages */

/* A page of 4 KiB at WINDOW + n * PAGE_SIZE shows `physical`; flags 0: nothing. Anyone may use it (ring 3).
 */
#define WINDOW 0xc0000000ull
void window_map(unsigned n, uint64_t physical, uint64_t flags);
#define WINDOW_OPEN (PTE_PRESENT | PTE_WRITE | PTE_USER)

/* Cleared pages, never given back. */
void *pages(unsigned count);

/* ---- Trying code (exceptions.c, runtime.S) ---- */

/* CODE(name, "instructions"): a piece of code for try_code. */
#define CODE(name, text)                                                                                     \
    extern const char name[];                                                                                \
    __asm__(".pushsection .text\n\t.type " #name ", @function\n" #name ":\n\t" text "\n\tret\n\t."           \
            "popsection")

/* Runs the code with these registers, and gives back what is in them afterwards; at privilege level 0, and 3.
 * `r` may be NULL. */
struct outcome try_code(const char *code, struct registers *r);
struct outcome try_code_user(const char *code, struct registers *r);

/* The outcome as text: "ok", "#GP(0)", "#PF(2) c0000000". */
struct text {
    char s[96];
};
struct text outcome_text(struct outcome o);

/* ---- Other CPUs (cpus.c, start.S) ---- */

void apic_command(uint32_t apic_id, uint32_t command);
void apic_end_of_interrupt(void);

/* INIT and a start-up IPI; the CPU then runs `work` on its own stack for ever, or halts when it returns.
 * False when it did not come. */
bool cpu_start(struct test_cpu *cpu, void (*work)(struct test_cpu *cpu));
void cpu_init_only(struct test_cpu *cpu);

/* Waits until *word == value; false when it takes too long. */
bool wait_for(const volatile uint64_t *word, uint64_t value);

static inline void relax(void)
{
    __builtin_ia32_pause();
}

/* What a CPU found in its registers at the start-up IPI; start.S writes it. */
struct start_record {
    uint32_t eax, edx, flags, cr0, cr2, cr3, cr4, dr6, dr7, efer;
    uint16_t cs, ds, ss, sp;
    uint32_t gdt_limit, idt_limit;
};
extern struct start_record start_record;

/* ---- The tests ---- */

struct test {
    const char *name;
    void (*run)(void);
    unsigned cpus; /* how many it needs */
};
void test_cpuid(void);
void test_msr(void);
void test_control(void);
void test_virtualization(void);
void test_block(void);
void test_mmio(void);
void test_step(void);
void test_string_io(void);
void test_modes(void);
void test_tasks(void);
void test_nmi(void);
void test_nmi_other(void);
void test_claim(void);
void test_startup(void);
void test_paging5(void);

#endif
