/* SPDX-License-Identifier: Apache-2.0 */
/* Writes of control and debug registers and of XCR0, valid and not: which fault, and what is read back. */
#include "lib/format.h"
#include "tests/system/efi/runtime.h"

/* RAX is written and read back into RDX; then RCX, the old value, is put back. */
CODE(put_cr0, "mov %cr0, %rcx\n\tmov %rax, %cr0\n\tmov %cr0, %rdx\n\tmov %rcx, %cr0");
CODE(put_cr3, "mov %cr3, %rcx\n\tmov %rax, %cr3\n\tmov %cr3, %rdx\n\tmov %rcx, %cr3");
CODE(put_cr4, "mov %cr4, %rcx\n\tmov %rax, %cr4\n\tmov %cr4, %rdx\n\tmov %rcx, %cr4");
CODE(put_cr8, "mov %cr8, %rcx\n\tmov %rax, %cr8\n\tmov %cr8, %rdx\n\tmov %rcx, %cr8");
CODE(put_dr7, "mov %dr7, %rcx\n\tmov %rax, %dr7\n\tmov %dr7, %rdx\n\tmov %rcx, %dr7");
CODE(put_dr6, "mov %dr6, %rcx\n\tmov %rax, %dr6\n\tmov %dr6, %rdx\n\tmov %rcx, %dr6");
CODE(get_dr4, "mov %dr4, %rax");
CODE(use_clts, "mov %cr0, %rcx\n\tmov %rcx, %rax\n\tor $8, %rax\n\tmov %rax, %cr0\n\tclts\n\tmov %cr0, "
               "%rdx\n\tmov %rcx, %cr0");
CODE(use_lmsw, "mov %cr0, %rcx\n\tlmsw %ax\n\tmov %cr0, %rdx\n\tmov %rcx, %cr0");
CODE(use_smsw, "smsw %rdx");
CODE(use_xsetbv, "xsetbv");
CODE(use_xgetbv, "xgetbv");
CODE(use_fpu, "mov %cr0, %rcx\n\tmov %rcx, %rax\n\tor $8, %rax\n\tmov %rax, %cr0\n\tfnop\n\tmov %rcx, %cr0");

#define CR0_RIGHT_WAY (CR0_PE | CR0_ET | CR0_NE | CR0_WP | CR0_PG)

typedef void (*teller)(const char *name, const char *fmt, ...);

struct write_case {
    const char *name;
    uint64_t flip; /* of what is there */
};

static void tell(teller to, const char *code, uint64_t now, const struct write_case *c)
{
    struct registers r = {.gpr = {[RAX] = now ^ c->flip}};
    struct outcome o = try_code(code, &r);
    if (o.vector != EXCEPTION_NONE)
        to(c->name, "%s", outcome_text(o).s);
    else
        to(c->name, "%s",
           r.gpr[RDX] == (now ^ c->flip) ? "as written"
           : r.gpr[RDX] == now           ? "unchanged"
                                         : "else");
}

/* Emulators that check nothing would lose their footing over some of the values that real CPUs refuse. */
static bool cpu_checks(void)
{
    struct registers r = {.gpr = {[RAX] = (cr0_read() & ~CR0_CD) | CR0_NW}};
    return try_code(put_cr0, &r).vector == EXCEPTION_GP;
}

static void control_0(void)
{
    static const struct write_case allowed[] = {
        {"cr0.as-it-is", 0}, {"cr0.mp", BIT(1)},
        {"cr0.em", BIT(2)},  {"cr0.ts", BIT(3)},
        {"cr0.et", CR0_ET},  {"cr0.ne", CR0_NE},
        {"cr0.wp", CR0_WP},  {"cr0.am", BIT(18)},
        {"cr0.cd", CR0_CD},  {"cr0.cd-nw", CR0_CD | CR0_NW},
    };
    static const struct write_case refused[] = {
        {"cr0.nw-alone", CR0_NW},         {"cr0.pe-off-under-paging", CR0_PE},
        {"cr0.pg-off-in-64-bit", CR0_PG}, {"cr0.bit-32", BIT(32)},
        {"cr0.bit-63", BIT(63)},
    };
    const uint64_t now = (cr0_read() & ~(CR0_CD | CR0_NW)) | CR0_RIGHT_WAY;
    for (unsigned i = 0; i < ARRAY_COUNT(allowed); i++)
        tell(verdict, put_cr0, now, &allowed[i]);
    for (unsigned i = 0; i < ARRAY_COUNT(refused) && cpu_checks(); i++)
        tell(model, put_cr0, now, &refused[i]);
    struct registers r = {0};
    struct outcome o = try_code(use_clts, &r);
    verdict("cr0.clts", "%s %d", outcome_text(o).s, (int)(r.gpr[RDX] >> 3 & 1));
    r = (struct registers){.gpr = {[RAX] = 0xf}};
    o = try_code(use_lmsw, &r);
    verdict("cr0.lmsw", "%s %x", outcome_text(o).s, (unsigned)(r.gpr[RDX] & 0xf));
    r = (struct registers){.gpr = {[RAX] = 0}};
    o = try_code(use_lmsw, &r);
    verdict("cr0.lmsw-keeps-pe", "%s %x", outcome_text(o).s, (unsigned)(r.gpr[RDX] & 0xf));
    r = (struct registers){0};
    o = try_code(use_smsw, &r);
    verdict("cr0.smsw", "%s %d", outcome_text(o).s, r.gpr[RDX] == cr0_read());
    o = try_code(use_fpu, NULL);
    verdict("cr0.ts-faults", "vector %d", o.vector);
    __asm__ volatile("clts");
}

static void control_4(void)
{
    static const struct write_case allowed[] = {
        {"cr4.as-it-is", 0},          {"cr4.tsd", BIT(2)},        {"cr4.de", BIT(3)},
        {"cr4.pse", CR4_PSE},         {"cr4.mce", CR4_MCE},       {"cr4.pge", CR4_PGE},
        {"cr4.pce", BIT(8)},          {"cr4.osfxsr", CR4_OSFXSR}, {"cr4.osxmmexcpt", CR4_OSXMMEXCPT},
        {"cr4.osxsave", CR4_OSXSAVE},
    };
    static const struct write_case refused[] = {
        {"cr4.pae-in-long-mode", CR4_PAE},
        {"cr4.la57-in-long-mode", CR4_LA57},
        {"cr4.reserved-31", BIT(31)},
        {"cr4.reserved-63", BIT(63)},
    };
    for (unsigned i = 0; i < ARRAY_COUNT(allowed); i++)
        tell(verdict, put_cr4, cr4_read(), &allowed[i]);
    for (unsigned i = 0; i < ARRAY_COUNT(refused) && cpu_checks(); i++)
        tell(model, put_cr4, cr4_read(), &refused[i]);
    for (unsigned bit = 0; bit < 32 && cpu_checks(); bit++) {
        char name[16];
        format(name, sizeof(name), "cr4.bit-%u", bit);
        /* Without PAE no long mode; SMEP and SMAP would forbid this code its own, ring 3's, pages. */
        if (bit != 5 && bit != 12 && bit != 20 && bit != 21)
            tell(model, put_cr4, cr4_read(), &(struct write_case){name, BIT(bit)});
    }
}

static void extended_control(uint64_t cr4)
{
    static const struct {
        const char *name;
        uint64_t value, index;
    } cases[] = {
        {"xcr0.x87", 1, 0},
        {"xcr0.sse", 3, 0},
        {"xcr0.nothing", 0, 0},
        {"xcr0.without-x87", 2, 0},
        {"xcr0.avx-without-sse", 5, 0},
        {"xcr0.reserved", 3 | BIT(62), 0},
        {"xcr0.index-1", 1, 1},
        {"xcr0.index-big", 3, BIT(31)},
        {"xcr0.avx", 7, 0},
    };
    cr4_write(cr4 & ~CR4_OSXSAVE);
    verdict("xcr0.without-osxsave", "%s",
            outcome_text(try_code(use_xsetbv, &(struct registers){.gpr = {[RAX] = 3}})).s);
    cr4_write(cr4 | CR4_OSXSAVE);
    for (unsigned i = 0; i < ARRAY_COUNT(cases); i++) {
        struct registers r = {
            .gpr = {[RAX] = (uint32_t)cases[i].value, [RDX] = cases[i].value >> 32, [RCX] = cases[i].index}};
        struct registers back = {0};
        struct outcome o = try_code(use_xsetbv, &r);
        (void)try_code(use_xgetbv, &back);
        verdict(cases[i].name, "%s then %x", outcome_text(o).s, (unsigned)back.gpr[RAX]);
    }
    verdict("xcr0.ring-3", "%s",
            outcome_text(try_code_user(use_xsetbv, &(struct registers){.gpr = {[RAX] = 3}})).s);
    (void)try_code(use_xsetbv, &(struct registers){.gpr = {[RAX] = 1}});
    cr4_write(cr4);
}

static void others(void)
{
    tell(verdict, put_cr3, cr3_read(), &(struct write_case){"cr3.as-it-is", 0});
    tell(verdict, put_cr3, cr3_read(), &(struct write_case){"cr3.pcd", PTE_PCD});
    if (cpu_checks())
        tell(model, put_cr3, cr3_read(), &(struct write_case){"cr3.bit-51", BIT(51)});
    tell(verdict, put_cr8, 0, &(struct write_case){"cr8.5", 5});
    tell(model, put_cr8, 0, &(struct write_case){"cr8.16", 16});
    tell(verdict, put_dr7, DR7_RESET, &(struct write_case){"dr7.l0", 1});
    tell(model, put_dr7, DR7_RESET, &(struct write_case){"dr7.bit-32", BIT(32)});
    tell(verdict, put_dr6, DR6_RESET, &(struct write_case){"dr6.b0", 1});
    tell(model, put_dr6, DR6_RESET, &(struct write_case){"dr6.bit-32", BIT(32)});
    uint64_t cr4 = cr4_read();
    cr4_write(cr4 | BIT(3));
    verdict("dr4.with-debug-extensions", "%s", outcome_text(try_code(get_dr4, NULL)).s);
    cr4_write(cr4 & ~BIT(3));
    verdict("dr4.without", "%s", outcome_text(try_code(get_dr4, NULL)).s);
    cr4_write(cr4);
    verdict("cr0.write-in-ring-3", "%s",
            outcome_text(try_code_user(put_cr0, &(struct registers){.gpr = {[RAX] = cr0_read()}})).s);
    verdict("cr4.write-in-ring-3", "%s",
            outcome_text(try_code_user(put_cr4, &(struct registers){.gpr = {[RAX] = cr4_read()}})).s);
}

void test_control(void)
{
    control_0();
    control_4();
    extended_control(cr4_read());
    others();
}
