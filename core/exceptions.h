/* SPDX-License-Identifier: Apache-2.0 */
/* The host's interrupt descriptor table, shared by all CPUs. */
#ifndef SHOJI_CORE_EXCEPTIONS_H
#define SHOJI_CORE_EXCEPTIONS_H

#include "core/cpu.h"

struct exception_frame;

void exceptions_start(void);
struct descriptor_table exceptions_idt(void);

/* Called by the stubs. */
void exception_taken(struct exception_frame *frame);

#endif
