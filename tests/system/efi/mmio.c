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

/* RDI, RBX, R12, R13: the place; RSI: the area's start; RCX: an index; RDX, RAX, R8: values. */
#define FORMS(form)                                                                                                                          \
    form("load-8", "movb (%rdi), %al") form("load-16", "movw (%rdi), %ax") form("load-32", "movl (%rdi), "                                   \
                                                                                           "%eax") form(                                     \
        "load-64",                                                                                                                           \
        "movq (%rdi), %rax") form("load-high",                                                                                               \
                                  "movb (%rdi), %ah") form("load-r15",                                                                       \
                                                           "movq (%rdi), %r15") form("load-sil",                                             \
                                                                                     "movb (%rdi), %sil")                                    \
        form("load-r8b", "movb (%rdi), %r8b") form("store-8", "movb %al, (%rdi)") form(                                                      \
            "store-16",                                                                                                                      \
            "movw %ax, (%rdi)") form("store-32",                                                                                             \
                                     "movl %eax, (%rdi)") form("store-64",                                                                   \
                                                               "movq %rax, (%rdi)") form("store-high",                                       \
                                                                                         "movb %dh, (%rdi)")                                 \
            form("store-r8", "movq %r8, (%rdi)") form("store-imm-8", "movb $0x81, (%rdi)") form(                                             \
                "store-imm-16",                                                                                                              \
                "movw $0x8182, (%rdi)") form("store-imm-32",                                                                                 \
                                             "movl $0x81828384, (%rdi)") form("store-imm-64",                                                \
                                                                              "movq $-3, (%rdi)")                                            \
                form("zero-extend-8-16", "movzbw (%rdi), %ax") form("zero-extend-8-32", "movzbl (%rdi), "                                    \
                                                                                        "%eax") form(                                        \
                    "zero-extend-8-64",                                                                                                      \
                    "movzbq (%rdi), %rax") form("zero-extend-16-32",                                                                         \
                                                "movzwl (%rdi), %eax") form("zero-extend-16-64",                                             \
                                                                            "movzwq (%rdi), %rax")                                           \
                    form("sign-extend-8-16", "movsbw (%rdi), %ax") form(                                                                     \
                        "sign-extend-8-32",                                                                                                  \
                        "movsbl (%rdi), %eax") form("sign-extend-8-64",                                                                      \
                                                    "movsbq (%rdi), %rax") form("sign-extend-16-32",                                         \
                                                                                "movswl (%rdi), %eax")                                       \
                        form("sign-extend-16-64", "movswq (%rdi), %rax") form(                                                               \
                            "sign-extend-32-64",                                                                                             \
                            "movslq (%rdi), %rax") form("disp-8",                                                                            \
                                                        "movl 4(%rdi), %eax") form("disp-8-negative",                                        \
                                                                                   "movl -8(%rdi), %eax")                                    \
                            form("disp-32", "movl 0x80(%rdi), %eax") form(                                                                   \
                                "index",                                                                                                     \
                                "movl (%rdi,%rcx), %eax") form("index-4",                                                                    \
                                                               "movl (%rdi,%rcx,4), %eax") form("index-8-"                                   \
                                                                                                "disp",                                      \
                                                                                                "movq "                                      \
                                                                                                "8(%rdi,%"                                   \
                                                                                                "rcx,8), "                                   \
                                                                                                "%rax")                                      \
                                form("index-alone", "movl 0(,%rdi,1), %eax") form("base-r12", "movl "                                        \
                                                                                              "(%r12), "                                     \
                                                                                              "%eax") form(                                  \
                                    "base-r13",                                                                                              \
                                    "movl (%r13), %eax") form("base-rbp",                                                                    \
                                                              "xchg %rbp, %rdi\n\tmovl (%rbp), "                                             \
                                                              "%eax\n\txchg %rbp, %rdi") form("base-32",                                     \
                                                                                              "addr32 movl "                                 \
                                                                                              "(%edi), "                                     \
                                                                                              "%eax")                                        \
                                    form("base-32-index", "addr32 movl 4(%edi,%ecx,2), %eax") form(                                          \
                                        "gs",                                                                                                \
                                        "movl %gs:(%rdi), %eax") form("xchg-8",                                                              \
                                                                      "xchgb %al, (%rdi)") form("xchg-32",                                   \
                                                                                                "xchgl "                                     \
                                                                                                "%eax, "                                     \
                                                                                                "(%rdi)")                                    \
                                        form("xchg-64", "xchgq %rax, (%rdi)") form("add-32", "addl %eax, "                                   \
                                                                                             "(%rdi)") form(                                 \
                                            "add-imm-8", "addl $-1, (%rdi)") form("add-8",                                                   \
                                                                                  "addb $0x7f, (%rdi)")                                      \
                                            form("or-32", "orl $0x80, (%rdi)") form(                                                         \
                                                "and-32", "andl $-17, (%rdi)") form("and-64",                                                \
                                                                                    "andq %rax, (%rdi)")                                     \
                                                form("sub-16", "subw %ax, (%rdi)") form(                                                     \
                                                    "xor-32",                                                                                \
                                                    "xorl %eax, (%rdi)") form("adc-32",                                                      \
                                                                              "stc\n\tadcl %eax, (%rdi)")                                    \
                                                    form("sbb-32", "stc\n\tsbbl %eax, (%rdi)") form(                                         \
                                                        "lock-or",                                                                           \
                                                        "lock orl %eax, (%rdi)") form("lock-and-imm",                                        \
                                                                                      "lock andl $0x7f, "                                    \
                                                                                      "(%rdi)")                                              \
                                                        form("add-to-register", "addl (%rdi), %eax") form(                                   \
                                                            "and-to-register",                                                               \
                                                            "andq (%rdi), %rax") form("xor-to-register",                                     \
                                                                                      "xorw (%rdi), %ax")                                    \
                                                            form("cmp-register", "cmpl %eax, (%rdi)") form(                                  \
                                                                "cmp-memory",                                                                \
                                                                "cmpl (%rdi), %eax") form("cmp-imm",                                         \
                                                                                          "cmpl "                                            \
                                                                                          "$0x13121110, "                                    \
                                                                                          "(%rdi)")                                          \
                                                                form("cmp-imm-8", "cmpb $0, (%rdi)") form(                                   \
                                                                    "test-imm", "testl $0x10, (%rdi)")                                       \
                                                                    form("test-imm-8", "testb $0x80, "                                       \
                                                                                       "(%rdi)") form(                                       \
                                                                        "test-register",                                                     \
                                                                        "testl %eax, (%rdi)") form("stosb",                                  \
                                                                                                   "stosb")                                  \
                                                                        form("stosw", "stosw") form("stosl", "stosl") form(                  \
                                                                            "stosq",                                                         \
                                                                            "stosq") form("rep-stosl",                                       \
                                                                                          "mov $5, "                                         \
                                                                                          "%ecx\n\trep "                                     \
                                                                                          "stosl")                                           \
                                                                            form("rep-stosb-down", "std\n\t"                                 \
                                                                                                   "mov "                                    \
                                                                                                   "$5, "                                    \
                                                                                                   "%ecx\n"                                  \
                                                                                                   "\trep "                                  \
                                                                                                   "stosb\n"                                 \
                                                                                                   "\tcld") form(                            \
                                                                                "rep-stos-none",                                             \
                                                                                "xor %ecx, %ecx\n\trep "                                     \
                                                                                "stosl")                                                     \
                                                                                form("movsl-from", "mov "                                    \
                                                                                                   "%rdi, "                                  \
                                                                                                   "%rsi\n"                                  \
                                                                                                   "\tmov "                                  \
                                                                                                   "%r14, "                                  \
                                                                                                   "%rdi\n"                                  \
                                                                                                   "\tmovs"                                  \
                                                                                                   "l") form(                                \
                                                                                    "movsl-to",                                              \
                                                                                    "mov %r14, "                                             \
                                                                                    "%rsi\n\tmovsl")                                         \
                                                                                    form("rep-movsb-from",                                   \
                                                                                         "mov %rdi, "                                        \
                                                                                         "%rsi\n\tmov "                                      \
                                                                                         "%r14, "                                            \
                                                                                         "%rdi\n\tmov $7, "                                  \
                                                                                         "%ecx\n\trep "                                      \
                                                                                         "movsb")                                            \
                                                                                        form(                                                \
                                                                                            "rep-movsq-to",                                  \
                                                                                            "mov %r14, "                                     \
                                                                                            "%rsi\n\tmov "                                   \
                                                                                            "$3, "                                           \
                                                                                            "%ecx\n\trep "                                   \
                                                                                            "movsq") form("movnti-32",                       \
                                                                                                          "movnti %eax, (%rdi)")             \
                                                                                            form("movnti-"                                   \
                                                                                                 "64",                                       \
                                                                                                 "movnti "                                   \
                                                                                                 "%rax, "                                    \
                                                                                                 "(%rdi)")                                   \
                                                                                                form(                                        \
                                                                                                    "stradd"                                 \
                                                                                                    "ling-"                                  \
                                                                                                    "qword"                                  \
                                                                                                    "s",                                     \
                                                                                                    "movl "                                  \
                                                                                                    "6(%"                                    \
                                                                                                    "rdi), "                                 \
                                                                                                    "%eax") form("odd", "movw 1(%rdi), %ax") \
                                                                                                    form(                                    \
                                                                                                        "pr"                                 \
                                                                                                        "ef"                                 \
                                                                                                        "ix"                                 \
                                                                                                        "-b"                                 \
                                                                                                        "ef"                                 \
                                                                                                        "or"                                 \
                                                                                                        "e-"                                 \
                                                                                                        "re"                                 \
                                                                                                        "x",                                 \
                                                                                                        ".b"                                 \
                                                                                                        "yt"                                 \
                                                                                                        "e "                                 \
                                                                                                        "0x"                                 \
                                                                                                        "66"                                 \
                                                                                                        ", "                                 \
                                                                                                        "0x"                                 \
                                                                                                        "41"                                 \
                                                                                                        ", "                                 \
                                                                                                        "0x"                                 \
                                                                                                        "8b"                                 \
                                                                                                        ", "                                 \
                                                                                                        "0x"                                 \
                                                                                                        "04"                                 \
                                                                                                        ", "                                 \
                                                                                                        "0x"                                 \
                                                                                                        "2"                                  \
                                                                                                        "4")

#define NAME_OF(name, text) name,

/* All forms in one row, each with the word of its start behind it. */
#define DEFINE(name, text)                                                                                   \
    "1:\t" text "\n\tret\n\t.pushsection .rodata\n\t.long 1b - mmio_code\n\t.popsection\n\t"
extern const char mmio_code[];
extern const int32_t mmio_starts[];
__asm__(".pushsection .rodata\n\t.balign 4\nmmio_starts:\n\t.popsection\n\t.pushsection "
        ".text\nmmio_code:\n\t" FORMS(DEFINE) ".popsection");
static const char *const form_names[] = {FORMS(NAME_OF)};

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
CODE(mmio_push, "push (%rdi)\n\tpop %rax");

void test_mmio(void)
{
    uint64_t memory = (uint64_t)pages(1);
    uint64_t device = device_page + TEST_DEVICE_MEMORY;
    static_assert(ARRAY_COUNT(form_names) > 80, "all forms");
    for (unsigned i = 0; i < ARRAY_COUNT(form_names); i++)
        compare(form_names[i], mmio_code + mmio_starts[i], memory, device);
    /* Through page tables that show the page elsewhere, and from ring 3. */
    window_map(3, device_page, WINDOW_OPEN);
    window_map(4, memory, WINDOW_OPEN);
    compare("mapped", mmio_code + mmio_starts[3], WINDOW + 4 * PAGE_SIZE,
            WINDOW + 3 * PAGE_SIZE + TEST_DEVICE_MEMORY);
    struct registers r = {.gpr = {[RDI] = device}};
    fill(device);
    struct outcome o = try_code_user(mmio_ring_3, &r);
    verdict("mmio.ring-3", "%s %llx %x", outcome_text(o).s, (unsigned long long)r.gpr[RAX],
            *(volatile uint32_t *)(device + 4));
    /* A page that the guest's tables make read-only faults in the guest. */
    window_map(3, device_page, PTE_PRESENT | PTE_USER);
    r = (struct registers){.gpr = {[RDI] = WINDOW + 3 * PAGE_SIZE + TEST_DEVICE_MEMORY}};
    o = try_code(mmio_code + mmio_starts[10], &r);
    verdict("mmio.read-only", "%s", outcome_text(o).s);
    window_map(3, 0, 0);
    window_map(4, 0, 0);
    o = try_code(mmio_code + mmio_starts[3], &r);
    verdict("mmio.not-present", "%s", outcome_text(o).s);
    /* What no driver does, and the decoder does not know: told apart from the bare machine by the list of
     * differences. */
    r = (struct registers){.gpr = {[RDI] = device}};
    o = try_code(mmio_push, &r);
    verdict("mmio.push", "%s", outcome_text(o).s);
}
