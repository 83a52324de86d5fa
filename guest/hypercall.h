/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHOJI_GUEST_HYPERCALL_H
#define SHOJI_GUEST_HYPERCALL_H

/* Notes the time of the launch for the status. */
void hypercall_start(void);

#endif
