/* SPDX-License-Identifier: Apache-2.0 */
/* Exceptions of code that is tried, and of all other code. */
#include "lib/format.h"
#include "lib/strings.h"
#include "tests/system/efi/runtime.h"

static_assert(offsetof(struct registers, rflags) == 128, "runtime.S");

void code_enter(const void *code, struct registers *r, uint64_t *recover_rsp);
void code_enter_user(const void *code, struct registers *r, uint64_t *recover_rsp, void *user_stack);
extern const char code_recover[];
void vector_arrived(struct frame *frame);

static const char *name_of(int vector)
{
    static const char *const names[EXCEPTION_COUNT] = {
        [EXCEPTION_DE] = "#DE", [EXCEPTION_DB] = "#DB", [EXCEPTION_NMI] = "NMI", [EXCEPTION_BP] = "#BP",
        [EXCEPTION_OF] = "#OF", [EXCEPTION_UD] = "#UD", [EXCEPTION_DF] = "#DF",  [EXCEPTION_TS] = "#TS",
        [EXCEPTION_NP] = "#NP", [EXCEPTION_SS] = "#SS", [EXCEPTION_GP] = "#GP",  [EXCEPTION_PF] = "#PF",
        [EXCEPTION_AC] = "#AC", [EXCEPTION_MC] = "#MC",
    };
    return vector >= 0 && vector < EXCEPTION_COUNT && names[vector] ? names[vector] : "#??";
}

struct text outcome_text(struct outcome o)
{
    struct text t;
    if (o.vector == EXCEPTION_NONE)
        format(t.s, sizeof(t.s), "ok");
    else if (o.vector == EXCEPTION_PF)
        format(t.s, sizeof(t.s), "#PF(%x)", (unsigned)o.error);
    else if (o.vector == EXCEPTION_GP || (o.vector >= EXCEPTION_TS && o.vector <= EXCEPTION_SS))
        format(t.s, sizeof(t.s), "%s(%x)", name_of(o.vector), (unsigned)o.error);
    else
        format(t.s, sizeof(t.s), "%s", name_of(o.vector));
    return t;
}

/* An exception that nobody tried: the tests cannot go on. */
static void stop(const struct test_cpu *cpu, const struct frame *f)
{
    say("fatal cpu %u %s(%llx) at %llx rsp %llx cr2 %llx", (unsigned)cpu->index, name_of((int)f->vector),
        (unsigned long long)f->error, (unsigned long long)f->rip, (unsigned long long)f->rsp,
        (unsigned long long)cr2_read());
    for (;;)
        __asm__ volatile("cli; hlt");
}

static void recover(struct test_cpu *cpu, struct frame *f)
{
    uint64_t *gpr = cpu->registers->gpr;
    memcpy(gpr, f->r.gpr, sizeof(f->r.gpr));
    cpu->registers->rflags = f->rflags;
    f->rip = (uint64_t)code_recover;
    f->cs = SELECTOR_CODE64;
    f->ss = SELECTOR_FLAT;
    f->rsp = cpu->recover_rsp;
    f->rflags = RFLAGS_ONE;
    cpu->recover_rsp = 0;
}

void vector_arrived(struct frame *f)
{
    struct test_cpu *cpu = me();
    if (cpu->hooks[f->vector] && cpu->hooks[f->vector](cpu, f))
        return;
    if (!cpu->recover_rsp)
        stop(cpu, f);
    if (f->vector != VECTOR_DONE)
        cpu->outcome = (struct outcome){.vector = (int)f->vector,
                                        .error = (uint32_t)f->error,
                                        .address = cr2_read(),
                                        .offset = f->rip - (uint64_t)cpu->code};
    recover(cpu, f);
}

static struct outcome try_at(const char *code, struct registers *r, bool user)
{
    static uint8_t user_stack[KIB(4)] aligned_to(16);
    struct registers none = {0};
    struct test_cpu *cpu = me();
    cpu->code = code;
    cpu->registers = r ? r : &none;
    cpu->outcome = (struct outcome){.vector = EXCEPTION_NONE};
    if (user)
        code_enter_user(code, cpu->registers, &cpu->recover_rsp, user_stack + sizeof(user_stack));
    else
        code_enter(code, cpu->registers, &cpu->recover_rsp);
    cpu->recover_rsp = 0;
    return cpu->outcome;
}

struct outcome try_code(const char *code, struct registers *r)
{
    return try_at(code, r, false);
}

struct outcome try_code_user(const char *code, struct registers *r)
{
    return try_at(code, r, true);
}
