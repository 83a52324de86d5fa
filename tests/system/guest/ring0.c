/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* A Linux module that tries from ring 0 what the hypervisor must not allow, and writes down what came of it
 * in /proc/ring0: one check a line, `ok NAME` or `FAILED NAME: ...`. The hypervisor's block is given by its
 * address and length. */
#include <asm/msr.h>
#include <asm/trapnr.h>
#include <linux/acpi.h>
#include <linux/io.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/stop_machine.h>

static ulong block, block_bytes;
module_param(block, ulong, 0444);
module_param(block_bytes, ulong, 0444);
static ulong block_accesses; /* those that the module made */
module_param(block_accesses, ulong, 0444);

static char report[8192];
static size_t used;

static __printf(3, 4) void check(bool good, const char *name, const char *format, ...)
{
    va_list arguments;
    used += scnprintf(report + used, sizeof(report) - used, "%s %s", good ? "ok" : "FAILED", name);
    if (!good) {
        used += scnprintf(report + used, sizeof(report) - used, ": ");
        va_start(arguments, format);
        used += vscnprintf(report + used, sizeof(report) - used, format, arguments);
        va_end(arguments);
    }
    used += scnprintf(report + used, sizeof(report) - used, "\n");
}

/* ---- Instructions ---- */

#define NO_EXCEPTION (-1)

/* Runs an instruction with RAX and RCX as given; the exception that it raised, or NO_EXCEPTION. The fault
 * handler puts the vector into RAX. */
#define EXCEPTION_OF(instruction, rax_in, rcx_in)                                                            \
    ({                                                                                                       \
        unsigned long rax = (rax_in), rcx = (rcx_in);                                                        \
        asm volatile("1: " instruction "\n\tmov $-1, %%rax\n2:\n" _ASM_EXTABLE_FAULT(1b, 2b)                 \
                     : "+a"(rax), "+c"(rcx)                                                                  \
                     :                                                                                       \
                     : "rbx", "rdx", "rsi", "rdi", "memory", "cc");                                          \
        (int)rax;                                                                                            \
    })

static void raises_ud(const char *name, int exception)
{
    check(exception == X86_TRAP_UD, name, "exception %d, not #UD", exception);
}

static void check_instructions(void)
{
    unsigned long page = __pa(report) & PAGE_MASK;
    raises_ud("VMRUN", EXCEPTION_OF("vmrun", page, 0));
    raises_ud("VMRUN of an odd address", EXCEPTION_OF("vmrun", 0x123456789abcdeful, 0));
    raises_ud("VMLOAD", EXCEPTION_OF("vmload", page, 0));
    raises_ud("VMLOAD of an odd address", EXCEPTION_OF("vmload", 0x123456789abcdeful, 0));
    raises_ud("VMSAVE", EXCEPTION_OF("vmsave", page, 0));
    raises_ud("VMSAVE to the block", EXCEPTION_OF("vmsave", block, 0));
    raises_ud("STGI", EXCEPTION_OF("stgi", 0, 0));
    raises_ud("CLGI", EXCEPTION_OF("clgi", 0, 0));
    raises_ud("SKINIT", EXCEPTION_OF("skinit", 0, 0));
    raises_ud("INVLPGA", EXCEPTION_OF("invlpga", 0, 1));
    raises_ud("VMMCALL without the magic", EXCEPTION_OF("vmmcall", 0, 0));
    raises_ud("VMCALL", EXCEPTION_OF("vmcall", 0, 0));
}

/* ---- Model-specific registers ---- */

#define MSR_HWCR          0xc0010015
#define MSR_IORR_BASE     0xc0010016
#define MSR_TOM           0xc001001a
#define MSR_TOM2          0xc001001d
#define MSR_SYSCFG        0xc0010010
#define MSR_MMIO_CFG_BASE 0xc0010058
#define MSR_SMM_ADDRESS   0xc0010112
#define MSR_SMM_MASK      0xc0010113
#define MSR_VM_CONTROL    0xc0010114
#define MSR_HOST_SAVE     0xc0010117
#define MSR_PATCH_LOADER  0xc0010020
#define MSR_NOWHERE       0x40001234 /* in none of the ranges that the permission map knows */

static int write_exception(u32 msr, u64 value)
{
    unsigned long rax = (u32)value, rdx = value >> 32;
    asm volatile("1: wrmsr\n\tmov $-1, %%rax\n2:\n" _ASM_EXTABLE_FAULT(1b, 2b)
                 : "+a"(rax)
                 : "c"(msr), "d"(rdx)
                 : "memory");
    return (int)rax;
}

static int read_exception(u32 msr, u64 *value)
{
    unsigned long rax = 0, rdx = 0, failed = 1;
    asm volatile("1: rdmsr\n\txor %2, %2\n2:\n" _ASM_EXTABLE_FAULT(1b, 2b)
                 : "+a"(rax), "+d"(rdx), "+r"(failed)
                 : "c"(msr)
                 : "memory");
    *value = (u32)rax | (u64)rdx << 32;
    return failed ? (int)rax : NO_EXCEPTION;
}

static void absent(const char *name, u32 msr)
{
    u64 value;
    int on_read = read_exception(msr, &value), on_write = write_exception(msr, 0);
    check(on_read == X86_TRAP_GP && on_write == X86_TRAP_GP, name,
          "exceptions %d on read and %d on write, not #GP", on_read, on_write);
}

/* A write raises `exception` and changes nothing. */
static void unchanged(const char *name, u32 msr, u64 flip, int exception)
{
    u64 before, after;
    int on_read = read_exception(msr, &before);
    int on_write = write_exception(msr, before ^ flip);
    read_exception(msr, &after);
    check(on_read == NO_EXCEPTION && on_write == exception && after == before, name,
          "exceptions %d, %d; %llx became %llx", on_read, on_write, before, after);
}

static void check_registers(void)
{
    u64 efer;
    read_exception(MSR_EFER, &efer);
    check(!(efer & EFER_SVME), "EFER.SVME reads 0", "EFER %llx", efer);
    unchanged("EFER.SVME cannot be set", MSR_EFER, EFER_SVME, X86_TRAP_GP);
    unchanged("EFER's reserved bits cannot be set", MSR_EFER, BIT_ULL(40), X86_TRAP_GP);
    unchanged("EFER.LME cannot change under paging", MSR_EFER, EFER_LME, X86_TRAP_GP);
    check(write_exception(MSR_EFER, efer) == NO_EXCEPTION, "EFER can be written as it is", "an exception");
    absent("VM_CR", MSR_VM_CONTROL);
    absent("VM_HSAVE_PA", MSR_HOST_SAVE);
    unchanged("the APIC cannot be moved", MSR_IA32_APICBASE, 0x1000, X86_TRAP_GP);
    unchanged("the APIC cannot be disabled", MSR_IA32_APICBASE, MSR_IA32_APICBASE_ENABLE, X86_TRAP_GP);
    unchanged("TOP_MEM", MSR_TOM, 1ull << 30, NO_EXCEPTION);
    unchanged("TOP_MEM2", MSR_TOM2, 1ull << 34, NO_EXCEPTION);
    unchanged("SYSCFG", MSR_SYSCFG, 1ull << 18, NO_EXCEPTION);
    unchanged("HWCR", MSR_HWCR, 1ull, NO_EXCEPTION);
    unchanged("IORR", MSR_IORR_BASE, block | 0x18, NO_EXCEPTION);
    unchanged("MMIO_CFG_BASE", MSR_MMIO_CFG_BASE, 0xc0000001, NO_EXCEPTION);
    unchanged("SMM_ADDR", MSR_SMM_ADDRESS, 1ull << 24, NO_EXCEPTION);
    unchanged("SMM_MASK", MSR_SMM_MASK, 3, NO_EXCEPTION);
    check(write_exception(MSR_NOWHERE, 0) == X86_TRAP_GP, "an unknown MSR cannot be written", "no #GP");
}

static void check_microcode(void)
{
    u64 before, after;
    read_exception(MSR_IA32_UCODE_REV, &before);
    int exception = write_exception(MSR_PATCH_LOADER, (unsigned long)report);
    read_exception(MSR_IA32_UCODE_REV, &after);
    check(exception == NO_EXCEPTION && before == after, "a microcode update is harmless",
          "exception %d, level %llx became %llx", exception, before, after);
}

/* ---- The hypervisor's block ---- */

/* Reads, writes and reads again, in one width. */
#define TOUCH(type, at)                                                                                      \
    ({                                                                                                       \
        volatile type *p = (volatile type *)(at);                                                            \
        type first = *p;                                                                                     \
        *p = (type)0x5a5a5a5a5a5a5a5aull;                                                                    \
        type second = *p;                                                                                    \
        block_accesses += 3;                                                                                 \
        first == (type)~0ull && second == (type)~0ull;                                                       \
    })

static void check_block_page(const char *name, u64 address)
{
    u8 *page = memremap(address, PAGE_SIZE, MEMREMAP_WB);
    if (!page) {
        check(false, name, "cannot be mapped");
        return;
    }
    check(TOUCH(u8, page + 1) && TOUCH(u16, page + 0x102) && TOUCH(u32, page + 0x204) &&
              TOUCH(u64, page + PAGE_SIZE - 8),
          name, "not all ones");
    memunmap(page);
}

static void check_block_by_others(void)
{
    u8 *pages = memremap(block, 2 * PAGE_SIZE, MEMREMAP_WB);
    u64 straddling, old = 1, *word = (u64 *)(pages + 64);
    unsigned long count = 24;
    u8 *to = pages + PAGE_SIZE - 12;
    if (!pages) {
        check(false, "two pages of the block", "cannot be mapped");
        return;
    }
    straddling = *(volatile u64 *)(pages + PAGE_SIZE - 4);
    check(straddling == ~0ull, "a read over two pages of the block", "%llx", straddling);
    asm volatile("lock xadd %0, %1" : "+r"(old), "+m"(*word) : : "memory");
    check(old == ~0ull && *(volatile u64 *)word == ~0ull, "a locked addition in the block", "%llx", old);
    asm volatile("rep stosb" : "+D"(to), "+c"(count) : "a"(0x5a) : "memory");
    check(count == 0 && to == pages + PAGE_SIZE + 12 && *(volatile u64 *)(pages + PAGE_SIZE) == ~0ull,
          "a string store over two pages of the block", "%lu left", count);
    block_accesses += 1 + 2 + 1 + 1; /* at least: two pages may count twice */
    memunmap(pages);
}

static void check_block(void)
{
    check_block_page("the block's first page", block);
    check_block_page("the block's middle", (block + block_bytes / 2) & PAGE_MASK);
    check_block_page("the block's last page", block + block_bytes - PAGE_SIZE);
    check_block_by_others();
}

/* ---- PCI configuration ---- */

#define ADDRESS_PORT   0xcf8
#define DATA_PORT      0xcfc
#define ENABLE         0x80000000u
#define LINE_REGISTER  0x3c /* the interrupt line: a byte that belongs to software */
#define WINDOW_BASE    0x60 /* PCIEXBAR of Intel's host bridge */
#define STANDARD_BYTES 256
#define CLASS_NVME     0x010802

static u32 function_address(struct pci_dev *device, unsigned int offset)
{
    return ENABLE | device->bus->number << 16 | device->devfn << 8 | (offset & 0xfc);
}

static u32 port_read(struct pci_dev *device, unsigned int offset)
{
    outl(function_address(device, offset), ADDRESS_PORT);
    return inl(DATA_PORT);
}

static u8 __iomem *window_of(struct pci_dev *device)
{
    struct acpi_table_header *table;
    const struct acpi_mcfg_allocation *first;
    u64 address;
    if (ACPI_FAILURE(acpi_get_table(ACPI_SIG_MCFG, 0, &table)))
        return NULL;
    first = (const void *)((u8 *)table + sizeof(struct acpi_table_mcfg));
    address = first->address + ((u64)device->bus->number << 20) + ((u64)device->devfn << 12);
    acpi_put_table(table);
    return ioremap(address, PAGE_SIZE);
}

static void check_address_port(void)
{
    u32 got, data;
    outl(ENABLE | 0x12345 << 4, ADDRESS_PORT);
    got = inl(ADDRESS_PORT);
    check(got == (ENABLE | 0x12345 << 4), "port CF8h reads back", "%x", got);
    outl(0, ADDRESS_PORT);
    data = inl(DATA_PORT);
    check(data == ~0u, "port CFCh without the enable bit", "%x", data);
}

static void compare_window(struct pci_dev *device, u8 __iomem *window)
{
    unsigned int offset, differ = 0;
    u32 word;
    u8 line;
    for (offset = 0; offset < STANDARD_BYTES; offset += 4) {
        word = port_read(device, offset);
        differ += readl(window + offset) != word;
        differ += readw(window + offset + 2) != word >> 16;
        differ += readb(window + offset + 1) != (word >> 8 & 0xff);
        differ += inb(DATA_PORT + 3) != word >> 24;
    }
    check(!differ, "the disk's configuration is the same through ports and window", "%u differences", differ);
    line = readb(window + LINE_REGISTER);
    writeb(line ^ 0x55, window + LINE_REGISTER);
    word = port_read(device, LINE_REGISTER);
    outb(line, DATA_PORT + (LINE_REGISTER & 3));
    check((word & 0xff) == (line ^ 0x55) && readb(window + LINE_REGISTER) == line,
          "a write through the window is read through the port", "%x", word);
}

static void check_window_base(struct pci_dev *bridge)
{
    u32 before = port_read(bridge, WINDOW_BASE), after;
    outl(before ^ 0x10000000, DATA_PORT);
    after = port_read(bridge, WINDOW_BASE);
    if (after != before)
        outl(before, DATA_PORT);
    check(after == before && (before & 1), "the window's base cannot change", "%x became %x", before, after);
}

struct pci_things {
    struct pci_dev *disk, *bridge;
    u8 __iomem *window;
};

/* Alone on the machine: nobody else may use the ports meanwhile. */
static int check_pci_alone(void *data)
{
    struct pci_things *things = data;
    check_address_port();
    compare_window(things->disk, things->window);
    check_window_base(things->bridge);
    return 0;
}

static void check_pci(void)
{
    struct pci_things things = {.disk = pci_get_class(CLASS_NVME, NULL),
                                .bridge = pci_get_domain_bus_and_slot(0, 0, 0)};
    if (things.disk)
        things.window = window_of(things.disk);
    if (things.window && things.bridge)
        stop_machine(check_pci_alone, &things, NULL);
    else
        check(false, "PCI", "no disk, window or host bridge");
    if (things.window)
        iounmap(things.window);
    pci_dev_put(things.disk);
    pci_dev_put(things.bridge);
}

static int show(struct seq_file *to, void *unused)
{
    seq_write(to, report, used);
    return 0;
}

static int __init ring0_init(void)
{
    if (!block || !block_bytes)
        return -EINVAL;
    check_instructions();
    check_registers();
    check_microcode();
    check_block();
    check_pci();
    return proc_create_single("ring0", 0444, NULL, show) ? 0 : -ENOMEM;
}

static void __exit ring0_exit(void)
{
    remove_proc_entry("ring0", NULL);
}

module_init(ring0_init);
module_exit(ring0_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Test: what ring 0 must not reach");
