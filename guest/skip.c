/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/exit.h"

#include "core/log.h"
#include "guest/walk.h"

void skip_known(struct vcpu *vcpu, const uint8_t *opcode, size_t opcode_bytes)
{
    uint8_t bytes[INSTRUCTION_MAX];
    size_t size = walk_fetch(vcpu, bytes);
    unsigned length = decode_length_of(bytes, size, walk_decode_mode(vcpu), opcode, opcode_bytes);
    if (length) {
        vcpu_skip(vcpu, length);
        return;
    }
    /* Another CPU changed the instruction under this one, or it lies where nothing can be read. */
    log_limited("cpu %u: an instruction that exited is not there any more", vcpu->cpu->index);
    vcpu_inject(vcpu, EXCEPTION_GP, 0);
}
