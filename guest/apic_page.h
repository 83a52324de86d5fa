/* SPDX-License-Identifier: Apache-2.0 */
/* Where interrupt commands can be intercepted only by trapping writes to the APIC: when the trap is needed,
 * and what it does. */
#ifndef SHOJI_GUEST_APIC_PAGE_H
#define SHOJI_GUEST_APIC_PAGE_H

#include "guest/exit.h"
#include "guest/nested.h"

/* Closes the APIC of all CPUs for writes; `always`: it is never opened again. A machine with one CPU has
 * nobody to start and is not closed unless `always`. Called when the last CPU is taken: until then the
 * firmware wakes CPUs that are not yet the guest's. */
bool apic_page_start(unsigned cpu_count, bool always) must_check;

/* Closes it on all CPUs, whatever they are doing. */
bool apic_page_close_all(void) must_check;

/* On the CPU that runs this code: the guest announces that this CPU will start others (the warm-reset code in
 * CMOS; APIC_CLOSED), or this CPU was itself started (APIC_CLOSED_STARTED: until its first end of an
 * interrupt, so that its identity is seen); and that it is done. */
void apic_page_close(enum apic_trap trap);
void apic_page_open(void);

bool apic_page_is(uint64_t address);

/* What the guest may do with the page by itself now, on this CPU. */
enum nested_access apic_page_access(const struct vcpu *vcpu);

/* A write of the closed page. */
void exit_apic_write(struct vcpu *vcpu, uint64_t address);

/* A trapped write of the x2APIC's command register. False for #GP. */
bool apic_x2_command(struct vcpu *vcpu, uint64_t value);

#endif
