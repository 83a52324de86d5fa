/* SPDX-License-Identifier: Apache-2.0 */
/* AMD's SVM cannot intercept start-up IPIs, and INIT only by detours (where the back end can, nothing here is
 * ever closed). So while the guest starts CPUs, its
 * APIC page is read-only to it (reads stay native) and each write comes here. Every end-of-interrupt is such
 * a write, so the page is opened as soon as starting is over. */
#include "guest/apic_page.h"

#include "core/apic.h"
#include "core/log.h"
#include "core/spinlock.h"
#include "guest/destination.h"
#include "guest/nested.h"
#include "guest/startup.h"
#include "guest/walk.h"

#define XAPIC_DESTINATION_SHIFT 24

static bool always_closed; /* constant after start */

static struct spinlock
    lock; /* of the next one, of changes of `apic_trap`, and of the x2APIC's bit in the map */
static unsigned
    closed_count; /* CPUs whose page is closed; above zero the x2APIC's register is trapped for all */

/* Each CPU has a page of its own in the nested tables, and only the CPU that announced start-ups has to be
 * watched: the others are left alone. They may be parked in memory that has another owner by now, where an
 * exit, which ends a HLT, would let them run on. */
static bool set_closed(struct vcpu *vcpu, enum apic_trap trap)
{
    spin_lock(&lock);
    bool was = vcpu->apic_trap != APIC_OPEN, is = trap != APIC_OPEN;
    vcpu->apic_trap = trap;
    closed_count = closed_count + is - was;
    vcpu_trap_msr_write(MSR_X2APIC_ICR, closed_count);
    spin_unlock(&lock);
    return was == is || nested_set(vcpu, APIC_DEFAULT_BASE, APIC_DEFAULT_BASE, apic_page_access(vcpu));
}

bool apic_page_close_all(void)
{
    if (vcpu_starts_natively())
        return true;
    spin_lock(&lock);
    closed_count = 0;
    for (unsigned i = 0; i < ARRAY_COUNT(vcpus); i++)
        if (vcpus[i]) {
            vcpus[i]->apic_trap = APIC_CLOSED;
            closed_count++;
        }
    vcpu_trap_msr_write(MSR_X2APIC_ICR, true);
    spin_unlock(&lock);
    return nested_set_all(APIC_DEFAULT_BASE, NESTED_READ);
}

bool apic_page_start(unsigned count, bool always)
{
    always_closed = always;
    return (count < 2 && !always) || apic_page_close_all();
}

void apic_page_close(enum apic_trap trap)
{
    if (!vcpu_starts_natively() && !set_closed(this_vcpu(), trap))
        log_limited("no memory to trap the APIC page");
}

void apic_page_open(void)
{
    if (!vcpu_starts_natively() && !always_closed && !set_closed(this_vcpu(), APIC_OPEN))
        log_limited("no memory to open the APIC page");
}

bool apic_page_is(uint64_t address)
{
    return (address & ~PAGE_MASK) == APIC_DEFAULT_BASE;
}

enum nested_access apic_page_access(const struct vcpu *vcpu)
{
    return vcpu->apic_trap == APIC_OPEN ? NESTED_ALL : NESTED_READ;
}

static void write_register(struct vcpu *vcpu, unsigned offset, uint32_t value)
{
    if (offset == APIC_ICR_LOW &&
        startup_command(vcpu, value, apic_read(APIC_ICR_HIGH) >> XAPIC_DESTINATION_SHIFT))
        return;
    apic_write(offset, value);
    if (offset == APIC_LDR || offset == APIC_DFR)
        destination_note(vcpu);
    /* The first end of an interrupt: a CPU that was started is set up. */
    if (offset == APIC_EOI && vcpu->apic_trap == APIC_CLOSED_STARTED)
        apic_page_open();
}

void exit_apic_write(struct vcpu *vcpu, uint64_t address)
{
    uint8_t bytes[INSTRUCTION_MAX];
    struct decoded op;
    count_exit(vcpu, EXIT_APIC_WRITE);
    if (vcpu_injection_due(vcpu) || !decode(bytes, walk_fetch(vcpu, bytes), walk_decode_mode(vcpu), &op) ||
        op.access_bytes != 4 || (op.kind != DECODE_STORE && op.kind != DECODE_EXCHANGE)) {
        log_limited("cpu %u: cannot decode a write to the APIC at %llx", vcpu->cpu->index,
                    (unsigned long long)address);
        vcpu_inject(vcpu, EXCEPTION_GP, 0);
        return;
    }
    unsigned offset = address & PAGE_MASK & ~(APIC_REGISTER_STEP - 1);
    uint32_t value = (uint32_t)(op.has_immediate ? op.immediate : vcpu->gpr[op.reg]);
    if (apic_is_x2()) { /* the page is not the APIC's in that mode */
        vcpu_skip(vcpu, op.length);
        return;
    }
    if (op.kind == DECODE_EXCHANGE)
        vcpu->gpr[op.reg] = apic_read(offset);
    vcpu_skip(vcpu, op.length);
    write_register(vcpu, offset, value);
}

bool apic_x2_command(struct vcpu *vcpu, uint64_t value)
{
    return startup_command(vcpu, (uint32_t)value, (uint32_t)(value >> 32)) ||
           msr_write_safe(MSR_X2APIC_ICR, value);
}
