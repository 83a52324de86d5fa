/* SPDX-License-Identifier: Apache-2.0 */
/* Brings the other CPUs into the core, one after the other. */
#include "boot/smp.h"

#include "boot/firmware.h"
#include "boot/launch.h"

#define MICROSECONDS_PER_CPU (10 * 1000 * 1000ull)

static bool enable(struct mp_services *mp, UINTN number, struct report *problem)
{
    struct processor_information cpu;
    if (EFI_ERROR(mp->get_information(mp, number, &cpu)))
        return report(problem, "The firmware tells nothing about CPU %zu; update the firmware.",
                      (size_t)number);
    if (!(cpu.status & PROCESSOR_HEALTHY))
        return report(problem, "The firmware says that CPU %zu is broken; Shoji must protect every CPU.",
                      (size_t)number);
    if (cpu.status & PROCESSOR_ENABLED)
        return true;
    if (EFI_ERROR(mp->enable_disable(mp, number, TRUE, NULL)))
        return report(problem,
                      "CPU %zu is switched off and cannot be switched on; Shoji must protect every CPU.",
                      (size_t)number);
    return true;
}

bool smp_prepare(uint32_t *cpu_count, struct report *problem)
{
    struct mp_services *mp = protocol_anywhere(&mp_services_guid);
    UINTN all, enabled, me;
    if (!mp || EFI_ERROR(mp->get_number(mp, &all, &enabled)) || EFI_ERROR(mp->who_am_i(mp, &me)))
        return report(problem,
                      "The firmware has no multiprocessor services, which Shoji needs; update the firmware.");
    if (all > HANDOFF_CPUS_MAX)
        return report(problem,
                      "There are %zu CPUs; Shoji can protect %u. Switch some off in the firmware's setup.",
                      (size_t)all, (unsigned)HANDOFF_CPUS_MAX);
    for (UINTN number = 0; number < all; number++)
        if (number != me && !enable(mp, number, problem))
            return false;
    *cpu_count = (uint32_t)all;
    return true;
}

/* What the other CPUs share. Written by them with atomic operations, one by one. */
struct arrivals {
    struct launch *launch;
    uint64_t next_index;
    uint64_t taken;
    uint64_t refusal; /* the last status that was not CORE_OK */
};

/* Runs on each other CPU; no boot service may be called here. */
static void EFIAPI take_cpu(void *argument)
{
    struct arrivals *arrivals = argument;
    uint64_t index = __atomic_fetch_add(&arrivals->next_index, 1, __ATOMIC_SEQ_CST);
    uint64_t status = launch_this_cpu(arrivals->launch, index);
    if (status == CORE_OK)
        __atomic_fetch_add(&arrivals->taken, 1, __ATOMIC_SEQ_CST);
    else
        __atomic_store_n(&arrivals->refusal, status, __ATOMIC_SEQ_CST);
}

bool smp_launch(struct launch *launch, uint32_t cpu_count, struct report *problem)
{
    /* Static: a CPU that comes late, after the time is over, must not write into a stack that is used for
     * something else. */
    static struct arrivals arrivals;
    arrivals = (struct arrivals){.launch = launch, .next_index = 1};
    if (cpu_count == 1)
        return true;
    struct mp_services *mp = protocol_anywhere(&mp_services_guid);
    if (!mp)
        return report(problem, "The firmware has lost its multiprocessor services.");
    EFI_STATUS status =
        mp->startup_all(mp, take_cpu, TRUE, NULL, cpu_count * MICROSECONDS_PER_CPU, &arrivals, NULL);
    if (arrivals.refusal != CORE_OK)
        return report(problem, "%s", launch_sentence(arrivals.refusal));
    if (EFI_ERROR(status) || arrivals.taken != cpu_count - 1)
        return report(problem, "Only %u of %u CPUs came under protection; Shoji must protect every CPU.",
                      (unsigned)arrivals.taken + 1, (unsigned)cpu_count);
    return true;
}
