/* SPDX-License-Identifier: Apache-2.0 */
/* The hypercall of include/hypercall.h: reads status into registers, and nothing else. */
#include "include/hypercall.h"

#include "core/log.h"
#include "core/memory.h"
#include "core/probe.h"
#include "guest/exit.h"
#include "guest/status_source.h"
#include "lib/format.h"
#include "lib/strings.h"
#include "shoji-config.h"

#define INSTANCE_SHIFT 16
#define OBJECT_MASK    0xffffu

const char *const exit_reason_names[EXIT_REASON_COUNT] = {
    [EXIT_NMI] = "nmi",
    [EXIT_NMI_COMPLETION] = "nmi-completion",
    [EXIT_INIT] = "init",
    [EXIT_CPUID] = "cpuid",
    [EXIT_MSR_READ] = "msr-read",
    [EXIT_MSR_WRITE] = "msr-write",
    [EXIT_PORT] = "port",
    [EXIT_HYPERCALL] = "hypercall",
    [EXIT_MMIO_READ] = "mmio-read",
    [EXIT_MMIO_WRITE] = "mmio-write",
    [EXIT_APIC_WRITE] = "apic-write",
    [EXIT_WATCHED_PAGE] = "watched-page",
    [EXIT_BLOCK_ACCESS] = "block-access",
    [EXIT_IRET] = "iret",
    [EXIT_STEP] = "step",
    [EXIT_VIRTUALIZATION] = "virtualization",
    [EXIT_CONTROL_REGISTER] = "control-register",
    [EXIT_STARTUP] = "startup-ipi",
    [EXIT_NMI_WINDOW] = "nmi-window",
    [EXIT_TASK_SWITCH] = "task-switch",
    [EXIT_SHUTDOWN] = "shutdown",
    [EXIT_OTHER] = "other",
};
static_assert(EXIT_REASON_COUNT <= STATUS_REASONS_MAX, "hypercall ABI");

/* Any of the objects, as bytes. */
union object {
    struct status status;
    struct status_volume volume;
    struct status_cpu cpu;
    struct status_reason reason;
    uint8_t bytes[sizeof(struct status_cpu)];
};

extern const struct status_source __start_status_sources[], __stop_status_sources[];
static uint64_t launch_tsc;

void hypercall_start(void)
{
    launch_tsc = tsc_read();
}

static size_t read_status(union object *out)
{
    struct status *s = &out->status;
    const struct handoff *h = the_handoff();
    s->version = STATUS_VERSION;
    s->protections = PROTECTS_CPU | PROTECTS_SLEEP_REFUSED;
    if (h->volume_count)
        s->protections |= PROTECTS_DISK_COMMANDS;
    format(s->release, sizeof s->release, "%s", CONFIG_RELEASE);
    format(s->backend, sizeof s->backend, "%s", vcpu_backend_name());
    s->cpu_count = h->cpu_count;
    s->volume_count = h->volume_count;
    s->exit_reasons = EXIT_REASON_COUNT;
    for (unsigned i = 0; i < ARRAY_COUNT(vcpus); i++)
        s->cpus_running += vcpus[i] && vcpus[i]->state == VCPU_RUNNING;
    s->block_bytes = h->block_length;
    s->free_bytes = pages_left();
    s->tsc = tsc_read();
    s->blocked_accesses = mmio_blocked_accesses();
    s->log_lost = log_lost();
    s->launch_tsc = launch_tsc;
    return sizeof *s;
}

static size_t read_volume(unsigned instance, union object *out)
{
    if (instance >= the_handoff()->volume_count)
        return 0;
    for (const struct status_source *s = __start_status_sources; s < __stop_status_sources; s++)
        s->volume(instance, &out->volume);
    return sizeof out->volume;
}

static size_t read_cpu(unsigned instance, union object *out)
{
    const struct vcpu *vcpu = instance < ARRAY_COUNT(vcpus) ? vcpus[instance] : NULL;
    struct status_cpu *c = &out->cpu;
    if (!vcpu || !vcpu->cpu)
        return 0;
    c->apic_id = vcpu->cpu->apic_id;
    c->state = vcpu->state;
    c->exits = vcpu->exit_total;
    c->nmis_claimed = vcpu->nmis_claimed;
    c->nmis_injected = vcpu->nmis_injected;
    c->nmis_swallowed = vcpu->nmis_swallowed;
    c->vectors_raised = vcpu->vectors_raised;
    memcpy(c->by_reason, vcpu->exits, sizeof vcpu->exits);
    return sizeof *c;
}

static size_t read_reason(unsigned instance, union object *out)
{
    if (instance >= EXIT_REASON_COUNT)
        return 0;
    format(out->reason.name, sizeof out->reason.name, "%s", exit_reason_names[instance]);
    return sizeof out->reason;
}

/* Copies the chunk at `offset` and returns the object's size; 0: there is no such object. */
static size_t read_object(uint64_t which, uint64_t offset, uint8_t chunk[HYPERCALL_CHUNK])
{
    union object object = {0};
    unsigned instance = (unsigned)(which >> INSTANCE_SHIFT);
    size_t size = 0;
    switch (which & OBJECT_MASK) {
    case OBJECT_STATUS:
        size = instance ? 0 : read_status(&object);
        break;
    case OBJECT_VOLUME:
        size = read_volume(instance, &object);
        break;
    case OBJECT_CPU:
        size = read_cpu(instance, &object);
        break;
    case OBJECT_REASON:
        size = read_reason(instance, &object);
        break;
    case OBJECT_LOG:
        if (!instance && offset < log_size())
            log_copy(offset, chunk, HYPERCALL_CHUNK);
        return instance ? 0 : log_size();
    default:
        break;
    }
    if (offset < size)
        memcpy(chunk, object.bytes + offset, MIN(size - offset, (uint64_t)HYPERCALL_CHUNK));
    return size;
}

void exit_hypercall(struct vcpu *vcpu)
{
    uint64_t data[HYPERCALL_CHUNK / sizeof(uint64_t)] = {0};
    if (vcpu->gpr[RAX] != HYPERCALL_MAGIC) {
        exit_undefined(vcpu);
        return;
    }
    count_exit(vcpu, EXIT_HYPERCALL);
    uint64_t offset = vcpu->gpr[RCX];
    size_t size = vcpu->gpr[RBX] >> 32 ? 0 : read_object(vcpu->gpr[RBX], offset, (uint8_t *)data);
    vcpu->gpr[RAX] = !size ? HYPERCALL_NO_OBJECT : offset >= size ? HYPERCALL_BAD_OFFSET : HYPERCALL_OK;
    vcpu->gpr[RBX] = size;
    vcpu->gpr[RCX] = data[0];
    vcpu->gpr[RDX] = data[1];
    vcpu->gpr[RSI] = data[2];
    vcpu->gpr[RDI] = data[3];
    vcpu_skip(vcpu, 3); /* VMMCALL and VMCALL; a prefixed one is not a form that the ABI has */
}

void exit_undefined(struct vcpu *vcpu)
{
    count_exit(vcpu, EXIT_VIRTUALIZATION);
    vcpu_inject(vcpu, EXCEPTION_UD, 0);
}
