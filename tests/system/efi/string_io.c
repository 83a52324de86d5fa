/* SPDX-License-Identifier: Apache-2.0 */
/* Port instructions, the string forms above all, on ports that a hypervisor looks at (the PCI configuration
 * ports): what they move, and where they stop at a fault. */
#include "lib/format.h"
#include "tests/system/efi/runtime.h"

#define ADDRESS     0xcf8u
#define DATA        0xcfcu
#define HOST_BRIDGE 0x80000000u
#define ROUNDS      4u

CODE(in_8, "inb %dx, %al");
CODE(in_16, "inw %dx, %ax");
CODE(in_32, "inl %dx, %eax");
CODE(out_32, "outl %eax, %dx");
CODE(in_imm, "inb $0x92, %al");
CODE(cmos, "movb $0x0d, %al\n\toutb %al, $0x70\n\tinb $0x71, %al");
CODE(insb, "insb");
CODE(insw, "insw");
CODE(insl, "insl");
CODE(rep_insb, "rep insb");
CODE(rep_insw, "rep insw");
CODE(rep_insl, "rep insl");
CODE(rep_insl_down, "std\n\trep insl\n\tcld");
CODE(rep_insl_32, "addr32 rep insl");
CODE(repne_insl, ".byte 0xf2, 0x6d");
CODE(outsl, "outsl");
CODE(rep_outsl, "rep outsl");
CODE(rep_outsl_gs, ".byte 0x65, 0xf3, 0x6f");
CODE(in_ring_3, "inl %dx, %eax");

static uint8_t memory[64] aligned_to(64);

static uint32_t bridge(void)
{
    port_write(ADDRESS, 4, HOST_BRIDGE);
    return port_read(DATA, 4);
}

/* How many bytes of the memory hold what the port gives, again and again, from `at` on. */
static unsigned right_bytes(unsigned at, unsigned unit)
{
    uint32_t id = bridge();
    unsigned right = 0;
    for (unsigned i = at; i < sizeof(memory); i++)
        right += memory[i] == (uint8_t)(id >> 8 * ((i - at) % unit));
    return right;
}

static void clear(void)
{
    for (unsigned i = 0; i < sizeof(memory); i++)
        memory[i] = 0xcc;
}

static void tell_in(const char *name, const char *code, unsigned unit)
{
    char full[48];
    clear();
    (void)bridge();
    const uint64_t place = (uint64_t)memory + 16;
    struct registers r = {.gpr = {[RDI] = place, [RCX] = ROUNDS, [RDX] = DATA}};
    struct outcome o = try_code(code, &r);
    unsigned before = 0;
    for (unsigned i = 0; i < 16; i++)
        before += memory[i] != 0xcc;
    format(full, sizeof(full), "string-io.%s", name);
    verdict(full, "%s rcx %llx rdi %lld right %u before %u", outcome_text(o).s,
            (unsigned long long)r.gpr[RCX], (long long)(r.gpr[RDI] - place), right_bytes(16, unit), before);
}

static void tell_out(const char *name, const char *code, uint64_t rounds)
{
    char full[48];
    for (unsigned i = 0; i < sizeof(memory) / 4; i++) {
        uint32_t value = HOST_BRIDGE + 0x100 * i;
        for (unsigned byte = 0; byte < 4; byte++)
            memory[4 * i + byte] = (uint8_t)(value >> 8 * byte);
    }
    struct registers r = {.gpr = {[RSI] = (uint64_t)memory, [RCX] = rounds, [RDX] = ADDRESS}};
    port_write(ADDRESS, 4, 0);
    struct outcome o = try_code(code, &r);
    format(full, sizeof(full), "string-io.%s", name);
    verdict(full, "%s rcx %llx rsi %lld port %x", outcome_text(o).s, (unsigned long long)r.gpr[RCX],
            (long long)(r.gpr[RSI] - (uint64_t)memory), port_read(ADDRESS, 4));
}

/* The second page is not there, or may not be written. */
static void tell_fault(const char *name, const char *code, uint64_t flags, bool in)
{
    static uint8_t edge[2 * PAGE_SIZE] aligned_to(4096);
    char full[48];
    window_map(0, (uint64_t)edge, WINDOW_OPEN);
    window_map(1, (uint64_t)edge + PAGE_SIZE, flags);
    (void)bridge();
    const uint64_t place = WINDOW + PAGE_SIZE - 8;
    struct registers r = {.gpr = {[RDI] = place, [RSI] = place, [RCX] = 5, [RDX] = in ? DATA : ADDRESS}};
    struct outcome o = try_code(code, &r);
    format(full, sizeof(full), "string-io.%s", name);
    verdict(full, "%s %llx rcx %llx rdi %lld rsi %lld at %lld", outcome_text(o).s,
            (unsigned long long)o.address, (unsigned long long)r.gpr[RCX], (long long)(r.gpr[RDI] - place),
            (long long)(r.gpr[RSI] - place), (long long)o.offset);
    window_map(0, 0, 0);
    window_map(1, 0, 0);
}

static void tell_plain(const char *name, const char *code, uint16_t port)
{
    (void)bridge();
    struct registers r = {.gpr = {[RAX] = 0x1122334455667788, [RDX] = port}};
    struct outcome o = try_code(code, &r);
    model(name, "%s %llx", outcome_text(o).s, (unsigned long long)r.gpr[RAX]);
}

void test_string_io(void)
{
    tell_plain("port.in-8", in_8, DATA);
    tell_plain("port.in-16", in_16, DATA);
    tell_plain("port.in-32", in_32, DATA);
    tell_plain("port.in-8-odd", in_8, DATA + 3);
    tell_plain("port.in-16-odd", in_16, DATA + 2);
    tell_plain("port.in-address", in_32, ADDRESS);
    tell_plain("port.in-immediate", in_imm, 0);
    tell_plain("port.cmos", cmos, 0);
    struct registers r = {.gpr = {[RAX] = ~0ull << 32 | HOST_BRIDGE, [RDX] = ADDRESS}};
    struct outcome o = try_code(out_32, &r);
    verdict("port.out-32", "%s %x", outcome_text(o).s, port_read(ADDRESS, 4));
    r = (struct registers){.gpr = {[RDX] = DATA}};
    verdict("port.ring-3", "%s", outcome_text(try_code_user(in_ring_3, &r)).s);

    tell_in("insb", insb, 1);
    tell_in("insw", insw, 2);
    tell_in("insl", insl, 4);
    tell_in("rep-insb", rep_insb, 1);
    tell_in("rep-insw", rep_insw, 2);
    tell_in("rep-insl", rep_insl, 4);
    tell_in("rep-insl-down", rep_insl_down, 4);
    tell_in("rep-insl-32", rep_insl_32, 4);
    tell_in("repne-insl", repne_insl, 4);
    tell_out("outsl", outsl, 1);
    tell_out("rep-outsl", rep_outsl, 3);
    tell_out("rep-outsl-gs", rep_outsl_gs, 2);
    tell_out("rep-outsl-none", rep_outsl, 0);
    tell_fault("in-to-absent", rep_insl, 0, true);
    tell_fault("in-to-read-only", rep_insl, PTE_PRESENT, true);
    tell_fault("out-from-absent", rep_outsl, 0, false);
    r = (struct registers){
        .gpr = {[RDI] = 0x123456789abcdef0, [RSI] = 0x123456789abcdef0, [RCX] = 1, [RDX] = DATA}};
    verdict("string-io.in-to-nowhere", "%s", outcome_text(try_code(rep_insl, &r)).s);
    r.gpr[RDX] = ADDRESS;
    verdict("string-io.out-from-nowhere", "%s", outcome_text(try_code(rep_outsl, &r)).s);
}
