/* SPDX-License-Identifier: Apache-2.0 */
/* One CPU of the guest, as the common handlers see it. What differs between AMD and Intel stands behind the
 * functions at the end, which answer through the table of guest/backend.h. */
#ifndef SHOJI_GUEST_VCPU_H
#define SHOJI_GUEST_VCPU_H

#include "core/cpu.h"
#include "core/registers.h"
#include "guest/exit_reason.h"
#include "lib/base.h"

enum vcpu_state { VCPU_ABSENT = 0, VCPU_RUNNING = 1, VCPU_WAIT_FOR_SIPI = 2 };

/* What another CPU wants of this one; set with vcpu_request, taken at the next exit. */
enum vcpu_request {
    REQUEST_INIT = 1 << 0,
    REQUEST_NMI = 1 << 1,  /* the guest sent it an NMI                     */
    REQUEST_LOOK = 1 << 2, /* nested translations changed: see nested_generation */
};

/* Whether writes to the APIC's page exit (guest/apic_page.c). */
enum apic_trap { APIC_OPEN, APIC_CLOSED, APIC_CLOSED_STARTED };

#define SIPI_NONE      0x100u
#define STEP_PAGES_MAX 4

/* Owned by its CPU, but for `requests`, `sipi_vector`, `kicks`, `kicks_in_flight` and `last_kick`, which
 * other CPUs write (atomically), and the counters, the APIC's identities and `inits_taken`, which any reads.
 */
struct vcpu {
    uint64_t gpr[GPR_COUNT]; /* RAX and RSP too; run.S knows this offset */
    void *backend;           /* the back end's own part; run.S knows this offset too */
    uint64_t rip, rflags;
    struct cpu *cpu;
    uint8_t *scratch_page; /* what the guest finds where the block is */

    uint32_t requests;
    uint32_t sipi_vector;
    uint32_t inits_taken;            /* how often: tells the sender of an INIT that it has arrived */
    uint32_t kicks, kicks_in_flight; /* NMIs that other CPUs sent this one; of these, what the sender has not
                                        yet given to its APIC */
    uint64_t last_kick;              /* TSC when the last of them was sent */
    bool in_guest;                   /* between the last look at the nested generation and the next exit */
    enum vcpu_state state;
    enum apic_trap apic_trap;               /* of its own page */
    uint8_t logical_id, destination_format; /* of its xAPIC: LDR and DFR, by destination_note */

    /* NMIs (guest/nmi.c). */
    bool nmi_blocked; /* delivered, its IRET not yet seen               */
    bool nmi_pending;
    unsigned stale_nmis;      /* how many may still come whose cause was taken  */
    uint64_t stale_nmi_since; /* TSC                                            */
    uint32_t kicks_seen;      /* of `kicks`, those whose request was taken      */

    /* Stepping one instruction (guest/step.c). */
    bool stepping;
    uint64_t step_saved_dr6;
    uint64_t step_saved_flags; /* RFLAGS.IF and TF */
    bool step_is_iret;
    unsigned step_pages;
    uint64_t step_page[STEP_PAGES_MAX];

    /* Nested paging (guest/nested.c). */
    uint64_t *nested_root;
    uint64_t nested_seen; /* the generation of the translations that this CPU has flushed for */

    uint64_t exits[EXIT_REASON_COUNT];
    uint64_t exit_total, nmis_claimed, nmis_injected, nmis_swallowed, vectors_raised;
};

#define VCPU_BACKEND_OFFSET 128
static_assert(offsetof(struct vcpu, backend) == VCPU_BACKEND_OFFSET, "run.S");

extern struct vcpu *vcpus[HANDOFF_CPUS_MAX]; /* by index; complete once all CPUs are taken */

struct vcpu *this_vcpu(void);

/* Sets request bits of another (or this) CPU and makes it exit. */
void vcpu_request(struct vcpu *vcpu, uint32_t requests);

/* ---- Answers of the back end ---- */

enum control_register { CR0, CR2, CR3, CR4 };

struct vcpu_segment {
    uint64_t base;
    uint32_t limit;
    uint16_t selector;
    bool long_mode, default_32; /* CS.L, CS.D */
};

uint64_t vcpu_cr(const struct vcpu *vcpu, enum control_register cr); /* as the guest sees it */
void vcpu_set_cr2(struct vcpu *vcpu, uint64_t address);              /* for a page fault that is raised */
uint64_t vcpu_efer(const struct vcpu *vcpu);                         /* as the guest sees it */
void vcpu_set_efer(struct vcpu *vcpu, uint64_t efer);
unsigned vcpu_cpl(const struct vcpu *vcpu);
struct vcpu_segment vcpu_segment(const struct vcpu *vcpu,
                                 unsigned segment); /* enum segment of lib/decode.h */

/* Moves past the instruction that was emulated, ends an interrupt shadow, and raises the #DB of a guest that
 * single-steps. */
void vcpu_skip(struct vcpu *vcpu, unsigned length);

/* Makes the guest take an exception before its next instruction. The error code counts where there is one. */
void vcpu_inject(struct vcpu *vcpu, enum exception exception, uint32_t error_code);
void vcpu_inject_nmi(struct vcpu *vcpu);
bool vcpu_injection_due(const struct vcpu *vcpu);

/* Exits on IRET, where the CPU itself does not tell when NMIs are open again; on #DB and every other
 * exception, with RFLAGS.TF set and IF clear for one instruction. */
void vcpu_trap_iret(struct vcpu *vcpu, bool on);
void vcpu_trap_step(struct vcpu *vcpu, bool on);
uint64_t vcpu_dr6(const struct vcpu *vcpu);
void vcpu_set_dr6(struct vcpu *vcpu, uint64_t dr6);

/* Whether INIT and start-up IPIs exit by themselves; else the hypervisor watches who sends them, and waits in
 * the CPU's place. */
bool vcpu_starts_natively(void);

/* The state after a start-up IPI (APM 2 section 15.27.8 and table 14-1; SDM 3A table 9-1). */
void vcpu_reset_to_vector(struct vcpu *vcpu, uint8_t vector);

/* Drops all cached translations of the guest on this CPU before it runs again. */
void vcpu_flush(struct vcpu *vcpu);

/* Takes the NMI that made this CPU exit, and any that came since. */
void vcpu_consume_nmi(void);

/* A port or MSR access exits, or not. Before the first CPU runs. */
void vcpu_trap_port(uint16_t port);
void vcpu_trap_msr(uint32_t msr, bool reads, bool writes);
/* The x2APIC interrupt command register alone, at run time. */
void vcpu_trap_msr_write(uint32_t msr, bool on);

/* The guest has changed an MTRR of this CPU. */
void vcpu_memory_types_changed(void);

/* The dump of a panic. */
void vcpu_dump(const struct vcpu *vcpu);
const char *vcpu_backend_name(void);

#endif
