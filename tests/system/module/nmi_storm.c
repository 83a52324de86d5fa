// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/* A Linux module that sends NMI IPIs to one CPU and has each acknowledged by its own handler before it sends the next: none may be lost.
 * Parameters: cpu, count. The sum is in /sys/module/nmi_storm/parameters/{acknowledged,lost}; sent from the loading process. */
#include <asm/apic.h>
#include <asm/nmi.h>
#include <linux/delay.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/smp.h>

#define PATIENCE_NS (2 * NSEC_PER_SEC)

static int cpu = 1;
static int count = 1000;
static int acknowledged, lost;
module_param(cpu, int, 0444);
module_param(count, int, 0444);
module_param(acknowledged, int, 0444);
module_param(lost, int, 0444);

static atomic_t pending = ATOMIC_INIT(0);

static int storm_handler(unsigned int type, struct pt_regs *registers)
{
    if (smp_processor_id() != cpu || atomic_cmpxchg(&pending, 1, 0) != 1)
        return NMI_DONE;
    return NMI_HANDLED;
}

/* One NMI, and the wait until the handler has taken it. */
static bool send_one(void)
{
    u64 end;

    atomic_set(&pending, 1);
    preempt_disable();
    if (smp_processor_id() == cpu) {
        preempt_enable();
        return false;
    }
    apic->send_IPI(cpu, NMI_VECTOR);
    preempt_enable();
    end = ktime_get_ns() + PATIENCE_NS;
    while (atomic_read(&pending)) {
        if (ktime_get_ns() > end)
            return false;
        cpu_relax();
    }
    return true;
}

static int __init storm_init(void)
{
    int i, error;

    if (cpu < 0 || !cpu_online(cpu))
        return -EINVAL;
    error = register_nmi_handler(NMI_LOCAL, storm_handler, 0, "nmi_storm");
    if (error)
        return error;
    for (i = 0; i < count && lost < 10; i++) {
        if (send_one())
            acknowledged++;
        else
            lost++;
        cond_resched();
    }
    unregister_nmi_handler(NMI_LOCAL, "nmi_storm");
    return 0;
}

static void __exit storm_exit(void)
{
}

module_init(storm_init);
module_exit(storm_exit);
MODULE_DESCRIPTION("acknowledged NMI IPIs, one by one");
MODULE_LICENSE("GPL");
