/* SPDX-License-Identifier: Apache-2.0 */
/* INS and OUTS on trapped ports. */
#ifndef SHOJI_GUEST_STRING_IO_H
#define SHOJI_GUEST_STRING_IO_H

#include "guest/exit.h"

/* Does a string instruction that exited at a trapped port: so many repetitions as one exit may take, then the
 * same instruction comes back. After a fault the registers stand as after the last repetition that was
 * completed. */
void string_io(struct vcpu *vcpu, const struct port_access *access);

#endif
