/* SPDX-License-Identifier: Apache-2.0 */
/* The host's interrupt descriptor table. The hypervisor has no use for exceptions but two: a #GP in the
 * accessors of MSRs and XCRs is their answer, and #SX is an INIT that the CPU would otherwise have obeyed
 * (AMD APM volume 2, section 15.28). */
#include "core/exceptions.h"

#include "core/cpu.h"
#include "core/panic.h"
#include "core/registers.h"

struct gate {
    uint16_t offset_low, selector;
    uint8_t ist, type;
    uint16_t offset_middle;
    uint32_t offset_high, reserved;
};
static_assert(sizeof(struct gate) == 16, "64-bit gate, APM 2 section 4.8.3");

#define GATE_INTERRUPT     0x8e
#define SX_REDIRECTED_INIT 1u /* #SX's error code */

static struct gate idt[EXCEPTION_COUNT]; /* written before the second CPU enters */

extern const uint64_t exception_stubs[EXCEPTION_COUNT];

/* Where a #GP is an answer, and where it is taken. */
struct fixup {
    uint64_t at, fault;
};
extern const struct fixup exception_fixups[]; /* ends with zeros */

static enum ist ist_of(unsigned vector)
{
    switch (vector) {
    case EXCEPTION_NMI:
        return IST_NMI;
    case EXCEPTION_MC:
        return IST_MACHINE_CHECK;
    case EXCEPTION_DF:
        return IST_DOUBLE_FAULT;
    default:
        return IST_NONE;
    }
}

void exceptions_start(void)
{
    for (unsigned v = 0; v < EXCEPTION_COUNT; v++) {
        uint64_t stub = exception_stubs[v];
        idt[v] = (struct gate){
            .offset_low = (uint16_t)stub,
            .offset_middle = (uint16_t)(stub >> 16),
            .offset_high = (uint32_t)(stub >> 32),
            .selector = SELECTOR_CODE,
            .ist = ist_of(v),
            .type = GATE_INTERRUPT,
        };
    }
}

struct descriptor_table exceptions_idt(void)
{
    return (struct descriptor_table){.limit = sizeof idt - 1, .base = (uint64_t)idt};
}

static no_return void report_and_stop(const struct exception_frame *f)
{
#define U(x) ((unsigned long long)(x))
    panic_begin();
    panic_line("Exception %llu in the hypervisor, error code %llx, at %llx", U(f->vector), U(f->error_code),
               U(f->rip));
    panic_line("rax %016llx rbx %016llx rcx %016llx rdx %016llx", U(f->rax), U(f->rbx), U(f->rcx), U(f->rdx));
    panic_line("rsi %016llx rdi %016llx rbp %016llx rsp %016llx", U(f->rsi), U(f->rdi), U(f->rbp), U(f->rsp));
    panic_line("r8  %016llx r9  %016llx r10 %016llx r11 %016llx", U(f->r8), U(f->r9), U(f->r10), U(f->r11));
    panic_line("r12 %016llx r13 %016llx r14 %016llx r15 %016llx", U(f->r12), U(f->r13), U(f->r14), U(f->r15));
    panic_line("rflags %llx cs %llx cr0 %llx cr2 %llx cr3 %llx cr4 %llx", U(f->rflags), U(f->cs),
               U(cr0_read()), U(cr2_read()), U(cr3_read()), U(cr4_read()));
    panic_end();
#undef U
}

void exception_taken(struct exception_frame *frame)
{
    for (const struct fixup *f = exception_fixups; f->at && frame->vector == EXCEPTION_GP; f++)
        if (frame->rip == f->at) {
            frame->rip = f->fault;
            return;
        }
    if (frame->vector == EXCEPTION_SX && frame->error_code == SX_REDIRECTED_INIT) {
        this_cpu()->init_arrived = true;
        return;
    }
    report_and_stop(frame);
}
