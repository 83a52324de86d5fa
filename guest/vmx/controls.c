/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/vmx/controls.h"

#include "guest/vmx/vmcs.h"

/* Exits for what is the guest's own must not be forced upon us; the rest is needed, or taken where it is. */
static const struct {
    uint32_t needed, optional, forbidden;
} wishes[] = {
    [CONTROLS_PIN] = {.needed = PIN_NMI | PIN_VIRTUAL_NMIS,
                      .forbidden = PIN_EXTERNAL_INTERRUPT | PIN_PREEMPTION_TIMER},
    [CONTROLS_PROCESSOR] = {.needed = (uint32_t)(PROCESSOR_IO_BITMAPS | PROCESSOR_MSR_BITMAPS |
                                                 PROCESSOR_SECONDARY),
                            .forbidden = PROCESSOR_INTERRUPT_WINDOW | PROCESSOR_HLT | PROCESSOR_INVLPG |
                                         PROCESSOR_MWAIT | PROCESSOR_RDPMC | PROCESSOR_RDTSC |
                                         PROCESSOR_CR3_LOAD | PROCESSOR_CR3_STORE | PROCESSOR_CR8_LOAD |
                                         PROCESSOR_CR8_STORE | PROCESSOR_MOV_DR | PROCESSOR_IO_ALWAYS |
                                         PROCESSOR_MONITOR_TRAP | PROCESSOR_MONITOR | PROCESSOR_PAUSE},
    [CONTROLS_SECONDARY] = {.needed = SECONDARY_EPT | SECONDARY_UNRESTRICTED_GUEST,
                            /* Without these the instructions would be #UD in the guest. */
                            .optional = SECONDARY_RDTSCP | SECONDARY_INVPCID | SECONDARY_XSAVES |
                                        SECONDARY_USER_WAIT | SECONDARY_VPID,
                            .forbidden = SECONDARY_DESCRIPTOR_TABLES | SECONDARY_WBINVD | SECONDARY_RDRAND |
                                         SECONDARY_RDSEED},
    [CONTROLS_EXIT] = {.needed = EXIT_SAVE_DEBUG | EXIT_HOST_64 | EXIT_SAVE_PAT | EXIT_LOAD_PAT |
                                 EXIT_SAVE_EFER | EXIT_LOAD_EFER},
    [CONTROLS_ENTRY] = {.needed = ENTRY_LOAD_DEBUG | ENTRY_LOAD_PAT | ENTRY_LOAD_EFER,
                        .forbidden = ENTRY_SMM | ENTRY_DUAL_SMM},
};

bool controls_choose(enum control_group group, uint64_t capability, uint32_t *chosen)
{
    uint32_t must = (uint32_t)capability, may = (uint32_t)(capability >> 32);
    *chosen = ((wishes[group].needed | wishes[group].optional) & may) | must;
    return (*chosen & wishes[group].needed) == wishes[group].needed && !(*chosen & wishes[group].forbidden);
}
