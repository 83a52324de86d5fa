/* SPDX-License-Identifier: Apache-2.0 */
/* The table of MSRs that the guest may not use as it likes. All others in the ranges of the permission map
 * are native; outside of these, reads are native and writes are refused. */
#ifndef SHOJI_GUEST_MSR_H
#define SHOJI_GUEST_MSR_H

/* Sets the traps. Before the first CPU runs, after the back end's start. */
void msr_start(void);

#endif
