/* SPDX-License-Identifier: Apache-2.0 */
/* AMD's SVM cannot intercept start-up IPIs, and INIT only by detours. So while the guest starts CPUs, its
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

static struct spinlock lock; /* of the next one, and of changes to the page's trap */
static bool closed;          /* read without the lock too */
static bool always_closed;   /* constant after start */

static bool set_closed(bool close)
{
    bool done = true;
    spin_lock(&lock);
    if (closed != close) {
        __atomic_store_n(&closed, close, __ATOMIC_SEQ_CST);
        vcpu_trap_msr_write(MSR_X2APIC_ICR, close);
        done = nested_set_all(APIC_DEFAULT_BASE, close ? NESTED_READ : NESTED_ALL);
    }
    spin_unlock(&lock);
    return done;
}

bool apic_page_start(unsigned count, bool always)
{
    always_closed = always;
    return count < 2 && !always ? true : set_closed(true);
}

void apic_page_close(void)
{
    if (!set_closed(true))
        log_limited("no memory to trap the APIC page");
}

void apic_page_open(void)
{
    if (!always_closed && !set_closed(false))
        log_limited("no memory to open the APIC page");
}

bool apic_page_is(uint64_t address)
{
    return (address & ~PAGE_MASK) == APIC_DEFAULT_BASE;
}

enum nested_access apic_page_access(void)
{
    return __atomic_load_n(&closed, __ATOMIC_SEQ_CST) ? NESTED_READ : NESTED_ALL;
}

static void write_register(struct vcpu *vcpu, unsigned offset, uint32_t value)
{
    if (offset == APIC_ICR_LOW &&
        startup_command(vcpu, value, apic_read(APIC_ICR_HIGH) >> XAPIC_DESTINATION_SHIFT))
        return;
    apic_write(offset, value);
    if (offset == APIC_LDR || offset == APIC_DFR)
        destination_note(vcpu);
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
