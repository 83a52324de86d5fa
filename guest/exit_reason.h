/* SPDX-License-Identifier: Apache-2.0 */
/* Why CPUs leave the guest; the same list on AMD and Intel, counted per CPU. */
#ifndef SHOJI_GUEST_EXIT_REASON_H
#define SHOJI_GUEST_EXIT_REASON_H

enum exit_reason {
    EXIT_NMI,
    EXIT_NMI_COMPLETION, /* of these: completions were taken */
    EXIT_INIT,
    EXIT_CPUID,
    EXIT_MSR_READ,
    EXIT_MSR_WRITE,
    EXIT_PORT,
    EXIT_HYPERCALL,
    EXIT_MMIO_READ,
    EXIT_MMIO_WRITE,
    EXIT_APIC_WRITE,
    EXIT_WATCHED_PAGE,
    EXIT_BLOCK_ACCESS,
    EXIT_IRET,
    EXIT_STEP,
    EXIT_VIRTUALIZATION,   /* VMRUN and its like */
    EXIT_CONTROL_REGISTER, /* CR0, CR4, XCR0 */
    EXIT_STARTUP,          /* a start-up IPI */
    EXIT_NMI_WINDOW,
    EXIT_TASK_SWITCH,
    EXIT_SHUTDOWN,
    EXIT_OTHER,
    EXIT_REASON_COUNT,
};

extern const char *const exit_reason_names[EXIT_REASON_COUNT];

#endif
