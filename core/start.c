/* SPDX-License-Identifier: Apache-2.0 */
/* The way in: each CPU calls core_enter once, from the loader's stub, and leaves as the guest's. */
#include "core/allocator.h"
#include "core/apic.h"
#include "core/cpu.h"
#include "core/exceptions.h"
#include "core/log.h"
#include "core/memory.h"
#include "core/paging.h"
#include "core/probe.h"
#include "core/registers.h"
#include "core/screen.h"
#include "core/serial.h"
#include "lib/strings.h"
#include "shoji-config.h"

extern const struct probe __start_probes[], __stop_probes[];
extern const struct launcher __start_launchers[];
extern const struct stopper __start_stoppers[], __stop_stoppers[];

static struct handoff
    handoff;             /* the core's own copy; the loader's is wiped. Constant once the probes have run */
static bool host_stands; /* set by the boot CPU before any other enters */

const struct handoff *the_handoff(void)
{
    return &handoff;
}

static void wipe_keys(void)
{
    for (unsigned i = 0; i < ARRAY_COUNT(handoff.volumes); i++)
        wipe(handoff.volumes[i].key, sizeof handoff.volumes[i].key);
}

void stop_all(void)
{
    wipe_keys(); /* still there when a probe fails */
    for (const struct stopper *s = __start_stoppers; s < __stop_stoppers; s++)
        s->stop();
}

static enum core_status take_handoff(struct handoff *given)
{
    if (given->magic != HANDOFF_MAGIC || given->size != sizeof handoff ||
        given->ram_count > HANDOFF_RAM_MAX || given->volume_count > HANDOFF_VOLUMES_MAX)
        return CORE_BAD_HANDOFF;
    if (given->cpu_count > HANDOFF_CPUS_MAX)
        return CORE_TOO_MANY_CPUS;
    handoff = *given;
    wipe(given, sizeof *given);
    return CORE_OK;
}

/* Builds the host kernel on the boot CPU. */
static enum core_status start_host(struct handoff *given)
{
    enum core_status status = take_handoff(given);
    if (status != CORE_OK)
        return status;
    serial_start(handoff.log_port);
    log_line("Shoji %s: %u CPUs, block at %llx, %llu MiB", CONFIG_RELEASE, handoff.cpu_count,
             (unsigned long long)handoff.block_base, (unsigned long long)(handoff.block_length >> 20));
    if (!memory_start(handoff.block_base, handoff.block_length, handoff.image_bytes) ||
        !paging_build(&handoff))
        return CORE_NO_MEMORY;
    exceptions_start();
    return CORE_OK;
}

#define CPUID_1_ECX_AES BIT(25)

/* What needs the host's page tables: registers mapped, devices found. */
static enum core_status start_devices(void)
{
    if (!apic_start())
        return CORE_NO_MEMORY;
    screen_start(&handoff.screen);
    for (const struct probe *p = __start_probes; p < __stop_probes; p++) {
        uint64_t status = p->start(&handoff);
        if (status != CORE_OK) {
            log_line("%s: cannot start (%u)", p->name, (unsigned)status);
            return status;
        }
    }
    wipe_keys();
    return CORE_OK;
}

/* What core_enter changes on a CPU before it is sure to keep it. */
struct borrowed {
    uint64_t cr3; /* the loader's for the call: unlike the firmware's it maps the core, which still runs */
    uint64_t gs_base, efer;
};

/* Gives the CPU back to the loader as it was. */
static uint64_t give_back(const struct borrowed *was, enum core_status status)
{
    stop_all();
    msr_write(MSR_GS_BASE, was->gs_base);
    cr3_write(was->cr3);
    msr_write(MSR_EFER, was->efer);
    return status;
}

/* Takes the calling CPU; see the end of include/handoff.h. Returns only when it cannot be taken. */
uint64_t core_enter(struct handoff_cpu *given);
uint64_t core_enter(struct handoff_cpu *given)
{
    struct handoff_cpu entry = *given;
    const struct borrowed was = {cr3_read(), msr_read(MSR_GS_BASE), msr_read(MSR_EFER)};
    bool boot_cpu = !host_stands;
    enum core_status status = CORE_OK;
    if (boot_cpu)
        status = start_host((struct handoff *)entry.handoff);
    if (status == CORE_OK && entry.index >= handoff.cpu_count)
        status = CORE_TOO_MANY_CPUS;
    if (status != CORE_OK) {
        stop_all();
        return status;
    }
    paging_load_for_launch(entry.cr3);
    struct cpu *cpu = cpu_create((unsigned)entry.index);
    if (!cpu)
        return give_back(&was, CORE_NO_MEMORY);
    cpu->entry = entry;
    cpu->entry_gs_base = was.gs_base;
    cpu->entry_efer = was.efer;
    msr_write(MSR_GS_BASE, (uint64_t)cpu);
    if (!(cpuid(1, 0).ecx & CPUID_1_ECX_AES))
        status = CORE_NO_AES;
    if (status == CORE_OK && boot_cpu)
        status = start_devices();
    if (status == CORE_OK)
        status = __start_launchers->prepare(cpu, &handoff);
    if (status != CORE_OK)
        return give_back(&was, status);
    host_stands = true;
    cpus[entry.index] = cpu;
    __atomic_fetch_add(&cpu_count, 1, __ATOMIC_ACQ_REL);
    __start_launchers->run(cpu);
}
