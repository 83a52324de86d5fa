/* SPDX-License-Identifier: Apache-2.0 */
/* The choice of the back end, and the common part of what guest/vcpu.h asks of it. */
#include "guest/backend.h"

#include "core/panic.h"
#include "core/probe.h"
#include "guest/trap_maps.h"
#include "lib/decode.h"

static const struct backend *const backends[] = {&svm_backend, &vmx_backend};
static const struct backend *backend; /* constant after backend_start */

uint64_t backend_start(void)
{
    for (unsigned i = 0; i < ARRAY_COUNT(backends); i++)
        if (backends[i]->offered()) {
            backend = backends[i];
            uint64_t status = backend->start();
            return status == CORE_OK && !trap_maps_create() ? CORE_NO_MEMORY : status;
        }
    return CORE_NO_VIRTUALIZATION;
}

const struct backend *the_backend(void)
{
    return backend;
}

uint64_t vcpu_cr(const struct vcpu *vcpu, enum control_register cr)
{
    return backend->cr(vcpu, cr);
}

void vcpu_set_cr2(struct vcpu *vcpu, uint64_t address)
{
    backend->set_cr2(vcpu, address);
}

uint64_t vcpu_efer(const struct vcpu *vcpu)
{
    return backend->efer(vcpu);
}

void vcpu_set_efer(struct vcpu *vcpu, uint64_t efer)
{
    backend->set_efer(vcpu, efer);
    backend->flush(vcpu);
}

unsigned vcpu_cpl(const struct vcpu *vcpu)
{
    return backend->cpl(vcpu);
}

struct vcpu_segment vcpu_segment(const struct vcpu *vcpu, unsigned segment)
{
    return backend->segment(vcpu, segment);
}

void vcpu_skip(struct vcpu *vcpu, unsigned length)
{
    vcpu->rip += length;
    struct vcpu_segment cs = vcpu_segment(vcpu, SEGMENT_CS);
    if (!((vcpu_efer(vcpu) & EFER_LMA) && cs.long_mode))
        vcpu->rip &= 0xffffffffull;
    backend->end_shadow(vcpu);
    vcpu->rflags &= ~RFLAGS_RF;
    if ((vcpu->rflags & RFLAGS_TF) && !vcpu_injection_due(vcpu)) {
        vcpu_set_dr6(vcpu, vcpu_dr6(vcpu) | DR6_BS);
        vcpu_inject(vcpu, EXCEPTION_DB, 0);
    }
}

static bool has_error_code(enum exception exception)
{
    switch (exception) {
    case EXCEPTION_DF:
    case EXCEPTION_TS:
    case EXCEPTION_NP:
    case EXCEPTION_SS:
    case EXCEPTION_GP:
    case EXCEPTION_PF:
    case EXCEPTION_AC:
    case EXCEPTION_CP:
        return true;
    default:
        return false;
    }
}

void vcpu_inject(struct vcpu *vcpu, enum exception exception, uint32_t error_code)
{
    bool real_mode = !(vcpu_cr(vcpu, CR0) & CR0_PE); /* which pushes none */
    backend->inject(vcpu, exception, has_error_code(exception) && !real_mode, error_code);
}

void vcpu_inject_nmi(struct vcpu *vcpu)
{
    backend->inject_nmi(vcpu);
}

bool vcpu_injection_due(const struct vcpu *vcpu)
{
    return backend->injection_due(vcpu);
}

void vcpu_trap_iret(struct vcpu *vcpu, bool on)
{
    backend->trap_iret(vcpu, on);
}

void vcpu_trap_step(struct vcpu *vcpu, bool on)
{
    backend->trap_step(vcpu, on);
    if (!on)
        return;
    vcpu->rflags |= RFLAGS_TF;
    vcpu->rflags &= ~RFLAGS_IF;
}

uint64_t vcpu_dr6(const struct vcpu *vcpu)
{
    return backend->dr6(vcpu);
}

void vcpu_set_dr6(struct vcpu *vcpu, uint64_t dr6)
{
    backend->set_dr6(vcpu, dr6);
}

void vcpu_reset_to_vector(struct vcpu *vcpu, uint8_t vector)
{
    for (unsigned i = 0; i < GPR_COUNT; i++)
        vcpu->gpr[i] = 0;
    vcpu->gpr[RDX] = cpuid(CPUID_LEAF_SIGNATURE, 0).eax;
    vcpu->rip = 0;
    vcpu->rflags = RFLAGS_ONE;
    /* DR0 to DR3 are the guest's while the hypervisor runs, too. */
    __asm__ volatile("mov %0, %%dr0\n\tmov %0, %%dr1\n\tmov %0, %%dr2\n\tmov %0, %%dr3" : : "r"(0ull));
    backend->reset_to_vector(vcpu, vector);
    backend->flush(vcpu);
}

void vcpu_flush(struct vcpu *vcpu)
{
    backend->flush(vcpu);
}

void vcpu_consume_nmi(void)
{
    backend->consume_nmi();
}

bool vcpu_starts_natively(void)
{
    return backend->starts_natively && the_handoff()->apic == HANDOFF_APIC_AUTO;
}

void vcpu_memory_types_changed(void)
{
    if (backend->memory_types_changed)
        backend->memory_types_changed();
}

void vcpu_dump(const struct vcpu *vcpu)
{
#define U(x) ((unsigned long long)(x))
    const uint64_t *r = vcpu->gpr;
    struct vcpu_segment cs = vcpu_segment(vcpu, SEGMENT_CS);
    panic_line("guest cpu %u: rip %04x:%016llx rflags %llx cs.base %llx cpl %u", vcpu->cpu->index,
               cs.selector, U(vcpu->rip), U(vcpu->rflags), U(cs.base), vcpu_cpl(vcpu));
    panic_line("rax %016llx rbx %016llx rcx %016llx rdx %016llx", U(r[RAX]), U(r[RBX]), U(r[RCX]), U(r[RDX]));
    panic_line("rsi %016llx rdi %016llx rbp %016llx rsp %016llx", U(r[RSI]), U(r[RDI]), U(r[RBP]), U(r[RSP]));
    panic_line("r8  %016llx r9  %016llx r10 %016llx r11 %016llx", U(r[R8]), U(r[R9]), U(r[R10]), U(r[R11]));
    panic_line("r12 %016llx r13 %016llx r14 %016llx r15 %016llx", U(r[R12]), U(r[R13]), U(r[R14]), U(r[R15]));
    panic_line("cr0 %llx cr2 %llx cr3 %llx cr4 %llx efer %llx", U(vcpu_cr(vcpu, CR0)), U(vcpu_cr(vcpu, CR2)),
               U(vcpu_cr(vcpu, CR3)), U(vcpu_cr(vcpu, CR4)), U(vcpu_efer(vcpu)));
    backend->dump(vcpu);
#undef U
}

const char *vcpu_backend_name(void)
{
    return backend->name;
}
