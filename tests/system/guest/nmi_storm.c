/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* A Linux module that sends NMI IPIs one by one and waits for the acknowledgement of each. Its parameters
 * under /sys/module/nmi_storm/parameters are the report. */
#include <asm/apic.h>
#include <asm/irq_vectors.h>
#include <asm/nmi.h>
#include <linux/cpu.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/percpu.h>

#define ACKNOWLEDGE_NS   (2ull * NSEC_PER_SEC)
#define SENDS_BEFORE_HOP 64 /* then the sender moves on, so that every CPU sends and every CPU receives */

static ulong count = 100000;
module_param(count, ulong, 0444);
MODULE_PARM_DESC(count, "NMI IPIs to send");

static ulong sent, acknowledged, lost, unknown, milliseconds, slowest_us;
static bool done;
module_param(sent, ulong, 0444);
module_param(acknowledged, ulong, 0444);
module_param(lost, ulong, 0444);
module_param(unknown, ulong, 0444);
module_param(milliseconds, ulong, 0444);
module_param(slowest_us, ulong, 0444);
module_param(done, bool, 0444);

/* One NMI is on its way to this CPU. Set by the sender, taken by the handler: an NMI without it is not ours,
 * and is counted as unknown. */
static DEFINE_PER_CPU(atomic_t, expected);
static atomic_long_t taken, strangers;
static struct task_struct *sender;

static int on_nmi(unsigned int type, struct pt_regs *regs)
{
    if (atomic_xchg(this_cpu_ptr(&expected), 0) == 0)
        return NMI_DONE;
    atomic_long_inc(&taken);
    return NMI_HANDLED;
}

static int on_unknown_nmi(unsigned int type, struct pt_regs *regs)
{
    atomic_long_inc(&strangers);
    return NMI_DONE;
}

/* True once the target has taken its NMI; false when it has not in ACKNOWLEDGE_NS, and then it is not
 * expected any more. */
static bool wait_for(unsigned int target, u64 since)
{
    atomic_t *flag = per_cpu_ptr(&expected, target);
    while (atomic_read(flag)) {
        if (ktime_get_mono_fast_ns() - since > ACKNOWLEDGE_NS)
            return atomic_xchg(flag, 0) == 0;
        cpu_relax();
        cond_resched();
    }
    return true;
}

static void send_one(unsigned int target)
{
    u64 since = ktime_get_mono_fast_ns();
    atomic_set(per_cpu_ptr(&expected, target), 1);
    apic->send_IPI(target, NMI_VECTOR);
    sent++;
    if (wait_for(target, since))
        slowest_us = max_t(ulong, slowest_us, (ktime_get_mono_fast_ns() - since) / NSEC_PER_USEC);
    else
        lost++;
    acknowledged = atomic_long_read(&taken);
    unknown = atomic_long_read(&strangers);
}

/* Sends to each CPU but the sender's own, from one CPU. */
static void send_round(unsigned int from)
{
    unsigned int target, i;
    for (i = 0; i < SENDS_BEFORE_HOP; i++)
        for_each_online_cpu(target) if (target != from && sent < count) send_one(target);
}

static int storm(void *unused)
{
    u64 start = ktime_get_mono_fast_ns();
    unsigned int from = cpumask_first(cpu_online_mask);
    while (sent < count && !kthread_should_stop()) {
        if (set_cpus_allowed_ptr(current, cpumask_of(from)))
            break;
        cpus_read_lock();
        send_round(from);
        cpus_read_unlock();
        from = cpumask_next(from, cpu_online_mask);
        if (from >= nr_cpu_ids)
            from = cpumask_first(cpu_online_mask);
    }
    milliseconds = (ktime_get_mono_fast_ns() - start) / NSEC_PER_MSEC;
    acknowledged = atomic_long_read(&taken);
    unknown = atomic_long_read(&strangers);
    smp_store_release(&done, true);
    while (!kthread_should_stop())
        schedule_timeout_interruptible(HZ);
    return 0;
}

static int __init nmi_storm_init(void)
{
    int status;
    sent = acknowledged = lost = unknown = milliseconds = slowest_us = 0;
    done = false;
    if (num_online_cpus() < 2)
        return -ENODEV;
    status = register_nmi_handler(NMI_LOCAL, on_nmi, 0, "nmi_storm");
    if (status)
        return status;
    status = register_nmi_handler(NMI_UNKNOWN, on_unknown_nmi, 0, "nmi_storm_unknown");
    if (status)
        goto no_unknown;
    sender = kthread_run(storm, NULL, "nmi_storm");
    if (!IS_ERR(sender))
        return 0;
    status = PTR_ERR(sender);
    unregister_nmi_handler(NMI_UNKNOWN, "nmi_storm_unknown");
no_unknown:
    unregister_nmi_handler(NMI_LOCAL, "nmi_storm");
    return status;
}

static void __exit nmi_storm_exit(void)
{
    kthread_stop(sender);
    unregister_nmi_handler(NMI_UNKNOWN, "nmi_storm_unknown");
    unregister_nmi_handler(NMI_LOCAL, "nmi_storm");
}

module_init(nmi_storm_init);
module_exit(nmi_storm_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Test: NMI IPIs sent and acknowledged one by one");
