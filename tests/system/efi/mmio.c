/* SPDX-License-Identifier: Apache-2.0 */
/* Accesses to a trapped register page in every operand size and addressing form that compilers emit. Each
 * instruction also runs on ordinary memory: registers, flags and memory must come out the same. On the bare
 * machine both are ordinary memory. */
#include "lib/format.h"
#include "lib/strings.h"
#include "tests/system/efi/device.h"
#include "tests/system/efi/runtime.h"

#define AREA_BYTES 256u
#define PLACE      64u /* where in the area an instruction aims: RDI and RBX */

/* One row of the table in mmio_forms.S. */
struct form {
    int32_t code, name; /* from mmio_code and mmio_names */
};
extern const char mmio_code[], mmio_names[];
extern const struct form mmio_forms[], mmio_forms_end[];

static void fill(uint64_t area)
{
    for (uint64_t i = 0; i < AREA_BYTES; i += 8) {
        uint64_t value = 0x8786858413121110 + i * 0x0101010101010101;
        *(volatile uint64_t *)(area + i) = value;
    }
}

static void read_back(uint64_t area, uint8_t out[AREA_BYTES])
{
    for (unsigned i = 0; i < AREA_BYTES; i += 8) {
        uint64_t value = *(volatile uint64_t *)(area + i);
        memcpy(out + i, &value, 8);
    }
}

/* What came of one run, without the addresses. */
struct result {
    struct outcome outcome;
    struct registers r;
    uint8_t area[AREA_BYTES], other[32];
};

static void run(const char *code, uint64_t area, struct result *out)
{
    static uint8_t other[32];
    const uint64_t flags =
        BIT(0) | BIT(2) | BIT(4) | BIT(6) | BIT(7) | BIT(10) | BIT(11); /* CF PF AF ZF SF DF OF */
    memset(out, 0, sizeof(*out));
    for (unsigned i = 0; i < sizeof(other); i++)
        other[i] = (uint8_t)(0xa0 + i);
    fill(area);
    uint64_t place = area + PLACE;
    struct registers r = {.gpr = {[RAX] = 0x1122334495969798,
                                  [RCX] = 2,
                                  [RDX] = 0xfedcba9876543210,
                                  [RBX] = place,
                                  [RSI] = area,
                                  [RDI] = place,
                                  [R8] = 0x0102030405060708,
                                  [R12] = place,
                                  [R13] = place,
                                  [R14] = (uint64_t)other}};
    out->outcome = try_code(code, &r);
    for (unsigned i = 0; i < GPR_COUNT; i++) /* addresses count from the area */
        out->r.gpr[i] = r.gpr[i] - area < AREA_BYTES ? r.gpr[i] - area : r.gpr[i];
    out->r.gpr[RSP] = 0;
    out->r.rflags = r.rflags & flags;
    read_back(area, out->area);
    memcpy(out->other, other, sizeof(other));
}

static void compare(const char *name, const char *code, uint64_t memory, uint64_t device)
{
    static struct result on_memory, on_device;
    char full[48];
    run(code, memory, &on_memory);
    run(code, device, &on_device);
    format(full, sizeof(full), "mmio.%s", name);
    bool same = memcmp(&on_memory, &on_device, sizeof(on_memory)) == 0;
    if (!same)
        say("mmio %s: rax %llx, on memory %llx; flags %llx, %llx; place %llx, %llx", name,
            (unsigned long long)on_device.r.gpr[RAX], (unsigned long long)on_memory.r.gpr[RAX],
            (unsigned long long)on_device.r.rflags, (unsigned long long)on_memory.r.rflags,
            *(unsigned long long *)(on_device.area + PLACE), *(unsigned long long *)(on_memory.area + PLACE));
    verdict(full, "%s %s", outcome_text(on_device.outcome).s, same ? "as on memory" : "not as on memory");
}

CODE(mmio_ring_3, "movl (%rdi), %eax\n\tmovl %eax, 4(%rdi)");
CODE(mmio_load, "movq (%rdi), %rax");
CODE(mmio_store, "movl %eax, (%rdi)");
CODE(mmio_push, "push (%rdi)\n\tpop %rax");

void test_mmio(void)
{
    uint64_t memory = (uint64_t)pages(1);
    uint64_t device = device_page + TEST_DEVICE_MEMORY;
    for (const struct form *f = mmio_forms; f < mmio_forms_end; f++)
        compare(mmio_names + f->name, mmio_code + f->code, memory, device);
    /* Through page tables that show the page elsewhere, and from ring 3. */
    window_map(3, device_page, WINDOW_OPEN);
    window_map(4, memory, WINDOW_OPEN);
    compare("mapped", mmio_load, WINDOW + 4 * PAGE_SIZE, WINDOW + 3 * PAGE_SIZE + TEST_DEVICE_MEMORY);
    struct registers r = {.gpr = {[RDI] = device}};
    fill(device);
    struct outcome o = try_code_user(mmio_ring_3, &r);
    verdict("mmio.ring-3", "%s %llx %x", outcome_text(o).s, (unsigned long long)r.gpr[RAX],
            *(volatile uint32_t *)(device + 4));
    /* A page that the guest's tables make read-only faults in the guest. */
    window_map(3, device_page, PTE_PRESENT | PTE_USER);
    r = (struct registers){.gpr = {[RDI] = WINDOW + 3 * PAGE_SIZE + TEST_DEVICE_MEMORY}};
    o = try_code(mmio_store, &r);
    verdict("mmio.read-only", "%s", outcome_text(o).s);
    window_map(3, 0, 0);
    window_map(4, 0, 0);
    o = try_code(mmio_load, &r);
    verdict("mmio.not-present", "%s", outcome_text(o).s);
    /* What no driver does, and the decoder does not know: told apart from the bare machine by the list of
     * differences. */
    r = (struct registers){.gpr = {[RDI] = device}};
    o = try_code(mmio_push, &r);
    verdict("mmio.push", "%s", outcome_text(o).s);
}
