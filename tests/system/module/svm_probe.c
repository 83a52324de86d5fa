// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/* A Linux module that executes AMD's virtualization instructions in kernel mode and tells the exception vector of each (6: #UD; -1: none)
 * in /sys/module/svm_probe/parameters. */
#include <asm/asm.h>
#include <linux/module.h>

#define PROBE(ident, text)                                                                                             \
    static int ident = -2;                                                                                             \
    module_param(ident, int, 0444);                                                                                    \
    static void probe_##ident(void)                                                                                    \
    {                                                                                                                  \
        long vector = 0;                                                                                               \
        bool done;                                                                                                     \
        asm volatile("1: " text "\n\tmovb $1, %1\n\tjmp 3f\n2: movb $0, %1\n3:\n" _ASM_EXTABLE_FAULT(1b, 2b)          \
                     : "+a"(vector), "=qm"(done)                                                                       \
                     : "c"(0)                                                                                          \
                     : "memory", "edx");                                                                               \
        ident = done ? -1 : (int)vector;                                                                               \
    }
PROBE(vmrun, "vmrun")
PROBE(vmload, "vmload")
PROBE(vmsave, "vmsave")
PROBE(vmmcall, "vmmcall")
PROBE(stgi, "stgi")
PROBE(clgi, "clgi")
PROBE(skinit, "skinit")
PROBE(invlpga, "invlpga")

static int __init svm_probe_init(void)
{
    probe_vmrun();
    probe_vmload();
    probe_vmsave();
    probe_vmmcall();
    probe_stgi();
    probe_clgi();
    probe_skinit();
    probe_invlpga();
    return 0;
}

static void __exit svm_probe_exit(void)
{
}

module_init(svm_probe_init);
module_exit(svm_probe_exit);
MODULE_DESCRIPTION("virtualization instructions in kernel mode");
MODULE_LICENSE("GPL");
