/* SPDX-License-Identifier: Apache-2.0 */
/* The local APIC of the CPU that runs this code (AMD APM 2 chapter 16), as xAPIC or x2APIC, whichever the
 * guest has on. */
#ifndef SHOJI_CORE_APIC_H
#define SHOJI_CORE_APIC_H

#include "lib/base.h"

#define APIC_DEFAULT_BASE 0xfee00000ull

/* Register offsets of the xAPIC page. */
#define APIC_ID            0x20u
#define APIC_TPR           0x80u
#define APIC_EOI           0xb0u
#define APIC_LDR           0xd0u
#define APIC_DFR           0xe0u
#define APIC_SVR           0xf0u
#define APIC_ISR           0x100u
#define APIC_ICR_LOW       0x300u
#define APIC_ICR_HIGH      0x310u
#define APIC_LVT_TIMER     0x320u
#define APIC_LVT_PMC       0x340u
#define APIC_LVT_LAST      0x370u
#define APIC_TIMER_COUNT   0x380u
#define APIC_REGISTER_STEP 0x10u

#define ICR_VECTOR       0xffu
#define ICR_MODE         0x700u
#define ICR_MODE_FIXED   0x000u
#define ICR_MODE_NMI     0x400u
#define ICR_MODE_INIT    0x500u
#define ICR_MODE_STARTUP 0x600u
#define ICR_LOGICAL      0x800u
#define ICR_PENDING      0x1000u
#define ICR_ASSERT       0x4000u
#define ICR_LEVEL        0x8000u
#define ICR_SHORTHAND    0xc0000u
#define ICR_SELF         0x40000u
#define ICR_ALL          0x80000u
#define ICR_ALL_BUT_SELF 0xc0000u

#define LVT_MASKED 0x10000u
#define SVR_RESET  0xffu
#define DFR_RESET  0xffffffffu

/* Maps the register page. False when the window is full. */
bool apic_start(void) must_check;

bool apic_is_x2(void);
uint32_t apic_read(unsigned offset);
void apic_write(unsigned offset, uint32_t value);

/* Sends an interrupt command to one APIC by its physical ID; the guest's half-written ICR is put back. */
void apic_send(uint32_t apic_id, uint32_t command);

/* Sends a fixed vector to this CPU. */
void apic_send_self(uint8_t vector);

/* Sends an NMI to every other CPU: for panics. */
void apic_nmi_others(void);

#endif
