/* SPDX-License-Identifier: Apache-2.0 */
/* What a task switch reads and writes in the guest's memory: task state segments, descriptors, segments
 * (SDM volume 3A, sections 3.4 and 7.2). Outside long mode only. */
#ifndef SHOJI_GUEST_VMX_TASK_H
#define SHOJI_GUEST_VMX_TASK_H

#include "guest/vcpu.h"

#define TASK_GPRS      8
#define TASK_SEGMENTS  6 /* in the order of enum segment */
#define SELECTOR_RPL   3u
#define SELECTOR_TI    4u
#define SELECTOR_ERROR 0xfffcu /* of a selector, in an error code */

/* The part of a task state segment that a switch changes or loads. */
struct task {
    uint32_t cr3, eip, eflags, gpr[TASK_GPRS];
    uint16_t segment[TASK_SEGMENTS], ldtr;
    bool trap;
};

struct descriptor {
    uint32_t low, high;
};

/* All of these return false with the exception raised. Memory is reached with the privileges of the system.
 */
bool linear_read(struct vcpu *vcpu, uint64_t linear, void *to, size_t bytes) must_check;
bool linear_write(struct vcpu *vcpu, uint64_t linear, const void *from, size_t bytes) must_check;

bool task_read(struct vcpu *vcpu, uint64_t base, bool is_32, struct task *out) must_check;
/* EIP, EFLAGS, general and segment registers alone: the rest is not a switch's to write. */
bool task_write(struct vcpu *vcpu, uint64_t base, bool is_32, const struct task *task) must_check;

bool descriptor_read(struct vcpu *vcpu, uint16_t selector, struct descriptor *out) must_check;
/* Sets or clears bits of the type field. */
bool descriptor_set_type(struct vcpu *vcpu, uint16_t selector, uint32_t bits, bool on) must_check;
uint64_t descriptor_base(const struct descriptor *descriptor);
uint32_t descriptor_limit(const struct descriptor *descriptor);
uint32_t descriptor_rights(const struct descriptor *descriptor); /* as the VMCS has them */

/* A segment register as the new task has it, at this privilege level. */
bool segment_load(struct vcpu *vcpu, unsigned which, uint16_t selector, unsigned level) must_check;
bool segment_load_ldt(struct vcpu *vcpu, uint16_t selector) must_check;
void segment_set_null(unsigned which, uint16_t selector);

#endif
