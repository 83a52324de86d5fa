/* SPDX-License-Identifier: Apache-2.0 */
/* A device that exists in the test core alone (build/test/shoji.efi): a trapped page of registers, and
 * completions whose messages are NMIs. No machine of both lanes has either; the product's core does not link
 * this file. */
#include "tests/system/efi/device.h"

#include "core/apic.h"
#include "core/cpu.h"
#include "core/probe.h"
#include "guest/trap.h"
#include "lib/strings.h"

#define CPU_MASK     0xffu
#define VECTOR_SHIFT 8
#define COUNT_SHIFT  16

/* The page as the guest finds it. The tests touch it from one CPU at a time. */
static uint8_t registers[PAGE_SIZE] aligned_to(8);
/* By CPU; atomic: written by the CPU that orders a completion, taken by the one that sweeps. */
static uint32_t waiting[HANDOFF_CPUS_MAX];
static uint32_t claimed;

static void order(uint32_t command)
{
    uint32_t cpu = command & CPU_MASK;
    if (cpu >= cpu_count)
        return;
    __atomic_store_n(&waiting[cpu], command, __ATOMIC_SEQ_CST);
    apic_send(cpus[cpu]->apic_id, ICR_MODE_NMI);
}

static void access(void *owner, struct mmio_access *request)
{
    (void)owner;
    unsigned offset = request->address & PAGE_MASK;
    if (request->write && offset == TEST_DEVICE_COMPLETE && request->bytes == 4) {
        order((uint32_t)request->value);
    } else if (request->write) {
        if (offset >= TEST_DEVICE_MEMORY)
            memcpy(&registers[offset], &request->value, request->bytes);
    } else {
        uint32_t fixed[] = {TEST_DEVICE_ID_VALUE, __atomic_load_n(&claimed, __ATOMIC_SEQ_CST)};
        memcpy(&registers[TEST_DEVICE_ID], &fixed[0], sizeof(fixed[0]));
        memcpy(&registers[TEST_DEVICE_CLAIMED], &fixed[1], sizeof(fixed[1]));
        request->value = 0;
        memcpy(&request->value, &registers[offset], request->bytes);
    }
}

static unsigned sweep(void *owner, unsigned cpu)
{
    (void)owner;
    uint32_t command = __atomic_exchange_n(&waiting[cpu], 0, __ATOMIC_SEQ_CST);
    if (!(command >> COUNT_SHIFT))
        return 0;
    __atomic_fetch_add(&claimed, command >> COUNT_SHIFT, __ATOMIC_SEQ_CST);
    vector_raise((uint8_t)(command >> VECTOR_SHIFT));
    return 1; /* one message, however many completions it speaks of */
}

static uint64_t start(const struct handoff *handoff)
{
    static struct mmio_region region = {TEST_DEVICE, PAGE_SIZE, access, NULL};
    static struct nmi_claim claim = {sweep, NULL};
    (void)handoff;
    return mmio_trap(&region) && nmi_claim(&claim) ? CORE_OK : CORE_DEVICE;
}
PROBE(test_device, "test device", start);
