/* SPDX-License-Identifier: Apache-2.0 */
/* The table of MSRs that the guest may not use as it likes. All others are native. */
#ifndef SHOJI_GUEST_MSR_H
#define SHOJI_GUEST_MSR_H

/* Sets the traps. Before the first CPU runs, in the back end's start. */
void msr_start(void);

#endif
